//! The pod itself as the cause: it spends too much on a message, or it has stalled.

use alloc::vec::Vec;

use crate::analysis::Analysis;
use crate::facts::{Facts, Past};
use crate::metric::Metric;
use crate::statistics::median;

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

/// The pod that is itself the cause of the uneven load, if one is.
///
/// Judged over each half of the history where CPU and rate have one, so that a moment of noise is
/// not taken for an illness; else at this moment.
pub fn ill_pod(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Option<IllPod> {
    let windows = windows(analysis, facts);
    sick_pod(analysis, &windows).or_else(|| stalled_pod(analysis, &windows))
}

/// The largest CPU per message among the candidates at this moment, over the median of the others.
pub(super) fn worst_ratio(analysis: &Analysis<'_>) -> Option<(usize, f64)> {
    worst_of(&now(analysis))
}

fn sick_pod(analysis: &Analysis<'_>, windows: &[Window]) -> Option<IllPod> {
    let mut found: Option<(usize, f64)> = None;
    for window in windows {
        let (row, ratio) = worst_of(window)?;
        if ratio <= SICK_RATIO || found.is_some_and(|(other, _)| other != row) {
            return None;
        }
        found = Some((row, found.map_or(ratio, |(_, least): (usize, f64)| least.min(ratio))));
    }
    let (row, ratio) = found?;
    Some(IllPod { position: *analysis.candidates().get(row)?, illness: Illness::Sick { ratio } })
}

/// Row and ratio of the pod with the largest CPU per message among those busier than the mean.
fn worst_of(window: &Window) -> Option<(usize, f64)> {
    let mean_cpu = mean(&window.cpu)?;
    let mean_rate = mean(&window.rate)?;
    let costs: Vec<(usize, f64, f64)> = window
        .cpu
        .iter()
        .zip(&window.rate)
        .enumerate()
        .filter_map(|(row, (cpu, rate))| {
            let (cpu, rate) = ((*cpu)?, (*rate)?);
            (rate > LEAST_RATE_SHARE * mean_rate).then(|| (row, cpu, cpu / rate))
        })
        .collect();
    let busy = costs.iter().filter(|(_, cpu, _)| *cpu > mean_cpu);
    let &(worst, _, cost) = busy.max_by(|a, b| a.2.total_cmp(&b.2))?;
    let others: Vec<f64> = costs.iter().filter(|(row, ..)| *row != worst).map(|(.., cost)| *cost).collect();
    if others.len() < LEAST_OTHERS {
        return None;
    }
    let typical = median(others)?;
    (typical > 0.0).then(|| (worst, cost / typical))
}

/// The pod with the most lag, when lag triggers and it reads far less than the others.
fn stalled_pod(analysis: &Analysis<'_>, windows: &[Window]) -> Option<IllPod> {
    if !analysis.triggered().contains(&Metric::Lag) {
        return None;
    }
    let lags = column(analysis, Metric::Lag);
    let (row, _) = lags
        .iter()
        .enumerate()
        .filter_map(|(row, lag)| Some((row, (*lag)?)))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    let mut most: f64 = 0.0;
    for window in windows {
        let own = window.rate[row]?;
        let others: Vec<f64> = window
            .rate
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != row)
            .filter_map(|(_, rate)| *rate)
            .collect();
        if others.len() < LEAST_OTHERS {
            return None;
        }
        let typical = median(others)?;
        if own >= STALLED_SHARE * typical {
            return None;
        }
        most = most.max(own / typical);
    }
    Some(IllPod { position: *analysis.candidates().get(row)?, illness: Illness::Stalled { share: most } })
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
    let known: Vec<f64> = column.iter().filter_map(|load| *load).collect();
    (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
}
