//! The decision: which metrics are usable, which pods are candidates, whether a threshold is
//! passed, and which two pods a rotation would take.

use alloc::string::String;
use alloc::vec::Vec;

use libm::ceil;

use crate::analysis::{Analysis, Coverage};
use crate::metric::{Metric, PerMetric};
use crate::outliers::outliers;
use crate::pod::PodState;
use crate::score::Scale;
use crate::statistics::Spread;
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
        self.thresholds.validate()?;
        let coverage = self.coverage(pods);
        let candidates = candidates(pods, &coverage);
        let columns = columns(pods, &coverage, &candidates);
        let spreads = PerMetric::from_fn(|metric| Spread::of(&columns[metric]));
        let scale = Scale::new(&spreads, &self.thresholds.weights, &self.thresholds.score_floors);
        let scores = scale.scores(&columns, candidates.len());
        let named = candidates
            .iter()
            .zip(&scores)
            .map(|(&position, &score)| (score, pods[position].name.as_str(), position));
        let outliers = outliers(named);
        if let Some(pair) = outliers {
            let busiest = &pods[pair.busiest].name;
            if *busiest == pods[pair.least_busy].name {
                return Err(AnalyzeError::DuplicatePod { name: busiest.clone() });
            }
        }
        Ok(Analysis {
            pods,
            thresholds: self.thresholds,
            coverage,
            candidates,
            columns,
            spreads,
            scores,
            outliers,
        })
    }

    /// Counts for each metric the pods that have it, and how many must.
    fn coverage(&self, pods: &[PodState]) -> PerMetric<Coverage> {
        // A share such as 0.1 of 30 pods is 3, though 0.1 * 30 is a little more in binary.
        let share = ceil(self.thresholds.min_coverage * pods.len() as f64 - 1e-9).max(0.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to the number of pods"
        )]
        let needed = (share as usize).max(self.thresholds.min_pods);
        PerMetric::from_fn(|metric| {
            let having = pods.iter().filter(|pod| pod.load(metric).is_some()).count();
            Coverage { having, needed, eligible: pods.len() }
        })
    }
}

/// Positions of the pods that have all usable metrics.
fn candidates(pods: &[PodState], coverage: &PerMetric<Coverage>) -> Vec<usize> {
    let usable: Vec<Metric> =
        Metric::ALL.into_iter().filter(|metric| coverage[*metric].is_usable()).collect();
    if usable.is_empty() {
        return Vec::new();
    }
    let complete = |pod: &PodState| usable.iter().all(|metric| pod.load(*metric).is_some());
    pods.iter().enumerate().filter(|(_, pod)| complete(pod)).map(|(position, _)| position).collect()
}

/// The loads of the candidates, a column for each usable metric and an empty one for the others.
fn columns(pods: &[PodState], coverage: &PerMetric<Coverage>, candidates: &[usize]) -> PerMetric<Vec<f64>> {
    PerMetric::from_fn(|metric| {
        if !coverage[metric].is_usable() {
            return Vec::new();
        }
        candidates
            .iter()
            .filter_map(|&position| pods[position].load(metric))
            .map(crate::Load::value)
            .collect()
    })
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
}
