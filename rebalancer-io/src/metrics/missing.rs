//! Queries that explain why a preset finds nothing about an existing group.

use super::preset::{in_namespace, select};
use super::settings::{KafkaPreset, QuerySettings};
use crate::prometheus::MetricQuery;
use crate::promql::literal;

/// A queue that only KIP-848 clients have, as named by Micrometer and the JMX exporter.
const QUEUES: [&str; 2] = [
    "kafka_consumer_background_event_queue_size",
    "kafka_consumer_consumer_metrics_background_event_queue_size",
];

impl KafkaPreset {
    /// Counts the partitions of the group whose member the exporter does not name: one sample, or none if
    /// there are none. `None` if the preset does not join by members.
    pub fn without_members(self, settings: &QuerySettings) -> Option<MetricQuery> {
        let nobody = self.named_members()?.replace("!=", "=");
        let lag = self.group_lag(&nobody, settings).ok()?;
        Some(MetricQuery::new("partitions without a member", format!("count({lag})")))
    }

    /// Asks whether kminion knows the group's lag but nothing about its members: one sample if so, else none.
    /// `None` without a group.
    pub fn unseen_by_kminion(settings: &QuerySettings) -> Option<MetricQuery> {
        let group = format!("group_id=\"{}\"", literal(settings.group.as_deref()?));
        let info = select("kminion_kafka_consumer_group_info", &group, settings);
        let lag = Self::Kminion.group_lag("", settings).ok()?;
        Some(MetricQuery::new("group without members", format!("count({lag}) unless count({info})")))
    }

    /// Asks whether the workload's clients use the KIP-848 protocol: one sample if so, else none.
    pub fn speak_kip_848(settings: &QuerySettings) -> MetricQuery {
        let queues = QUEUES.map(|queue| format!("count({})", in_namespace(queue, "", settings)));
        MetricQuery::new("clients of KIP-848", queues.join(" or "))
    }
}
