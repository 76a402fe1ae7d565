//! Settings of what is about many workloads: `scan`, and `run --all`.

use clap::Args;

use super::live::LiveArgs;
use super::output::PageArgs;

/// Whether a run is about all workloads that opted in, and where they are.
#[derive(Debug, Clone, Args)]
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

/// Arguments of `scan`.
#[derive(Debug, Clone, Args)]
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
