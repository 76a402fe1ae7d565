//! Limits of the decision: thresholds, floors and weights.

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
    pub fn validate(&self) -> Result<(), InvalidThreshold> {
        for (what, value) in [
            ("cpu threshold", self.cpu),
            ("lag threshold", self.lag),
            ("minimum coverage", self.min_coverage),
        ] {
            not_negative(what, value)?;
        }
        for metric in Metric::ALL {
            not_negative("floor", self.trigger_floors[metric])?;
            not_negative("floor", self.score_floors[metric])?;
            not_negative("score weight", self.weights[metric])?;
        }
        not_negative("sum of the score weights", self.weights.iter().map(|(_, weight)| weight).sum())?;
        if self.min_coverage > 1.0 {
            return Err(InvalidThreshold::CoverageAboveOne { value: self.min_coverage });
        }
        if self.weights.iter().all(|(_, weight)| *weight == 0.0) {
            return Err(InvalidThreshold::NoWeight);
        }
        if self.min_pods < 2 {
            return Err(InvalidThreshold::TooFewPods { value: self.min_pods });
        }
        Ok(())
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

fn not_negative(what: &'static str, value: f64) -> Result<(), InvalidThreshold> {
    if value.is_finite() && value >= 0.0 {
        return Ok(());
    }
    Err(InvalidThreshold::NotANumber { what, value })
}

/// A limit that no decision can use.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidThreshold {
    /// NaN, infinite or negative.
    #[error("the {what} is {value}; it must be a finite number, 0 or more")]
    NotANumber {
        /// Which number.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// A share of pods above 1.
    #[error("the minimum coverage is {value}; it is a share of the pods, from 0 to 1")]
    CoverageAboveOne {
        /// Its value.
        value: f64,
    },
    /// Every weight is 0, so every score would be 0.
    #[error("all score weights are 0; at least one must be more")]
    NoWeight,
    /// Fewer pods than a rotation takes.
    #[error(
        "the minimum number of pods is {value}; a rotation takes two different pods, so it must be 2 or more"
    )]
    TooFewPods {
        /// Its value.
        value: usize,
    },
}
