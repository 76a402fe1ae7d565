//! A look at all workloads as a table, JSON, YAML, CSV or names.

use clap::builder::styling::Style;
use rebalancer_core::diagnosis::Remedy;
use serde::Serialize;
use strum::VariantArray as _;

use super::screen::{BOLD, Mark, PLAIN, RED, Screen, Sheet, YELLOW};
use super::sheet::{Columns, fitting};
use super::{lines, named};
use crate::cli::args::OutputFormat;
use crate::format::number::ratio;
use crate::format::text::{count, first_of, plain, spaced};
use crate::render::data;
use crate::render::terminal::Terminal;
use crate::report::diagnosis::CauseCode;
use crate::report::scan::{ScanReport, ScanRow, Severity};
use crate::report::{FoundReport, Outcome};
use crate::settings::own::ENABLED;

/// Fewest pods of a workload that has a line without `wide`: one pod cannot be uneven.
const FEWEST_SHOWN: usize = 2;

/// The head of the workloads as CSV.
const CSV: &str =
    "namespace,kind,name,pods,outcome,should_rebalance,cpu_cv,lag_cv,cause,remedy,best_cv,targets,reason";

/// A workload as CSV: its row without the report of every pod.
#[derive(Serialize)]
struct Line<'a> {
    namespace: &'a str,
    kind: &'a str,
    name: &'a str,
    pods: usize,
    outcome: Option<Outcome>,
    should_rebalance: bool,
    cpu_cv: Option<f64>,
    lag_cv: Option<f64>,
    cause: CauseCode,
    remedy: Remedy,
    best_cv: Option<f64>,
    targets: &'a [String],
    reason: &'a str,
}

impl<'a> Line<'a> {
    fn of(row: &'a ScanRow) -> Self {
        let ScanRow { pods, outcome, should_rebalance, cpu_cv, lag_cv, cause, remedy, best_cv, .. } = *row;
        let ScanRow { namespace, kind, name, targets, reason, .. } = row;
        Self {
            namespace,
            kind,
            name,
            pods,
            outcome,
            should_rebalance,
            cpu_cv,
            lag_cv,
            cause,
            remedy,
            best_cv,
            targets,
            reason,
        }
    }
}

/// Renders the report.
pub fn render(report: &ScanReport, format: OutputFormat, terminal: Terminal) -> String {
    match format {
        OutputFormat::Csv => data::csv(CSV, report.workloads.iter().map(Line::of)),
        OutputFormat::Name => names(report),
        _ => table(report, format == OutputFormat::Wide, terminal),
    }
}

fn table(report: &ScanReport, wide: bool, terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal);
    if let Some(found) = FoundReport::words(&report.found) {
        screen.prose(PLAIN, &plain(&found));
    }
    screen.prose(PLAIN, &headline(report));
    screen.blank();
    let is_shown = |row: &&ScanRow| wide || row.pods >= FEWEST_SHOWN || row.severity() <= Severity::Undecided;
    let rows: Vec<&ScanRow> = report.workloads.iter().filter(is_shown).collect();
    if !rows.is_empty() {
        // Asked for, the widest is shown however narrow the terminal is.
        let forms: &[Form] = if wide { &[Form::WithDetails] } else { &[Form::WithRemedy, Form::Least] };
        let forms = forms.iter().map(|form| sheet(&rows, *form, !report.is_of_one_namespace()));
        screen.sheet(&fitting(terminal.width, forms));
        screen.blank();
    }
    screen.prose(BOLD, &verdict(report));
    let hidden = report.workloads.len() - rows.len();
    if hidden > 0 {
        let hidden = count(hidden, "workload", "workloads");
        screen.item(Mark::Left, &format!("{hidden} with fewer than {FEWEST_SHOWN} pods, shown by -o wide"));
    }
    for line in undecided(report) {
        screen.item(Mark::Bad, &plain(&line));
    }
    for unlisted in &report.unlisted {
        screen.item(Mark::Unknown, &plain(unlisted));
    }
    for warning in &report.warnings {
        screen.item(Mark::Notice, &plain(warning));
    }
    let worst = rows.first().filter(|row| row.severity() <= Severity::Uneven);
    if let Some(row) = worst.filter(|_| report.run.is_none()) {
        let (target, namespace) = (plain(&row.target()), plain(&row.namespace));
        screen.item(
            Mark::Advice,
            &format!("pod-rebalancer plan {target} -n {namespace} says more of the first"),
        );
    }
    screen.finish()
}

/// How much is shown of each workload.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    /// How uneven it is, why, and the verdict.
    Least,
    /// Also the remedy and the best spread.
    WithRemedy,
    /// Also what would be evicted, and the reason of the verdict.
    WithDetails,
}

fn sheet(rows: &[&ScanRow], form: Form, with_namespace: bool) -> Sheet {
    let mut columns: Columns<'_, ScanRow> = Columns::new();
    if with_namespace {
        columns.words("NAMESPACE", |row| plain(&row.namespace));
    }
    columns.words("WORKLOAD", |row| plain(&row.target()));
    columns.numbers("PODS", |row| Some(row.pods.to_string()));
    columns.numbers("CPU", |row| row.cpu_cv.map(ratio));
    columns.numbers("LAG", |row| row.lag_cv.map(ratio));
    columns.words("CAUSE", |row| spaced(row.cause.into_str()));
    if form >= Form::WithRemedy {
        columns.words("REMEDY", |row| row.remedy.words());
        columns.numbers("BEST", |row| row.best_cv.map(ratio));
    }
    columns.words("VERDICT", |row| decided(row.outcome));
    if form == Form::WithDetails {
        columns.words("PODS TO EVICT", |row| plain(&row.targets.join(" ")));
        columns.words("WHY", |row| plain(&row.reason));
    }
    columns.sheet(rows.iter().map(|row| (style(row.severity()), columns.cells(row))))
}

