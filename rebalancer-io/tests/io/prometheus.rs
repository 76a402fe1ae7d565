//! The Prometheus side against recorded answers, a server that misbehaves, and real servers.

mod detect;
mod exporters;
mod fixtures;
mod http;
mod identity;
mod offsets;
mod origin;
mod presets;
mod recorded;
mod recording;
mod servers;
mod snapshot;
mod stub;
mod tls;
