//! The report of a rotation: one outcome, four sets of pods, and every step.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
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
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotated => "rotated",
            Self::Partial => "partial",
            Self::Blocked => "blocked",
            Self::Withheld => "withheld",
            Self::Failed => "failed",
            Self::Planned => "planned",
        }
    }
}

impl fmt::Display for RotationOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
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
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// Every target has been evicted.
    Done,
    /// The server accepted the dry-run of every target.
    WouldBeAccepted,
    /// The workload is changing or is no longer the one planned for.
    Unsettled(Vec<Disturbance>),
    /// Another run has claimed the workload. Contains its claim if that could be read.
    Claimed(Option<Claim>),
    /// Claims could not be found or made, so another run may be active.
    NotClaimed {
        /// The code of the action that failed.
        action: &'static str,
        /// What the API said.
        failure: ApiFailure,
    },
    /// The plan asked for no claim.
    NoClaimWanted,
    /// Targets that may no longer be evicted.
    Ineligible(Vec<IneligiblePod>),
    /// The budgets do not allow the evictions.
    Budgets(Vec<BudgetProblem>),
    /// The API answered with a failure, or not at all.
    Failure {
        /// The code of the action that failed.
        action: &'static str,
        /// The target it was about.
        pod: Option<String>,
        /// What the API said.
        failure: ApiFailure,
    },
    /// The workload did not recover in time from the first eviction.
    NotRecovered {
        /// What was missing at the last look.
        missing: Box<Self>,
    },
    /// An eviction was accepted, but the workload listed after it shows no sign of it.
    StillThere {
        /// The pod.
        pod: String,
    },
    /// An eviction was refused, and yet the pod is gone or terminating.
    Contradicted {
        /// The pod.
        pod: String,
        /// The answer to the eviction.
        failure: ApiFailure,
    },
    /// An eviction got no clear answer, and a look at the pod showed no sign of it.
    NotEvicted {
        /// The pod.
        pod: String,
        /// The answer to the eviction.
        failure: ApiFailure,
    },
    /// An eviction was answered by a failure, and the pod could not be looked at either.
    Unresolved {
        /// The pod.
        pod: String,
        /// The answer to the eviction.
        failure: ApiFailure,
        /// The answer to the look-up.
        lookup: ApiFailure,
    },
    /// The deadline is too near for the next step.
    Deadline,
    /// A stop was requested.
    StopRequested,
    /// The report was taken before the rotation had stopped.
    Abandoned,
}

/// Why a budget prevents the evictions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BudgetProblem {
    /// It allows fewer evictions than are planned under it.
    Exhausted {
        /// Name of the budget.
        budget: String,
        /// Evictions it allows now.
        allowed: i32,
        /// Evictions planned at once under it.
        needed: usize,
    },
    /// Its controller has not seen its newest version, so its numbers are outdated.
    NotObserved {
        /// Name of the budget.
        budget: String,
    },
    /// More than one budget covers a pod; the eviction API then always fails.
    SeveralOnOnePod {
        /// The pod.
        pod: String,
        /// Names of the budgets.
        budgets: Vec<String>,
    },
}

impl BudgetProblem {
    /// The stable name of this problem in reports and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Exhausted { .. } => FailureKind::BlockedByPdb.code(),
            Self::NotObserved { .. } => "pdb_not_observed",
            Self::SeveralOnOnePod { .. } => FailureKind::PdbMisconfigured.code(),
        }
    }
}

impl fmt::Display for BudgetProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted { budget, allowed, needed } => {
                write!(f, "PodDisruptionBudget {budget} has disruptionsAllowed {allowed}, {needed} needed")
            }
            Self::NotObserved { budget } => {
                write!(f, "the numbers of PodDisruptionBudget {budget} are older than its specification")
            }
            Self::SeveralOnOnePod { pod, budgets } => write!(
                f,
                "pod {pod} is matched by {} PodDisruptionBudgets ({}); let one selector match it",
                budgets.len(),
                budgets.join(", ")
            ),
        }
    }
}

