//! What every command that asks live servers takes.

use clap::Args;

use super::decision::DecisionArgs;
use super::guards::VetoArgs;
use super::kafka::KafkaArgs;
use super::kubernetes::KubernetesArgs;
use super::output::OutputArgs;
use super::prometheus::{PrometheusArgs, QueryArgs};

/// Settings of both servers, the decision and the output.
#[derive(Debug, Clone, Args)]
pub struct LiveArgs {
    #[command(flatten)]
    pub prometheus: PrometheusArgs,
    #[command(flatten)]
    pub queries: QueryArgs,
    #[command(flatten)]
    pub kafka: KafkaArgs,
    #[command(flatten)]
    pub kubernetes: KubernetesArgs,
    #[command(flatten)]
    pub decision: DecisionArgs,
    #[command(flatten)]
    pub vetoes: VetoArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}
