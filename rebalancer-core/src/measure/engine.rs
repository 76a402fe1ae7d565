//! The decision: which metrics are usable, which pods are candidates, whether a threshold is
//! passed, and which two pods a rotation would take.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use libm::ceil;

use crate::input::metric::{Metric, PerMetric};
use crate::input::pod::{Load, PodState};
use crate::measure::analysis::{Analysis, Pods};
use crate::measure::candidates::Candidates;
use crate::measure::decision::{Coverage, Decision};
use crate::measure::outliers::{Outliers, outliers};
use crate::measure::score::Scale;
use crate::measure::spread::{Spread, spreads};
use crate::measure::sums::numbers_within;
use crate::measure::thresholds::{InvalidThreshold, Thresholds};

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
        let columns = PerMetric::from_fn(|metric| Cow::Borrowed(loads[metric].as_slice()));
        self.decide(Pods::Columns { names, loads }, columns)
    }

    /// Decides about pods; every column has a number for each, or none at all.
    fn decide<'a>(
        &self,
        pods: Pods<'a>,
        columns: PerMetric<Cow<'a, [f64]>>,
    ) -> Result<Analysis<'a>, AnalyzeError> {
        self.thresholds.validate()?;
        let name = |position: usize| pods.name(position);
        let Complete { coverage, candidates, columns, spreads } = self.complete(pods.len(), columns);
        let scale = Scale::new(&spreads, &self.thresholds.weights, &self.thresholds.score_floors);
        let outliers = outliers(&scale, &columns, |row| name(candidates.position(row)));
        let outliers = outliers.map(|rows| Outliers {
            busiest: candidates.position(rows.busiest),
            least_busy: candidates.position(rows.least_busy),
        });
        if let Some(pair) = outliers
            && name(pair.busiest) == name(pair.least_busy)
        {
            return Err(AnalyzeError::DuplicatePod { name: name(pair.busiest).into() });
        }
        let thresholds = self.thresholds;
        let decision = Decision { thresholds, coverage, candidates, spreads, scale, outliers };
        Ok(Analysis { pods, columns, decision })
    }

    /// The pods that have all usable metrics. As a rule all pods have all metrics, and nothing is
    /// copied then.
    fn complete<'a>(&self, count: usize, columns: PerMetric<Cow<'a, [f64]>>) -> Complete<'a> {
        // A metric that no pod has is no gap.
        let columns = columns.map(|column| {
            let is_empty = column.iter().all(|load| load.is_nan());
            if is_empty { Cow::Borrowed(&[][..]) } else { column }
        });
        let given = PerMetric::from_fn(|metric| &*columns[metric]);
        let Some(spreads) = spreads(&given, Load::MAX) else { return self.complete_of_gaps(count, columns) };
        let coverage = self.coverage(count, |metric| columns[metric].len());
        let usable = |metric: Metric| coverage[metric].is_usable();
        let any = Metric::ALL.into_iter().any(usable);
        Complete {
            coverage,
            candidates: Candidates::all_of(if any { count } else { 0 }),
            spreads: PerMetric::from_fn(|metric| spreads[metric].filter(|_| usable(metric))),
            columns: without_unusable(columns, &coverage),
        }
    }

    fn complete_of_gaps<'a>(&self, count: usize, columns: PerMetric<Cow<'a, [f64]>>) -> Complete<'a> {
        let cleaned = columns.map(cleaned);
        let coverage = self.coverage(count, |metric| cleaned[metric].1);
        let columns = cleaned.map(|(column, _)| column);
        let (candidates, columns) = candidates(count, without_unusable(columns, &coverage), &coverage);
        let spreads = PerMetric::from_fn(|metric| Spread::of(&columns[metric]));
        Complete { coverage, candidates, columns, spreads }
    }

    /// Counts for each metric the pods that have it, and how many must.
    fn coverage(&self, count: usize, having: impl Fn(Metric) -> usize) -> PerMetric<Coverage> {
        // A share such as 0.1 of 30 pods is 3, though 0.1 * 30 is a little more in binary.
        let share = ceil(self.thresholds.min_coverage * count as f64 - 1e-9).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to the number of pods"
        )]
        let needed = (share as usize).max(self.thresholds.min_pods);
        PerMetric::from_fn(|metric| Coverage { having: having(metric), needed, eligible: count })
    }
}

