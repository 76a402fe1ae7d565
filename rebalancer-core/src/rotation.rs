//! A rotation, from the plan to the report: who may be evicted, whether the workload is settled, and
//! the state machine that carries a plan out.

mod check;
mod checks;
mod claim;
mod eligibility;
mod machine;
mod plan;
mod protocol;
mod report;
mod rollout;
mod settled;
mod workload;

pub use check::{Violation, check_plan};
pub use claim::{CLAIM_MARGIN, Claim, ClaimFate, ClaimRequest, LAST_LOOK};
pub use eligibility::{EligibilityRules, IneligiblePod, Objection, objections, storage_words};
pub use machine::{EVICTION_MARGIN, RECOVERY_POLL, Rotation};
pub use plan::{MAX_TARGETS, Method, Mode, Pacing, PlanError, Role, RotationOptions, RotationPlan, Target};
pub use protocol::{
    Action, Answer, ApiFailure, Budget, EvictionRequest, FailureKind, Presence, UnexpectedAnswer, WaitReason,
};
pub use report::{BudgetProblem, Reason, RotationOutcome, RotationReport, Step};
pub use rollout::{divided_targets, remarks};
pub use settled::{Disturbance, disturbances};
pub use workload::{OwnerStatus, PlannedWorkload, Workload};
