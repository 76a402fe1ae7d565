//! Settings of what is printed and written.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

/// How the report and the log look.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the report on standard output
    #[arg(short = 'o', long, value_name = "FORMAT", env = "OUTPUT", default_value = "table", value_enum)]
    pub output: OutputFormat,
    /// When to use colours: `auto` on a terminal unless NO_COLOR is set, or if CLICOLOR_FORCE is set
    #[arg(long, value_name = "WHEN", default_value = "auto", value_enum)]
    pub color: Color,
    /// Exit with 2 when it would act or acted, 3 when withheld or blocked, 4 when there is too little data
    #[arg(long, value_name = "BOOL", env = "DETAILED_EXITCODE", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub detailed_exitcode: bool,
    /// Format of the log on standard error; `auto` is text on a terminal and JSON elsewhere
    #[arg(long, value_name = "FORMAT", env = "LOG_FORMAT", default_value = "auto", value_enum)]
    pub log_format: LogFormat,
    /// Log level: error, warn, info, debug or trace; or a filter such as `info,ureq=debug`, which adds the
    /// log of a library
    #[arg(long, value_name = "LEVEL", env = "LOG_LEVEL", default_value = "info")]
    pub log_level: String,
    /// Log more, whatever LOG_LEVEL is: -v debug, -vv trace
    #[arg(short = 'v', long, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log errors only, whatever LOG_LEVEL is
    #[arg(short = 'q', long)]
    pub quiet: bool,
}

impl OutputArgs {
    /// The level of the log, or a filter.
    pub fn level(&self) -> &str {
        match (self.quiet, self.verbose) {
            (true, _) => "error",
            (false, 0) => &self.log_level,
            (false, 1) => "debug",
            (false, _) => "trace",
        }
    }
}

/// The page beside the report on standard output.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct PageArgs {
    /// Also write the report to FILE.html, a page that loads nothing from the network; `replay` can read that
    /// of run, plan and replay
    #[arg(long, value_name = "FILE.html", env = "REPORT_FILE")]
    pub report: Option<PathBuf>,
}

/// Form of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Table,
    /// For people, with every column.
    Wide,
    /// The whole report, for programs.
    Json,
    /// The same as YAML.
    Yaml,
    /// One line for each decision or workload, for spreadsheets; `backtest`, `scan` and `run --all` only.
    Csv,
    /// Only what needs attention, and the verdict; `check` only.
    Short,
    /// Names of the pods that would be evicted, one on each line.
    Name,
    /// Nothing.
    None,
}

impl OutputFormat {
    /// Whether it shows more than what is to be evicted.
    pub fn shows_pods(self) -> bool {
        !matches!(self, Self::Name | Self::None)
    }
}

/// When colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal that can show them.
    Auto,
    /// Into files and pipes too.
    Always,
    /// Never.
    Never,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
