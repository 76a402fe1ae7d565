//! The part of the report about what was done.

use std::collections::BTreeMap;

use rebalancer_core::RotationOutcome;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What was done. Every target is attempted or skipped, every attempted one deleted or an error.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RotationReport {
    /// What came of it.
    pub outcome: RotationOutcome,
    /// Why it ended as it did.
    pub reason: Reason,
    /// Pods for which an eviction was sent, in order.
    #[serde(default)]
    pub attempted: Vec<String>,
    /// Pods known to be evicted, in order.
    #[serde(default)]
    pub deleted: Vec<String>,
    /// Targets for which nothing was sent, and why.
    #[serde(default)]
    pub skipped: BTreeMap<String, Reason>,
    /// Pods whose eviction failed or is of unknown fate, and why.
    #[serde(default)]
    pub errors: BTreeMap<String, Reason>,
    /// Why it could not be kept apart from runs at the same time; null when it was.
    pub unclaimed: Option<Reason>,
    /// All that was done, in order.
    #[serde(default)]
    pub steps: Vec<RotationStep>,
}

/// Why a rotation ended as it did, or a pod was not evicted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// A word that stays the same.
    pub code: String,
    /// The same in words.
    pub message: String,
}

/// One thing done in a rotation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RotationStep {
    /// Milliseconds since the run began.
    pub at_ms: u64,
    /// What was done.
    pub action: String,
    /// The target it was about.
    pub pod: Option<String>,
    /// `ok`, or the code of what went wrong.
    pub result: String,
    /// What was found, in words.
    pub message: String,
}

impl From<rebalancer_core::RotationReport> for RotationReport {
    fn from(rotation: rebalancer_core::RotationReport) -> Self {
        let reasons = |pods: BTreeMap<String, rebalancer_core::Reason>| {
            pods.into_iter().map(|(pod, reason)| (pod, Reason::from(&reason))).collect()
        };
        Self {
            outcome: rotation.outcome,
            reason: Reason::from(&rotation.reason),
            attempted: rotation.attempted,
            deleted: rotation.deleted,
            skipped: reasons(rotation.skipped),
            errors: reasons(rotation.errors),
            unclaimed: rotation.unclaimed.as_ref().map(Reason::from),
            steps: rotation.steps.into_iter().map(RotationStep::from).collect(),
        }
    }
}

impl From<&rebalancer_core::Reason> for Reason {
    fn from(reason: &rebalancer_core::Reason) -> Self {
        Self { code: reason.code().to_owned(), message: reason.to_string() }
    }
}

impl From<rebalancer_core::Step> for RotationStep {
    fn from(step: rebalancer_core::Step) -> Self {
        let rebalancer_core::Step { at_ms, action, pod, result, message } = step;
        Self { at_ms, action: action.to_owned(), pod, result: result.to_owned(), message }
    }
}
