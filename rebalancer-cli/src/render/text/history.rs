//! The changes of a workload's pods as a table, JSON or YAML.

use clap::builder::styling::Style;
use comfy_table::Cell;
use rebalancer_core::Metric;

use super::screen::{BOLD, GREEN, Mark, PLAIN, RED, Screen, YELLOW};
use super::sheet::Sheet;
use crate::cli::args::OutputFormat;
use crate::format::number::ratio;
use crate::format::text::{count, plain, spaced};
use crate::render::data;
use crate::render::terminal::Terminal;
use crate::report::history::{Helped, HistoryReport, ReplacementReport, SpreadReport};

/// Renders the report.
///
/// # Errors
/// When it cannot be written as JSON or YAML.
pub fn render(report: &HistoryReport, format: OutputFormat, terminal: Terminal) -> anyhow::Result<String> {
    Ok(match format {
        OutputFormat::Table => table(report, false, terminal),
        OutputFormat::Wide => table(report, true, terminal),
        OutputFormat::Json => data::json(report)?,
        OutputFormat::Yaml => data::yaml(report)?,
        OutputFormat::Name => names(report),
        OutputFormat::Csv | OutputFormat::Short | OutputFormat::None => String::new(),
    })
}

fn table(report: &HistoryReport, wide: bool, terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal);
    if let Some(found) = report.workload.found_words() {
        screen.prose(PLAIN, &plain(&found));
    }
    screen.prose(PLAIN, &headline(report));
    screen.blank();
    screen.prose(BOLD, &report.sentence());
    if !report.replacements.is_empty() {
        screen.blank();
        let forms = [true, false].into_iter().skip(usize::from(!wide && terminal.width.is_none()));
        let rows = &report.replacements;
        Sheet::write_fitting(
            &mut screen,
            terminal.width,
            forms.map(|spreads| sheet(rows, spreads)),
            |_, _| {},
        );
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
    let mut parts: Vec<String> = Vec::new();
    let workload = &report.workload;
    for (word, value) in [("namespace", &workload.namespace), ("selector", &workload.selector)] {
        parts.extend(value.as_ref().map(|value| format!("{word} {}", plain(value))));
    }
    parts.push(format!("{} to {}", seconds(&report.from), seconds(&report.to)));
    parts.push(count(workload.pods, "pod", "pods"));
    parts.join(" · ")
}

/// The changes, with the spreads before and after if they fit.
fn sheet(replacements: &[ReplacementReport], spreads: bool) -> Sheet {
    let mut header = vec!["WHEN", "PODS", "BY"];
    if spreads {
        header.extend(["CPU", "LAG"]);
    }
    header.push("HELPED");
    let mut sheet = Sheet::new(header);
    for replacement in replacements {
        let mut cells = vec![
            Cell::new(seconds(&replacement.began)),
            Cell::new(replacement.pods_words()),
            Cell::new(spaced(replacement.by.name())),
        ];
        if spreads {
            cells.extend([Metric::Cpu, Metric::Lag].map(|metric| Cell::new(spread(replacement, metric))));
        }
        cells.push(Cell::new(spaced(replacement.helped.name())));
        sheet.row(style(replacement.helped), cells);
    }
    sheet
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
    replacement.spreads[metric].as_ref().map_or_else(|| "-".to_owned(), words)
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

/// The pods that came.
fn names(report: &HistoryReport) -> String {
    report
        .replacements
        .iter()
        .flat_map(|replacement| &replacement.came)
        .map(|pod| plain(pod) + "\n")
        .collect()
}
