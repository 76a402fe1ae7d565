//! Decides whether and which two pods of an unevenly loaded workload to rotate.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod eligibility;
mod plan;
mod pod;
mod rotation;
mod workload;

pub use eligibility::{EligibilityRules, Objection, objections};
pub use plan::{
    Disturbance, MAX_TARGETS, Method, Mode, OwnerFacts, Pacing, PlanError, Role, RotationOptions,
    RotationPlan, Target, Violation, Workload, WorkloadFacts, check_plan, disturbances,
};
pub use pod::{Load, Metric, PodState};
pub use rotation::{
    Action, Answer, ApiFailure, Budget, BudgetProblem, EvictionRequest, FailureKind, Presence,
    Reason, RotationOutcome, RotationReport, Step, UnexpectedAnswer, WaitReason,
};
pub use workload::{Controller, LivePod, Phase, Protection};
