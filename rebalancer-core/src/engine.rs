//! The decision: which metrics are usable, which pods are candidates, whether a threshold is
//! passed, and which two pods a rotation would take.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use libm::ceil;

use crate::analysis::{Analysis, Pods};
use crate::decision::{Coverage, Decision};
use crate::metric::{Metric, PerMetric};
use crate::outliers::{Outliers, outliers};
use crate::pod::{Load, PodState};
use crate::score::Scale;
use crate::statistics::Spread;
use crate::sums;
use crate::thresholds::{InvalidThreshold, Thresholds};

/// Holds pod states against thresholds. Pure: the same input gives the same analysis.
///
/// ```
/// use rebalancer_core::{Engine, Metric, PodState, Thresholds};
///
/// // A scheduler that has loads of its own calls the engine like this.
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
    /// An engine with these thresholds; they are checked by [`Engine::analyze`].
    pub const fn new(thresholds: Thresholds) -> Self {
        Self { thresholds }
    }

    /// Decides about `pods`, which are the eligible ones: alive, Ready and warm.
    ///
    /// A metric is usable when enough pods have it; the candidates are the pods that have every
    /// usable metric, and they alone feed statistics, scores and selection. Fewer candidates than
    /// `min_pods`, or neither CPU nor lag usable, is insufficient data, not an error.
    ///
    /// # Errors
    /// A threshold that is not a usable number, or two pods of one name among the targets.
    pub fn analyze<'a>(&self, pods: &'a [PodState]) -> Result<Analysis<'a>, AnalyzeError> {
        let loads = columns(pods).map(Cow::Owned);
        self.decide(Pods::States(pods), loads)
    }

    /// Decides about pods whose loads lie in columns, as [`Engine::analyze`] does.
    ///
    /// `loads[metric][position]` is that of the pod `names[position]`. A number that is no load
    /// ([`Load::from_sample`]) is missing, and so is every load of an empty column.
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
    /// As [`Engine::analyze`], and a column of another length than `names`.
    pub fn analyze_columns<'a>(
        &self,
        names: &'a [&'a str],
        loads: &'a PerMetric<Vec<f64>>,
    ) -> Result<Analysis<'a>, AnalyzeError> {
        for (metric, column) in loads.iter() {
            if !column.is_empty() && column.len() != names.len() {
                return Err(AnalyzeError::Length { metric, loads: column.len(), names: names.len() });
            }
        }
        let columns = PerMetric::from_fn(|metric| cleaned(&loads[metric], names.len()));
        let pods = Pods::Columns { names, loads };
        self.decide(pods, columns)
    }

    /// Decides about pods; every column has a load for each, NaN where it is missing.
    fn decide<'a>(
        &self,
        pods: Pods<'a>,
        loads: PerMetric<Cow<'a, [f64]>>,
    ) -> Result<Analysis<'a>, AnalyzeError> {
        self.thresholds.validate()?;
        let name = |position: usize| pods.name(position);
        let coverage = self.coverage(pods.len(), &loads);
        let (candidates, columns) = complete(pods.len(), loads, &coverage);
        let spreads = PerMetric::from_fn(|metric| Spread::of(&columns[metric]));
        let scale = Scale::new(&spreads, &self.thresholds.weights, &self.thresholds.score_floors);
        let scores = scale.scores(&columns, candidates.len());
        let outliers = outliers(&scores, |row| name(candidates[row])).map(|rows| Outliers {
            busiest: candidates[rows.busiest],
            least_busy: candidates[rows.least_busy],
        });
        if let Some(pair) = outliers
            && name(pair.busiest) == name(pair.least_busy)
        {
            return Err(AnalyzeError::DuplicatePod { name: name(pair.busiest).into() });
        }
        let thresholds = self.thresholds;
        let decision = Decision { thresholds, coverage, candidates, spreads, scores, outliers };
        Ok(Analysis { pods, columns, decision })
    }

    /// Counts for each metric the pods that have it, and how many must.
    fn coverage(&self, count: usize, loads: &PerMetric<Cow<'_, [f64]>>) -> PerMetric<Coverage> {
        // A share such as 0.1 of 30 pods is 3, though 0.1 * 30 is a little more in binary.
        let share = ceil(self.thresholds.min_coverage * count as f64 - 1e-9).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to the number of pods"
        )]
        let needed = (share as usize).max(self.thresholds.min_pods);
        PerMetric::from_fn(|metric| {
            let having = loads[metric].iter().filter(|load| !load.is_nan()).count();
            Coverage { having, needed, eligible: count }
        })
    }
}

/// The loads of the pods in columns, NaN where one is missing.
fn columns(pods: &[PodState]) -> PerMetric<Vec<f64>> {
    let mut columns = PerMetric::from_fn(|_| Vec::with_capacity(pods.len()));
    for pod in pods {
        for metric in Metric::ALL {
            columns[metric].push(pod.load(metric).map_or(f64::NAN, Load::value));
        }
    }
    columns
}

/// A column with NaN for everything that is no load, and with a place for each pod; borrowed where
/// it is so already.
fn cleaned(loads: &[f64], count: usize) -> Cow<'_, [f64]> {
    if loads.is_empty() {
        return Cow::Owned(alloc::vec![f64::NAN; count]);
    }
    if sums::are_loads(loads, Load::MAX) {
        return Cow::Borrowed(loads);
    }
    loads.iter().map(|load| Load::from_sample(*load).map_or(f64::NAN, Load::value)).collect()
}

/// Positions of the pods that have all usable metrics, and their loads: a column for each usable
/// metric and an empty one for the others.
fn complete<'a>(
    count: usize,
    mut loads: PerMetric<Cow<'a, [f64]>>,
    coverage: &PerMetric<Coverage>,
) -> (Vec<usize>, PerMetric<Cow<'a, [f64]>>) {
    for metric in Metric::ALL {
        if !coverage[metric].is_usable() {
            loads[metric] = Cow::Borrowed(&[]);
        }
    }
    let usable = || coverage.iter().filter(|(_, coverage)| coverage.is_usable());
    if usable().next().is_none() {
        return (Vec::new(), loads);
    }
    if usable().all(|(_, coverage)| coverage.having == count) {
        return ((0..count).collect(), loads);
    }
    let has_all = |position: &usize| usable().all(|(metric, _)| !loads[metric][*position].is_nan());
    let candidates: Vec<usize> = (0..count).filter(has_all).collect();
    let of_candidates = |column: Cow<'a, [f64]>| {
        let rows = candidates.iter().filter_map(|&position| column.get(position));
        rows.copied().collect()
    };
    let columns = loads.map(of_candidates);
    (candidates, columns)
}

/// Why pods could not be analysed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AnalyzeError {
    /// A limit is not a usable number.
    #[error(transparent)]
    Threshold(#[from] InvalidThreshold),
    /// Both outliers have one name: the input names a pod twice.
    #[error("pod {name:?} is given twice")]
    DuplicatePod {
        /// The name.
        name: String,
    },
    /// A column does not hold one number a pod.
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
