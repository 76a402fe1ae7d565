//! Finds what is not set: the metrics server, where lag and rate come from, and the consumer group. Each file takes
//! a connection and settings, and gives back settings.

pub mod kafka;
pub mod server;
