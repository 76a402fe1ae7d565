//! Adapters of pod-rebalancer: metrics servers, Kubernetes, recordings, each behind a small trait.
#![forbid(unsafe_code)]

pub mod clock;
pub mod driver;
pub mod facts;
pub mod file;
pub mod joint;
pub mod json;
pub mod kafka;
pub mod kubernetes;
pub mod metrics;
pub mod origin;
pub mod pem;
pub mod podstate;
pub mod prometheus;
mod promql;
mod proxies;
pub mod push;
pub mod recording;
mod secrets;
pub mod snapshot;
pub mod states;
pub mod text;
pub mod webhook;

/// Tests the guide's code.
#[cfg(doctest)]
#[doc = include_str!("../../docs/library.md")]
mod guide {}

/// Tests the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
