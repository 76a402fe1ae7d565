//! Stalled pods, judged by their loads: they have far more lag than the others, though they read far less.

use alloc::vec::Vec;

use crate::diagnosis::behind::keeps_up;
use crate::diagnosis::illness::STALLED_SHARE;
use crate::diagnosis::stretch::{Middle, Stretch, known, now};
use crate::facts::Facts;
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;

/// A pod is called stalled only if its lag is more than this many times the median of the others. A pod whose
/// partitions get few messages reads little too, but few messages wait for it.
const LAG_RATIO: f64 = 2.0;

/// The positions of the stalled pods with the share that they read, most lag first: lag triggers in spite of its floor, they have far more lag
/// than the others, and they read far less. A pod that reads all that arrives for it has not stalled.
pub(super) fn stalled_pods(
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    stretches: &[Stretch],
) -> Vec<(usize, f64)> {
    if !analysis.triggers_above_floor(Metric::Lag) {
        return Vec::new();
    }
    let middles = stretches.iter().map(|stretch| Middle::of(known(&stretch.rate)));
    let Some(middles) = middles.collect::<Option<Vec<Middle>>>() else { return Vec::new() };
    let lags = now(analysis, Metric::Lag);
    let Some(middle_lag) = Middle::of(known(&lags)) else { return Vec::new() };
    let is_behind = |lag: f64| !lag.is_nan() && lag > LAG_RATIO * middle_lag.median_without(lag);
    let behind = lags.iter().copied().enumerate().filter(|(_, lag)| is_behind(*lag));
    let behind = behind.filter(|(position, _)| !keeps_up(facts, analysis.name(*position)));
    let stalled = behind
        .filter_map(|(position, lag)| Some((position, lag, share_read(position, stretches, &middles)?)));
    let mut stalled: Vec<(usize, f64, f64)> = stalled.collect();
    stalled.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    stalled.into_iter().map(|(position, _, share)| (position, share)).collect()
}

/// The largest share, over the stretches, of the others' median rate that a pod reads; `None` if that is not
/// far less.
fn share_read(position: usize, stretches: &[Stretch], middles: &[Middle]) -> Option<f64> {
    let mut most: f64 = 0.0;
    for (stretch, middle) in stretches.iter().zip(middles) {
        let own = stretch.rate[position];
        let typical = middle.median_without(own);
        if own.is_nan() || own >= STALLED_SHARE * typical {
            return None;
        }
        most = most.max(own / typical);
    }
    Some(most)
}
