//! Adapters of pod-rebalancer: metrics servers, Kubernetes, recordings, each behind a small trait.
#![forbid(unsafe_code)]

pub mod metrics;
pub mod prometheus;
