//! A claim: a note that a rotation writes where all others see it, before it evicts.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::input::live_pod::Controller;
use crate::rotation::plan::Target;

/// A claim counts for this much longer than it says. The API server gives up a request after a minute, so
/// an eviction sent at the last moment of a claim has ended by then. The clocks of several API servers
/// differ by less.
pub const CLAIM_MARGIN: Duration = Duration::from_secs(60);

/// Time after the deadline for a last look at a pod: knowing whether an eviction happened is worth being
/// late.
pub const LAST_LOOK: Duration = Duration::from_secs(5);

/// A claim on a workload, as the cluster tells of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Its number among the claims on this workload.
    pub generation: u64,
    /// Who claims: the name of the host.
    pub holder: String,
    /// Time since the server wrote it down, by the server's own clock.
    pub age: Duration,
    /// How long its rotation may evict, from that moment on.
    pub valid_for: Duration,
}

impl Claim {
    /// Whether its rotation may still evict, or an eviction of it still be under way.
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

/// A claim to be written down under a name that only one can take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The workload; its UID and the generation make the name.
    pub workload: Controller,
    /// One more than that of every claim found.
    pub generation: u64,
    /// The pods to evict, for people who read the claim.
    pub targets: Vec<Target>,
    /// How long the rotation may evict, a last look included.
    pub valid_for: Duration,
}

/// What came of an attempt to claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimFate {
    /// The workload is this rotation's.
    Won,
    /// The name was taken: another run was faster.
    Lost,
}
