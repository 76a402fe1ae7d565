//! Settings of the metrics server and of the queries it is asked.
#![allow(clippy::struct_field_names, reason = "each field is named as its flag")]

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use rebalancer_io::metrics::{KafkaPreset, Matchers};
use rebalancer_io::prometheus::Method;

use super::metrics::OwnQueryArgs;
use crate::cli::values;
use crate::cli::words::{Word, one_of};

/// Where the metrics server is and how to reach it. Secrets have no flags: they would be seen in
/// process lists and pod specs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Metrics server")]
pub struct PrometheusArgs {
    /// Base URL of Prometheus or VictoriaMetrics, such as `http://prometheus:9090`, or its Service as
    /// kube:NAMESPACE/SERVICE:PORT; by default it is looked for among the Services of the cluster, but not if
    /// Kafka itself is asked
    #[arg(long, value_name = "URL", env = "PROMETHEUS_ENDPOINT")]
    pub prometheus_endpoint: Option<String>,
    /// Time limit of one query, also sent to the server
    #[arg(long, value_name = "DURATION", env = "PROMETHEUS_TIMEOUT", default_value = "30s", value_parser = values::positive_duration)]
    pub prometheus_timeout: Duration,
    /// File with the bearer token; read again for each request
    #[arg(long, value_name = "FILE", env = "PROMETHEUS_BEARER_TOKEN_FILE")]
    pub prometheus_bearer_token_file: Option<PathBuf>,
    /// User name for basic authentication
    #[arg(long, value_name = "NAME", env = "PROMETHEUS_USERNAME")]
    pub prometheus_username: Option<String>,
    /// File with the password; read again for each request
    #[arg(long, value_name = "FILE", env = "PROMETHEUS_PASSWORD_FILE")]
    pub prometheus_password_file: Option<PathBuf>,
    /// Sign in with a cloud identity: `aws` signs each request for Amazon Managed Service for Prometheus,
    /// `google` and `azure` send a token. Credentials are looked for where that cloud's own tools look
    #[arg(long, value_name = "CLOUD", env = "PROMETHEUS_AUTH", default_value = "none", value_enum)]
    pub prometheus_auth: Cloud,
    /// AWS region of the server; by default that in its host name, else AWS_REGION or AWS_DEFAULT_REGION
    #[arg(long, value_name = "REGION", env = "PROMETHEUS_AWS_REGION")]
    pub prometheus_aws_region: Option<String>,
    /// Name of the AWS service in signatures; by default aps
    #[arg(long, value_name = "NAME", env = "PROMETHEUS_AWS_SERVICE")]
    pub prometheus_aws_service: Option<String>,
    /// Certificate authority of the server (PEM)
    #[arg(long, value_name = "FILE", env = "PROMETHEUS_CA_FILE")]
    pub prometheus_ca_file: Option<PathBuf>,
    /// Client certificate (PEM); needs PROMETHEUS_CLIENT_KEY too
    #[arg(long, value_name = "FILE", env = "PROMETHEUS_CLIENT_CERT")]
    pub prometheus_client_cert: Option<PathBuf>,
    /// Key of the client certificate (PEM)
    #[arg(long, value_name = "FILE", env = "PROMETHEUS_CLIENT_KEY")]
    pub prometheus_client_key: Option<PathBuf>,
    /// Host name in the server's certificate, if it is not that of the endpoint
    #[arg(long, value_name = "NAME", env = "PROMETHEUS_TLS_SERVER_NAME")]
    pub prometheus_tls_server_name: Option<String>,
    /// Do not verify the server's certificate
    #[arg(long, value_name = "BOOL", env = "PROMETHEUS_INSECURE_SKIP_TLS_VERIFY", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub prometheus_insecure_skip_tls_verify: bool,
    /// Extra query parameters, such as `dedup=true&max_source_resolution=0`
    #[arg(long, value_name = "PARAMS", env = "PROMETHEUS_QUERY_PARAMS")]
    pub prometheus_query_params: Option<String>,
    /// HTTP method of queries: `post` for queries of any length, `get` for servers that do not accept POST
    #[arg(long, value_name = "METHOD", env = "PROMETHEUS_METHOD", default_value = "post", value_parser = one_of(&METHODS))]
    pub prometheus_method: Method,
    /// Ask the server not to give partial or cached answers; turn it off for servers that reject unknown
    /// parameters
    #[arg(long, value_name = "BOOL", env = "PROMETHEUS_STRICT_PARAMS", default_value = "true",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub prometheus_strict_params: bool,
    /// Largest answer to accept, in bytes after decompression
    #[arg(long, value_name = "SIZE", env = "PROMETHEUS_MAX_RESPONSE", default_value = "32Mi", value_parser = values::size)]
    pub prometheus_max_response: u64,
}

