//! The program as a whole, against real servers: what `e2e/install` installs. One binary, so that the
//! program and the servers' parts are built and linked once.

mod browser;
mod causes;
mod chart;
mod chart_scopes;
mod discover;
mod first_answer;
mod gates;
mod harness_binary;
mod harness_control_plane;
mod harness_metric_servers;
mod history;
mod kafka_direct;
mod kafka_groups;
mod local_stack;
mod own_metrics;
mod packages;
mod program_metrics;
mod release;
mod rotation;
mod run_all;
mod safety;
mod scale;
mod scan;
mod thanos;
