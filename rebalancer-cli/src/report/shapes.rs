//! The shapes of the core's types in reports, for the JSON schema: the core itself knows no schemas.
//! They are never made; the tests hold real reports against them.
#![allow(dead_code, reason = "only their shape is of use")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

/// One value for each metric.
#[derive(JsonSchema)]
#[schemars(rename = "PerMetric_of_{T}")]
pub struct PerMetric<T> {
    cpu: T,
    memory: T,
    lag: T,
    rate: T,
}

/// Which pods a rotation takes.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Strategy {
    RotateOutliers,
    PlannedPair,
    ReplaceOutlier,
}

/// Why a pod is a target.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Role {
    Busiest,
    LeastBusy,
}

/// What a guard or a test says; `unknown` where its data is not there.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Standing {
    Pass,
    Hold,
    Unknown,
}

/// What came of a rotation.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum RotationOutcome {
    Rotated,
    Partial,
    Blocked,
    Withheld,
    Failed,
    Planned,
}

/// What was done. Every target is attempted or skipped, every attempted one deleted or an error.
#[derive(JsonSchema)]
#[schemars(rename = "RotationReport")]
pub struct Rotation {
    outcome: RotationOutcome,
    reason: Reason,
    /// Pods for which an eviction was sent, in order.
    attempted: Vec<String>,
    /// Pods known to be evicted, in order.
    deleted: Vec<String>,
    /// Targets for which nothing was sent, and why.
    skipped: BTreeMap<String, Reason>,
    /// Pods whose eviction failed or is of unknown fate, and why.
    errors: BTreeMap<String, Reason>,
    /// Why it could not be kept apart from runs at the same time; null when it was.
    unclaimed: Option<Reason>,
    /// All that was done, in order.
    steps: Vec<Step>,
}

/// Why a rotation ended as it did, or a pod was not evicted.
#[derive(JsonSchema)]
pub struct Reason {
    /// A word that stays the same.
    code: String,
    /// The same in words.
    message: String,
}

/// One thing done in a rotation.
#[derive(JsonSchema)]
#[schemars(rename = "RotationStep")]
pub struct Step {
    /// Milliseconds since the run began.
    at_ms: u64,
    /// What was done.
    action: String,
    /// The target it was about.
    pod: Option<String>,
    /// `ok`, or the code of what went wrong.
    result: String,
    /// What was found, in words.
    message: String,
}

/// Why the load is uneven; beside the code stand the numbers that led to it.
#[derive(JsonSchema)]
pub struct Cause {
    code: CauseCode,
    #[schemars(skip_serializing_if = "Option::is_none")]
    pod: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    share: Option<f64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    limit: Option<f64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    partitions: Option<usize>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    consumers: Option<usize>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    partition: Option<u32>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    share_of_busiest: Option<f64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    best_cv: Option<f64>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    evidence: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    assignor: Option<String>,
}

/// The causes, from the most to the least specific.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum CauseCode {
    SickPod,
    StalledPod,
    TooFewPartitions,
    HotPartition,
    StructuralImbalance,
    StaticMembership,
    RankInvariantAssignor,
    RotationIneffective,
    NoGain,
    Balanced,
    NearlyIdle,
    UnevenButNoisy,
    UnevenDeal,
    Unknown,
}
