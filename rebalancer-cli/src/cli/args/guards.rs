//! Settings of the guards, of what may forbid a rotation, and of what is known about the consumer group.

use std::time::Duration;

use clap::Args;
use clap::builder::{BoolishValueParser, PossibleValuesParser, TypedValueParser};
use rebalancer_core::AssignorChoice;
use rebalancer_core::guard::Persistence;
use rebalancer_core::kafka::Assignor;
use rebalancer_io::metrics::AlertPattern;

use crate::cli::values::{self, Guarded};

/// Limits of the guards; each can be turned off by itself.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decision")]
pub struct GuardArgs {
    /// Leave out pods that have run for less than this; off turns it off
    #[arg(long, value_name = "DURATION", env = "WARMUP", default_value = "5m", value_parser = values::duration_or_off)]
    pub warmup: Guarded<Duration>,
    /// Do nothing while any pod is younger than this (an ill pod is replaced all the same); off turns it off
    #[arg(long, value_name = "DURATION", env = "COOLDOWN", default_value = "30m", value_parser = values::duration_or_off)]
    pub cooldown: Guarded<Duration>,
    /// Do nothing unless the busiest pod was busy for most of a window (an ill pod is replaced all the same). By
    /// default its load must have been above 1.25 times the mean in 80% of the last 60 minutes. Give the parts that
    /// differ, or just a window such as 2h; off turns it off
    #[arg(long, value_name = "RULE", env = "PERSISTENCE", default_value = "window=60m,factor=1.25,percent=80%", value_parser = values::persistence)]
    pub persistence: Guarded<Persistence>,
    /// Do nothing when the busiest pod is younger than this and most pods are older: replacing it did not
    /// help; off turns it off
    #[arg(long, value_name = "DURATION", env = "FUTILITY_AGE", default_value = "180m", value_parser = values::duration_or_off)]
    pub futility_age: Guarded<Duration>,
    /// Replace an ill pod alone only when its illness has lasted this long; off: do not wait
    #[arg(long, value_name = "DURATION", env = "ILLNESS_AGE", default_value = "10m", value_parser = values::duration_or_off)]
    pub illness_age: Guarded<Duration>,
    /// Limit on young pods: do nothing if, after the rotation, more than this share of the pods, and more
    /// than 4, would be younger than 6 hours; off turns it off
    #[arg(long, value_name = "PERCENT", env = "CHURN_BUDGET", default_value = "10%", value_parser = values::percent_or_off)]
    pub churn_budget: Guarded<u32>,
    /// Also act when one pod carries more than this many times the median load for most of the persistence
    /// window: a factor, `on` for 2, or off. For workloads of 20 pods or more, whose spread one hot pod
    /// hardly changes
    #[arg(long, value_name = "FACTOR", env = "OUTLIER_TRIGGER", default_value = "off", value_parser = values::outlier_factor)]
    pub outlier_trigger: Guarded<f64>,
    /// How the consumer group assigns partitions to its members. `auto`: as Kafka or kminion reports it, else
    /// guessed from which pod owns which partition. `unknown`: assume nothing
    #[arg(long = "assignor", value_name = "ASSIGNOR", env = "KAFKA_ASSIGNOR", default_value = "auto", value_parser = assignor())]
    pub assignor: AssignorChoice,
    /// Kafka consumers in each pod; by default counted from the metrics of the clients, else 1
    #[arg(long, value_name = "COUNT", env = "CONSUMERS_PER_POD", value_parser = consumers)]
    pub consumers_per_pod: Option<usize>,
    /// Whether a new pod takes over the Kafka identity (group.instance.id) of the pod it replaces; by
    /// default as Kafka tells where it is asked, else true for a StatefulSet
    #[arg(long, value_name = "BOOL", env = "STATIC_MEMBERSHIP",
        num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub static_membership: Option<bool>,
}

/// What may forbid a rotation beside the loads.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decision")]
pub struct VetoArgs {
    /// Do nothing while this query returns a sample or cannot be answered; placeholders as in QUERY_CPU.
    /// GUARDS=off turns it off too
    #[arg(long, value_name = "PROMQL", env = "VETO_QUERY", default_value = "off", value_parser = values::text_or_off)]
    pub veto_query: Guarded<String>,
    /// Do nothing while an alert fires whose name this regular expression matches (any part of the name,
    /// unless it has ^ and $). GUARDS=off turns it off too
    #[arg(long, value_name = "REGEX", env = "VETO_ALERTS", default_value = "off", value_parser = values::alerts_or_off)]
    pub veto_alerts: Guarded<AlertPattern>,
}

fn assignor() -> impl TypedValueParser<Value = AssignorChoice> {
    let [range, roundrobin, sticky, cooperative_sticky, uniform] = Assignor::ALL.map(Assignor::name);
    PossibleValuesParser::new(["auto", range, roundrobin, sticky, cooperative_sticky, uniform, "unknown"])
        .map(|name| name.to_ascii_lowercase().parse().expect("the parser lets only known names through"))
}

/// Most consumers in one pod: many times those of any that is known. For each of them it is computed what a rotation changes, so
/// a number without a limit, which an annotation may set, would fill the memory.
const MOST_CONSUMERS: usize = 1_000;

/// A number of consumers in a pod.
fn consumers(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MOST_CONSUMERS) => Ok(count),
        _ => Err(format!("expected a whole number from 1 to {MOST_CONSUMERS}")),
    }
}
