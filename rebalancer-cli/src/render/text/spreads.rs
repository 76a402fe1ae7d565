//! The table of metrics: how uneven each is, compared with its threshold.

use comfy_table::Cell;
use rebalancer_core::Metric;

use super::screen::{PLAIN, Screen, YELLOW};
use super::sheet::{Sheet, right};
use crate::format::metric::{short, with_unit};
use crate::format::names::Naming;
use crate::format::number::{ratio, times};
use crate::report::{CoverageReport, PodReport, Report, StatisticsReport};

/// The columns of one form of the table.
#[derive(Debug, Clone, Copy)]
struct Form {
    mean: bool,
    extremes: Extremes,
    wide: bool,
}

/// What is shown about the largest and the smallest load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extremes {
    /// The load, its multiple of the mean, and the pod.
    Pods,
    /// The load, and its multiple of the mean.
    Ratios,
    /// The load.
    Loads,
    /// Nothing.
    None,
}

/// Whether the mean is shown, and what of the extremes, from the widest form to one that fits in 40 columns.
const FORMS: [(bool, Extremes); 5] = [
    (true, Extremes::Pods),
    (true, Extremes::Ratios),
    (true, Extremes::Loads),
    (true, Extremes::None),
    (false, Extremes::None),
];

/// Writes the table; `wide` shows every column, whatever the width.
pub fn write(screen: &mut Screen, report: &Report, width: Option<usize>, prefix: &str, wide: bool) {
    let forms =
        FORMS.into_iter().map(|(mean, extremes)| sheet(report, Form { mean, extremes, wide }, prefix));
    Sheet::write_fitting(screen, width.filter(|_| !wide), forms, |_, _| {});
}

fn sheet(report: &Report, form: Form, prefix: &str) -> Sheet {
    let mut header = vec!["METRIC"];
    if form.mean {
        header.push("MEAN");
    }
    header.extend(["SPREAD", "THRESHOLD"]);
    if form.extremes != Extremes::None {
        header.extend(["MAX", "MIN"]);
    }
    if form.wide {
        header.extend(["MEDIAN", "STD DEV", "MAX/MEAN", "PODS"]);
    }
    let mut sheet = Sheet::new(header);
    for metric in Metric::ALL {
        let Some(statistics) = &report.statistics[metric] else {
            let (style, words) = match report.coverage[metric] {
                CoverageReport { asked: false, .. } => (PLAIN, "not asked"),
                CoverageReport { having: 0, .. } => (YELLOW, "! absent"),
                CoverageReport { .. } => (YELLOW, "! not usable"),
            };
            sheet.row(style, vec![Cell::new(metric.name()), Cell::new(words)]);
            continue;
        };
        let style = if statistics.is_over() { YELLOW } else { PLAIN };
        sheet.row(style, row(report, metric, statistics, form, prefix));
    }
    sheet
}

fn row(
    report: &Report,
    metric: Metric,
    statistics: &StatisticsReport,
    form: Form,
    prefix: &str,
) -> Vec<Cell> {
    let mut row = vec![Cell::new(metric.name())];
    if form.mean {
        row.push(right(with_unit(metric, statistics.mean)));
    }
    row.extend([right(ratio(statistics.cv)), Cell::new(threshold(statistics))]);
    if form.extremes != Extremes::None {
        for load in [statistics.max, statistics.min] {
            let ratio = over_mean(metric, statistics.mean, load);
            row.push(match form.extremes {
                Extremes::Pods => Cell::new(ratio + &bearer(report, metric, load, prefix)),
                Extremes::Ratios => Cell::new(ratio),
                Extremes::Loads | Extremes::None => right(short(metric, load)),
            });
        }
    }
    if form.wide {
        row.push(right(statistics.median.map_or_else(String::new, |median| with_unit(metric, median))));
        row.push(right(with_unit(metric, statistics.std_dev)));
        row.push(right(statistics.max_over_mean.map_or_else(String::new, ratio)));
        row.push(right(statistics.count.to_string()));
    }
    row
}

/// For example `27.1k (5.3×)`.
fn over_mean(metric: Metric, mean: f64, load: f64) -> String {
    let load_text = short(metric, load);
    if mean > 0.0 { format!("{load_text} ({})", times(load / mean)) } else { load_text }
}

/// The first pod with this load, after a space.
fn bearer(report: &Report, metric: Metric, load: f64, prefix: &str) -> String {
    let bears = |pod: &&PodReport| pod.composite_score.is_some() && pod.load(metric) == Some(load);
    let pod = report.pods.iter().find(bears);
    pod.map_or_else(String::new, |pod| format!(" {}", Naming::Short.of(&pod.name, prefix)))
}

fn threshold(statistics: &StatisticsReport) -> String {
    match statistics.threshold {
        None => String::new(),
        Some(limit) if statistics.is_over() => format!("{limit} ▲ over"),
        Some(limit) if statistics.cv > limit => {
            format!("{limit} (idle: counts as {})", ratio(statistics.cv_compared))
        }
        Some(limit) => limit.to_string(),
    }
}
