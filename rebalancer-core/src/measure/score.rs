//! The composite score of a pod: how busy it is over all metrics, 1.0 being an average pod.

use alloc::borrow::Cow;

use crate::input::metric::{Metric, PerMetric};
use crate::measure::spread::Spread;

/// Weights of the composite score; only their ratios matter. CPU 0.4, lag 0.3, rate 0.2 and
/// memory 0.1: memory is a level that depends on uptime and heap sizes rather than on work.
pub const DEFAULT_WEIGHTS: PerMetric<f64> = PerMetric { cpu: 0.4, memory: 0.1, lag: 0.3, rate: 0.2 };

/// Means below these count as these: 0.05 cores, 64 MiB, 1,000 messages, 1 message per second.
/// Without them the jitter of an idle metric decides.
pub const DEFAULT_FLOORS: PerMetric<f64> =
    PerMetric { cpu: 0.05, memory: 64.0 * 1024.0 * 1024.0, lag: 1000.0, rate: 1.0 };

/// By how much of itself a score of factors may be off: 32 roundings, where it takes a dozen.
pub(crate) const ROUGH: f64 = 32.0 * f64::EPSILON;

/// The largest load times this is still a number.
const LARGEST_FACTOR: f64 = 1e280;

/// How each usable metric enters the score: `share * load / denominator`, the share being the weight
/// over the sum of the usable weights and the denominator `max(mean, floor)`.
///
/// The load is divided before the share is taken: the quotient is at most the number of pods, while
/// `share / denominator` of a tiny mean would be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale(PerMetric<Option<Part>>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    share: f64,
    denominator: f64,
}

impl Scale {
    /// A metric without a spread is unusable and takes no part; the weights of the others are
    /// renormalised. A metric whose mean and floor are both 0 adds 0.
    pub(crate) fn new(
        spreads: &PerMetric<Option<Spread>>,
        weights: &PerMetric<f64>,
        floors: &PerMetric<f64>,
    ) -> Self {
        let usable = spreads.iter().filter(|(_, spread)| spread.is_some());
        let total: f64 = usable.map(|(metric, _)| weights[metric]).sum();
        Self(PerMetric::from_fn(|metric| {
            let denominator = spreads[metric].as_ref()?.mean.max(floors[metric]);
            let counts = total > 0.0 && denominator > 0.0;
            counts.then(|| Part { share: weights[metric] / total, denominator })
        }))
    }

    /// The score of a pod given as a row of columns: `columns[metric][row]` for every usable metric.
    pub(crate) fn score(&self, columns: &PerMetric<Cow<'_, [f64]>>, row: usize) -> f64 {
        Metric::ALL.into_iter().fold(0.0, |score, metric| {
            let Some(Part { share, denominator }) = self.0[metric] else { return score };
            score + share * (columns[metric][row] / denominator)
        })
    }

    /// What each load is multiplied by for a score that is right to [`ROUGH`] of itself; `None` where
    /// such a factor could be infinite.
    pub(crate) fn factors(&self) -> Option<PerMetric<f64>> {
        let factors = PerMetric::from_fn(|metric| {
            self.0[metric].map_or(0.0, |Part { share, denominator }| share / denominator)
        });
        factors.iter().all(|(_, factor)| *factor <= LARGEST_FACTOR).then_some(factors)
    }
}
