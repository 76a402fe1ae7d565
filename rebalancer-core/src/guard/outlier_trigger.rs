//! The outlier trigger: finds one hot pod in a large fleet, which the spread cannot show.
//!
//! One pod at three times the mean moves the coefficient of variation of 500 pods only to 0.09. But such a
//! pod is nearly always far above the typical pod.

use alloc::vec::Vec;

use crate::facts::Facts;
use crate::input::history::History;
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;
use crate::measure::spread::median;

/// The rule: a pod is hot when nearly all its samples are above `ratio` times the median pod.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct OutlierTrigger {
    /// Multiple of the median of the mean loads.
    pub ratio: f64,
    /// Share of the samples that must be above it, in percent, 1 to 100.
    pub percent: u32,
    /// Fewest samples needed to judge a pod.
    pub min_history: usize,
}

impl OutlierTrigger {
    /// Twice the median pod in 80 % of at least 30 samples; worth turning on from 20 pods.
    pub const STANDARD: Self = Self { ratio: 2.0, percent: 80, min_history: 30 };
}

/// The hottest candidate of the first metric, CPU then lag, that has a hot pod; `None` if no pod is hot or
/// there is no history. Names the metric, and the position of the pod among the analysed ones.
pub fn outlier_trigger(
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    rule: &OutlierTrigger,
) -> Option<(Metric, usize)> {
    analysis.outliers()?;
    Metric::TRIGGERS
        .into_iter()
        .filter(|metric| analysis.coverage()[*metric].is_usable())
        .find_map(|metric| Some((metric, hot_pod(analysis, facts.past[metric].known()?, metric, rule)?)))
}

fn hot_pod(
    analysis: &Analysis<'_>,
    history: &History,
    metric: Metric,
    rule: &OutlierTrigger,
) -> Option<usize> {
    let mut means = Vec::new();
    let mut hottest: Option<(f64, usize)> = None;
    for position in analysis.candidates().iter().copied() {
        let name = analysis.name(position);
        let Some((low, mean, samples)) = window_load(history, name, rule) else { continue };
        means.push(mean);
        let hotter = hottest.is_none_or(|(hottest, _)| low > hottest);
        if samples >= rule.min_history && hotter {
            hottest = Some((low, position));
        }
    }
    let floor = analysis.thresholds().trigger_floors[metric];
    let limit = rule.ratio * median(means)?.max(floor);
    let (low, position) = hottest?;
    (limit > 0.0 && low >= limit).then_some(position)
}

/// Low quantile, mean and number of a pod's samples over the window.
fn window_load(history: &History, pod: &str, rule: &OutlierTrigger) -> Option<(f64, f64, usize)> {
    let mut known: Vec<f64> = history.column(pod)?.flatten().collect();
    known.sort_by(f64::total_cmp);
    // At least `percent` % of the samples are at or above this one.
    let below = known.len() * (100 - rule.percent.min(100)) as usize / 100;
    let low = *known.get(below)?;
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    Some((low, mean, known.len()))
}
