//! The engine's result for a set of pods, with every number that led to it.

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::input::metric::{Metric, PerMetric};
use crate::input::names::NameList;
use crate::input::pod::{Load, PodState};
use crate::measure::outliers::Outliers;
use crate::measure::spread::{Spread, median};
use crate::measure::thresholds::Thresholds;
use crate::wording::against;

/// The analysis of one set of pods: spreads, scores, and whether a threshold is passed.
///
/// Pods are identified by their position in the slice or columns given to the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis<'a> {
    pub(crate) names: Names<'a>,
    pub(crate) loads: PerMetric<Column<'a>>,
    pub(crate) thresholds: Thresholds,
    pub(crate) coverage: PerMetric<Coverage>,
    pub(crate) candidates: Vec<usize>,
    pub(crate) spreads: PerMetric<Option<Spread>>,
    pub(crate) outliers: Option<Outliers>,
}

/// The names of the pods, by position.
#[derive(Debug, Clone)]
pub(crate) enum Names<'a> {
    /// Those of a join.
    Joined(&'a NameList),
    /// Any.
    Each(Vec<&'a str>),
}

impl<'a> Names<'a> {
    pub(crate) const fn len(&self) -> usize {
        match self {
            Self::Joined(names) => names.len(),
            Self::Each(names) => names.len(),
        }
    }

    pub(crate) fn get(&self, position: usize) -> &'a str {
        match self {
            Self::Joined(names) => names.get(position),
            Self::Each(names) => names[position],
        }
    }
}

/// The same names, wherever they are kept.
impl PartialEq for Names<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && (0..self.len()).all(|position| self.get(position) == other.get(position))
    }
}

/// The samples of one metric, by position; an empty column has no loads.
#[derive(Debug, Clone)]
pub(crate) struct Column<'a>(pub(crate) Cow<'a, [f64]>);

impl Column<'_> {
    /// The load at a position; a sample that is none is missing.
    pub(crate) fn get(&self, position: usize) -> Option<Load> {
        Load::from_sample(*self.0.get(position)?)
    }

    fn iter(&self) -> impl Iterator<Item = Option<Load>> {
        self.0.iter().map(|sample| Load::from_sample(*sample))
    }

    /// How many pods have a load.
    pub(crate) fn having(&self) -> usize {
        self.iter().flatten().count()
    }
}

/// Columns with the same loads, whatever stands for a missing one.
impl PartialEq for Column<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// How many of the eligible pods have a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Coverage {
    /// Pods that have the metric.
    pub having: usize,
    /// Pods that must have it to make it usable.
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

/// The result of the analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Finding {
    /// Too few pods have complete data to say anything.
    InsufficientData,
    /// No threshold is passed.
    Balanced,
    /// A threshold is passed only because the metric is nearly idle: with means raised to the trigger floor,
    /// no spread is above its threshold.
    BelowFloor,
    /// A threshold is passed.
    OverThreshold,
}

impl<'a> Analysis<'a> {
    /// Number of analysed pods.
    pub const fn count(&self) -> usize {
        self.names.len()
    }