impl Reason {
    /// The stable name of this reason in reports and metrics; if it holds several, the name of the first.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::WouldBeAccepted => "would_be_accepted",
            Self::Unsettled(found) => found.first().map_or("unsettled", Disturbance::code),
            Self::Claimed(_) => "claimed",
            Self::NoClaimWanted => "no_claim_wanted",
            Self::Ineligible(pods) => {
                let first = pods.first().and_then(|pod| pod.objections.first());
                first.map_or("ineligible", Objection::code)
            }
            Self::Budgets(problems) => problems.first().map_or("budgets", BudgetProblem::code),
            Self::NotClaimed { failure, .. }
            | Self::Failure { failure, .. }
            | Self::NotEvicted { failure, .. } => failure.kind.code(),
            Self::NotRecovered { .. } => "not_recovered",
            Self::StillThere { .. } => "still_there",
            Self::Contradicted { .. } => "contradicted",
            Self::Unresolved { .. } => "unresolved",
            Self::Deadline => "deadline",
            Self::StopRequested => "stop_requested",
            Self::Abandoned => "abandoned",
        }
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
            | Self::StillThere { .. }
            | Self::Contradicted { .. }
            | Self::NotRecovered { .. }
            | Self::NotEvicted { .. }
            | Self::Unresolved { .. }
            | Self::Deadline
            | Self::StopRequested
            | Self::Abandoned => RotationOutcome::Failed,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("every target was evicted"),
            Self::WouldBeAccepted => f.write_str("the server would accept the eviction"),
            Self::Unsettled(found) => write!(f, "the workload is not settled: {}", joined(found)),
            Self::Claimed(Some(claim)) => write!(f, "{claim}"),
            Self::Claimed(None) => f.write_str("another run claimed the workload at the same moment"),
            Self::NotClaimed { action, failure } => write!(
                f,
                "could not {}: {failure}; a run that cannot claim the workload evicts nothing (CLAIM=off goes \
                 without)",
                action.replace('_', " ")
            ),
            Self::NoClaimWanted => f.write_str("claims are turned off (CLAIM=off)"),
            Self::Ineligible(pods) => f.write_str(&joined(pods)),
            Self::Budgets(problems) => f.write_str(&joined(problems)),
            Self::Failure { action, pod, failure } => {
                write!(f, "could not {}", action.replace('_', " "))?;
                if let Some(pod) = pod {
                    write!(f, " pod {pod}")?;
                }
                write!(f, ": {failure}")
            }
            Self::NotRecovered { missing } => {
                write!(f, "the workload did not recover from the eviction in time: {missing}")
            }
            Self::StillThere { pod } => write!(
                f,
                "the eviction of pod {pod} was accepted, but the pod is still there and not being terminated"
            ),
            Self::Contradicted { pod, failure } => write!(
                f,
                "pod {pod} is gone or being terminated, though its eviction was answered: {failure}; by this run or \
                 by someone else, so nothing more is evicted"
            ),
            Self::NotEvicted { pod, failure } => {
                write!(f, "pod {pod} was not being evicted when looked at after: {failure}")
            }
            Self::Unresolved { pod, failure, lookup } => write!(
                f,
                "whether pod {pod} was evicted is unknown: {failure}; and a look at it failed: {lookup}"
            ),
            Self::Deadline => f.write_str("too little time is left before the deadline of the run"),
            Self::StopRequested => f.write_str("a stop was asked for"),
            Self::Abandoned => f.write_str("the rotation was given up before it had stopped"),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Reason {
    /// As `{"code": ..., "message": ...}`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use alloc::string::ToString;
        use serde::ser::SerializeStruct;

        let mut fields = serializer.serialize_struct("Reason", 2)?;
        fields.serialize_field("code", self.code())?;
        fields.serialize_field("message", &self.to_string())?;
        fields.end()
    }
}
