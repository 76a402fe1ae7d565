//! Carries out a plan, one action at a time: the state machine of a rotation.

mod answers;
mod report;

pub use answers::{
    Action, Answer, ApiFailure, Budget, EvictionRequest, FailureKind, Presence, UnexpectedAnswer,
    WaitReason,
};
pub use report::{BudgetProblem, Reason, RotationOutcome, RotationReport, Step};