/// Whose identity proves who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Cloud {
    /// No cloud identity.
    None,
    /// Amazon.
    Aws,
    /// Google.
    Google,
    /// Microsoft Azure.
    Azure,
}

const METHODS: [Word<Method>; 2] = [("post", Method::Post), ("get", Method::Get)];

/// What is asked of the metrics server.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Queries")]
pub struct QueryArgs {
    /// Label matchers to add to every selector, such as `cluster="eu-1"` on a server that holds several
    /// clusters; `{{matchers}}` in own queries
    #[arg(long, value_name = "MATCHERS", env = "PROMETHEUS_MATCHERS")]
    pub prometheus_matchers: Option<Matchers>,
    /// Where lag and message rate come from: an exporter, or `kafka` to ask the group itself. `auto` finds
    /// the exporter and the consumer group by the series on the metrics server. `none` ignores Kafka
    #[arg(long, value_name = "PRESET", env = "METRICS_PRESET", default_value = AUTO, value_parser = preset())]
    pub metrics_preset: PresetChoice,
    #[command(flatten)]
    pub own: OwnQueryArgs,
    /// Own query for messages per second by the labels `topic` and `partition`, and by `pod` where known
    #[arg(long, value_name = "PROMQL", env = "QUERY_PARTITION_LOAD")]
    pub query_partition_load: Option<String>,
    /// Own query for the number of Kafka partitions of each pod, by `client_id` too where a pod has several
    /// consumers
    #[arg(long, value_name = "PROMQL", env = "QUERY_ASSIGNED_PARTITIONS")]
    pub query_assigned_partitions: Option<String>,
    /// Kafka consumer group, for presets; `{{group}}` in own queries
    #[arg(long, value_name = "GROUP", env = "KAFKA_GROUP")]
    pub kafka_group: Option<String>,
    /// Measure CPU and memory of this container only; `{{container}}` in own queries
    #[arg(long, value_name = "NAME", env = "CONTAINER")]
    pub container: Option<String>,
    /// Time window of rates; `{{window}}` in own queries
    #[arg(long, value_name = "DURATION", env = "WINDOW", default_value = "5m", value_parser = values::positive_duration)]
    pub window: Duration,
    /// Label that holds the name of the pod in the answers to own queries
    #[arg(long, value_name = "LABEL", env = "POD_LABEL", default_value = "pod")]
    pub pod_label: String,
}

/// The word that lets the program find the preset.
const AUTO: &str = "auto";

/// Where lag and rate come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PresetChoice {
    /// From whatever is found.
    Auto,
    /// From this.
    Named(KafkaPreset),
}

fn preset() -> impl TypedValueParser<Value = PresetChoice> {
    let named =
        |name: &str| KafkaPreset::ALL.into_iter().find(|preset| preset.name().eq_ignore_ascii_case(name));
    let words = [AUTO].into_iter().chain(KafkaPreset::ALL.map(KafkaPreset::name));
    // What is no preset is `auto`: the parser lets no other words through.
    PossibleValuesParser::new(words)
        .map(move |name| named(&name).map_or(PresetChoice::Auto, PresetChoice::Named))
}
