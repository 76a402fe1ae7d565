//! Adapters of pod-rebalancer: the services it talks to, each behind a small trait.
#![forbid(unsafe_code)]

pub mod kubernetes;
