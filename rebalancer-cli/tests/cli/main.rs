//! The program itself, run as its users run it: what it prints, how it exits, what it asks of servers.

mod backtest;
mod bad_input;
mod check;
mod decisions;
mod guards;
mod live;
mod live_faults;
mod moments;
mod origin;
mod output;
mod owners;
mod pages;
mod program;
mod pty;
mod recordings;
mod redact;
mod schema;
mod secrets;
mod servers;
mod settings;
mod shell;
mod snapshots;
mod sweeps;
mod target;
mod telemetry;
mod terminal;
