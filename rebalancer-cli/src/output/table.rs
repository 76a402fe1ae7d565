//! The report for people: what was seen, why, and what comes of it. First and last line say when
//! it is a dry run.

use std::fmt::Write as _;

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use rebalancer_core::assignor::Assignor;
use rebalancer_core::guard::Standing;
use rebalancer_core::{Metric, Role};

use super::number::{ratio, short, with_unit};
use super::plain;
use crate::report::{
    DiagnosisReport, Kind, Outcome, PodReport, PodVerdict, Report, SpreadReport, StatisticsReport,
    TargetReport,
};

/// Rows of pods shown in a plain table; the rest is summed up. `wide` shows all.
const MOST_PODS: usize = 20;

/// Renders the report; `wide` shows every pod and column.
pub fn render(report: &Report, wide: bool) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut text, report, wide);
    text
}

fn write_report(text: &mut String, report: &Report, wide: bool) -> std::fmt::Result {
    if let Some(line) = dry_run_line(report) {
        writeln!(text, "{line}")?;
    }
    writeln!(text, "{}\n", headline(report))?;
    writeln!(text, "{}\n", metrics(report, wide).trim_fmt())?;
    if !report.pods.is_empty() {
        writeln!(text, "{}", pods(report, wide))?;
    }
    writeln!(text, "\n{}", verdict(report))?;
    for guard in &report.guards {
        writeln!(text, "  {} {}: {}", mark(guard.verdict), guard.name, plain(&guard.reason))?;
    }
    for obstacle in &report.obstacles {
        writeln!(text, "  ✗ {}", plain(obstacle))?;
    }
    for warning in &report.warnings {
        writeln!(text, "  ! {}", plain(warning))?;
    }
    write_diagnosis(text, report, wide)?;
    write_rotation(text, report)?;
    if let Some(line) = dry_run_line(report) {
        writeln!(text, "{line}")?;
    }
    Ok(())
}

/// The cause in words, what would help, and how even the load could be; every test of it if `wide`.
fn write_diagnosis(text: &mut String, report: &Report, wide: bool) -> std::fmt::Result {
    let DiagnosisReport { evidence, steps, advice, assignor, spread, .. } = &report.diagnosis;
    if steps.is_empty() {
        return Ok(());
    }
    writeln!(text, "\nWhy: {}.", plain(evidence))?;
    for line in advice {
        writeln!(text, "  → {}", plain(line))?;
    }
    if let Some(SpreadReport { now, expected, best }) = spread {
        let expected = match expected {
            Some(expected) => format!("{} expected after this rotation", ratio(*expected)),
            None => "not known after this rotation".to_owned(),
        };
        let now = ratio(*now);
        writeln!(
            text,
            "  spread of the partitions over the pods: {now} now, {expected}, {} at best",
            ratio(*best)
        )?;
    }
    if !wide {
        return Ok(());
    }
    let assignor = assignor.map_or("not known", Assignor::name);
    writeln!(text, "  assignor: {assignor}")?;
    for step in steps {
        writeln!(text, "  {} {}: {}", mark(step.verdict), step.name, plain(&step.reason))?;
    }
    Ok(())
}

const fn mark(standing: Standing) -> char {
    match standing {
        Standing::Pass => '✓',
        Standing::Hold => '✗',
        Standing::Unknown => '?',
    }
}

fn dry_run_line(report: &Report) -> Option<&'static str> {
    // A plan says at its end that nothing has been changed; only a run could have.
    match report.dry_run {
        _ if report.kind != Kind::RunReport => None,
        "client" => Some("DRY RUN: nothing is changed"),
        "server" => Some("DRY RUN: the cluster is asked, nothing is changed"),
        _ => None,
    }
}

fn headline(report: &Report) -> String {
    let workload = &report.workload;
    let mut parts = Vec::new();
    let named = [
        ("context", &workload.context),
        ("namespace", &workload.namespace),
        ("selector", &workload.selector),
    ];
    for (word, value) in named {
        if let Some(value) = value {
            parts.push(format!("{word} {}", plain(value)));
        }
    }
    parts.extend(workload.owner.as_deref().map(plain));
    parts.push(match workload.pods {
        1 => "1 pod".to_owned(),
        count => format!("{count} pods"),
    });
    parts.extend(report.evaluation_time.as_ref().map(|time| format!("at {time}")));
    parts.join(" · ")
}

fn metrics(report: &Report, wide: bool) -> Table {
    let mut header = vec!["METRIC", "MEAN", "SPREAD", "THRESHOLD", "MAX", "MIN"];
    if wide {
        header.extend(["MEDIAN", "STD DEV", "MAX/MEAN", "PODS"]);
    }
    let mut table = plain_table(&header);
    for metric in Metric::ALL {
        let Some(statistics) = &report.statistics[metric] else {
            table.add_row([metric.name(), "not usable"]);
            continue;
        };
        let mut row = vec![
            Cell::new(metric.name()),
            right(with_unit(metric, statistics.mean)),
            right(ratio(statistics.cv)),
            Cell::new(threshold(statistics)),
            right(with_unit(metric, statistics.max)),
            right(with_unit(metric, statistics.min)),
        ];
        if wide {
            row.push(right(statistics.median.map_or_else(String::new, |median| with_unit(metric, median))));
            row.push(right(with_unit(metric, statistics.std_dev)));
            row.push(right(statistics.max_over_mean.map_or_else(String::new, ratio)));
            row.push(right(statistics.count.to_string()));
        }
        table.add_row(row);
    }
    table
}

