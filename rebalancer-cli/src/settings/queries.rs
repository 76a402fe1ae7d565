//! The settings that the queries of a run depend on.

use rebalancer_io::metrics::{FactQueries, KafkaPreset, QuerySet, QuerySettings};

use crate::cli::args::{GuardMode, LiveArgs, PresetChoice};
use crate::failure::Failure;
use crate::settings::decision::DecisionSettings;

/// Finds wrong placeholders before anything is sent. The real pods are filled in later, and a group that Kafka tells.
///
/// # Errors
/// A query that cannot be written.
pub fn check(queries: &QuerySettings) -> Result<(), Failure> {
    let is_found = queries.preset == KafkaPreset::Kafka && queries.group.is_none();
    let group = if is_found { Some("group".to_owned()) } else { queries.group.clone() };
    let trial = QuerySettings { pods: vec!["pod".to_owned()], group, ..queries.clone() };
    let fits = QuerySet::new(&trial).and_then(|queries| FactQueries::new(&queries, &trial));
    fits.map(drop).map_err(|error| Failure::Usage(error.into()))
}

/// What is set, for the pods of a namespace. A preset that is to be found is none until then.
pub fn of(live: &LiveArgs, namespace: &str, decision: &DecisionSettings) -> QuerySettings {
    let (args, vetoes) = (&live.queries, &live.vetoes);
    let is_guarded = decision.mode == GuardMode::Standard;
    QuerySettings {
        window: args.window,
        group: args.kafka_group.clone(),
        container: args.container.clone(),
        matchers: args.prometheus_matchers.clone().unwrap_or_default(),
        max_sample_age: Some(decision.max_sample_age),
        preset: match args.metrics_preset {
            PresetChoice::Named(preset) => preset,
            // Until it is found.
            PresetChoice::Auto => KafkaPreset::None,
        },
        own_partition_load: args.query_partition_load.clone(),
        own_assigned_partitions: args.query_assigned_partitions.clone(),
        own: args.own.by_metric(),
        veto_query: vetoes.veto_query.clone().filter(|_| is_guarded),
        veto_alerts: vetoes.veto_alerts.clone().filter(|_| is_guarded),
        pod_label: args.pod_label.clone(),
        ..QuerySettings::new(namespace)
    }
}