    /// Name of the pod at `position`.
    ///
    /// # Panics
    /// When `position` is not below [`Analysis::count`].
    pub fn name(&self, position: usize) -> &'a str {
        self.names.get(position)
    }

    /// Load of the pod at `position`; `None` if missing.
    pub fn load(&self, position: usize, metric: Metric) -> Option<Load> {
        self.loads[metric].get(position)
    }

    /// Composite score of the pod at `position`, 1.0 for an average pod; `None` if it is no candidate.
    pub fn score(&self, position: usize) -> Option<f64> {
        self.is_candidate(position).then(|| self.weighed(position))
    }

    /// Each usable metric, those with a spread, adds `share * load / denominator` to the score. The share is the weight
    /// divided by the sum of the usable weights; the denominator is `max(mean, floor)`, and a metric in which both are 0
    /// adds 0. The load is divided first: that quotient is at most the number of pods, while `share / denominator` of a
    /// tiny mean would be infinite.
    pub(crate) fn weighed(&self, position: usize) -> f64 {
        let Thresholds { weights, score_floors, .. } = &self.thresholds;
        let usable = || self.spreads.iter().filter_map(|(metric, spread)| Some((metric, spread.as_ref()?)));
        let total: f64 = usable().map(|(metric, _)| weights[metric]).sum();
        usable().fold(0.0, |score, (metric, spread)| {
            let load = self.load(position, metric).map_or(0.0, Load::value);
            let denominator = spread.mean.max(score_floors[metric]);
            let counts = total > 0.0 && denominator > 0.0;
            if counts { score + weights[metric] / total * (load / denominator) } else { score }
        })
    }

    /// The pod at `position` with its loads and its score.
    ///
    /// # Panics
    /// When `position` is not below [`Analysis::count`].
    pub fn pod(&self, position: usize) -> PodState {
        let mut pod = PodState::new(self.name(position));
        for metric in Metric::ALL {
            *pod.slot(metric) = self.load(position, metric);
        }
        pod.composite_score = self.score(position);
        pod
    }

    /// Usable metrics that the pod at `position` lacks, so that it is no candidate.
    pub fn lacks(&self, position: usize) -> Vec<Metric> {
        if position >= self.count() {
            return Vec::new();
        }
        Metric::ALL
            .into_iter()
            .filter(|metric| self.coverage[*metric].is_usable() && self.load(position, *metric).is_none())
            .collect()
    }

    /// The thresholds the spreads are compared with.
    pub const fn thresholds(&self) -> &Thresholds {
        &self.thresholds
    }

    /// How many eligible pods have each metric.
    pub const fn coverage(&self) -> &PerMetric<Coverage> {
        &self.coverage
    }

    /// The pods that have all usable metrics, as positions in ascending order. Only they enter statistics, scores
    /// and selection.
    ///
    /// ```
    /// use rebalancer_core::{Engine, Metric, PodState, Thresholds};
    ///
    /// let cores = [("a", 1.0), ("b", 1.0), ("c", -1.0), ("d", 1.0)];
    /// let pods = cores.map(|(name, cores)| PodState::new(name).with(Metric::Cpu, cores));
    /// let engine = Engine::new(Thresholds { min_coverage: 0.5, ..Thresholds::default() });
    /// let analysis = engine.analyze(&pods)?;
    /// assert_eq!(analysis.candidates(), [0, 1, 3]);
    /// assert!(!analysis.is_candidate(2));
    /// # Ok::<(), rebalancer_core::AnalyzeError>(())
    /// ```
    pub fn candidates(&self) -> &[usize] {
        &self.candidates
    }

    /// Whether the pod at a position is one of the candidates.
    pub fn is_candidate(&self, position: usize) -> bool {
        self.candidates.binary_search(&position).is_ok()
    }

    /// Spread of a usable metric over the candidates; `None` if the metric is unusable or there are no
    /// candidates.
    pub fn spread(&self, metric: Metric) -> Option<&Spread> {
        self.spreads[metric].as_ref()
    }

    /// Median of a usable metric over the candidates; computed on demand.
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.spread(metric)?;
        let loads = self.candidates.iter().filter_map(|position| self.load(*position, metric));
        median(loads.map(Load::value).collect())
    }

    /// The number compared with the threshold: the coefficient of variation with the trigger floor.
    pub fn cv_compared(&self, metric: Metric) -> Option<f64> {
        self.spread(metric).map(|spread| spread.cv_with_floor(self.thresholds.trigger_floors[metric]))
    }

    /// The result of the analysis.
    pub fn finding(&self) -> Finding {
        if !self.is_sufficient() {
            return Finding::InsufficientData;
        }
        if !self.should_rebalance() {
            return Finding::Balanced;
        }
        let stands = Metric::TRIGGERS.into_iter().any(|metric| self.triggers_above_floor(metric));
        if stands { Finding::OverThreshold } else { Finding::BelowFloor }
    }

    /// The plain rule's answer: the spread of CPU or lag is strictly above its threshold, ignoring floors.
    pub fn should_rebalance(&self) -> bool {
        !self.triggered().is_empty()
    }

    /// The metrics that pass their threshold by the plain rule.
    pub fn triggered(&self) -> Vec<Metric> {
        if !self.is_sufficient() {
            return Vec::new();
        }
        let passes = |metric: &Metric| self.passes(*metric, self.cv(*metric));
        Metric::TRIGGERS.into_iter().filter(passes).collect()
    }

    /// Whether the metric passes its threshold with its mean raised to the floor.
    pub(crate) fn triggers_above_floor(&self, metric: Metric) -> bool {
        self.is_sufficient() && self.passes(metric, self.cv_compared(metric))
    }

    /// The two pods the plain rule rotates; `None` unless a threshold is passed.
    pub fn targets(&self) -> Option<Outliers> {
        self.outliers.filter(|_| self.should_rebalance())
    }

    /// The busiest and the least busy candidate, threshold or not; `None` on insufficient data.
    pub fn outliers(&self) -> Option<Outliers> {
        self.outliers.filter(|_| self.is_sufficient())
    }

    /// Triggering metrics whose threshold no fleet of this size can pass.
    pub fn dead_thresholds(&self) -> Vec<Metric> {
        let count = self.candidates.len();
        let usable = Metric::TRIGGERS.into_iter().filter(|metric| self.spread(*metric).is_some());
        usable.filter(|metric| !self.thresholds.can_fire(*metric, count)).collect()
    }

    /// The reason, in words and numbers.
    pub fn reason(&self) -> String {
        match self.finding() {
            Finding::InsufficientData => self.insufficiency(),
            Finding::Balanced => self.comparison(&Metric::TRIGGERS, |metric| self.cv(metric)),
            Finding::OverThreshold => self.comparison(&self.triggered(), |metric| self.cv(metric)),
            Finding::BelowFloor => {
                let plain = self.comparison(&self.triggered(), |metric| self.cv(metric));
                let floored = self.comparison(&self.triggered(), |metric| self.cv_compared(metric));
                format!("{plain}, but with the mean held up by its floor {floored}")
            }
        }
    }

    fn cv(&self, metric: Metric) -> Option<f64> {
        self.spread(metric).map(|spread| spread.cv)
    }

    fn is_sufficient(&self) -> bool {
        let decidable = Metric::TRIGGERS.into_iter().any(|metric| self.coverage[metric].is_usable());
        decidable && self.has_weight() && self.candidates.len() >= self.thresholds.min_pods
    }

    /// Whether a usable metric counts in the score; else no pod is busier than another.
    fn has_weight(&self) -> bool {
        Metric::ALL
            .into_iter()
            .any(|metric| self.spread(metric).is_some() && self.thresholds.weights[metric] > 0.0)
    }

    fn passes(&self, metric: Metric, cv: Option<f64>) -> bool {
        let (Some(limit), Some(cv)) = (self.thresholds.of(metric), cv) else { return false };
        cv > limit
    }

    fn comparison(&self, metrics: &[Metric], cv: impl Fn(Metric) -> Option<f64>) -> String {
        let compared = |metric: &Metric| {
            Some(format!("{metric} spread {}", against(cv(*metric)?, self.thresholds.of(*metric)?)))
        };
        metrics.iter().filter_map(compared).collect::<Vec<String>>().join(" and ")
    }

    fn insufficiency(&self) -> String {
        let eligible = self.coverage.cpu.eligible;
        if eligible < self.thresholds.min_pods {
            return format!("{eligible} of the {} pods required", self.thresholds.min_pods);
        }
        if !Metric::TRIGGERS.into_iter().any(|metric| self.coverage[metric].is_usable()) {
            let parts = Metric::TRIGGERS.map(|metric| {
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
        if complete >= required {
            return format!(
                "enough pods have {}, and the score gives weight to none of these",
                usable.join(", ")
            );
        }
        format!("{complete} pods have all of {}, {required} are required", usable.join(", "))
    }
}
