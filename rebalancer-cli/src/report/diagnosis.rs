//! The part of the report that tells the cause of an uneven load.

use rebalancer_core::diagnosis::Diagnosis;
use rebalancer_core::guard::{Standing, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why the load is uneven, and whether a rotation can help.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DiagnosisReport {
    /// The most specific cause the evidence supports: its `code`, and its evidence in numbers.
    pub cause: Cause,
    /// The same in words.
    pub evidence: String,
    /// Every test that was made, in order; empty when nothing asks for a rotation.
    pub steps: Vec<StepReport>,
    /// What else speaks against a rotation, beside the cause.
    pub notes: Vec<String>,
    /// What would help instead of a rotation.
    pub advice: Vec<String>,
    /// The assignor of the consumer group; null where it is not known.
    pub assignor: Option<String>,
    /// Whether the group only looks like that assignor, by which pod reads which partition.
    pub assignor_is_a_guess: bool,
    /// The spread of the partitions' load over the pods; null where it is not known who reads what.
    pub spread: Option<SpreadReport>,
}

/// One test of whether a rotation can help.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StepReport {
    /// Its name.
    pub name: String,
    /// `pass`, `hold` (a rotation is futile) or `unknown`, which holds nothing back.
    pub verdict: Standing,
    /// The number it looked at.
    pub value: Option<f64>,
    /// What it held the number against.
    pub limit: Option<f64>,
    /// Both in words.
    pub reason: String,
}

/// Spread of the partitions' load over the pods, as a coefficient of variation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SpreadReport {
    /// As the partitions are dealt now.
    pub now: f64,
    /// After this rotation: two of three possible orders of the consumers end there or below. Null where the
    /// assignor is not known, or no model holds for the group.
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
    /// CPU per message over the median of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// Share of the whole load, or message rate over the median of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<f64>,
    /// What the ratio or the share was held against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Share of the load of the busiest pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_busiest: Option<f64>,
    /// Number of partitions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<usize>,
    /// Number of consumers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumers: Option<usize>,
    /// The spread that remains when all partitions are equally loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_cv: Option<f64>,
    /// How it is known: `StatefulSet` or `configured`.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
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
    #[default]
    Unknown,
}

impl DiagnosisReport {
    /// The word of the cause.
    pub fn code(&self) -> String {
        let code = serde_json::to_value(self.cause.code).unwrap_or_default();
        code.as_str().unwrap_or_default().to_owned()
    }
}

impl From<&Diagnosis> for DiagnosisReport {
    fn from(diagnosis: &Diagnosis) -> Self {
        // Both have the same words and numbers; a test holds every report against the schema.
        let cause = serde_json::to_value(&diagnosis.cause).and_then(serde_json::from_value);
        Self {
            cause: cause.expect("each cause of the core has a code here"),
            evidence: diagnosis.cause.to_string(),
            steps: diagnosis.steps.iter().map(StepReport::from).collect(),
            notes: diagnosis.notes(),
            advice: diagnosis.advice.clone(),
            assignor: diagnosis.assignor.map(|assignor| assignor.name().to_owned()),
            assignor_is_a_guess: diagnosis.assignor_is_a_guess,
            spread: diagnosis.forecast.map(|forecast| SpreadReport {
                now: forecast.now,
                expected: forecast.after,
                expected_mean: forecast.outlook.map(|outlook| outlook.mean),
                expected_low: forecast.outlook.map(|outlook| outlook.low),
                expected_high: forecast.outlook.map(|outlook| outlook.high),
                unmodelled: forecast.unmodelled.map(|why| why.to_string()),
                best: forecast.best,
            }),
        }
    }
}

impl From<&Verdict> for StepReport {
    fn from(step: &Verdict) -> Self {
        Self {
            name: step.check.to_string(),
            verdict: step.standing,
            value: step.value,
            limit: step.limit,
            reason: step.reason.clone(),
        }
    }
}
