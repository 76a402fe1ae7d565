//! The composite score of a pod: how busy it is over all metrics, 1.0 for an average pod.

use crate::input::metric::{Metric, PerMetric};
use crate::measure::spread::Spread;

/// How each usable metric enters the score: `share * load / denominator`. The share is the weight divided by
/// the sum of the usable weights; the denominator is `max(mean, floor)`.
///
/// The load is divided first: that quotient is at most the number of pods, while `share / denominator` of a
/// tiny mean would be infinite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scale(PerMetric<Option<Part>>);

#[derive(Debug, Clone, Copy, PartialEq)]
struct Part {
    share: f64,
    denominator: f64,
}

impl Scale {
    /// A metric without a spread is unusable and left out; the weights of the others are renormalised. A
    /// metric whose mean and floor are both 0 adds 0.
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

    /// The score of a pod that has every usable metric; `load` returns its loads.
    pub(crate) fn score(&self, load: impl Fn(Metric) -> f64) -> f64 {
        Metric::ALL.into_iter().fold(0.0, |score, metric| {
            let Some(Part { share, denominator }) = self.0[metric] else { return score };
            score + share * (load(metric) / denominator)
        })
    }
}
