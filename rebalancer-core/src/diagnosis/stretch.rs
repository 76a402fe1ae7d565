//! The stretches of time over which the diagnosis judges pods.

use alloc::vec::Vec;

use crate::facts::Facts;
use crate::input::history::{History, STRETCHES};
use crate::input::metric::Metric;
use crate::input::pod::Load;
use crate::measure::analysis::Analysis;

/// CPU and message rate of the analysed pods over one stretch.
pub(super) struct Stretch {
    pub cpu: Column,
    pub rate: Column,
}

/// The loads of one metric.
pub(super) struct Column {
    /// By position; NaN if a load is unknown or the pod is no candidate.
    pub loads: Vec<f64>,
    /// Mean of the known loads; `None` if there are none.
    pub mean: Option<f64>,
}

impl Column {
    fn of(loads: Vec<f64>) -> Self {
        Self { mean: mean(&loads), loads }
    }

    /// The current loads.
    pub fn now(analysis: &Analysis<'_>, metric: Metric) -> Self {
        let load = |position| analysis.load(position, metric).map(Load::value);
        let loads = of_candidates(analysis, load);
        let mean = analysis.spread(metric).map_or_else(|| mean(&loads), |spread| Some(spread.mean));
        Self { loads, mean }
    }
}

/// Both halves of the history, or the current loads if there is no history of CPU and rate.
pub(super) fn stretches(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Vec<Stretch> {
    let (Some(cpu), Some(rate)) = (facts.past.cpu.known(), facts.past.rate.known()) else {
        let [cpu, rate] = [Metric::Cpu, Metric::Rate].map(|metric| Column::now(analysis, metric));
        return alloc::vec![Stretch { cpu, rate }];
    };
    let half = |half: core::ops::Range<usize>| {
        let means = |history: &History| {
            let mean = |position| history.mean(analysis.name(position), half.clone());
            Column::of(of_candidates(analysis, mean))
        };
        Stretch { cpu: means(cpu), rate: means(rate) }
    };
    [0..STRETCHES / 2, STRETCHES / 2..STRETCHES].map(half).into_iter().collect()
}

/// One number per position: the candidate's if known, else NaN.
fn of_candidates(analysis: &Analysis<'_>, number: impl Fn(usize) -> Option<f64>) -> Vec<f64> {
    let mut all = alloc::vec![f64::NAN; analysis.count()];
    for position in analysis.candidates().iter() {
        all[position] = number(position).unwrap_or(f64::NAN);
    }
    all
}

/// The known numbers.
pub(super) fn known(column: &[f64]) -> impl Iterator<Item = f64> {
    column.iter().copied().filter(|load| !load.is_nan())
}

fn mean(column: &[f64]) -> Option<f64> {
    let count = known(column).count();
    (count > 0).then(|| known(column).sum::<f64>() / count as f64)
}
