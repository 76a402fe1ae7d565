//! A backtest as a table, JSON, YAML or CSV.

use std::fmt::Write as _;

use anyhow::Context as _;
use comfy_table::Cell;

use super::sheet::{plain_table, right};

use crate::cli::args::OutputFormat;
use crate::format::number::percent;
use crate::format::text::{count, plain};
use crate::render::data;
use crate::report::Outcome;
use crate::report::backtest::BacktestReport;

/// Renders the report.
///
/// # Errors
/// If it cannot be written as JSON or YAML.
pub fn render(report: &BacktestReport, format: OutputFormat) -> anyhow::Result<String> {
    Ok(match format {
        OutputFormat::Table => table(report, false),
        OutputFormat::Wide => table(report, true),
        OutputFormat::Json => data::json(report)?,
        OutputFormat::Yaml => data::yaml(report)?,
        OutputFormat::Csv => csv(report).context("cannot write the backtest as CSV")?,
        OutputFormat::Name => targets(report),
        OutputFormat::Short | OutputFormat::None => String::new(),
    })
}

fn table(report: &BacktestReport, wide: bool) -> String {
    let found = report.workload.found_words().map(|found| format!("{}\n", plain(&found)));
    let mut text = format!("{}{}\n\n", found.unwrap_or_default(), headline(report));
    let mut table = plain_table(vec![
        "CPU",
        "LAG",
        "OVER",
        "EPISODES",
        "WITHHELD",
        "ROTATIONS**",
        "EVICTIONS/DAY**",
        "STILL OVER NEXT*",
        "HELD BY",
    ]);
    for sums in &report.thresholds {
        let held: Vec<String> =
            sums.held_by.iter().map(|(guard, count)| format!("{guard} {count}")).collect();
        let mark = if sums.current && report.thresholds.len() > 1 { " ←" } else { "" };
        table.add_row(vec![
            Cell::new(format!("{:.2}", sums.cpu)),
            Cell::new(format!("{:.2}{mark}", sums.lag)),
            right(percent_or_dash(sums.over_threshold)),
            right(sums.episodes.map_or_else(|| "-".to_owned(), |count| count.to_string())),
            right(sums.count(Outcome::Withheld).to_string()),
            right(sums.rotations_in_words()),
            right(sums.evictions_per_day.map_or_else(|| "-".to_owned(), |count| format!("{count:.1}"))),
            right(percent_or_dash(sums.still_over_next)),
            Cell::new(held.join(", ")),
        ]);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    text.push_str(
        "*  share of the moments over a threshold after which the next one was over it too, without any eviction:\n\
         \x20  high is a lasting imbalance, low is noise that passes\n\
         ** an episode is a row of moments over a threshold. The smaller number holds if the first rotation of each\n\
         \x20  episode cures it; the larger one, and the evictions, if no rotation changes the loads. Pods of a rotation\n\
         \x20  count as young at later moments, so that warm-up, cooldown, futility and churn budget see them.\n\
         A backtest cannot show what an eviction would have changed: these are decisions, not benefits.\n",
    );
    for lacking in &report.not_had {
        let _ = writeln!(text, "missing: {}", plain(lacking));
    }
    if wide {
        let _ = writeln!(text, "\n{}", decisions(report));
    }
    text
}

fn headline(report: &BacktestReport) -> String {
    let mut parts: Vec<String> = Vec::new();
    let workload = &report.workload;
    for (word, value) in [("namespace", &workload.namespace), ("selector", &workload.selector)] {
        parts.extend(value.as_ref().map(|value| format!("{word} {}", plain(value))));
    }
    if let (Some(from), Some(to)) = (&report.from, &report.to) {
        parts.push(format!("{from} to {to}"));
    }
    parts.push(count(report.moments, "moment", "moments"));
    if report.skipped > 0 {
        parts.push(format!("{} skipped, without data", report.skipped));
    }
    let pods = || report.decisions.iter().map(|decision| decision.pods);
    if let (Some(least), Some(most)) = (pods().min(), pods().max()) {
        let most_pods = count(most, "pod", "pods");
        parts.push(if least == most { most_pods } else { format!("{least} to {most_pods}") });
    }
    parts.join(" · ")
}

/// Every decision over a threshold.
fn decisions(report: &BacktestReport) -> String {
    let mut table = plain_table(vec!["TIME", "CPU", "LAG", "OUTCOME", "CAUSE", "PODS TO ROTATE", "HELD BY"]);
    for decision in report.decisions.iter().filter(|decision| decision.should_rebalance) {
        let spread = |cv: Option<f64>, limit: f64| {
            cv.map_or_else(|| "-".to_owned(), |cv| format!("{cv:.2} of {limit:.2}"))
        };
        table.add_row(vec![
            decision.time.clone(),
            spread(decision.cpu_cv, decision.cpu_threshold),
            spread(decision.lag_cv, decision.lag_threshold),
            decision.outcome.name().to_owned(),
            decision.cause.clone(),
            plain(&decision.targets.join(", ")),
            decision.held_by.join(", "),
        ]);
    }
    table.trim_fmt()
}

/// The pods that would have been evicted, one per line, in time order.
fn targets(report: &BacktestReport) -> String {
    let planned = report.decisions.iter().filter(|decision| decision.outcome == Outcome::Planned);
    planned.flat_map(|decision| &decision.targets).map(|pod| plain(pod) + "\n").collect()
}

/// One line per decision, below a header.
fn csv(report: &BacktestReport) -> anyhow::Result<String> {
    let mut lines = csv::Writer::from_writer(Vec::new());
    lines.write_record([
        "time",
        "cpu_threshold",
        "lag_threshold",
        "outcome",
        "should_rebalance",
        "pods",
        "cpu_cv",
        "lag_cv",
        "targets",
        "cause",
        "held_by",
    ])?;
    for decision in &report.decisions {
        let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
        lines.write_record([
            decision.time.clone(),
            decision.cpu_threshold.to_string(),
            decision.lag_threshold.to_string(),
            decision.outcome.name().to_owned(),
            decision.should_rebalance.to_string(),
            decision.pods.to_string(),
            number(decision.cpu_cv),
            number(decision.lag_cv),
            plain(&decision.targets.join(" ")),
            decision.cause.clone(),
            decision.held_by.join(" "),
        ])?;
    }
    Ok(String::from_utf8(lines.into_inner()?)?)
}

fn percent_or_dash(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), percent)
}