/// The candidates, and what is computed of each usable metric.
struct Complete<'a> {
    coverage: PerMetric<Coverage>,
    candidates: Candidates,
    /// The loads of the candidates; an unusable metric has none.
    columns: PerMetric<Cow<'a, [f64]>>,
    spreads: PerMetric<Option<Spread>>,
}

/// The loads of the pods in columns, NaN where one is missing.
fn columns(pods: &[PodState]) -> PerMetric<Vec<f64>> {
    /// Pods that stay in the first-level cache while their loads are taken metric by metric.
    const BLOCK: usize = 128;
    let mut columns = PerMetric::from_fn(|_| Vec::with_capacity(pods.len()));
    let value = |load: Option<Load>| load.map_or(f64::NAN, Load::value);
    for block in pods.chunks(BLOCK) {
        columns.cpu.extend(block.iter().map(|pod| value(pod.cpu_usage)));
        columns.memory.extend(block.iter().map(|pod| value(pod.memory_usage)));
        columns.lag.extend(block.iter().map(|pod| value(pod.kafka_lag)));
        columns.rate.extend(block.iter().map(|pod| value(pod.message_rate)));
    }
    columns
}

/// A column with NaN for everything that is no load, and how many loads it holds; borrowed where it is
/// so already.
fn cleaned(loads: Cow<'_, [f64]>) -> (Cow<'_, [f64]>, usize) {
    if let Some(having) = numbers_within(&loads, Load::MAX) {
        return (loads, having);
    }
    let clean = |load: &f64| Load::from_sample(*load).map_or(f64::NAN, Load::value);
    let clean: Vec<f64> = loads.iter().map(clean).collect();
    let having = clean.iter().filter(|load| !load.is_nan()).count();
    (Cow::Owned(clean), having)
}

fn without_unusable<'a>(
    mut columns: PerMetric<Cow<'a, [f64]>>,
    coverage: &PerMetric<Coverage>,
) -> PerMetric<Cow<'a, [f64]>> {
    for metric in Metric::ALL {
        if !coverage[metric].is_usable() {
            columns[metric] = Cow::Borrowed(&[]);
        }
    }
    columns
}

/// The pods that have all usable metrics, and their loads.
fn candidates<'a>(
    count: usize,
    columns: PerMetric<Cow<'a, [f64]>>,
    coverage: &PerMetric<Coverage>,
) -> (Candidates, PerMetric<Cow<'a, [f64]>>) {
    let usable = || Metric::ALL.into_iter().filter(|metric| coverage[*metric].is_usable());
    if usable().next().is_none() {
        return (Candidates::all_of(0), columns);
    }
    if usable().all(|metric| coverage[metric].having == count) {
        return (Candidates::all_of(count), columns);
    }
    let usable: Vec<&[f64]> = usable().map(|metric| &*columns[metric]).collect();
    let positions = complete_rows(count, &usable);
    let of_candidates = |column: Cow<'a, [f64]>| match &*column {
        [] => column,
        loads => positions.iter().map(|&position| loads[position]).collect(),
    };
    let columns = columns.map(of_candidates);
    (Candidates::listed(positions), columns)
}

/// The rows in which no column has NaN. Loads are never infinite, so the sum of such a row is a number.
fn complete_rows(count: usize, columns: &[&[f64]]) -> Vec<usize> {
    /// Rows whose sums stay in the first-level cache.
    const BLOCK: usize = 512;
    let mut rows = alloc::vec![0; count];
    let mut found = 0;
    for start in (0..count).step_by(BLOCK) {
        let mut sums = [0.0; BLOCK];
        let sums = &mut sums[..BLOCK.min(count - start)];
        for column in columns {
            for (sum, load) in sums.iter_mut().zip(&column[start..]) {
                *sum += load;
            }
        }
        // Written for each row, and again where it was none: no branch to guess.
        for (offset, sum) in sums.iter().enumerate() {
            rows[found] = start + offset;
            found += usize::from(!sum.is_nan());
        }
    }
    rows.truncate(found);
    rows
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
