//! Decides whether and which two pods of an unevenly loaded workload to rotate.
//!
//! The crate is pure and synchronous: no IO, clock, randomness or threads. Loads come in, an
//! [`Analysis`] comes out; see [`Engine`] for how a scheduler calls it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod analysis;
mod assessment;
mod candidates;
mod decision;
mod eligibility;
mod engine;
mod facts;
mod forecast;
mod history;
mod join;
mod metric;
mod name_list;
mod name_table;
mod named;
mod names;
mod number;
mod outliers;
mod partitions;
mod plan;
mod pod;
mod rotation;
mod score;
mod statistics;
mod strategy;
mod sums;
mod thresholds;
mod workload;

pub mod assignor;
pub mod diagnosis;
pub mod guard;

pub use analysis::Analysis;
pub use assessment::{Assessment, Futility, assess};
pub use candidates::Candidates;
pub use decision::{Coverage, Decision, Finding};
pub use eligibility::{EligibilityRules, IneligiblePod, Objection, objections};
pub use engine::{AnalyzeError, Engine};
pub use facts::{AssignorChoice, Fact, Facts, Past, PastSpread, Replacement, Window};
pub use forecast::{Forecast, GroupFacts, LEAST_GAIN, NoPair, PlannedPair, best_spread};
pub use history::{Grid, History, InvalidHistory, WindowLoad, WindowSummary};
pub use join::{
    DuplicateSample, Join, JoinRules, Joined, JoinedColumns, MetricIssues, Sample, SetAside, SetAsideReason,
};
pub use metric::{Metric, PerMetric};
pub use name_list::NameList;
pub use named::{NamedAnswer, NamedPods};
pub use outliers::Outliers;
pub use partitions::{InvalidPartitions, Partition, PartitionSample, Partitions};
pub use plan::{
    Disturbance, MAX_TARGETS, Method, Mode, OwnerFacts, Pacing, PlanError, Role, RotationOptions,
    RotationPlan, Target, Violation, Workload, WorkloadFacts, check_plan, disturbances, divided_targets,
    remarks,
};
pub use pod::{Load, PodState};
pub use rotation::{
    Action, Answer, ApiFailure, Budget, BudgetProblem, CLAIM_MARGIN, Claim, ClaimFate, ClaimRequest,
    EVICTION_MARGIN, EvictionRequest, FailureKind, LAST_LOOK, Presence, RECOVERY_POLL, Reason, Rotation,
    RotationOutcome, RotationReport, Step, UnexpectedAnswer, WaitReason,
};
pub use score::{DEFAULT_FLOORS, DEFAULT_WEIGHTS};
pub use statistics::{Spread, median};
pub use strategy::{NothingSelected, Selection, Strategy, UnknownStrategy, select};
pub use thresholds::{InvalidThreshold, Thresholds};
pub use workload::{Controller, LivePod, LocalVolume, Phase, Protection};
