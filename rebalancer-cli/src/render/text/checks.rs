//! The report of `check`, for people.

use super::screen::{BOLD, Mark, Screen};
use crate::cli::args::OutputFormat;
use crate::format::text::{count, plain};
use crate::render::terminal::Terminal;
use crate::report::check::{Check, CheckReport, Grade};

/// The report for people; the short form leaves out successful checks.
pub fn render(report: &CheckReport, format: OutputFormat, terminal: Terminal) -> String {
    let short = format == OutputFormat::Short;
    let mut screen = Screen::new(terminal);
    for category in &report.categories {
        let shown = category.checks.iter().filter(|check| !short || check.result != Grade::Success);
        let shown: Vec<&Check> = shown.collect();
        if shown.is_empty() {
            continue;
        }
        let subject = category.subject.as_ref().map_or_else(String::new, |it| format!("  {it}"));
        screen.prose(BOLD, &plain(&format!("{}{subject}", category.name)));
        for (place, check) in shown.iter().enumerate() {
            screen.item(mark(check.result), &plain(&check.description));
            // What several in a row have in common is said once, below the last.
            let next = shown.get(place + 1).and_then(|next| next.hint.as_ref());
            if let Some(hint) = check.hint.as_ref().filter(|hint| next != Some(*hint)) {
                screen.indented(6, &plain(hint));
            }
        }
    }
    screen.prose(BOLD, &verdict(report));
    screen.finish()
}

fn verdict(report: &CheckReport) -> String {
    let errors = count(report.count(Grade::Error), "error", "errors");
    let warnings = count(report.count(Grade::Warning), "warning", "warnings");
    let verdict = if report.success { "a run would work" } else { "no run could act" };
    format!("{errors}, {warnings}: {verdict}")
}

const fn mark(grade: Grade) -> Mark {
    match grade {
        Grade::Success => Mark::Good,
        Grade::Warning => Mark::Notice,
        Grade::Error => Mark::Bad,
    }
}
