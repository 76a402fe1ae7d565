//! Metrics and log of a run, however it ended.

pub mod delivery;
pub mod exposition;
pub mod finished;
pub mod logging;
mod message;
pub mod metrics;
pub mod notes;
