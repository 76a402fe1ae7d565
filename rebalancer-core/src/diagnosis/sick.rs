//! Sick pods: they spend far more CPU per message than the others.

use alloc::vec::Vec;

use crate::diagnosis::illness::SICK_RATIO;
use crate::diagnosis::stretch::{Middle, Stretch, mean};
use crate::measure::analysis::Analysis;

/// Pods that read less than this share of the mean rate are not judged: their CPU is mostly the fixed cost of
/// running.
const LEAST_RATE_SHARE: f64 = 0.1;

/// The positions of the sick pods with their ratios, worst first, and the largest ratio of any pod; no ratio unless
/// CPU and rate of three pods are known. A pod with less CPU than its floor is not judged.
pub(super) fn sick_pods(analysis: &Analysis<'_>, stretches: &[Stretch]) -> (Vec<(usize, f64)>, Option<f64>) {
    let floor = analysis.thresholds().trigger_floors.cpu;
    let judged: Option<Vec<Judged<'_>>> =
        stretches.iter().map(|stretch| Judged::of(stretch, floor)).collect();
    let Some(judged) = judged else { return (Vec::new(), None) };
    let (mut sick, mut worst) = (Vec::new(), 0.0_f64);
    for position in 0..analysis.count() {
        let Some(ratio) = lasting_ratio(position, &judged) else { continue };
        worst = worst.max(ratio);
        if ratio > SICK_RATIO {
            sick.push((position, ratio));
        }
    }
    sick.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    (sick, Some(worst))
}

/// The smallest ratio over all stretches; `None` unless the pod is busy in every one.
fn lasting_ratio(position: usize, stretches: &[Judged<'_>]) -> Option<f64> {
    stretches.iter().try_fold(f64::INFINITY, |least, stretch| Some(least.min(stretch.ratio(position)?)))
}

/// A stretch, with the values its pods are compared with.
struct Judged<'s> {
    stretch: &'s Stretch,
    /// The mean, or the floor if that is more.
    least_cpu: f64,
    least_rate: f64,
    /// Medians of the CPU per message.
    middle: Middle,
}

impl<'s> Judged<'s> {
    /// `None` unless CPU and message rate of three pods are known.
    fn of(stretch: &'s Stretch, floor: f64) -> Option<Self> {
        let (least_cpu, least_rate) =
            (mean(&stretch.cpu)?.max(floor), LEAST_RATE_SHARE * mean(&stretch.rate)?);
        let positions = 0..stretch.cpu.len();
        let middle = Middle::of(positions.filter_map(|position| cost(stretch, position, least_rate)))?;
        Some(Self { stretch, least_cpu, least_rate, middle })
    }

    /// CPU per message divided by the median of the others, for a pod with CPU above the mean and the floor.
    fn ratio(&self, position: usize) -> Option<f64> {
        if self.stretch.cpu[position] <= self.least_cpu {
            return None;
        }
        let cost = cost(self.stretch, position, self.least_rate)?;
        let typical = self.middle.median_without(cost);
        (typical > 0.0).then(|| cost / typical)
    }
}

/// CPU per message of a pod that reads enough to be judged.
fn cost(stretch: &Stretch, position: usize, least_rate: f64) -> Option<f64> {
    let (cpu, rate) = (stretch.cpu[position], stretch.rate[position]);
    (!cpu.is_nan() && rate > least_rate).then(|| cpu / rate)
}
