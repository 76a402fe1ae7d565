//! Limits of the decision: thresholds, floors and weights.

use alloc::format;
use alloc::string::String;

use libm::sqrt;

use crate::input::metric::{DEFAULT_FLOORS, DEFAULT_WEIGHTS, Metric, PerMetric};

/// Limits, floors and weights of the decision.
///
/// [`Thresholds::default`] is the plain rule: trigger on a coefficient of variation strictly above
/// 0.3 for CPU or 0.5 for lag, among at least three pods.
///
/// ```
/// use rebalancer_core::Thresholds;
///
/// let strict = Thresholds { cpu: 0.2, ..Thresholds::default() };
/// assert!(strict.validate().is_ok());
/// let nonsense = Thresholds { cpu: f64::NAN, ..strict };
/// assert_eq!(nonsense.validate().unwrap_err().to_string(), "the cpu threshold is NaN; it must be a finite number, 0 or more");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Thresholds {
    /// CPU triggers when its coefficient of variation is strictly above this ratio.
    pub cpu: f64,
    /// Lag triggers when its coefficient of variation is strictly above this ratio.
    pub lag: f64,
    /// Minimum number of candidate pods for a decision; at least 2, because two pods are rotated.
    pub min_pods: usize,
    /// Share of the eligible pods, 0 to 1, that must have a metric to make it usable; 0 requires only
    /// `min_pods`.
    pub min_coverage: f64,
    /// When comparing a spread, treat a lower mean as this value; 0 is the plain rule.
    pub trigger_floors: PerMetric<f64>,
    /// When scoring, treat a lower mean as this value; always applied.
    pub score_floors: PerMetric<f64>,
    /// Weights of the score; only their ratios matter.
    pub weights: PerMetric<f64>,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            cpu: 0.3,
            lag: 0.5,
            min_pods: 3,
            min_coverage: 0.8,
            trigger_floors: PerMetric::default(),
            score_floors: DEFAULT_FLOORS,
            weights: DEFAULT_WEIGHTS,
        }
    }
}

impl Thresholds {
    /// Checks every number.
    ///
    /// # Errors
    /// The first threshold, floor or weight that is NaN, infinite or negative; a coverage above 1; weights
    /// that are all 0 or sum to infinity; `min_pods` below 2.
    pub fn validate(&self) -> Result<(), InvalidSetting> {
        not_negative("cpu threshold", self.cpu)?;
        not_negative("lag threshold", self.lag)?;
        not_negative("minimum coverage", self.min_coverage)?;
        for metric in Metric::ALL {
            not_negative("floor", self.trigger_floors[metric])?;
            not_negative("floor", self.score_floors[metric])?;
            not_negative("score weight", self.weights[metric])?;
        }
        not_negative("sum of the score weights", self.weights.iter().map(|(_, weight)| weight).sum())?;
        let Self { min_coverage, min_pods, .. } = self;
        InvalidSetting::unless(*min_coverage <= 1.0, || {
            format!("the minimum coverage is {min_coverage}; it is a share of the pods, from 0 to 1")
        })?;
        InvalidSetting::unless(self.weights.iter().any(|(_, weight)| *weight != 0.0), || {
            "all score weights are 0; at least one must be more".into()
        })?;
        InvalidSetting::unless(*min_pods >= 2, || {
            format!(
                "the minimum number of pods is {min_pods}; a rotation takes two different pods, so it must be \
                 2 or more"
            )
        })
    }

    /// The limit for `metric`; `None` for one that triggers nothing.
    pub const fn of(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Cpu => Some(self.cpu),
            Metric::Lag => Some(self.lag),
            _ => None,
        }
    }

    /// Whether a spread of `count` pods can pass the limit of `metric` at all: the coefficient of variation
    /// of `count` loads is at most `sqrt(count - 1)`, reached when one pod has all the load.
    pub fn can_fire(&self, metric: Metric, count: usize) -> bool {
        self.of(metric).is_some_and(|limit| count > 0 && limit < sqrt((count - 1) as f64))
    }
}

fn not_negative(what: &str, value: f64) -> Result<(), InvalidSetting> {
    InvalidSetting::unless(value.is_finite() && value >= 0.0, || {
        format!("the {what} is {value}; it must be a finite number, 0 or more")
    })
}

/// Why no decision can use a threshold, or the limit of a guard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(String);

impl InvalidSetting {
    pub(crate) fn unless(is_valid: bool, why: impl FnOnce() -> String) -> Result<(), Self> {
        if is_valid { Ok(()) } else { Err(Self(why())) }
    }
}
