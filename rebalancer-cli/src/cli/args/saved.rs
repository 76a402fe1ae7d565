//! What every command that reads saved data takes.

use std::path::PathBuf;

use clap::Args;

use super::decision::DecisionArgs;
use super::output::OutputArgs;

/// What was saved, and what it is to be decided by.
#[derive(Debug, Clone, Args)]
pub struct SavedArgs {
    /// A recording; a page that holds one; a folder with cpu.json, memory.json, lag.json, rate.json and
    /// optionally pods.json as `curl` saves them; or a JSON array of pod states. `-` replays what standard input
    /// holds. For `report` also a JSON report
    #[arg(value_name = "PATH", index = 1)]
    pub path: PathBuf,
    /// Label that holds the name of the pod in the answers of a folder
    #[arg(long, value_name = "LABEL", env = "POD_LABEL", default_value = "pod", help_heading = "Queries")]
    pub pod_label: String,
    #[command(flatten)]
    pub decision: DecisionArgs,
}

/// Arguments of `report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    #[command(flatten)]
    pub saved: SavedArgs,
    /// File to write the page to; by default standard output
    #[arg(value_name = "FILE.html", index = 2)]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub output: OutputArgs,
}
