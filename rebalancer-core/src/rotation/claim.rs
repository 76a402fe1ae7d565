//! A claim: a note in the cluster that a rotation writes before it evicts, visible to all others.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::input::live_pod::Controller;
use crate::rotation::plan::Target;

/// A claim counts for this much longer than it says. The API server gives up on a request after a minute, so
/// an eviction sent at the last moment has ended by then. The clocks of API servers differ by less.
pub const CLAIM_MARGIN: Duration = Duration::from_secs(60);

/// Time allowed after the deadline for a last look at a pod: knowing whether an eviction happened is worth
/// being late.
pub const LAST_LOOK: Duration = Duration::from_secs(5);

/// A claim on a workload, as read from the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its number among the claims on this workload.
    pub generation: u64,
    /// The claimant: the name of its host.
    pub holder: String,
    /// Time since the server stored it, by the server's own clock.
    pub age: Duration,
    /// How long after that its rotation may evict.
    pub valid_for: Duration,
}

impl Claim {
    /// Whether its rotation may still evict, or one of its evictions may still be in flight.
    pub fn is_in_force(&self) -> bool {
        self.age < self.valid_for.saturating_add(CLAIM_MARGIN)
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends_in: Duration = self.valid_for.saturating_add(CLAIM_MARGIN).saturating_sub(self.age);
        write!(
            f,
            "a run on {} claimed the workload {} s ago; it is left alone for another {} s",
            self.holder,
            self.age.as_secs(),
            ends_in.as_secs()
        )
    }
}

/// A claim to be created under a name that only one run can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The workload; its UID and the generation form the name.
    pub workload: Controller,
    /// One more than the highest generation found.
    pub generation: u64,
    /// The pods to evict, for people who read the claim.
    pub targets: Vec<Target>,
    /// How long the rotation may evict, including a last look.
    pub valid_for: Duration,
}

/// The result of an attempt to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimFate {
    /// This rotation has the workload.
    Won,
    /// The name was taken: another run was faster.
    Lost,
}
