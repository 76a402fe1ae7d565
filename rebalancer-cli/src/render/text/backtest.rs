//! A backtest as a table, CSV or names.

use std::fmt::Write as _;

use super::sheet::{Columns, UNKNOWN};
use super::{lines, named};
use crate::cli::args::OutputFormat;
use crate::format::number::percent;
use crate::format::text::{count, plain};
use crate::render::data;
use crate::render::terminal::Terminal;
use crate::report::backtest::{BacktestReport, Decision, Sums};
use crate::report::{FoundReport, Outcome};

/// The head of the decisions as CSV.
const CSV: &str =
    "time,cpu_threshold,lag_threshold,outcome,should_rebalance,pods,cpu_cv,lag_cv,targets,cause,held_by";

/// Renders the report.
pub fn render(report: &BacktestReport, format: OutputFormat, _: Terminal) -> String {
    match format {
        OutputFormat::Csv => data::csv(CSV, report.decisions.iter()),
        OutputFormat::Name => targets(report),
        _ => table(report, format == OutputFormat::Wide),
    }
}

fn table(report: &BacktestReport, wide: bool) -> String {
    let found = FoundReport::words(&report.workload.found).map(|found| format!("{}\n", plain(&found)));
    let mut text = format!("{}{}\n\n", found.unwrap_or_default(), headline(report));
    text.push_str(&sums(report));
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
        let _ = write!(text, "\n{}", decisions(report));
    }
    text
}

fn sums(report: &BacktestReport) -> String {
    let several = report.thresholds.len() > 1;
    let mut columns: Columns<'_, Sums> = Columns::new();
    columns.words("CPU", |sums| format!("{:.2}", sums.cpu));
    columns.words("LAG", move |sums| {
        format!("{:.2}{}", sums.lag, if sums.current && several { " ←" } else { "" })
    });
    columns.numbers("OVER", |sums| sums.over_threshold.map(percent));
    columns.numbers("EPISODES", |sums| Some(sums.episodes?.to_string()));
    columns.numbers("WITHHELD", |sums| Some(sums.count(Outcome::Withheld).to_string()));
    columns.numbers("ROTATIONS**", |sums| Some(sums.rotations_in_words()));
    columns.numbers("EVICTIONS/DAY**", |sums| Some(format!("{:.1}", sums.evictions_per_day?)));
    columns.numbers("STILL OVER NEXT*", |sums| sums.still_over_next.map(percent));
    columns.words("HELD BY", |sums| {
        let held = sums.held_by.iter().map(|(guard, count)| format!("{guard} {count}"));
        held.collect::<Vec<String>>().join(", ")
    });
    columns.plain(&report.thresholds)
}

fn headline(report: &BacktestReport) -> String {
    let workload = &report.workload;
    let mut parts = named([("namespace", &workload.namespace), ("selector", &workload.selector)]);
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
    let spread = |cv: Option<f64>, limit: f64| {
        cv.map_or_else(|| UNKNOWN.to_owned(), |cv| format!("{cv:.2} of {limit:.2}"))
    };
    let mut columns: Columns<'_, Decision> = Columns::new();
    columns.words("TIME", |decision| decision.time.clone());
    columns.words("CPU", |decision| spread(decision.cpu_cv, decision.cpu_threshold));
    columns.words("LAG", |decision| spread(decision.lag_cv, decision.lag_threshold));
    columns.words("OUTCOME", |decision| decision.outcome.into_str());
    columns.words("CAUSE", |decision| decision.cause.clone());
    columns.words("PODS TO ROTATE", |decision| plain(&decision.targets.join(", ")));
    columns.words("HELD BY", |decision| decision.held_by.join(", "));
    columns.plain(report.decisions.iter().filter(|decision| decision.should_rebalance))
}

/// The pods that would have been evicted, one per line, in time order.
fn targets(report: &BacktestReport) -> String {
    let planned = report.decisions.iter().filter(|decision| decision.outcome == Outcome::Planned);
    lines(planned.flat_map(|decision| &decision.targets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_a_key_of_a_decision() {
        let decision = Decision {
            time: String::new(),
            cpu_threshold: 0.3,
            lag_threshold: 0.3,
            outcome: Outcome::Balanced,
            should_rebalance: false,
            pods: 0,
            cpu_cv: None,
            lag_cv: None,
            targets: Vec::new(),
            cause: String::new(),
            held_by: Vec::new(),
        };
        let decision = serde_json::to_value(decision).expect("a decision is JSON");
        for column in CSV.split(',') {
            assert!(decision.get(column).is_some(), "{column}: {decision}");
        }
    }
}
