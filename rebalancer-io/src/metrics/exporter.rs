//! The exporters outside the pods that tell of consumer groups, and how each names what it tells.

use super::settings::KafkaPreset;

/// An exporter's labels and metrics.
pub(super) struct Exporter {
    pub(super) group: &'static str,
    pub(super) topic: &'static str,
    pub(super) partition: &'static str,
    /// Whether its series name the members of groups.
    pub(super) has_members: bool,
    pub(super) lag: &'static str,
    /// The committed offset; `None` if only the lag shows how far behind the end it is.
    pub(super) committed: Option<&'static str>,
    /// A metric of the group's commits, which distinguishes two Kafka clusters.
    pub(super) told: &'static str,
    pub(super) end: &'static str,
    pub(super) start: &'static str,
    /// Whether `end` and `start` have a group label too.
    pub(super) ends_by_group: bool,
    /// The metric with the group's label `state`.
    pub(super) state: Option<&'static str>,
}

pub(super) const KAFKA_EXPORTER: Exporter = Exporter {
    group: "consumergroup",
    topic: "topic",
    partition: "partition",
    has_members: false,
    lag: "kafka_consumergroup_lag",
    committed: Some("kafka_consumergroup_current_offset"),
    told: "kafka_consumergroup_current_offset",
    end: "kafka_topic_partition_current_offset",
    start: "kafka_topic_partition_oldest_offset",
    ends_by_group: false,
    state: None,
};

const KMINION: Exporter = Exporter {
    group: "group_id",
    topic: "topic_name",
    partition: "partition_id",
    has_members: false,
    lag: "kminion_kafka_consumer_group_topic_partition_lag",
    committed: None,
    told: "kminion_kafka_consumer_group_topic_offset_sum",
    end: "kminion_kafka_topic_partition_high_water_mark",
    start: "kminion_kafka_topic_partition_low_water_mark",
    ends_by_group: false,
    state: Some("kminion_kafka_consumer_group_info"),
};

const KLAG: Exporter = Exporter {
    group: "consumer_group",
    topic: "topic",
    partition: "partition",
    has_members: true,
    lag: "klag_consumer_lag",
    committed: Some("klag_consumer_committed_offset"),
    told: "klag_consumer_committed_offset",
    end: "klag_partition_log_end_offset",
    start: "klag_partition_log_start_offset",
    ends_by_group: true,
    state: Some("klag_consumer_group_state"),
};

const KAFKA_LAG_EXPORTER: Exporter = Exporter {
    group: "group",
    topic: "topic",
    partition: "partition",
    has_members: true,
    lag: "kafka_consumergroup_group_lag",
    committed: Some("kafka_consumergroup_group_offset"),
    told: "kafka_consumergroup_group_offset",
    end: "kafka_partition_latest_offset",
    start: "kafka_partition_earliest_offset",
    ends_by_group: false,
    state: None,
};

impl KafkaPreset {
    /// The exporters that may know the group.
    pub(super) const fn exporters(self) -> &'static [Exporter] {
        match self {
            Self::KafkaExporter => &[KAFKA_EXPORTER],
            Self::Kminion => &[KMINION],
            Self::KlagIp | Self::ClientId => &[KLAG],
            Self::KafkaLagExporterIp => &[KAFKA_LAG_EXPORTER],
            // Whichever of them is deployed beside the clients.
            Self::Micrometer | Self::JmxDefault | Self::OtelJava => &[KAFKA_EXPORTER, KMINION, KLAG],
            Self::Kafka | Self::None => &[],
        }
    }

    /// The exporter whose lag this preset reads; `None` if it reads that of clients.
    pub(super) const fn exporter(self) -> Option<&'static Exporter> {
        match self.exporters() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// Matches the series whose member the exporter names, for a preset that joins by members: by its address, or by its own
    /// name.
    pub(super) const fn named_members(self) -> Option<&'static str> {
        match self {
            Self::KlagIp | Self::KafkaLagExporterIp => Some(MEMBER_HOST),
            Self::ClientId => Some(CLIENT_ID),
            _ => None,
        }
    }
}

pub(super) const MEMBER_HOST: &str = r#"member_host!="""#;
pub(super) const CLIENT_ID: &str = r#"client_id!="""#;
