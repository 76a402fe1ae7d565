//! A verdict as shown in a report.

use rebalancer_core::guard::{Standing, Verdict};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a guard, or a test of the diagnosis, says.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct VerdictReport {
    /// Its name.
    pub name: String,
    /// `pass`, `hold` or `unknown`. A rotation is held back by a guard that holds or is unknown, and by a test
    /// that holds, which means that a rotation is futile.
    pub verdict: Standing,
    /// The number it looked at.
    pub value: Option<f64>,
    /// What it held the number against.
    pub limit: Option<f64>,
    /// Both in words.
    pub reason: String,
}

impl From<Verdict> for VerdictReport {
    fn from(verdict: Verdict) -> Self {
        let Verdict { check, standing, value, limit, reason, .. } = verdict;
        Self { name: check.to_string(), verdict: standing, value, limit, reason }
    }
}
