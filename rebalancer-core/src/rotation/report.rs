//! The report of a rotation: one outcome, four sets of pods, and every step.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::rotation::claim::Claim;
use crate::rotation::disturbance::Disturbance;
use crate::rotation::eligibility::{IneligiblePod, Objection};
use crate::rotation::protocol::{ApiFailure, FailureKind};
use crate::wording::joined;

/// The result of a rotation.
///
/// Every target of the plan is either in `attempted` or in `skipped`; every attempted one is either in
/// `deleted` or in `errors`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RotationReport {
    /// The outcome, in one word.
    pub outcome: RotationOutcome,
    /// Why it ended this way.
    pub reason: Reason,
    /// Pods for which an eviction was sent, in order.
    pub attempted: Vec<String>,
    /// Pods for which an eviction was sent and that are gone or terminating, in order.
    pub deleted: Vec<String>,
    /// Targets for which nothing was sent, and why.
    pub skipped: BTreeMap<String, Reason>,
    /// Pods whose eviction failed or has an unknown result, and why.
    pub errors: BTreeMap<String, Reason>,
    /// Why this rotation was not protected from others running at the same time; `None` if it was, or needed
    /// no protection.
    pub unclaimed: Option<Reason>,
    /// Everything that was done, in order.
    pub steps: Vec<Step>,
}

/// What came of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::IntoStaticStr)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[strum(serialize_all = "snake_case")]
pub enum RotationOutcome {
    /// All targets were evicted.
    Rotated,
    /// Some targets were evicted, the others not, or not for certain.
    Partial,
    /// Nothing was evicted: a budget, an admission policy, or the target itself forbids it.
    Blocked,
    /// Nothing was evicted: the workload is no longer the one planned for, or another run claims it.
    Withheld,
    /// Nothing is known to be evicted: a question failed, or time was up, or a stop was asked for.
    Failed,
    /// Dry-run on the server: every target would be accepted.
    Planned,
}

impl RotationOutcome {
    /// The word used in reports, metrics and logs.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// One thing that was done, and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Step {
    /// Time since the start of the run at which the answer was handled, in milliseconds.
    pub at_ms: u64,
    /// The action answered, by its [code](crate::Action::code); `stop_requested` for a stop.
    pub action: &'static str,
    /// The target it was about.
    pub pod: Option<String>,
    /// `ok`, or the code of what went wrong.
    pub result: &'static str,
    /// Details in words; empty if `ok` says everything.
    pub message: String,
}

/// Why a rotation ended this way, or why a pod was not evicted.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// Every target has been evicted.
    #[error("every target was evicted")]
    Done,
    /// The server accepted the dry-run of every target.
    #[error("the server would accept the eviction")]
    WouldBeAccepted,
    /// The workload is changing or is no longer the one planned for.
    #[error("the workload is not settled: {}", joined(.0))]
    Unsettled(Vec<Disturbance>),
    /// Another run has claimed the workload. Contains its claim if that could be read.
    #[error("{}", claimed(.0.as_ref()))]
    Claimed(Option<Claim>),
    /// Claims could not be found or made, so another run may be active.
    #[error(
        "could not {}: {failure}; a run that cannot claim the workload evicts nothing (CLAIM=off goes without)",
        action.replace('_', " ")
    )]
    NotClaimed {
        /// The code of the action that failed.
        action: &'static str,
        /// What the API said.
        failure: ApiFailure,
    },
    /// The plan asked for no claim.
    #[error("claims are turned off (CLAIM=off)")]
    NoClaimWanted,
    /// Targets that may no longer be evicted.
    #[error("{}", joined(.0))]
    Ineligible(Vec<IneligiblePod>),
    /// The budgets do not allow the evictions.
    #[error("{}", joined(.0))]
    Budgets(Vec<BudgetProblem>),
    /// The API answered with a failure, or not at all.
    #[error("could not {}{}: {failure}", action.replace('_', " "), about(pod.as_deref()))]
    Failure {
        /// The code of the action that failed.
        action: &'static str,
        /// The target it was about.
        pod: Option<String>,
        /// What the API said.
        failure: ApiFailure,
    },
    /// The workload did not recover in time from the first eviction: what was missing at the last look.
    #[error("the workload did not recover from the eviction in time: {0}")]
    NotRecovered(Box<Self>),
    /// The eviction of this pod was accepted, but the workload listed after it shows no sign of it.
    #[error("the eviction of pod {0} was accepted, but the pod is still there and not being terminated")]
    StillThere(String),
    /// An eviction was refused, and yet the pod is gone or terminating.
    #[error(
        "pod {pod} is gone or being terminated, though its eviction was answered: {failure}; by this run or by \
         someone else, so nothing more is evicted"
    )]
    Contradicted {
        /// The pod.
        pod: String,
        /// The answer to the eviction.
        failure: ApiFailure,
    },
    /// An eviction got no clear answer, and a look at the pod showed no sign of it.
    #[error("pod {pod} was not being evicted when looked at after: {failure}")]
    NotEvicted {
        /// The pod.
        pod: String,
        /// The answer to the eviction.
        failure: ApiFailure,
    },
    /// An eviction was answered by a failure, and the pod could not be looked at either.
    #[error("whether pod {pod} was evicted is unknown: {failure}; and a look at it failed: {lookup}")]
    Unresolved {
        /// The pod.
        pod: String,
        /// The answer to the eviction.
        failure: ApiFailure,
        /// The answer to the look-up.
        lookup: ApiFailure,
    },
    /// The deadline is too near for the next step.
    #[error("too little time is left before the deadline of the run")]
    Deadline,
    /// A stop was requested.
    #[error("a stop was asked for")]
    StopRequested,
    /// The report was taken before the rotation had stopped.
    #[error("the rotation was given up before it had stopped")]
    Abandoned,
}

