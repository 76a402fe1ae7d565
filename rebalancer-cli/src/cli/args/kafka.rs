//! Settings of Kafka, where the consumer group is asked directly.
#![allow(clippy::struct_field_names, reason = "each field is named as its flag")]

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};

use crate::cli::values;

/// Where Kafka is and how to sign in. The password has no flag: it would be seen in process lists and pod specs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Kafka")]
pub struct KafkaArgs {
    /// Brokers to ask about consumer groups directly, such as kafka:9092, separated by commas; METRICS_PRESET=auto then
    /// means `kafka`. The user needs Describe on the group and its topics. KAFKA_GROUP need not be set: the group is found by its
    /// members in the pods
    #[arg(long, value_name = "BROKERS", env = "KAFKA_BOOTSTRAP_SERVERS")]
    pub kafka_bootstrap_servers: Option<String>,
    /// The group is read twice, this far apart, to see which partitions move. A partition counts as standing only if it
    /// does not move for three times this, so three times this must be longer than the time between two commits
    #[arg(long, value_name = "DURATION", env = "KAFKA_WATCH", default_value = "20s", value_parser = values::positive_duration)]
    pub kafka_watch: Duration,
    /// Connect to the brokers by TLS
    #[arg(long, value_name = "BOOL", env = "KAFKA_TLS", default_value = "false",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub kafka_tls: bool,
    /// Certificate authority of the brokers (PEM); by default the public authorities that browsers trust
    #[arg(long, value_name = "FILE", env = "KAFKA_CA_FILE")]
    pub kafka_ca_file: Option<PathBuf>,
    /// Client certificate for the brokers (PEM); needs KAFKA_CLIENT_KEY too
    #[arg(long, value_name = "FILE", env = "KAFKA_CLIENT_CERT")]
    pub kafka_client_cert: Option<PathBuf>,
    /// Key of the client certificate for the brokers (PEM)
    #[arg(long, value_name = "FILE", env = "KAFKA_CLIENT_KEY")]
    pub kafka_client_key: Option<PathBuf>,
    /// How to sign in to the brokers; by default not at all
    #[arg(long, value_name = "MECHANISM", env = "KAFKA_SASL_MECHANISM", value_enum)]
    pub kafka_sasl_mechanism: Option<SaslMechanism>,
    /// User name for the brokers
    #[arg(long, value_name = "NAME", env = "KAFKA_USERNAME")]
    pub kafka_username: Option<String>,
    /// File with the password of KAFKA_USERNAME
    #[arg(long, value_name = "FILE", env = "KAFKA_PASSWORD_FILE")]
    pub kafka_password_file: Option<PathBuf>,
    /// File with the token for `oauthbearer`; read again for each connection
    #[arg(long, value_name = "FILE", env = "KAFKA_TOKEN_FILE")]
    pub kafka_token_file: Option<PathBuf>,
}

/// How to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SaslMechanism {
    /// User name and password, sent as they are.
    Plain,
    /// Proves the password without sending it.
    #[value(name = "scram-sha-256")]
    ScramSha256,
    /// The same with a longer hash.
    #[value(name = "scram-sha-512")]
    ScramSha512,
    /// A token from KAFKA_TOKEN_FILE.
    Oauthbearer,
    /// The identity of a workload in AWS, for Amazon MSK.
    #[value(alias = "AWS_MSK_IAM")]
    AwsMskIam,
}
