//! The changes of a workload's pods as a table or names.

use clap::builder::styling::Style;
use rebalancer_core::Metric;

use super::screen::{BOLD, GREEN, Mark, PLAIN, RED, Screen, Sheet, YELLOW};
use super::sheet::{Columns, UNKNOWN, fitting};
use super::{lines, named};
use crate::cli::args::OutputFormat;
use crate::format::number::ratio;
use crate::format::text::{count, plain, spaced};
use crate::render::terminal::Terminal;
use crate::report::FoundReport;
use crate::report::history::{Helped, HistoryReport, ReplacementReport, SpreadReport};

/// Renders the report; as names, the pods that came.
pub fn render(report: &HistoryReport, format: OutputFormat, terminal: Terminal) -> String {
    if format == OutputFormat::Name {
        return lines(report.replacements.iter().flat_map(|replacement| &replacement.came));
    }
    let wide = format == OutputFormat::Wide;
    let mut screen = Screen::new(terminal);
    if let Some(found) = FoundReport::words(&report.workload.found) {
        screen.prose(PLAIN, &plain(&found));
    }
    screen.prose(PLAIN, &headline(report));
    screen.blank();
    screen.prose(BOLD, &report.sentence());
    if !report.replacements.is_empty() {
        screen.blank();
        let forms = [true, false].into_iter().skip(usize::from(!wide && terminal.width.is_none()));
        let forms = forms.map(|spreads| sheet(&report.replacements, spreads));
        screen.sheet(&fitting(terminal.width, forms));
        screen.blank();
    }
    for replacement in &report.replacements {
        details(&mut screen, replacement, wide);
    }
    for note in notes(report) {
        screen.item(Mark::Notice, &plain(&note));
    }
    screen.finish()
}

fn headline(report: &HistoryReport) -> String {
    let workload = &report.workload;
    let mut parts = named([("namespace", &workload.namespace), ("selector", &workload.selector)]);
    parts.push(format!("{} to {}", seconds(&report.from), seconds(&report.to)));
    parts.push(count(workload.pods, "pod", "pods"));
    parts.join(" · ")
}

/// The changes, with the spreads before and after if they fit.
fn sheet(replacements: &[ReplacementReport], spreads: bool) -> Sheet {
    let mut columns: Columns<'_, ReplacementReport> = Columns::new();
    columns.words("WHEN", |replacement| seconds(&replacement.began));
    columns.words("PODS", ReplacementReport::pods_words);
    columns.words("BY", |replacement| spaced(replacement.by.into_str()));
    if spreads {
        columns.words("CPU", |replacement| spread(replacement, Metric::Cpu));
        columns.words("LAG", |replacement| spread(replacement, Metric::Lag));
    }
    columns.words("HELPED", |replacement| spaced(replacement.helped.into_str()));
    columns.sheet(replacements.iter().map(|row| (style(row.helped), columns.cells(row))))
}

const fn style(helped: Helped) -> Style {
    match helped {
        Helped::Yes => GREEN,
        Helped::Worse => RED,
        Helped::No | Helped::Mixed => YELLOW,
        Helped::WasEven | Helped::Unknown => PLAIN,
    }
}

fn spread(replacement: &ReplacementReport, metric: Metric) -> String {
    let words = |spread: &SpreadReport| format!("{} → {}", ratio(spread.before), ratio(spread.after));
    replacement.spreads[metric].as_ref().map_or_else(|| UNKNOWN.to_owned(), words)
}

/// What one change came to, and who did it; which pods only if asked for.
fn details(screen: &mut Screen, replacement: &ReplacementReport, wide: bool) {
    let mark = match replacement.helped {
        Helped::Yes | Helped::WasEven => Mark::Good,
        Helped::No | Helped::Worse => Mark::Bad,
        Helped::Mixed => Mark::Notice,
        Helped::Unknown => Mark::Unknown,
    };
    let cure = if replacement.cure { " An ill pod was replaced." } else { "" };
    let (sentence, who) = (plain(&replacement.sentence), plain(&replacement.who()));
    screen.item(mark, &format!("{}: {sentence}{cure} {who}", seconds(&replacement.began)));
    if wide {
        let pods =
            [("gone", &replacement.gone), ("came", &replacement.came), ("restarted", &replacement.restarted)];
        for (word, pods) in pods.into_iter().filter(|(_, pods)| !pods.is_empty()) {
            screen.indented(4, &format!("{word}: {}", plain(&pods.join(" "))));
        }
    }
}

/// What else there is to know.
pub fn notes(report: &HistoryReport) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    if let Some(created) = &report.created {
        notes.push(format!("the workload was created at {}", seconds(created)));
    }
    match &report.remembered_from {
        None => notes.push("the metrics server remembers no pod of this workload in this time".to_owned()),
        Some(first) if report.created.is_none() && is_before(&report.from, first) => {
            let forgotten = count(report.forgotten, "pod", "pods");
            let earlier = match report.forgotten {
                0 => String::new(),
                _ => format!("; what {forgotten} replaced that came earlier is not known"),
            };
            let words = "the metrics server remembers pods of this workload only since";
            notes.push(format!("{words} {}{earlier}", seconds(first)));
        }
        Some(_) => {}
    }
    if report.left_out > 0 {
        let left_out = count(report.left_out, "earlier change is", "earlier changes are");
        notes.push(format!("{left_out} left out; `history` with an earlier --to tells more"));
    }
    notes.extend(report.not_had.iter().map(|lacking| format!("missing: {lacking}")));
    notes
}

/// Whether one time of RFC 3339 is before another. Their texts have fewer digits where they end in zeros.
fn is_before(one: &str, other: &str) -> bool {
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    time(one).zip(time(other)).is_some_and(|(one, other)| one < other)
}

/// A time without parts of a second.
pub fn seconds(time: &str) -> String {
    let plain = plain(time);
    match plain.split_once('.') {
        Some((whole, _)) => format!("{whole}Z"),
        None => plain,
    }
}
