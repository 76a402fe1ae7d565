//! Settings of the look at all workloads.
#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use clap::Args;

use super::live::LiveArgs;
use super::page::PageArgs;

/// Arguments of `scan`.
#[derive(Debug, Args)]
#[command(mut_arg("target", |target| target.hide(true)))]
pub struct ScanArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    /// Look in all namespaces. Without this flag, --namespace takes one or several, separated by commas
    #[arg(short = 'A', long, help_heading = "Workload and cluster")]
    pub all_namespaces: bool,
    /// Add the whole report of each workload to JSON and YAML, as `plan` writes it
    #[arg(long, help_heading = "Output")]
    pub details: bool,
    #[command(flatten)]
    pub page: PageArgs,
}
