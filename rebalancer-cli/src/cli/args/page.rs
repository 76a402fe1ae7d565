//! Where a report goes as a page.
#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use std::path::PathBuf;

use clap::Args;

use super::output::OutputArgs;
use super::saved::SavedArgs;

/// The page beside the report on standard output.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub struct PageArgs {
    /// Also write the report to FILE.html, a page that loads nothing from the network; `replay` can read that
    /// of run, plan and replay
    #[arg(long, value_name = "FILE.html", env = "REPORT_FILE")]
    pub report: Option<PathBuf>,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub saved: SavedArgs,
    /// File to write the page to; by default standard output
    #[arg(value_name = "FILE.html", index = 2)]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}
