//! The decision: which metrics are usable, which pods are candidates, whether a threshold is
//! passed, and which two pods a rotation would take.

use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use libm::ceil;

use crate::input::join::Joined;
use crate::input::metric::{Metric, PerMetric};
use crate::input::names::repeated;
use crate::input::pod::{Load, PodState};
use crate::measure::analysis::{Analysis, Column, Coverage, Names};
use crate::measure::outliers::outliers;
use crate::measure::spread::Spread;
use crate::measure::thresholds::{InvalidSetting, Thresholds};

/// Compares pod states with thresholds. Pure: the same input gives the same analysis.
///
/// ```
/// use rebalancer_core::{Engine, Metric, PodState, Thresholds};
///
/// // A scheduler that has its own loads calls the engine like this.
/// let pods = [
///     PodState::new("orders-0").with(Metric::Cpu, 0.9),
///     PodState::new("orders-1").with(Metric::Cpu, 3.0),
///     PodState::new("orders-2").with(Metric::Cpu, 1.0),
/// ];
/// let analysis = Engine::new(Thresholds::default()).analyze(&pods)?;
/// assert!(analysis.should_rebalance());
/// let targets = analysis.targets().expect("a threshold is passed");
/// assert_eq!(pods[targets.busiest].name, "orders-1");
/// assert_eq!(pods[targets.least_busy].name, "orders-0");
/// assert_eq!(analysis.reason(), "cpu spread 0.59 > 0.3");
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Engine {
    thresholds: Thresholds,
}

impl Engine {
    /// An engine with these thresholds; [`Engine::analyze`] validates them.
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds }
    }

    /// Analyses `pods`, which must be the eligible ones: live, Ready and warm.
    ///
    /// A metric is usable if enough pods have it. The candidates are the pods that have every usable metric;
    /// only they enter statistics, scores and selection. Fewer candidates than `min_pods`, or neither CPU nor
    /// lag usable, is insufficient data, not an error.
    ///
    /// # Errors
    /// A threshold that is not a usable number, or two pods with the same name.
    pub fn analyze<'a>(&self, pods: &'a [PodState]) -> Result<Analysis<'a>, AnalyzeError> {
        let names: Vec<&str> = pods.iter().map(|pod| pod.name.as_str()).collect();
        different(&names)?;
        let sample = |metric| move |pod: &PodState| pod.load(metric).map_or(f64::NAN, Load::value);
        let column = |metric| Column(Cow::Owned(pods.iter().map(sample(metric)).collect()));
        self.decide(Names::Each(names), PerMetric::from_fn(column))
    }

    /// Analyses the pods of a join, like [`Engine::analyze`]. Their names differ: a join refuses equal ones.
    ///
    /// # Errors
    /// As for [`Engine::analyze_columns`], except for equal names.
    pub fn analyze_joined<'a>(&self, joined: &'a Joined) -> Result<Analysis<'a>, AnalyzeError> {
        self.decide_columns(Names::Joined(&joined.names), &joined.loads)
    }

    /// Analyses pods whose loads are in columns, like [`Engine::analyze`].
    ///
    /// `loads[metric][position]` belongs to the pod `names[position]`. A number that is no load
    /// ([`Load::from_sample`]) is missing, and so are all loads of an empty column.
    ///
    /// ```
    /// use rebalancer_core::{Engine, PerMetric, Thresholds};
    ///
    /// let loads = PerMetric { cpu: vec![0.9, 3.0, 1.0], ..PerMetric::default() };
    /// let analysis = Engine::new(Thresholds::default()).analyze_columns(&["a", "b", "c"], &loads)?;
    /// assert_eq!(analysis.targets().map(|pair| analysis.name(pair.busiest)), Some("b"));
    /// # Ok::<(), rebalancer_core::AnalyzeError>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Engine::analyze`], and a column whose length differs from that of `names`.
    pub fn analyze_columns<'a>(
        &self,
        names: &[&'a str],
        loads: &'a PerMetric<Vec<f64>>,
    ) -> Result<Analysis<'a>, AnalyzeError> {
        different(names)?;
        self.decide_columns(Names::Each(names.to_vec()), loads)
    }

    fn decide_columns<'a>(
        &self,
        names: Names<'a>,
        loads: &'a PerMetric<Vec<f64>>,
    ) -> Result<Analysis<'a>, AnalyzeError> {
        for (metric, column) in loads.iter() {
            if !column.is_empty() && column.len() != names.len() {
                return Err(AnalyzeError::Length { metric, loads: column.len(), names: names.len() });
            }
        }
        self.decide(names, PerMetric::from_fn(|metric| Column(Cow::Borrowed(loads[metric].as_slice()))))
    }

    /// Analyses pods; every column has one entry per pod, or is empty.
    fn decide<'a>(
        &self,
        names: Names<'a>,
        loads: PerMetric<Column<'a>>,
    ) -> Result<Analysis<'a>, AnalyzeError> {
        self.thresholds.validate()?;
        let load = |metric: Metric, position: usize| loads[metric].get(position);
        let (eligible, needed) = (names.len(), self.needed(names.len()));
        let having = |metric: Metric| loads[metric].having();
        let coverage = PerMetric::from_fn(|metric| Coverage { having: having(metric), needed, eligible });
        let is_usable = |metric: &Metric| coverage[*metric].is_usable();
        let usable: Vec<Metric> = Metric::ALL.into_iter().filter(is_usable).collect();
        let is_complete = |position: &usize| usable.iter().all(|metric| load(*metric, *position).is_some());
        let count = if usable.is_empty() { 0 } else { names.len() };
        let candidates: Vec<usize> = (0..count).filter(is_complete).collect();
        let spreads = PerMetric::from_fn(|metric| {
            let of_candidates = candidates.iter().filter_map(|position| load(metric, *position));
            Spread::of(&of_candidates.map(Load::value).collect::<Vec<f64>>()).filter(|_| is_usable(&metric))
        });
        let thresholds = self.thresholds;
        let mut analysis =
            Analysis { names, loads, thresholds, coverage, candidates, spreads, outliers: None };
        let scores = analysis.candidates.iter().map(|position| analysis.weighed(*position));
        analysis.outliers =
            outliers(&analysis.candidates, &scores.collect::<Vec<f64>>(), |position| analysis.name(position));
        Ok(analysis)
    }

    /// How many of so many pods must have a metric before anything is decided by it.
    pub fn needed(&self, count: usize) -> usize {
        // A share such as 0.1 of 30 pods is 3, though `0.1 * 30` is slightly more in binary.
        let share = ceil(self.thresholds.min_coverage * count as f64 - 1e-9).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to the number of pods"
        )]
        let share = share as usize;
        share.max(self.thresholds.min_pods)
    }
}

/// Refuses two pods with one name.
fn different(names: &[&str]) -> Result<(), AnalyzeError> {
    let repeated = repeated(names.len(), |position| names[position]);
    repeated.first().map_or(Ok(()), |name| Err(AnalyzeError::DuplicatePod { name: (*name).to_string() }))
}

/// Why pods could not be analysed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyzeError {
    /// A limit is not a usable number.
    #[error(transparent)]
    Threshold(#[from] InvalidSetting),
    /// Two pods have the same name.
    #[error("pod {name:?} is given twice")]
    DuplicatePod {
        /// The name.
        name: String,
    },
    /// A column does not have one number per pod.
    #[error("the {metric} column has {loads} loads for {names} pods")]
    Length {
        /// Which column.
        metric: Metric,
        /// Its length.
        loads: usize,
        /// The number of names.
        names: usize,
    },
}
