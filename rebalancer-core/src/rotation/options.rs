//! How a plan is carried out.

use core::time::Duration;

use crate::guard::settings::GuardSettings;
use crate::measure::thresholds::Thresholds;
use crate::rotation::eligibility::EligibilityRules;

/// How a plan is carried out.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Pacing, RotationOptions};
///
/// let options = RotationOptions { pacing: Pacing::WaitReady, ..RotationOptions::until(Duration::from_secs(240)) };
/// assert_eq!(options.min_pods, 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RotationOptions {
    /// For real, or as a dry-run on the server.
    pub mode: Mode,
    /// What has to happen between two evictions.
    pub pacing: Pacing,
    /// By the eviction API or by a plain delete.
    pub method: Method,
    /// Grace period in seconds; `None` leaves the pod its own.
    pub grace_period_s: Option<u32>,
    /// Time since the start of the run by which everything is over. No eviction starts in its last
    /// [`EVICTION_MARGIN`](crate::EVICTION_MARGIN).
    pub deadline: Duration,
    /// Number of pods that must be Ready in the list just before the first eviction
    /// (`MIN_PODS_REQUIRED`), also with guards off.
    pub min_pods: usize,
    /// Does not evict a target that has worked for less than this; zero turns it off.
    pub warm_up: Duration,
    /// Accepts pods of several controllers under one selector.
    pub allow_many_controllers: bool,
    /// Claims the workload, so that no other rotation evicts at the same time. Turn it off only where
    /// something else makes sure that there is one rotation at a time.
    pub claim: bool,
}

impl RotationOptions {
    /// The defaults: two real evictions in sequence under a claim, grace periods of the pods' own,
    /// three pods required, no warm-up, one controller.
    pub const fn until(deadline: Duration) -> Self {
        Self {
            mode: Mode::Execute,
            pacing: Pacing::Sequential,
            method: Method::Evict,
            grace_period_s: None,
            deadline,
            min_pods: 3,
            warm_up: Duration::ZERO,
            allow_many_controllers: false,
            claim: true,
        }
    }

    /// The defaults with the `min_pods` and the warm-up that the decision was made by, so that both are
    /// given once.
    pub fn by(thresholds: &Thresholds, guards: &GuardSettings, deadline: Duration) -> Self {
        Self {
            min_pods: thresholds.min_pods,
            warm_up: guards.warm_up.unwrap_or_default(),
            ..Self::until(deadline)
        }
    }

    /// The part of the options that says who may be evicted.
    pub const fn eligibility(&self) -> EligibilityRules {
        EligibilityRules { warm_up: self.warm_up }
    }
}

/// Whether anything is really evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Mode {
    /// Evict.
    Execute,
    /// Do everything up to the preflight of each target, then stop.
    ServerDryRun,
}

/// What has to happen between the first and the second eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Pacing {
    /// The first has been answered, and nothing but the first has changed: one Kafka rebalance for
    /// eager assignors.
    Sequential,
    /// The replacement of the first is Ready and its budgets allow one more: better availability.
    WaitReady,
}

/// How a pod is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Method {
    /// The eviction API: the server enforces budgets.
    Evict,
    /// A plain delete. The server ignores budgets; the rotation still checks them itself first.
    Delete,
}
