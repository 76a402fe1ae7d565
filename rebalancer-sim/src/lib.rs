//! What the tests of pod-rebalancer share: recorded answers and simulated servers.
#![forbid(unsafe_code)]

pub mod transcript;
