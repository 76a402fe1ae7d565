//! The part of the report that tells the cause of an uneven load.

use rebalancer_core::diagnosis::{Cause, Diagnosis, Step};
use rebalancer_core::guard::Standing;
use rebalancer_core::kafka::Assignor;
use schemars::JsonSchema;
use serde::Serialize;

use super::shapes;

/// Why the load is uneven, and whether a rotation can help.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct DiagnosisReport {
    /// The most specific cause the evidence supports: its `code`, and its evidence in numbers.
    #[schemars(with = "shapes::Cause")]
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
    #[schemars(with = "Option<String>")]
    pub assignor: Option<Assignor>,
    /// The spread of the partitions' load over the pods; null where it is not known who reads what.
    pub spread: Option<SpreadReport>,
}

/// One test of whether a rotation can help.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct StepReport {
    /// Its name.
    pub name: &'static str,
    /// `pass`, `hold` (a rotation is futile) or `unknown`, which holds nothing back.
    #[schemars(with = "shapes::Standing")]
    pub verdict: Standing,
    /// The number it looked at.
    pub value: Option<f64>,
    /// What it held the number against.
    pub limit: Option<f64>,
    /// Both in words.
    pub reason: String,
}

/// Spread of the partitions' load over the pods, as a coefficient of variation.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SpreadReport {
    /// As the partitions are dealt now.
    pub now: f64,
    /// After this rotation; null where the assignor is not known.
    pub expected: Option<f64>,
    /// The best any deal of these partitions could reach.
    pub best: f64,
}

impl DiagnosisReport {
    /// The word of the cause.
    pub fn code(&self) -> String {
        let cause = serde_json::to_value(&self.cause).unwrap_or_default();
        cause["code"].as_str().unwrap_or_default().to_owned()
    }
}

impl From<&Diagnosis> for DiagnosisReport {
    fn from(diagnosis: &Diagnosis) -> Self {
        Self {
            cause: diagnosis.cause.clone(),
            evidence: diagnosis.cause.to_string(),
            steps: diagnosis.steps.iter().cloned().map(StepReport::from).collect(),
            notes: diagnosis.notes(),
            advice: diagnosis.advice.clone(),
            assignor: diagnosis.assignor,
            spread: diagnosis.forecast.map(|forecast| SpreadReport {
                now: forecast.now,
                expected: forecast.after,
                best: forecast.best,
            }),
        }
    }
}

impl From<Step> for StepReport {
    fn from(step: Step) -> Self {
        let Step { name, standing, failed: _, value, limit, reason } = step;
        Self { name, verdict: standing, value, limit, reason }
    }
}
