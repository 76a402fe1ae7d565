//! Writes the report to standard output in the requested format.

use std::io::{self, Write};

use anyhow::Context as _;

use crate::cli::args::{OutputArgs, OutputFormat};
use crate::format::text::plain;
use crate::render::terminal::Terminal;
use crate::render::text::table;
use crate::report::Report;

pub mod data;
pub mod html;
pub mod terminal;
pub mod text;

/// Writes `report` to standard output.
///
/// # Errors
/// As for [`print()`].
pub fn write(report: &Report, args: &OutputArgs) -> anyhow::Result<()> {
    print(&render(report, args.output, Terminal::stdout(args.color))?)
}

/// Shows the plan to the person at the terminal.
///
/// # Errors
/// As for [`print()`].
pub fn show(report: &Report, args: &OutputArgs) -> anyhow::Result<()> {
    print_to(io::stderr(), &table::render(report, false, Terminal::stderr(args.color)))
}

/// Writes the result of a plan that was shown: the rest of it on the same terminal, else the report.
///
/// # Errors
/// As for [`print()`].
pub fn write_result(report: &Report, args: &OutputArgs) -> anyhow::Result<()> {
    let terminal = Terminal::stdout(args.color);
    let is_for_people = matches!(args.output, OutputFormat::Table | OutputFormat::Wide);
    if is_for_people && terminal.width.is_some() {
        return print(&table::render_result(report, terminal));
    }
    write(report, args)
}

/// Writes `text` to standard output.
///
/// # Errors
/// If it cannot be written. A closed reader (`| head`) is not an error.
pub fn print(text: &str) -> anyhow::Result<()> {
    print_to(io::stdout(), text)
}

fn print_to(mut out: impl Write, text: &str) -> anyhow::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ => Ok(()),
    }
}

fn render(report: &Report, format: OutputFormat, terminal: Terminal) -> anyhow::Result<String> {
    Ok(match format {
        OutputFormat::Table => table::render(report, false, terminal),
        OutputFormat::Wide => table::render(report, true, terminal),
        OutputFormat::Json => data::json(report)?,
        OutputFormat::Yaml => data::yaml(report)?,
        OutputFormat::Name => names(report),
        OutputFormat::Csv | OutputFormat::Short | OutputFormat::None => String::new(),
    })
}

/// The pods that would be, or were, evicted; empty if nothing is to happen.
fn names(report: &Report) -> String {
    let deleted = report.rotation.iter().flat_map(|rotation| &rotation.deleted);
    let planned = report.targets.iter().filter(|_| report.acts()).map(|target| &target.pod);
    deleted.chain(planned).map(|pod| plain(pod) + "\n").collect()
}
