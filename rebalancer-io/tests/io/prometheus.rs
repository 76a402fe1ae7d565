//! The Prometheus side against recorded answers, a server that misbehaves, and real servers.

mod fixtures;
mod http;
mod origin;
mod presets;
mod recording;
mod snapshot;
mod stub;
mod tls;
