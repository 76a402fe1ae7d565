//! The pod itself as the cause: it spends too much on a message, or it has stalled.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::analysis::Analysis;
use crate::facts::{Facts, Past};
use crate::metric::Metric;

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

/// CPU, lag and message rate of the candidates over one stretch of time.
struct Window {
    cpu: Vec<Option<f64>>,
    rate: Vec<Option<f64>>,
}

/// The pods that are themselves the cause of the uneven load, the worst first: sick ones, else stalled
/// ones.
///
/// Judged over each half of the history where CPU and rate have one, so that a moment of noise is
/// not taken for an illness; else at this moment.
pub fn ill_pods(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Vec<IllPod> {
    let windows = windows(analysis, facts);
    let found = sick_pods(&windows);
    let found = if found.is_empty() { stalled_pods(analysis, &windows) } else { found };
    let position = |row: usize| analysis.candidates()[row];
    found.into_iter().map(|(row, illness)| IllPod { position: position(row), illness }).collect()
}

/// The largest CPU per message, over the median of the others, that a candidate lastingly has; at most
/// [`SICK_RATIO`] where none is sick. `None` where CPU and rate of three pods are not known.
pub(super) fn worst_ratio(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Option<f64> {
    let windows = windows(analysis, facts);
    if windows.iter().any(|window| costs(window).is_none_or(|costs| costs.len() <= LEAST_OTHERS)) {
        return None;
    }
    Some(lasting(&windows).into_iter().map(|(_, ratio)| ratio).fold(0.0, f64::max))
}

fn sick_pods(windows: &[Window]) -> Vec<(usize, Illness)> {
    let mut sick: Vec<(usize, f64)> =
        lasting(windows).into_iter().filter(|(_, ratio)| *ratio > SICK_RATIO).collect();
    sick.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    sick.into_iter().map(|(row, ratio)| (row, Illness::Sick { ratio })).collect()
}

/// Row and smallest ratio of the pods that are busy in every window.
fn lasting(windows: &[Window]) -> Vec<(usize, f64)> {
    let Some((first, rest)) = windows.split_first() else { return Vec::new() };
    let mut least = ratios(first);
    for window in rest {
        let ratios: BTreeMap<usize, f64> = ratios(window).into_iter().collect();
        least.retain_mut(|(row, least)| {
            let Some(ratio) = ratios.get(row) else { return false };
            *least = least.min(*ratio);
            true
        });
    }
    least
}

/// Row of each pod busier than the mean, and its CPU per message over the median of the others.
fn ratios(window: &Window) -> Vec<(usize, f64)> {
    let (Some(costs), Some(mean_cpu)) = (costs(window), mean(&window.cpu)) else { return Vec::new() };
    if costs.len() <= LEAST_OTHERS {
        return Vec::new();
    }
    let mut sorted: Vec<f64> = costs.iter().map(|(.., cost)| *cost).collect();
    sorted.sort_by(f64::total_cmp);
    let busy = costs.into_iter().filter(|(_, cpu, _)| *cpu > mean_cpu);
    let ratio = |(row, _, cost): (usize, f64, f64)| {
        let typical = median_without(&sorted, cost);
        (typical > 0.0).then(|| (row, cost / typical))
    };
    busy.filter_map(ratio).collect()
}

/// Row, CPU and CPU per message of the pods that read enough for the latter to tell something.
fn costs(window: &Window) -> Option<Vec<(usize, f64, f64)>> {
    let least_rate = LEAST_RATE_SHARE * mean(&window.rate)?;
    let rows = window.cpu.iter().zip(&window.rate).enumerate();
    let costs = rows.filter_map(|(row, (cpu, rate))| {
        let (cpu, rate) = ((*cpu)?, (*rate)?);
        (rate > least_rate).then(|| (row, cpu, cpu / rate))
    });
    Some(costs.collect())
}

/// Median of two or more sorted numbers without one of them.
fn median_without(sorted: &[f64], left_out: f64) -> f64 {
    let place = sorted.partition_point(|value| *value < left_out);
    let value = |index: usize| sorted[index + usize::from(index >= place)];
    let count = sorted.len() - 1;
    f64::midpoint(value((count - 1) / 2), value(count / 2))
}

/// The pods with more than their share of lag, most first, when lag triggers and they read far less
/// than the others.
fn stalled_pods(analysis: &Analysis<'_>, windows: &[Window]) -> Vec<(usize, Illness)> {
    if !analysis.triggered().contains(&Metric::Lag) {
        return Vec::new();
    }
    let lags = column(analysis, Metric::Lag);
    let Some(mean) = mean(&lags) else { return Vec::new() };
    let behind = lags.iter().enumerate().filter_map(|(row, lag)| Some((row, (*lag)?)));
    let mut behind: Vec<(usize, f64)> = behind.filter(|(_, lag)| *lag > mean).collect();
    behind.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let stalled = |(row, _)| Some((row, Illness::Stalled { share: share_read(row, windows)? }));
    behind.into_iter().filter_map(stalled).collect()
}

/// The largest share of the median of the others that a pod reads in any window; `None` where that is
/// not far less.
fn share_read(row: usize, windows: &[Window]) -> Option<f64> {
    let mut most: f64 = 0.0;
    for window in windows {
        let own = window.rate[row]?;
        let mut sorted: Vec<f64> = window.rate.iter().filter_map(|rate| *rate).collect();
        if sorted.len() <= LEAST_OTHERS {
            return None;
        }
        sorted.sort_by(f64::total_cmp);
        let typical = median_without(&sorted, own);
        if own >= STALLED_SHARE * typical {
            return None;
        }
        most = most.max(own / typical);
    }
    Some(most)
}

/// The stretches of time to judge by: both halves of the history, the whole window in its short
/// form, or this moment where there is none.
fn windows(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Vec<Window> {
    let names: Vec<&str> = analysis.candidates().iter().map(|&position| analysis.name(position)).collect();
    match (facts.past.cpu.known(), facts.past.rate.known()) {
        (Some(Past::Range(cpu)), Some(Past::Range(rate))) => [0, 1]
            .into_iter()
            .map(|half| {
                let means = |history: &crate::history::History| {
                    let steps = history.grid().steps;
                    let (from, to) = (half * steps / 2, (half + 1) * steps / 2);
                    names.iter().map(|name| history.mean(name, from, to)).collect()
                };
                Window { cpu: means(cpu), rate: means(rate) }
            })
            .collect(),
        (Some(Past::Summary(cpu)), Some(Past::Summary(rate))) => {
            let means = |summary: &crate::history::WindowSummary| {
                names.iter().map(|name| summary.of(name).map(|load| load.mean)).collect()
            };
            alloc::vec![Window { cpu: means(cpu), rate: means(rate) }]
        }
        _ => alloc::vec![now(analysis)],
    }
}

fn now(analysis: &Analysis<'_>) -> Window {
    Window { cpu: column(analysis, Metric::Cpu), rate: column(analysis, Metric::Rate) }
}

fn column(analysis: &Analysis<'_>, metric: Metric) -> Vec<Option<f64>> {
    let load = |position: &usize| analysis.load(*position, metric).map(crate::pod::Load::value);
    analysis.candidates().iter().map(load).collect()
}

fn mean(column: &[Option<f64>]) -> Option<f64> {
    let known = || column.iter().filter_map(|load| *load);
    let count = known().count();
    (count > 0).then(|| known().sum::<f64>() / count as f64)
}
