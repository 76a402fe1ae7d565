//! The composite score of a pod: how busy it is over all metrics, 1.0 for an average pod.

use crate::input::metric::{Metric, PerMetric};
use crate::measure::spread::Spread;
use crate::measure::thresholds::Thresholds;

/// The score of a pod that has every usable metric, those with a spread; `load` returns its loads.
///
/// Each metric adds `share * load / denominator`. The share is the weight divided by the sum of the usable weights; the
/// denominator is `max(mean, floor)`, and a metric in which both are 0 adds 0. The load is divided first: that quotient
/// is at most the number of pods, while `share / denominator` of a tiny mean would be infinite.
pub(crate) fn score(
    spreads: &PerMetric<Option<Spread>>,
    thresholds: &Thresholds,
    load: impl Fn(Metric) -> f64,
) -> f64 {
    let usable = || spreads.iter().filter_map(|(metric, spread)| Some((metric, spread.as_ref()?)));
    let total: f64 = usable().map(|(metric, _)| thresholds.weights[metric]).sum();
    usable().fold(0.0, |score, (metric, spread)| {
        let denominator = spread.mean.max(thresholds.score_floors[metric]);
        let counts = total > 0.0 && denominator > 0.0;
        if counts { score + thresholds.weights[metric] / total * (load(metric) / denominator) } else { score }
    })
}
