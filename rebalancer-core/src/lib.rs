//! Decides whether to rotate pods of an unevenly loaded workload, and which ones.
//!
//! The crate is pure and synchronous: no IO, clock, randomness or threads. Loads go in, an [`Analysis`] comes
//! out; see [`Engine`] for how a scheduler calls it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod assess;
mod change;
mod facts;
mod input;
mod measure;
mod rotation;
mod strategy;
mod trigger;
mod wording;

pub mod diagnosis;
pub mod guard;
pub mod kafka;

pub use assess::{Alternative, Assessment, assess};
pub use change::{SpreadChange, Trend};
pub use facts::{
    AssignorChoice, BORN_TOGETHER, Cure, Fact, Facts, LONGEST_SIDE, Objecting, PastSpread, Replacement,
    SETTLING, SHORTEST_SIDE, Veto, VetoBy, Window,
};
pub use input::history::{Grid, History, InvalidHistory};
pub use input::join::{
    Adding, Freshness, Join, JoinError, Joined, MetricIssues, Sample, SetAside, SetAsideReason,
};
pub use input::live_pod::{Controller, LiveIndex, LivePod, LocalVolume, Phase, Protection};
pub use input::metric::{DEFAULT_FLOORS, DEFAULT_WEIGHTS, Metric, PerMetric};
pub use input::names::NameList;
pub use input::offsets::{InvalidOffsets, OffsetKind, Offsets, OtherGroup, PartitionPast, Tenure};
pub use input::partitions::{InvalidPartitions, Partition, PartitionSample, Partitions, one_spelling};
pub use input::pod::{Load, PodState};
pub use kafka::forecast::{Forecast, GroupFacts, LEAST_GAIN, NoPair, Outlook, PlannedPair, best_spread};
pub use measure::analysis::{Analysis, Coverage, Finding};
pub use measure::engine::{AnalyzeError, Engine};
pub use measure::outliers::{Outliers, Role};
pub use measure::spread::{Spread, median};
pub use measure::thresholds::{InvalidSetting, Thresholds};
pub use rotation::checks::budget_problems;
pub use rotation::claim::{CLAIM_MARGIN, Claim, ClaimFate, ClaimRequest, LAST_LOOK};
pub use rotation::disturbance::{Disturbance, PAUSED};
pub use rotation::eligibility::{IneligiblePod, Objection, objections, storage_words};
pub use rotation::machine::{EVICTION_MARGIN, RECOVERY_POLL, Rotation};
pub use rotation::options::{Method, Mode, Pacing, RotationOptions};
pub use rotation::plan::{MAX_TARGETS, PlanError, RotationPlan, Target};
pub use rotation::protocol::{
    Action, Answer, ApiFailure, Budget, EvictionRequest, FailureKind, Presence, UnexpectedAnswer,
};
pub use rotation::report::{BudgetProblem, Reason, RotationOutcome, RotationReport, Step};
pub use rotation::rollout::{divided_targets, remarks};
pub use rotation::settled::{changes_since, disturbances};
pub use rotation::workload::{OwnerStatus, PlannedWorkload, Workload};
pub use strategy::{Selection, Strategy, UnknownStrategy, select};

/// Tests the README's code.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
