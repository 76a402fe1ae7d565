//! Writes the report to standard output in the requested format.

use std::io::{self, Write as _};

use anyhow::Context as _;
use serde::Serialize;

use crate::cli::args::{OutputArgs, OutputFormat};
use crate::render::terminal::Terminal;

pub mod data;
pub mod html;
pub mod terminal;
pub mod text;

/// Writes `report` to standard output: what is the same for every report by itself, the other formats as `text` makes
/// them.
///
/// # Errors
/// A report that cannot be written as JSON or YAML; otherwise as for [`print()`].
pub fn write<R: Serialize>(
    report: &R,
    args: &OutputArgs,
    text: impl FnOnce(&R, OutputFormat, Terminal) -> String,
) -> anyhow::Result<()> {
    print(&match args.output {
        OutputFormat::Json => data::json(report)?,
        OutputFormat::Yaml => data::yaml(report)?,
        OutputFormat::None => String::new(),
        format => text(report, format, Terminal::stdout(args.color)),
    })
}

/// Writes `text` to standard output.
///
/// # Errors
/// If it cannot be written. A closed reader (`| head`) is not an error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).context("cannot write the output")
        }
        _ => Ok(()),
    }
}
