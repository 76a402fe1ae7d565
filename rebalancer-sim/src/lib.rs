//! What the tests, fuzz targets and benchmarks share: fleets from a seed, recorded answers,
//! simulated servers, and naive oracles.
#![forbid(unsafe_code)]

pub mod apiserver;
pub mod assignor_vectors;
pub mod broker;
pub mod closed_loop;
pub mod consumer_group;
pub mod exact;
pub mod fleet;
pub mod fuzzing;
pub mod generators;
pub mod group;
mod http;
pub mod metrics_server;
pub mod oracle;
pub mod receiver;
pub mod transcript;
