//! Stalled pods: their lag is above the mean, though they read far less than the others.

use alloc::vec::Vec;

use crate::diagnosis::illness::{Illness, STALLED_SHARE};
use crate::diagnosis::middle::Middle;
use crate::diagnosis::stretch::{Column, Stretch, known};
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;

/// The positions of the stalled pods, most lag first: lag triggers, their lag is above the mean, and they
/// read far less than the others.
pub(super) fn stalled_pods(analysis: &Analysis<'_>, stretches: &[Stretch]) -> Vec<(usize, Illness)> {
    if !analysis.triggered().contains(&Metric::Lag) {
        return Vec::new();
    }
    let middles = stretches.iter().map(|stretch| Middle::of(known(&stretch.rate.loads)));
    let Some(middles) = middles.collect::<Option<Vec<Middle>>>() else { return Vec::new() };
    let Column { loads: lags, mean: Some(mean) } = Column::now(analysis, Metric::Lag) else {
        return Vec::new();
    };
    let behind = lags.iter().copied().enumerate().filter(|(_, lag)| *lag > mean);
    let stalled = behind
        .filter_map(|(position, lag)| Some((position, lag, share_read(position, stretches, &middles)?)));
    let mut stalled: Vec<(usize, f64, f64)> = stalled.collect();
    stalled.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let ill = |(position, _, share)| {
        (position, Illness::Stalled { share: Some(share), partitions: None, standing: None })
    };
    stalled.into_iter().map(ill).collect()
}

/// The largest share, over the stretches, of the others' median rate that a pod reads; `None` if that is not
/// far less.
fn share_read(position: usize, stretches: &[Stretch], middles: &[Middle]) -> Option<f64> {
    let mut most: f64 = 0.0;
    for (stretch, middle) in stretches.iter().zip(middles) {
        let own = stretch.rate.loads[position];
        let typical = middle.median_without(own);
        if own.is_nan() || own >= STALLED_SHARE * typical {
            return None;
        }
        most = most.max(own / typical);
    }
    Some(most)
}
