//! The report of `check`, for people and for programs.

use super::screen::{BOLD, Mark, Screen};
use crate::cli::args::{OutputArgs, OutputFormat};
use crate::format::text::{count, plain};
use crate::render::data;
use crate::render::terminal::Terminal;
use crate::report::check::{Check, CheckReport, Grade};

/// Renders the report.
///
/// # Errors
/// If it cannot be written as JSON or YAML.
pub fn render(report: &CheckReport, args: &OutputArgs) -> anyhow::Result<String> {
    Ok(match args.output {
        OutputFormat::Json => data::json(report)?,
        OutputFormat::Yaml => data::yaml(report)?,
        OutputFormat::Csv | OutputFormat::None => String::new(),
        OutputFormat::Short => page(report, Terminal::stdout(args.color), true),
        OutputFormat::Table | OutputFormat::Wide | OutputFormat::Name => {
            page(report, Terminal::stdout(args.color), false)
        }
    })
}

/// The report for people; `short` leaves out successful checks.
fn page(report: &CheckReport, terminal: Terminal, short: bool) -> String {
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
