//! The part of the report that tells the cause of an uneven load.

use rebalancer_core::diagnosis::{Diagnosis, Remedy};
use rebalancer_core::guard::Standing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

use super::verdict::VerdictReport;

/// Why the load is uneven, and whether a rotation can help.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DiagnosisReport {
    /// The most specific cause the evidence supports: its `code`, and its evidence in numbers.
    pub cause: Cause,
    /// The same in words.
    pub evidence: String,
    /// Every test that was made, in order; empty when nothing asks for a rotation.
    pub steps: Vec<VerdictReport>,
    /// What else speaks against a rotation, beside the cause.
    pub notes: Vec<String>,
    /// What would help, as one word; `none` where nothing is to be done or nothing is known to help.
    pub remedy: Remedy,
    /// What would help instead of a rotation.
    pub advice: Vec<String>,
    /// The assignor of the consumer group; null where it is not known.
    pub assignor: Option<String>,
    /// Whether the group only looks like that assignor, by which pod reads which partition.
    pub assignor_is_a_guess: bool,
    /// The spread of the partitions' load over the pods; null where it is not known who reads what.
    pub spread: Option<SpreadReport>,
}

/// Spread of the partitions' load over the pods, as a coefficient of variation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SpreadReport {
    /// With the present assignment of partitions.
    pub now: f64,
    /// After this rotation: in two thirds of the possible orders of the consumers the spread ends at this or
    /// below. Null if the assignor is unknown or no model fits the group.
    pub expected: Option<f64>,
    /// Mean over the possible orders; null where nothing is expected.
    #[serde(default)]
    pub expected_mean: Option<f64>,
    /// 10th percentile over the possible orders; null where nothing is expected.
    #[serde(default)]
    pub expected_low: Option<f64>,
    /// 90th percentile over the possible orders; null where nothing is expected.
    #[serde(default)]
    pub expected_high: Option<f64>,
    /// For how many orders of the members' ids this was worked out; 1 where all that are possible lead to the same
    /// spread, so that it is exact. Null where nothing is expected.
    #[serde(default)]
    pub expected_orders: Option<usize>,
    /// Why nothing can be expected; null where something is, or where the assignor is not known.
    #[serde(default)]
    pub unmodelled: Option<String>,
    /// The best any deal of these partitions could reach.
    pub best: f64,
}

/// Why the load is uneven: a code, and the numbers that led to it.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Cause {
    /// Its code.
    pub code: CauseCode,
    /// The pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Topic of the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// Number of the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<u32>,
    /// The committed offset at which the partition stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// How long the partition has stood, in seconds; at least, where the history is shorter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_seconds: Option<u64>,
    /// For how many seconds the partition was watched without a move, where `since_seconds` is only how long its messages
    /// have waited.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watched_seconds: Option<u64>,
    /// Messages of the partition that wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backlog: Option<u64>,
    /// How many of the pod's other partitions that get messages move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moving: Option<usize>,
    /// How many other partitions of the pod get messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub others: Option<usize>,
    /// Messages written to the partition a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_per_second: Option<f64>,
    /// Messages read of the partition a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_per_second: Option<f64>,
    /// CPU per message over the median of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Share of the load of all pods, or for a stalled pod its message rate divided by the median of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// The limit that the ratio or the share was compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Share of the load of the pod that owns the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_busiest: Option<f64>,
    /// Number of partitions, of a stalled pod those that it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<usize>,
    /// Number of consumers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<usize>,
    /// The spread that remains when all partitions are equally loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_cv: Option<f64>,
    /// How it is known: `StatefulSet`, `configured`, or who else stood at the same offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The assignor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignor: Option<String>,
    /// Whether the group only looks like that assignor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recognised: Option<bool>,
}

/// The causes, from the most to the least specific.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum CauseCode {
    SickPod,
    StalledPod,
    StuckPartition,
    PoisonRecord,
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
    #[default]
    Unknown,
}

impl DiagnosisReport {
    /// Whether nothing asks for a rotation and nothing was found.
    pub fn is_empty(&self) -> bool {
        let nothing = matches!(self.cause.code, CauseCode::Balanced | CauseCode::Unknown);
        self.steps.is_empty() && nothing && self.notes.is_empty()
    }

    /// How many of its tests have this verdict; an unknown one could not tell.
    pub fn tests(&self, verdict: Standing) -> usize {
        self.steps.iter().filter(|step| step.verdict == verdict).count()
    }

    /// What would help, in words. Whether a rotation helps against an unknown cause is open.
    pub const fn remedy_words(&self) -> &'static str {
        match (self.cause.code, self.remedy) {
            (CauseCode::Unknown, Remedy::RotatePair) => "rotate two pods, which may help",
            (_, remedy) => remedy.words(),
        }
    }
}

impl From<&Diagnosis> for DiagnosisReport {
    fn from(diagnosis: &Diagnosis) -> Self {
        // Both have the same words and numbers; a test holds every report against the schema.
        let cause = serde_json::to_value(&diagnosis.cause).and_then(serde_json::from_value);
        Self {
            cause: cause.expect("each cause of the core has a code here"),
            evidence: diagnosis.cause.to_string(),
            steps: diagnosis.steps.iter().cloned().map(VerdictReport::from).collect(),
            notes: diagnosis.notes(),
            remedy: diagnosis.remedy,
            advice: diagnosis.advice.clone(),
            assignor: diagnosis.assignor.map(|assignor| assignor.name().to_owned()),
            assignor_is_a_guess: diagnosis.assignor_is_a_guess,
            spread: diagnosis.forecast.map(|forecast| SpreadReport {
                now: forecast.now,
                expected: forecast.after,
                expected_mean: forecast.outlook.map(|outlook| outlook.mean),
                expected_low: forecast.outlook.map(|outlook| outlook.low),
                expected_high: forecast.outlook.map(|outlook| outlook.high),
                expected_orders: forecast.outlook.map(|outlook| outlook.orders),
                unmodelled: forecast.unmodelled.map(|why| why.to_string()),
                best: forecast.best,
            }),
        }
    }
}