fn threshold(statistics: &StatisticsReport) -> String {
    match statistics.threshold {
        None => String::new(),
        Some(limit) if statistics.cv > limit && statistics.cv_compared > limit => format!("{limit} ▲ over"),
        Some(limit) if statistics.cv > limit => {
            format!("{limit} (idle: counts as {})", ratio(statistics.cv_compared))
        }
        Some(limit) => limit.to_string(),
    }
}

fn pods(report: &Report, wide: bool) -> String {
    let mut header = vec!["POD", "CPU", "MEMORY", "LAG", "RATE", "SCORE"];
    if wide {
        header.push("AGE");
    }
    header.push("VERDICT");
    let mut table = plain_table(&header);
    let shown = shown(report, wide);
    for pod in &shown {
        let load = |metric: Metric, value: Option<f64>| {
            right(value.map_or_else(|| "-".to_owned(), |value| short(metric, value)))
        };
        let mut row = vec![
            Cell::new(plain(&pod.name)),
            load(Metric::Cpu, pod.cpu_usage),
            load(Metric::Memory, pod.memory_usage),
            load(Metric::Lag, pod.kafka_lag),
            load(Metric::Rate, pod.message_rate),
            right(pod.composite_score.map_or_else(|| "-".to_owned(), ratio)),
        ];
        if wide {
            row.push(right(pod.age_seconds.map_or_else(|| "-".to_owned(), age)));
        }
        row.push(Cell::new(pod_verdict(pod)));
        table.add_row(row);
    }
    let left_out = report.pods.len() - shown.len();
    let table = table.trim_fmt();
    if left_out == 0 { table } else { format!("{table}\n … and {left_out} more pods (-o wide shows all)") }
}

/// The pods of a table, busiest first, pods without a score last; a plain table of a large fleet
/// keeps both ends.
fn shown(report: &Report, wide: bool) -> Vec<&PodReport> {
    let mut pods: Vec<&PodReport> = report.pods.iter().collect();
    let score = |pod: &PodReport| pod.composite_score.unwrap_or(f64::NEG_INFINITY);
    let rank = |pod: &PodReport| match pod.verdict {
        PodVerdict::Busiest => 0,
        PodVerdict::LeastBusy => 2,
        _ if pod.composite_score.is_none() => 3,
        _ => 1,
    };
    pods.sort_by(|a, b| {
        rank(a).cmp(&rank(b)).then_with(|| score(b).total_cmp(&score(a))).then_with(|| a.name.cmp(&b.name))
    });
    if wide || pods.len() <= MOST_PODS {
        return pods;
    }
    let last_scored = pods.iter().rposition(|pod| pod.composite_score.is_some());
    let end = last_scored.map_or(pods.len(), |last| last + 1);
    let head = MOST_PODS / 2;
    let tail = end.saturating_sub(MOST_PODS - head).max(head);
    pods.drain(end..);
    pods.drain(head..tail);
    pods
}

fn pod_verdict(pod: &PodReport) -> String {
    if pod.missing.is_empty() {
        pod.verdict.words().to_owned()
    } else {
        format!("no {}", pod.missing.join(", "))
    }
}

/// The sentence a tired reader looks for.
fn verdict(report: &Report) -> String {
    let why = plain(&report.reason);
    let targets = targets(&report.targets);
    match report.outcome {
        Outcome::Balanced => format!("Balanced: no action. {why}."),
        Outcome::InsufficientData => format!("Insufficient data: no action. {why}."),
        Outcome::Withheld => format!("Withheld: no action. {why}."),
        Outcome::Blocked => format!("Blocked: nothing was evicted. {why}."),
        Outcome::Planned => format!("Plan: evict {targets}. {why}. Nothing has been changed."),
        Outcome::Rotated => format!("Rotated: evicted {targets}. {why}."),
        Outcome::Partial => format!("PARTIAL: not all targets were evicted. {why}."),
        Outcome::Failed => format!("FAILED: {why}."),
    }
}

fn targets(targets: &[TargetReport]) -> String {
    let named: Vec<String> = targets
        .iter()
        .map(|target| {
            let role = match target.role {
                Role::Busiest => "busiest",
                Role::LeastBusy => "least busy",
            };
            format!("{} ({role})", plain(&target.pod))
        })
        .collect();
    named.join(" and ")
}

fn write_rotation(text: &mut String, report: &Report) -> std::fmt::Result {
    let Some(rotation) = &report.rotation else { return Ok(()) };
    for pod in &rotation.deleted {
        writeln!(text, "  ✓ {} evicted", plain(pod))?;
    }
    for (pod, reason) in &rotation.skipped {
        writeln!(text, "  - {} not evicted: {}", plain(pod), plain(&reason.to_string()))?;
    }
    for (pod, reason) in &rotation.errors {
        writeln!(text, "  ✗ {}: {}", plain(pod), plain(&reason.to_string()))?;
    }
    Ok(())
}

fn plain_table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    table
}

fn right(text: impl Into<String>) -> Cell {
    Cell::new(text.into()).set_alignment(CellAlignment::Right)
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}
