//! What can be typed: the commands, and every setting once with its flag, variable and default.
//!
//! The configuration table of the README and the output of `config` are made from this definition.
#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

mod decision;
mod guards;
mod kafka;
mod kubernetes;
mod live;
mod many;
mod metrics;
mod output;
mod past;
mod prometheus;
mod saved;
mod telemetry;

pub use decision::{DecisionArgs, GuardMode};
pub use guards::GuardArgs;
pub use kafka::{KafkaArgs, SaslMechanism};
pub use kubernetes::{ActionArgs, DryRun, KubernetesArgs, LocalStorage};
pub use live::LiveArgs;
pub use many::{AllArgs, ScanArgs};
pub use output::{Color, LogFormat, OutputArgs, OutputFormat, PageArgs};
pub use past::{BacktestArgs, HistoryArgs, Moment};
pub use prometheus::{Cloud, PresetChoice, PrometheusArgs};
pub use saved::{ReportArgs, SavedArgs};
pub use telemetry::{PushArgs, TextfileArgs, WebhookArgs, WebhookFormat};

/// Measures how unevenly the pods of a workload are loaded. When a threshold is passed and no
/// guard objects, evicts the busiest and the least busy pod, so that the work is distributed again.
///
/// Most settings are an environment variable and a flag. A flag wins over the variable, the variable
/// over the default, and an empty variable counts as unset.
#[derive(Debug, Parser)]
#[command(name = "pod-rebalancer", version, arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands. Only `run` can evict.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Decide, and evict two pods when a threshold is passed
    Run(RunArgs),
    /// Decide and explain; change nothing
    Plan(PlanArgs),
    /// Look at every workload, the worst first; change nothing
    Scan(ScanArgs),
    /// Check settings, servers and rights: could a run act?
    Check(CheckArgs),
    /// Save everything that a decision needs to one file
    Record(RecordArgs),
    /// Decide again, offline, from a recording, answers or pod states
    Replay(ReplayArgs),
    /// Show what would have been decided in the past; change nothing
    Backtest(BacktestArgs),
    /// Show what each replacement of pods changed, and who did it
    History(HistoryArgs),
    /// Turn a saved report or recording into one HTML page
    Report(ReportArgs),
    /// Show every setting with its value and where it comes from
    Config(ConfigArgs),
    /// Print a script for shell completion
    Completion(CompletionArgs),
    /// Print the manual page, or write all pages to a folder
    Man(ManArgs),
    /// Print the version
    Version(VersionArgs),
}

impl Command {
    /// The output settings of whichever command it is; `None` of those that read no settings.
    pub const fn output(&self) -> Option<&OutputArgs> {
        Some(match self {
            Self::Run(args) => &args.live.output,
            Self::Plan(args) => &args.live.output,
            Self::Scan(args) => &args.live.output,
            Self::Check(args) => &args.live.output,
            Self::Record(args) => &args.live.output,
            Self::Replay(args) => &args.output,
            Self::Backtest(args) => &args.live.output,
            Self::History(args) => &args.live.output,
            Self::Report(args) => &args.output,
            Self::Config(args) => &args.live.output,
            Self::Completion(_) | Self::Man(_) | Self::Version(_) => return None,
        })
    }
}

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    #[command(flatten)]
    pub all: AllArgs,
    #[command(flatten)]
    pub action: ActionArgs,
    /// Evict without asking, also outside a cluster
    #[arg(short = 'y', long)]
    pub yes: bool,
    /// Carry out the plan that `plan --out` saved to FILE, if nothing has changed. The plan names the
    /// workload, so give no TARGET; it is valid for an hour
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    #[command(flatten)]
    pub page: PageArgs,
    /// Also save the raw answers of this run to FILE; a name that ends in .gz is compressed
    #[arg(long, value_name = "FILE", env = "RECORD_FILE")]
    pub record: Option<PathBuf>,
    #[command(flatten)]
    pub push: PushArgs,
    #[command(flatten)]
    pub textfile: TextfileArgs,
    #[command(flatten)]
    pub webhook: WebhookArgs,
}

/// Arguments of `plan`.
#[derive(Debug, Clone, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    /// Also save the plan to FILE, for `run --plan`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub page: PageArgs,
    /// Also save the raw answers of this run to FILE; a name that ends in .gz is compressed
    #[arg(long, value_name = "FILE", env = "RECORD_FILE")]
    pub record: Option<PathBuf>,
    #[command(flatten)]
    pub textfile: TextfileArgs,
}

/// Arguments of `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    #[command(flatten)]
    pub action: ActionArgs,
}

/// Arguments of `record`.
#[derive(Debug, Clone, Args)]
#[command(allow_missing_positional = true)]
pub struct RecordArgs {
    #[command(flatten)]
    pub live: LiveArgs,
    /// File to save to; a name that ends in .gz is compressed
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace the names of pods, workloads, namespaces, nodes, topics, groups and clients by keyed hashes,
    /// and leave out what a decision does not need; a replay decides the same
    #[arg(long)]
    pub redact: bool,
    /// File with the key of the hashes, 16 bytes or more, so that the same name has the same hash in every
    /// recording; by default a random key that is not kept. Implies --redact
    #[arg(long, value_name = "FILE", env = "REDACT_KEY_FILE")]
    pub redact_key_file: Option<PathBuf>,
}

/// Arguments of `replay`.
#[derive(Debug, Clone, Args)]
pub struct ReplayArgs {
    #[command(flatten)]
    pub saved: SavedArgs,
    #[command(flatten)]
    pub page: PageArgs,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(flatten)]
    pub textfile: TextfileArgs,
}

/// Arguments of `config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// `show`: every setting. `found`: look for what is not set, and print it as settings. `schema`: the JSON
    /// schema of the reports
    #[arg(value_name = "WHAT", default_value = "show", value_enum)]
    pub what: Shown,
    #[command(flatten)]
    pub live: LiveArgs,
    #[command(flatten)]
    pub action: ActionArgs,
    #[command(flatten)]
    pub push: PushArgs,
    #[command(flatten)]
    pub textfile: TextfileArgs,
    #[command(flatten)]
    pub webhook: WebhookArgs,
}

/// What `config` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shown {
    /// The settings.
    Show,
    /// What was found in the cluster and the metrics server.
    Found,
    /// The JSON schema of every report.
    Schema,
}

/// Arguments of `completion`.
#[derive(Debug, Clone, Args)]
pub struct CompletionArgs {
    /// Shell to complete for
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
    /// Folder to write the pages of all commands to
    #[arg(value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Arguments of `version`.
#[derive(Debug, Clone, Args)]
pub struct VersionArgs {
    /// Format of the answer
    #[arg(short = 'o', long, value_name = "FORMAT", default_value = "text", value_enum)]
    pub output: VersionFormat,
}

/// Form of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum VersionFormat {
    /// One line, as `--version` prints it.
    Text,
    /// For programs.
    Json,
}
