//! Adapters of pod-rebalancer: metrics servers, Kubernetes, recordings, each behind a small trait.
#![forbid(unsafe_code)]

mod file;
pub mod metrics;
pub mod prometheus;
pub mod recording;
pub mod snapshot;
