//! Settings of the metrics that a run leaves behind about itself.
#![allow(clippy::doc_markdown, reason = "these comments are the help texts")]
#![allow(clippy::struct_field_names, reason = "each field is named as its flag")]

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::values;

/// Where the metrics of a run are pushed. Only `run` pushes: what a plan on a laptop found is not
/// what became of the workload.
#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics of the run")]
pub struct PushArgs {
    /// Push the metrics of the run to this Pushgateway
    #[arg(long, value_name = "URL", env = "METRICS_PUSHGATEWAY_URL")]
    pub metrics_pushgateway_url: Option<String>,
    /// Push the metrics of the run to this VictoriaMetrics (/api/v1/import/prometheus)
    #[arg(long, value_name = "URL", env = "METRICS_IMPORT_URL")]
    pub metrics_import_url: Option<String>,
    /// Time limit of one push
    #[arg(long, value_name = "DURATION", env = "METRICS_TIMEOUT", default_value = "5s", value_parser = values::positive_duration)]
    pub metrics_timeout: Duration,
    /// File with the bearer token for the Pushgateway or VictoriaMetrics
    #[arg(long, value_name = "FILE", env = "METRICS_BEARER_TOKEN_FILE")]
    pub metrics_bearer_token_file: Option<PathBuf>,
    /// User name for the Pushgateway or VictoriaMetrics
    #[arg(long, value_name = "NAME", env = "METRICS_USERNAME")]
    pub metrics_username: Option<String>,
    /// File with the password of METRICS_USERNAME
    #[arg(long, value_name = "FILE", env = "METRICS_PASSWORD_FILE")]
    pub metrics_password_file: Option<PathBuf>,
    /// Certificate authority of the Pushgateway or VictoriaMetrics (PEM)
    #[arg(long, value_name = "FILE", env = "METRICS_CA_FILE")]
    pub metrics_ca_file: Option<PathBuf>,
}

/// Where the metrics of a decision are written.
#[derive(Debug, Args)]
#[command(next_help_heading = "Metrics of the run")]
pub struct TextfileArgs {
    /// Write the metrics of the run to FILE, for the textfile collector of node_exporter (.prom)
    #[arg(long, value_name = "FILE", env = "METRICS_TEXTFILE")]
    pub metrics_textfile: Option<PathBuf>,
}
