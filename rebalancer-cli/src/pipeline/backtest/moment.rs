//! One moment of the past.

use jiff::Timestamp;
use rebalancer_core::Workload;
use rebalancer_io::podstate::{Answers, Freshness};

/// The data known about one moment.
pub struct Moment {
    /// The pods of that moment.
    pub workload: Workload,
    /// Their loads.
    pub answers: Answers,
    /// Which pods and samples count.
    pub freshness: Freshness,
    /// Whether pods of several controllers are accepted.
    pub allow_many_controllers: bool,
    /// Whether the past before this moment can be queried.
    pub has_past: bool,
}

impl Moment {
    /// When it was.
    pub const fn at(&self) -> Timestamp {
        self.answers.at
    }
}
