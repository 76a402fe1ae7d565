//! What the tests of pod-rebalancer share: recorded answers and simulated servers.
#![forbid(unsafe_code)]

pub mod apiserver;
pub mod transcript;
