//! The pod itself as the cause: it spends too much on a message, or it has stalled.

use alloc::vec::Vec;

use crate::facts::Facts;
use crate::input::history::{History, STRETCHES};
use crate::input::metric::Metric;
use crate::input::pod::Load;
use crate::measure::analysis::Analysis;

/// CPU per message over the median of the others above which a pod is sick. Found every sick pod
/// in simulation, with a false alarm in 4 % of healthy groups of twelve from a single instant.
pub(super) const SICK_RATIO: f64 = 1.6;

/// A pod that reads less than this share of the mean rate tells nothing by its CPU per message: what
/// it spends is the price of being alive.
const LEAST_RATE_SHARE: f64 = 0.1;

/// A pod with the most lag that reads less than this share of the median of the others has stalled:
/// a hot partition would make it read more, not less.
pub(super) const STALLED_SHARE: f64 = 0.5;

/// A pod to be judged needs others to be held against.
const LEAST_OTHERS: usize = 2;

/// A pod that is itself the cause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IllPod {
    /// Its position among the analysed pods.
    pub position: usize,
    /// What is wrong with it.
    pub illness: Illness,
}

/// What is wrong with a pod, with the smallest ratio seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Illness {
    /// CPU per message over the median of the others.
    Sick {
        /// The ratio, above 1.6.
        ratio: f64,
    },
    /// Message rate over the median of the others.
    Stalled {
        /// The share, below 0.5.
        share: f64,
    },
}

/// CPU and message rate of the candidates over one stretch of time, NaN where they are not known.
struct Window {
    cpu: Column,
    rate: Column,
}

struct Column {
    loads: Vec<f64>,
    /// Of the loads that are known; `None` where none is.
    mean: Option<f64>,
}

/// A window with what its pods are held against.
struct Judged<'w> {
    window: &'w Window,
    mean_cpu: f64,
    least_rate: f64,
    /// Of CPU per message.
    middle: Middle,
}

/// As much of some numbers, at least three, as the median of all but one of them depends on.
struct Middle {
    /// The three in the middle, of an even count with the one above; in their order.
    numbers: [f64; 3],
    /// 1 where all but one are an even count, whose median lies between two numbers; else 0.
    between: usize,
}

