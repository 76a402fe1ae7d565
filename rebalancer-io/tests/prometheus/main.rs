//! The Prometheus side against recorded answers, a server that misbehaves, and real servers.

mod presets;
