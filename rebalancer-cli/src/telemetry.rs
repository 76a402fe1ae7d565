//! What a run tells of itself when it has ended, however it ended: metrics that are pushed or
//! written to a file, and its log.

pub mod delivery;
pub mod exposition;
pub mod finished;
pub mod logging;
pub mod metrics;
pub mod notes;
