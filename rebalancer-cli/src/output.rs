//! The report on standard output, in the form that was asked for.

use std::io::{self, Write};

use anyhow::Context as _;

use crate::args::OutputFormat;
use crate::report::Report;

pub mod number;
mod table;

/// Writes `report` to `out`.
///
/// # Errors
/// As [`print()`].
pub fn write(report: &Report, format: OutputFormat, out: impl Write) -> anyhow::Result<()> {
    print(&render(report, format)?, out)
}

/// Writes `text` to `out`.
///
/// # Errors
/// When it cannot be written. A reader that has gone away (`| head`) is not an error.
pub fn print(text: &str, mut out: impl Write) -> anyhow::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ => Ok(()),
    }
}

fn render(report: &Report, format: OutputFormat) -> anyhow::Result<String> {
    Ok(match format {
        OutputFormat::Table => table::render(report, false),
        OutputFormat::Wide => table::render(report, true),
        OutputFormat::Json => {
            serde_json::to_string_pretty(report).context("cannot write the report as JSON")? + "\n"
        }
        OutputFormat::Yaml => serde_saphyr::to_string(report).context("cannot write the report as YAML")?,
        OutputFormat::Name => names(report),
        OutputFormat::Csv | OutputFormat::None => String::new(),
    })
}

/// The pods that would be evicted, or were: none when nothing is to happen.
fn names(report: &Report) -> String {
    let deleted = report.rotation.iter().flat_map(|rotation| &rotation.deleted);
    let planned = report.targets.iter().filter(|_| report.acts()).map(|target| &target.pod);
    deleted.chain(planned).flat_map(|pod| [pod.as_str(), "\n"]).collect()
}

/// Text from outside as one line, without control characters, which could repaint a terminal.
pub fn plain(text: &str) -> String {
    let line = text
        .split(['\r', '\n'])
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<&str>>()
        .join(" ");
    line.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}
