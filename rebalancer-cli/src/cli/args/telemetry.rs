//! Settings of the metrics that a run leaves behind about itself.
#![allow(clippy::struct_field_names, reason = "each field is named as its flag")]

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use strum::VariantArray as _;

use crate::cli::values;
use crate::report::Outcome;

/// Where the metrics of a run are pushed. Only `run` pushes: what a plan on a laptop found is not
/// what became of the workload.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metrics of the run")]
pub struct PushArgs {
    /// Push the metrics of the run to this Pushgateway, or to VictoriaMetrics by an address that ends in
    /// /api/v1/import/prometheus; several are separated by commas
    #[arg(long, value_name = "URL", env = "METRICS_PUSH_URL", value_delimiter = ',')]
    pub metrics_push_url: Vec<String>,
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
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metrics of the run")]
pub struct TextfileArgs {
    /// Write the metrics of the run to FILE, for the textfile collector of node_exporter (.prom)
    #[arg(long, value_name = "FILE", env = "METRICS_TEXTFILE")]
    pub metrics_textfile: Option<PathBuf>,
}

/// Who is told of a run. The address is a secret, so it has no flag.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Webhook")]
pub struct WebhookArgs {
    /// File with the address of the webhook, instead of WEBHOOK_URL
    #[arg(long, value_name = "FILE", env = "WEBHOOK_URL_FILE")]
    pub webhook_url_file: Option<PathBuf>,
    /// What is sent to the webhook: the report as JSON, or a text as Slack, Mattermost and others take it
    #[arg(long, value_name = "FORMAT", env = "WEBHOOK_FORMAT", default_value = "json", value_enum)]
    pub webhook_format: WebhookFormat,
    /// Outcomes that are sent to the webhook
    #[arg(
        long,
        value_name = "LIST",
        env = "WEBHOOK_OUTCOMES",
        default_value = "insufficient_data,withheld,planned,rotated,partial,blocked,failed",
        value_delimiter = ',',
        value_parser = outcome
    )]
    pub webhook_outcomes: Vec<Outcome>,
    /// Time limit of the one attempt to tell the webhook, after the report is written
    #[arg(long, value_name = "DURATION", env = "WEBHOOK_TIMEOUT", default_value = "5s", value_parser = values::positive_duration)]
    pub webhook_timeout: Duration,
    /// Certificate authority of the webhook (PEM)
    #[arg(long, value_name = "FILE", env = "WEBHOOK_CA_FILE")]
    pub webhook_ca_file: Option<PathBuf>,
}

/// Form of what is sent to a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WebhookFormat {
    /// The report.
    Json,
    /// `{"text": "..."}`.
    Slack,
}

fn outcome(text: &str) -> Result<Outcome, String> {
    let names = || Outcome::VARIANTS.iter().map(Outcome::into_str);
    let place = names().position(|name| name.eq_ignore_ascii_case(text.trim()));
    place.map(|place| Outcome::VARIANTS[place]).ok_or_else(|| {
        format!("expected outcomes joined by commas, of {}", names().collect::<Vec<&str>>().join(", "))
    })
}
