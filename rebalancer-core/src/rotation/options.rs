//! How a plan is carried out.

use core::time::Duration;

use crate::guard::settings::GuardSettings;
use crate::measure::thresholds::Thresholds;

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
    /// Real evictions, or a dry-run on the server.
    pub mode: Mode,
    /// What has to happen between two evictions.
    pub pacing: Pacing,
    /// The eviction API or a plain delete.
    pub method: Method,
    /// Grace period in seconds; `None` keeps the pod's own.
    pub grace_period_s: Option<u32>,
    /// Time since the start of the run by which everything must be over. No eviction starts in its last
    /// [`EVICTION_MARGIN`](crate::EVICTION_MARGIN).
    pub deadline: Duration,
    /// Number of pods that must be Ready in the list just before the first eviction (`MIN_PODS_REQUIRED`),
    /// even with guards off.
    pub min_pods: usize,
    /// Spares a target that has worked for less than this; zero turns it off.
    pub warm_up: Duration,
    /// Accepts pods of several controllers under one selector.
    pub allow_many_controllers: bool,
    /// Claims the workload, so that no other rotation evicts at the same time. Turn it off only if something
    /// else ensures that.
    pub claim: bool,
}

impl RotationOptions {
    /// The defaults: two real evictions in sequence under a claim, the pods' own grace periods, three pods
    /// required, no warm-up, one controller.
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

    /// The defaults, with the `min_pods` and warm-up of the decision, so that both are configured once.
    pub fn by(thresholds: &Thresholds, guards: &GuardSettings, deadline: Duration) -> Self {
        Self {
            min_pods: thresholds.min_pods,
            warm_up: guards.warm_up.unwrap_or_default(),
            ..Self::until(deadline)
        }
    }
}

/// Whether pods are really evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Mode {
    /// Evict.
    Execute,
    /// Does everything up to each target's preflight, then stops.
    ServerDryRun,
}

/// What has to happen between the first and the second eviction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
pub enum Pacing {
    /// The first was answered, and nothing but the first has changed: one Kafka rebalance for eager
    /// assignors.
    Sequential,
    /// The first pod's replacement is Ready and its budgets allow one more: better availability.
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