/// The pods that are themselves the cause of the uneven load, the worst first: sick ones, else stalled
/// ones.
///
/// Judged over each half of the history where CPU and rate have one, so that a moment of noise is
/// not taken for an illness; else at this moment.
pub fn ill_pods(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Vec<IllPod> {
    examine(analysis, facts).0
}

/// The same, and the largest CPU per message, over the median of the others, that a candidate lastingly
/// has: at most [`SICK_RATIO`] where none is sick. `None` where CPU and rate of three pods are not known.
pub(super) fn examine(analysis: &Analysis<'_>, facts: &Facts<'_>) -> (Vec<IllPod>, Option<f64>) {
    let windows = windows(analysis, facts);
    let judged: Option<Vec<Judged<'_>>> = windows.iter().map(Judged::of).collect();
    let (sick, worst_ratio) = match &judged {
        Some(judged) => sick_pods(judged),
        None => (Vec::new(), None),
    };
    let found = if sick.is_empty() { stalled_pods(analysis, &windows) } else { sick };
    (found.into_iter().map(|(position, illness)| IllPod { position, illness }).collect(), worst_ratio)
}

/// The sick pods, the worst first, and the largest ratio of any.
fn sick_pods(windows: &[Judged<'_>]) -> (Vec<(usize, Illness)>, Option<f64>) {
    let mut sick: Vec<(usize, f64)> = Vec::new();
    let mut worst: f64 = 0.0;
    let rows = windows.first().map_or(0, |first| first.window.cpu.loads.len());
    for row in 0..rows {
        let Some(ratio) = lasting_ratio(row, windows) else { continue };
        worst = worst.max(ratio);
        if ratio > SICK_RATIO {
            sick.push((row, ratio));
        }
    }
    sick.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    (sick.into_iter().map(|(row, ratio)| (row, Illness::Sick { ratio })).collect(), Some(worst))
}

/// The smallest ratio of a pod that is busy in every window.
fn lasting_ratio(row: usize, windows: &[Judged<'_>]) -> Option<f64> {
    let mut least = f64::INFINITY;
    for window in windows {
        least = least.min(window.ratio(row)?);
    }
    Some(least)
}

impl<'w> Judged<'w> {
    /// `None` where CPU and rate of three pods are not known.
    fn of(window: &'w Window) -> Option<Self> {
        let (mean_cpu, least_rate) = (window.cpu.mean?, LEAST_RATE_SHARE * window.rate.mean?);
        let rows = 0..window.cpu.loads.len();
        let middle = Middle::of(rows.filter_map(|row| window.cost(row, least_rate)))?;
        Some(Self { window, mean_cpu, least_rate, middle })
    }

    /// CPU per message over the median of the others, of a pod busier than the mean.
    fn ratio(&self, row: usize) -> Option<f64> {
        if self.window.cpu.loads[row] <= self.mean_cpu {
            return None;
        }
        let cost = self.window.cost(row, self.least_rate)?;
        let typical = self.middle.median_without(cost);
        (typical > 0.0).then(|| cost / typical)
    }
}

impl Window {
    /// CPU per message of a pod that reads enough for it to tell something.
    fn cost(&self, row: usize, least_rate: f64) -> Option<f64> {
        let (cpu, rate) = (self.cpu.loads[row], self.rate.loads[row]);
        (!cpu.is_nan() && rate > least_rate).then(|| cpu / rate)
    }
}

impl Column {
    fn of(loads: Vec<f64>) -> Self {
        Self { mean: mean(&loads), loads }
    }

    /// The loads of this moment.
    fn now(analysis: &Analysis<'_>, metric: Metric) -> Self {
        let is_candidate = |position: &usize| analysis.candidates().contains(*position);
        let load = |position: usize| analysis.load(position, metric).map_or(f64::NAN, Load::value);
        let load = |position| if is_candidate(&position) { load(position) } else { f64::NAN };
        let loads = (0..analysis.count()).map(load).collect();
        match analysis.spread(metric) {
            Some(spread) => Self { mean: Some(spread.mean), loads },
            None => Self::of(loads),
        }
    }
}

impl Middle {
    /// `None` of too few numbers to hold one of them against the others.
    fn of(known: impl Iterator<Item = f64>) -> Option<Self> {
        let (_, at_most) = known.size_hint();
        let mut numbers: Vec<f64> = Vec::with_capacity(at_most.unwrap_or_default());
        numbers.extend(known);
        if numbers.len() <= LEAST_OTHERS {
            return None;
        }
        let others = numbers.len() - 1;
        let (_, low, above) = numbers.select_nth_unstable_by((others - 1) / 2, f64::total_cmp);
        let (middle, high, _) = above.select_nth_unstable_by(1, f64::total_cmp);
        Some(Self { numbers: [*low, middle[0], *high], between: 1 - others % 2 })
    }

    /// The median of the others.
    fn median_without(&self, left_out: f64) -> f64 {
        let number = |place: usize| self.numbers[place + usize::from(self.numbers[place] >= left_out)];
        f64::midpoint(number(0), number(self.between))
    }
}

/// The pods with more than their share of lag, most first, when lag triggers and they read far less
/// than the others.
fn stalled_pods(analysis: &Analysis<'_>, windows: &[Window]) -> Vec<(usize, Illness)> {
    if !analysis.triggered().contains(&Metric::Lag) {
        return Vec::new();
    }
    let middles = windows.iter().map(|window| Middle::of(known(&window.rate.loads)));
    let Some(middles) = middles.collect::<Option<Vec<Middle>>>() else { return Vec::new() };
    let Column { loads: lags, mean: Some(mean) } = Column::now(analysis, Metric::Lag) else {
        return Vec::new();
    };
    let behind = lags.iter().copied().enumerate().filter(|(_, lag)| *lag > mean);
    let stalled = behind.filter_map(|(row, lag)| Some((row, lag, share_read(row, windows, &middles)?)));
    let mut stalled: Vec<(usize, f64, f64)> = stalled.collect();
    stalled.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    stalled.into_iter().map(|(row, _, share)| (row, Illness::Stalled { share })).collect()
}

/// The largest share of the median of the others that a pod reads in any window; `None` where that is
/// not far less.
fn share_read(row: usize, windows: &[Window], middles: &[Middle]) -> Option<f64> {
    let mut most: f64 = 0.0;
    for (window, middle) in windows.iter().zip(middles) {
        let own = window.rate.loads[row];
        let typical = middle.median_without(own);
        if own.is_nan() || own >= STALLED_SHARE * typical {
            return None;
        }
        most = most.max(own / typical);
    }
    Some(most)
}

/// The stretches of time to judge by: both halves of the history, or this moment where there is none.
fn windows(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Vec<Window> {
    let means = |mean: &dyn Fn(&str) -> Option<f64>| {
        let known = |position: usize| {
            let is_candidate = analysis.candidates().contains(position);
            if is_candidate { mean(analysis.name(position)) } else { None }
        };
        Column::of((0..analysis.count()).map(|position| known(position).unwrap_or(f64::NAN)).collect())
    };
    match (facts.past.cpu.known(), facts.past.rate.known()) {
        (Some(cpu), Some(rate)) => [0..STRETCHES / 2, STRETCHES / 2..STRETCHES]
            .into_iter()
            .map(|half| {
                let means = |history: &History| means(&|name| history.mean(name, half.clone()));
                Window { cpu: means(cpu), rate: means(rate) }
            })
            .collect(),
        _ => alloc::vec![Window {
            cpu: Column::now(analysis, Metric::Cpu),
            rate: Column::now(analysis, Metric::Rate),
        }],
    }
}

fn known(column: &[f64]) -> impl Iterator<Item = f64> {
    column.iter().copied().filter(|load| !load.is_nan())
}

fn mean(column: &[f64]) -> Option<f64> {
    let count = known(column).count();
    (count > 0).then(|| known(column).sum::<f64>() / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_median_of_the_others_is_that_of_a_list_without_one(
            numbers in prop::collection::vec(0_u32..20, 0..40),
            left_out: prop::sample::Index,
        ) {
            let mut others: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let middle = Middle::of(others.iter().copied());
            prop_assert_eq!(middle.is_some(), others.len() > LEAST_OTHERS);
            let Some(middle) = middle else { return Ok(()) };
            let one = others.swap_remove(left_out.index(others.len()));
            prop_assert_eq!(Some(middle.median_without(one)), crate::measure::spread::median(others));
        }
    }
}
