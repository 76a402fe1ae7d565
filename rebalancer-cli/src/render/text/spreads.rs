//! The table of metrics: how uneven each is, compared with its threshold.

use comfy_table::Cell;
use rebalancer_core::Metric;

use super::screen::{PLAIN, Screen, Sheet, YELLOW};
use super::sheet::{Columns, fitting, right};
use crate::format::metric::{short, with_unit};
use crate::format::names::Naming;
use crate::format::number::{ratio, times};
use crate::report::{CoverageReport, PodReport, Report, StatisticsReport};

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
    let forms = FORMS.into_iter().map(|(mean, extremes)| sheet(report, mean, extremes, wide, prefix));
    screen.sheet(&fitting(width.filter(|_| !wide), forms));
}

/// A metric and its spread.
type Row<'a> = (Metric, &'a StatisticsReport);

fn sheet(report: &Report, mean: bool, extremes: Extremes, wide: bool, prefix: &str) -> Sheet {
    let mut columns: Columns<'_, Row<'_>> = Columns::new();
    columns.words("METRIC", |(metric, _)| metric.name());
    if mean {
        columns.numbers("MEAN", |(metric, spread)| Some(with_unit(*metric, spread.mean)));
    }
    columns.numbers("SPREAD", |(_, spread)| Some(ratio(spread.cv)));
    columns.words("THRESHOLD", |(_, spread)| threshold(spread));
    if extremes != Extremes::None {
        let extreme = move |(metric, spread): &Row<'_>, load: f64| {
            let ratio = over_mean(*metric, spread.mean, load);
            match extremes {
                Extremes::Pods => Cell::new(ratio + &bearer(report, *metric, load, prefix)),
                Extremes::Ratios => Cell::new(ratio),
                Extremes::Loads | Extremes::None => right(short(*metric, load)),
            }
        };
        columns.cell("MAX", move |row| extreme(row, row.1.max));
        columns.cell("MIN", move |row| extreme(row, row.1.min));
    }
    if wide {
        columns.cell("MEDIAN", |(metric, spread)| {
            right(spread.median.map_or_else(String::new, |median| with_unit(*metric, median)))
        });
        columns.numbers("STD DEV", |(metric, spread)| Some(with_unit(*metric, spread.std_dev)));
        columns.cell("MAX/MEAN", |(_, spread)| right(spread.max_over_mean.map_or_else(String::new, ratio)));
        columns.numbers("PODS", |(_, spread)| Some(spread.count.to_string()));
    }
    columns.sheet(Metric::ALL.into_iter().map(|metric| {
        if let Some(spread) = &report.statistics[metric] {
            return (if spread.is_over() { YELLOW } else { PLAIN }, columns.cells(&(metric, spread)));
        }
        let (style, words) = match report.coverage[metric] {
            CoverageReport { asked: false, .. } => (PLAIN, "not asked"),
            CoverageReport { having: 0, .. } => (YELLOW, "! absent"),
            CoverageReport { .. } => (YELLOW, "! not usable"),
        };
        (style, vec![Cell::new(metric.name()), Cell::new(words)])
    }))
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