const fn style(severity: Severity) -> Style {
    match severity {
        Severity::Ill => RED,
        Severity::Uneven | Severity::Undecided => YELLOW,
        Severity::Even | Severity::TooLittle => PLAIN,
    }
}

fn headline(report: &ScanReport) -> String {
    let mut parts = named([("context", &report.context)]);
    parts.push(match report.namespaces.as_deref() {
        None => "all namespaces".to_owned(),
        Some([name]) => format!("namespace {}", plain(name)),
        Some(names) => format!("namespaces {}", plain(&names.join(", "))),
    });
    parts.extend(named([("selector", &report.selector)]));
    parts.push(count(report.workloads.len(), "workload", "workloads"));
    parts.push(count(report.pods, "pod", "pods"));
    parts.push(format!("at {}", report.evaluation_time));
    parts.join(" · ")
}

/// The sentence to read first.
fn verdict(report: &ScanReport) -> String {
    let sentence = sentence(report);
    let Some(run) = &report.run else {
        let unchanged = if report.workloads.is_empty() { "" } else { " Nothing has been changed." };
        return format!("{sentence}{unchanged}");
    };
    let evicted = match report.evicted().count() {
        0 => "Nothing has been evicted.".to_owned(),
        pods => format!("{} evicted.", count(pods, "pod was", "pods were")),
    };
    let others = match run.not_opted_in {
        0 => String::new(),
        others => format!(" {} not opted in.", count(others, "other has", "others have")),
    };
    format!("{sentence} {evicted}{others}")
}

/// What all came to, in a sentence.
pub fn sentence(report: &ScanReport) -> String {
    match (&report.run, report.workloads.is_empty()) {
        (None, true) => "No Deployment and no StatefulSet was found.".to_owned(),
        (Some(_), true) => format!("No workload has opted in by the annotation {ENABLED}: \"true\"."),
        (Some(_), false) => outcomes(report),
        (None, false) => {
            let words = [
                (Severity::Ill, "with an illness"),
                (Severity::Uneven, "uneven"),
                (Severity::Undecided, "not decided"),
                (Severity::Even, "even"),
                (Severity::TooLittle, "with too little data"),
            ];
            counted(report, words.map(|(severity, word)| (report.count(severity), word.to_owned())))
        }
    }
}

/// How many workloads came to what.
fn outcomes(report: &ScanReport) -> String {
    let outcomes = Outcome::VARIANTS.iter().copied().map(Some).chain([None]);
    let counts = outcomes.map(|outcome| {
        let rows = report.workloads.iter().filter(|row| row.outcome == outcome).count();
        (rows, decided(outcome))
    });
    counted(report, counts)
}

/// The number of workloads, and of how many of them each word is true.
fn counted(report: &ScanReport, counts: impl IntoIterator<Item = (usize, String)>) -> String {
    let told = counts.into_iter().filter(|(rows, _)| *rows > 0).map(|(rows, word)| format!("{rows} {word}"));
    let told: Vec<String> = told.collect();
    format!("{}: {}.", count(report.workloads.len(), "workload", "workloads"), told.join(", "))
}

/// The outcome in words.
pub fn decided(outcome: Option<Outcome>) -> String {
    outcome.map_or_else(|| "not decided".to_owned(), |outcome| spaced(outcome.into_str()))
}

/// Which workloads could not be decided, and why. Those with the same reason share a line, which names a few of them.
pub fn undecided(report: &ScanReport) -> Vec<String> {
    const NAMED: usize = 3;
    let mut by_reason: Vec<(&str, Vec<String>)> = Vec::new();
    for row in report.workloads.iter().filter(|row| row.outcome.is_none()) {
        match by_reason.iter_mut().find(|(reason, _)| *reason == row.reason) {
            Some((_, names)) => names.push(row.named()),
            None => by_reason.push((&row.reason, vec![row.named()])),
        }
    }
    let line = |(reason, names): (&str, Vec<String>)| format!("{}: {reason}", first_of(&names, NAMED));
    by_reason.into_iter().map(line).collect()
}

/// The workloads that deserve a look: those that are ill, or over a threshold. With their namespace, unless it is the one
/// that was asked for. Of a run the pods that were evicted, or would be, with their namespace.
fn names(report: &ScanReport) -> String {
    let names: Vec<String> = if report.run.is_some() {
        let pods = report.evicted().chain(report.would_evict());
        pods.map(|(namespace, pod)| format!("{namespace}/{pod}")).collect()
    } else {
        let worth = report.workloads.iter().filter(|row| row.severity() <= Severity::Uneven);
        worth.map(|row| if report.is_of_one_namespace() { row.target() } else { row.named() }).collect()
    };
    lines(names.iter())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_is_a_key_of_a_line() {
        let line = serde_json::to_value(Line::of(&ScanRow::default())).expect("a line is JSON");
        for column in CSV.split(',') {
            assert!(line.get(column).is_some(), "{column}: {line}");
        }
    }
}
