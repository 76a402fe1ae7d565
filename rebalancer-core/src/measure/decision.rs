//! What the engine decided, with every number that led to it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::input::metric::{Metric, PerMetric};
use crate::measure::candidates::Candidates;
use crate::measure::outliers::Outliers;
use crate::measure::score::Scale;
use crate::measure::spread::Spread;
use crate::measure::thresholds::Thresholds;
use crate::number::against;

/// The metrics that can trigger a rotation.
const TRIGGERS: [Metric; 2] = [Metric::Cpu, Metric::Lag];

/// The decision about one set of pods, which are positions here.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub(crate) thresholds: Thresholds,
    pub(crate) coverage: PerMetric<Coverage>,
    pub(crate) candidates: Candidates,
    pub(crate) spreads: PerMetric<Option<Spread>>,
    pub(crate) scale: Scale,
    pub(crate) outliers: Option<Outliers>,
}

/// How many of the eligible pods have a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Coverage {
    /// Pods that have it.
    pub having: usize,
    /// Pods that must have it for it to be usable.
    pub needed: usize,
    /// All eligible pods.
    pub eligible: usize,
}

impl Coverage {
    /// Whether enough pods have the metric.
    pub const fn is_usable(&self) -> bool {
        self.having >= self.needed
    }
}

/// What the analysis comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Finding {
    /// Too few pods with complete data to say anything.
    InsufficientData,
    /// No threshold is passed.
    Balanced,
    /// A threshold is passed, but only because the metric is nearly idle: no spread is above its
    /// threshold once the mean is held up by the trigger floor.
    BelowFloor,
    /// A threshold is passed.
    OverThreshold,
}

impl Decision {
    /// The thresholds the pods were held against.
    pub const fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// What the analysis comes to.
    pub fn finding(&self) -> Finding {
        if !self.is_sufficient() {
            return Finding::InsufficientData;
        }
        if !self.should_rebalance() {
            return Finding::Balanced;
        }
        let stands = TRIGGERS.into_iter().any(|metric| self.passes(metric, self.cv_compared(metric)));
        if stands { Finding::OverThreshold } else { Finding::BelowFloor }
    }

    /// The plain rule's answer: CPU or lag is spread strictly more than its threshold, floors or not.
    pub fn should_rebalance(&self) -> bool {
        !self.triggered().is_empty()
    }

    /// The metrics that pass their threshold by the plain rule.
    pub fn triggered(&self) -> Vec<Metric> {
        if !self.is_sufficient() {
            return Vec::new();
        }
        TRIGGERS
            .into_iter()
            .filter(|metric| self.passes(*metric, self.spread(*metric).map(|spread| spread.cv)))
            .collect()
    }

    /// The two pods the plain rule rotates; `None` unless a threshold is passed.
    pub fn targets(&self) -> Option<Outliers> {
        self.outliers.filter(|_| self.should_rebalance())
    }

    /// The busiest and the least busy candidate, threshold or not; `None` on insufficient data.
    pub fn outliers(&self) -> Option<Outliers> {
        self.outliers.filter(|_| self.is_sufficient())
    }

    /// Spread of a usable metric over the candidates; `None` when the metric is unusable or no pod
    /// is a candidate.
    pub fn spread(&self, metric: Metric) -> Option<&Spread> {
        self.spreads[metric].as_ref()
    }

    /// The number held against the threshold: the coefficient of variation with the trigger floor.
    pub fn cv_compared(&self, metric: Metric) -> Option<f64> {
        self.spread(metric).map(|spread| spread.cv_with_floor(self.thresholds.trigger_floors[metric]))
    }

    /// How many eligible pods have each metric.
    pub const fn coverage(&self) -> &PerMetric<Coverage> {
        &self.coverage
    }

    /// Positions of the candidates: the pods that have all usable metrics.
    pub const fn candidates(&self) -> &Candidates {
        &self.candidates
    }

    /// Triggering metrics whose threshold no fleet of this size can pass.
    pub fn dead_thresholds(&self) -> Vec<Metric> {
        let count = self.candidates.len();
        let usable = TRIGGERS.into_iter().filter(|metric| self.spread(*metric).is_some());
        usable.filter(|metric| !self.thresholds.can_fire(*metric, count)).collect()
    }

    /// Why, in words and numbers.
    pub fn reason(&self) -> String {
        match self.finding() {
            Finding::InsufficientData => self.insufficiency(),
            Finding::Balanced => self.comparison(&TRIGGERS, " and ", |decision, metric| {
                decision.spread(metric).map(|spread| spread.cv)
            }),
            Finding::OverThreshold => self.comparison(&self.triggered(), " and ", |decision, metric| {
                decision.spread(metric).map(|spread| spread.cv)
            }),
            Finding::BelowFloor => {
                let plain = self.comparison(&self.triggered(), " and ", |decision, metric| {
                    decision.spread(metric).map(|spread| spread.cv)
                });
                let floored = self.comparison(&self.triggered(), " and ", Self::cv_compared);
                format!("{plain}, but with the mean held up by its floor {floored}")
            }
        }
    }

    fn is_sufficient(&self) -> bool {
        let decidable = TRIGGERS.into_iter().any(|metric| self.coverage[metric].is_usable());
        decidable && self.candidates.len() >= self.thresholds.min_pods
    }

    fn passes(&self, metric: Metric, cv: Option<f64>) -> bool {
        let (Some(limit), Some(cv)) = (self.thresholds.of(metric), cv) else { return false };
        cv > limit
    }

    fn comparison(
        &self,
        metrics: &[Metric],
        joint: &str,
        cv: impl Fn(&Self, Metric) -> Option<f64>,
    ) -> String {
        let parts: Vec<String> = metrics
            .iter()
            .filter_map(|&metric| {
                Some(format!("{metric} spread {}", against(cv(self, metric)?, self.thresholds.of(metric)?)))
            })
            .collect();
        parts.join(joint)
    }

    fn insufficiency(&self) -> String {
        let eligible = self.coverage.cpu.eligible;
        if eligible < self.thresholds.min_pods {
            return format!("{eligible} of the {} pods required", self.thresholds.min_pods);
        }
        if !TRIGGERS.into_iter().any(|metric| self.coverage[metric].is_usable()) {
            let parts = TRIGGERS.map(|metric| {
                let Coverage { having, needed, eligible } = self.coverage[metric];
                format!("{having} of {eligible} pods have {metric} and {needed} must")
            });
            return parts.join(", ");
        }
        let usable: Vec<String> = Metric::ALL
            .into_iter()
            .filter(|metric| self.coverage[*metric].is_usable())
            .map(|metric| metric.to_string())
            .collect();
        let (complete, required) = (self.candidates.len(), self.thresholds.min_pods);
        format!("{complete} pods have all of {}, {required} are required", usable.join(", "))
    }
}
