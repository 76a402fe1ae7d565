//! Settings of a run of all workloads.
#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use clap::Args;

/// Whether a run is about all workloads that opted in, and where they are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Workload and cluster")]
pub struct AllArgs {
    /// Act on every Deployment and StatefulSet with the annotation `pod-rebalancer/enabled: "true"`, instead
    /// of one workload. Annotations pod-rebalancer/SETTING override settings for that workload
    #[arg(long)]
    pub all: bool,
    /// With --all, look in all namespaces. Without this flag, --namespace takes one or several, separated by
    /// commas
    #[arg(short = 'A', long, requires = "all")]
    pub all_namespaces: bool,
}