/// Why a budget prevents the evictions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetProblem {
    /// It allows fewer evictions than are planned under it.
    #[error("PodDisruptionBudget {budget} has disruptionsAllowed {allowed}, {needed} needed")]
    Exhausted {
        /// Name of the budget.
        budget: String,
        /// Evictions it allows now.
        allowed: i32,
        /// Evictions planned at once under it.
        needed: usize,
    },
    /// The controller of this budget has not seen its newest version, so its numbers are outdated.
    #[error("the numbers of PodDisruptionBudget {0} are older than its specification")]
    NotObserved(String),
    /// More than one budget covers a pod; the eviction API then always fails.
    #[error(
        "pod {pod} is matched by {} PodDisruptionBudgets ({}); let one selector match it",
        budgets.len(), budgets.join(", ")
    )]
    SeveralOnOnePod {
        /// The pod.
        pod: String,
        /// Names of the budgets.
        budgets: Vec<String>,
    },
}

impl BudgetProblem {
    /// The stable name of this problem in reports and metrics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exhausted { .. } => FailureKind::BlockedByPdb.code(),
            Self::NotObserved(_) => "pdb_not_observed",
            Self::SeveralOnOnePod { .. } => FailureKind::PdbMisconfigured.code(),
        }
    }
}

/// Whose claim it is.
fn claimed(claim: Option<&Claim>) -> String {
    let unread = || "another run claimed the workload at the same moment".to_string();
    claim.map_or_else(unread, Claim::to_string)
}

/// The target of an action, after its name.
fn about(pod: Option<&str>) -> String {
    pod.map_or_else(String::new, |pod| format!(" pod {pod}"))
}

impl Reason {
    /// The stable name of this reason in reports and metrics; if it holds several, the name of the first.
    pub fn code(&self) -> &'static str {
        let first = match self {
            Self::Unsettled(found) => found.first().map(Disturbance::code),
            Self::Ineligible(pods) => {
                pods.first().and_then(|pod| pod.objections.first()).map(Objection::code)
            }
            Self::Budgets(problems) => problems.first().map(BudgetProblem::code),
            Self::NotClaimed { failure, .. }
            | Self::Failure { failure, .. }
            | Self::NotEvicted { failure, .. } => Some(failure.kind.code()),
            _ => None,
        };
        first.unwrap_or_else(|| self.into())
    }

    /// The outcome of a rotation that ended for this reason without evicting anything.
    ///
    /// | reason | outcome |
    /// |---|---|
    /// | every target evicted | rotated |
    /// | dry-run accepted | planned |
    /// | a list that failed, whatever was answered | failed |
    /// | unsettled; claimed by another run; target gone or replaced | withheld |
    /// | ineligible; budgets; refused by budget or admission | blocked |
    /// | could not claim; every other failure; unresolved; deadline; stop; abandoned | failed |
    pub const fn outcome(&self) -> RotationOutcome {
        match self {
            Self::Done => RotationOutcome::Rotated,
            Self::WouldBeAccepted => RotationOutcome::Planned,
            Self::Unsettled(_) | Self::Claimed(_) => RotationOutcome::Withheld,
            Self::Ineligible(_) | Self::Budgets(_) => RotationOutcome::Blocked,
            // A refusal is about a target only if the request named one.
            Self::Failure { pod: Some(_), failure, .. } => match failure.kind {
                FailureKind::TargetGone | FailureKind::TargetReplaced => RotationOutcome::Withheld,
                FailureKind::BlockedByPdb
                | FailureKind::PdbMisconfigured
                | FailureKind::RefusedByAdmission => RotationOutcome::Blocked,
                _ => RotationOutcome::Failed,
            },
            Self::Failure { pod: None, .. }
            | Self::NotClaimed { .. }
            | Self::NoClaimWanted
            | Self::StillThere(_)
            | Self::Contradicted { .. }
            | Self::NotRecovered(_)
            | Self::NotEvicted { .. }
            | Self::Unresolved { .. }
            | Self::Deadline
            | Self::StopRequested
            | Self::Abandoned => RotationOutcome::Failed,
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Reason {
    /// As `{"code": ..., "message": ...}`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;

        let mut fields = serializer.serialize_struct("Reason", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}
