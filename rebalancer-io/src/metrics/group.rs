//! The queries about the consumer group: who owns which partition, the load of each, and the assignor. All
//! are optional.

use std::collections::BTreeMap;

use rebalancer_core::{Metric, PerMetric};

use super::alert_pattern::AlertPattern;
use super::fresh::{self, UnknownAge, question_name};
use super::kafka::kminion_partitions;
use super::kafka_direct;
use super::offsets::{OffsetQueries, Past, beside_commits, placed};
use super::preset::{all_of, fresh, select};
use super::queries::QuerySet;
use super::settings::{KafkaPreset, QuerySettings, SettingError};
use super::template::fill;
use super::veto::VetoQuery;
use crate::prometheus::MetricQuery;
use crate::promql::duration;

/// Labels that distinguish partitions in an answer, besides the pod.
pub const PARTITION_LABELS: [&str; 2] = ["topic", "partition"];

/// Label that distinguishes the clients of one pod.
pub const CLIENT_LABEL: &str = "client_id";

/// Label with the rank of a member's id.
pub const MEMBER_LABEL: &str = "member";

/// Label with the first and the last rank of the ids that begin as that of a member's replacement will: `0-11`.
pub const ALIKE_LABEL: &str = "alike";

/// Label with the assignor's name.
pub const PROTOCOL_LABEL: &str = "protocol";

// Names of the queries, in messages and recordings.

/// Messages per second by pod, topic and partition; the pod may be absent.
pub(crate) const LOAD: &str = "partition_load";
/// Any value by pod, topic and partition: who owns which partition.
pub(crate) const OWNERS: &str = "partition_owners";
/// Number of partitions by pod, and by client if a pod has several.
pub(crate) const ASSIGNED: &str = "assigned_partitions";
/// Any value by protocol.
pub(crate) const ASSIGNOR: &str = "assignor";
/// 1 if replacements take over the identity of the members that they replace, 0 if they do not.
pub(crate) const KEEPS_IDENTITY: &str = "keeps_identity";
/// The hash of a member's id, by pod, rank of the id, and each partition that it owns.
pub(crate) const MEMBERS: &str = "members";

const OF_THE_GROUP: [&str; 6] = [LOAD, OWNERS, ASSIGNED, ASSIGNOR, KEEPS_IDENTITY, MEMBERS];

/// The label by which kminion names the group.
const KMINION_GROUP: &str = "group_id";

/// The queries behind the facts of a decision: those of the metrics, for their history, and those about the
/// consumer group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FactQueries {
    pub(crate) metrics: PerMetric<Option<MetricQuery>>,
    /// Those about the group, by name.
    group: BTreeMap<&'static str, MetricQuery>,
    /// The past of each partition.
    pub(crate) offsets: OffsetQueries,
    /// What may forbid a rotation.
    vetoes: Vec<VetoQuery>,
    /// The freshness checks of own queries, by name.
    ages: BTreeMap<&'static str, Result<Vec<MetricQuery>, UnknownAge>>,
}

impl FactQueries {
    /// The queries of a live run. `queries` are those of its metrics.
    ///
    /// # Errors
    /// If an own query contains an unknown placeholder, or one whose setting is missing.
    pub fn new(queries: &QuerySet, settings: &QuerySettings) -> Result<Self, SettingError> {
        let of_kafka = |promql: &str| (settings.preset == KafkaPreset::Kafka).then(|| promql.to_owned());
        let presets = [
            (LOAD, settings.preset.partition_load(settings)),
            (OWNERS, settings.preset.partition_owners(settings)),
            (ASSIGNED, settings.preset.assigned_partitions(settings)),
            (ASSIGNOR, assignor(settings)),
            (KEEPS_IDENTITY, of_kafka(kafka_direct::KEEPS_IDENTITY)),
            (MEMBERS, of_kafka(kafka_direct::MEMBERS)),
        ];
        let scoped = |name, promql: String| MetricQuery::new(name, promql).in_namespace(&settings.namespace);
        let presets = presets.into_iter().filter_map(|(name, promql)| Some((name, scoped(name, promql?))));
        let mut group: BTreeMap<&str, MetricQuery> = presets.collect();
        let mut ages = BTreeMap::new();
        for (name, own, variable) in [
            (LOAD, &settings.own_partition_load, "QUERY_PARTITION_LOAD"),
            (ASSIGNED, &settings.own_assigned_partitions, "QUERY_ASSIGNED_PARTITIONS"),
        ] {
            let Some(promql) = own else { continue };
            let query = scoped(name, fill(promql, variable, settings)?).with_pod_label(&settings.pod_label);
            ages.extend(settings.max_sample_age.map(|limit| (name, fresh::questions(&query, limit))));
            group.insert(name, query);
        }
        Ok(Self {
            metrics: PerMetric::from_fn(|metric| queries.get(metric).cloned()),
            group,
            offsets: OffsetQueries::Live(Box::new(settings.clone())),
            vetoes: VetoQuery::all(settings)?,
            ages,
        })
    }

    /// The queries of a recorded run: `promql` returns the queries recorded under a name, none if there were
    /// none; `alerts` are those that forbade a rotation then.
    pub fn recorded<'r>(
        promql: impl Fn(&str) -> Vec<&'r str>,
        namespace: Option<&str>,
        pod_label: &str,
        alerts: Option<&AlertPattern>,
    ) -> Self {
        let all = |name: &str| -> Vec<MetricQuery> {
            let queries = promql(name).into_iter();
            let queries = queries.map(|text| MetricQuery::new(name, text).with_pod_label(pod_label));
            queries.map(|query| MetricQuery { namespace: namespace.map(str::to_owned), ..query }).collect()
        };
        let asked = |name: &str| all(name).into_iter().next();
        // Without a recorded check, the samples are not known to be stale.
        let ages = [LOAD, ASSIGNED].into_iter().map(|name| (name, Ok(all(&question_name(name)))));
        let ages = ages.filter(|(_, questions)| questions.as_ref().is_ok_and(|asked| !asked.is_empty()));
        Self {
            metrics: PerMetric::from_fn(|metric| asked(metric.name())),
            group: OF_THE_GROUP.into_iter().filter_map(|name| Some((name, asked(name)?))).collect(),
            offsets: OffsetQueries::recorded(|name| promql(name).into_iter().next()),
            vetoes: VetoQuery::recorded(|name| promql(name).into_iter().next(), alerts),
            ages: ages.collect(),
        }
    }

    /// The freshness checks of a query; `None` for presets, which leave stale samples out themselves.
    pub(crate) fn ages_of(&self, query: &MetricQuery) -> Option<&Result<Vec<MetricQuery>, UnknownAge>> {
        self.ages.get(query.name.as_str())
    }

    /// The questions that may forbid a rotation.
    pub fn vetoes(&self) -> &[VetoQuery] {
        &self.vetoes
    }

    /// The queries about the group that have a source, but for that of its members, which is answered by nothing for
    /// many a group.
    pub fn of_the_group(&self) -> impl Iterator<Item = &MetricQuery> {
        OF_THE_GROUP.into_iter().filter(|name| *name != MEMBERS).filter_map(|name| self.group.get(name))
    }

    /// The query about the group of this name; `None` if it has no source.
    pub(crate) fn about_group(&self, name: &str) -> Option<&MetricQuery> {
        self.group.get(name)
    }

    /// The queries about the past of each partition that have a source.
    pub fn of_the_offsets(&self) -> impl Iterator<Item = MetricQuery> {
        Past::ALL.into_iter().filter_map(|past| self.offsets.past(past, None))
    }

    /// The query of a metric; `None` if it has no source.
    pub fn metric(&self, metric: Metric) -> Option<&MetricQuery> {
        self.metrics[metric].as_ref()
    }
}

/// The protocol of a stable group, if kminion exports it.
fn assignor(settings: &QuerySettings) -> Option<String> {
    if settings.preset == KafkaPreset::Kafka {
        return Some(kafka_direct::ASSIGNOR.to_owned());
    }
    Some(format!("count by ({PROTOCOL_LABEL}) ({})", stable(settings)?))
}

/// What kminion tells of stable groups.
fn stable(settings: &QuerySettings) -> Option<String> {
    let labels = all_of(&[&settings.of_groups(KMINION_GROUP)?, "state=\"Stable\""]);
    Some(format!("{} == 1", select("kminion_kafka_consumer_group_info", &labels, settings)))
}

/// The protocols of stable groups by `GROUP/PROTOCOL`.
pub(super) fn assignors(settings: &QuerySettings) -> Option<MetricQuery> {
    Some(MetricQuery::new(ASSIGNOR, placed(&stable(settings)?, &[KMINION_GROUP, PROTOCOL_LABEL])))
}

/// Messages per second of the partitions of several groups: by `TOPIC/PARTITION/GROUP` where an exporter computes it from
/// commits, and by `TOPIC/PARTITION` as kminion tells it.
pub(super) fn loads(settings: &QuerySettings) -> Option<MetricQuery> {
    let committed = || {
        let rate = settings.preset.group_rate("", settings).ok()?;
        Some(placed(&rate, &["topic", "partition", "consumergroup"]))
    };
    let written = || Some(placed(&written_rate(settings)?, &["topic_name", "partition_id"]));
    let parts = match settings.preset {
        KafkaPreset::KafkaExporter => vec![committed()?],
        KafkaPreset::Kminion => vec![written()?],
        KafkaPreset::Micrometer | KafkaPreset::JmxDefault | KafkaPreset::OtelJava => {
            vec![committed()?, written()?]
        }
        _ => return None,
    };
    Some(MetricQuery::new(LOAD, parts.join(" or ")))
}

/// Messages per second written to each partition of the group's topics, from kminion. If the group keeps up,
/// that is also what it reads.
fn written(settings: &QuerySettings) -> Option<String> {
    Some(format!("max by (topic, partition) ({})", kminion_partitions(&written_rate(settings)?)))
}

fn written_rate(settings: &QuerySettings) -> Option<String> {
    let read = KafkaPreset::Kminion.group_lag("", settings).ok()?;
    let written = select("kminion_kafka_topic_partition_high_water_mark", "", settings);
    let rate = fresh(&format!("rate({written}[{}])", duration(settings.window)), &written, settings);
    Some(beside_commits(&rate, &read, "partition_id", KMINION_GROUP))
}

impl KafkaPreset {
    /// Messages per second of each partition. Exporters compute it from offsets; no client exports it. If two
    /// exporters report a partition, `max` takes one. If they do not name the member, the owners are joined
    /// later, because clients spell topics differently.
    fn partition_load(self, settings: &QuerySettings) -> Option<String> {
        let committed = || self.group_rate("", settings).ok();
        match self {
            Self::KafkaLagExporterIp | Self::KlagIp | Self::ClientId => {
                Some(self.partitions_by_pod(&committed()?, settings))
            }
            Self::KafkaExporter => Some(format!("max by (topic, partition) ({})", committed()?)),
            Self::Kminion => written(settings),
            // Whichever of the two is deployed beside the clients.
            Self::Micrometer | Self::JmxDefault | Self::OtelJava => {
                Some(format!("max by (topic, partition) ({}) or {}", committed()?, written(settings)?))
            }
            Self::Kafka => Some(kafka_direct::LOAD.to_owned()),
            Self::None => None,
        }
    }

    /// One series per partition that a pod's own client fetches.
    fn partition_owners(self, settings: &QuerySettings) -> Option<String> {
        match self {
            Self::Kafka => Some(kafka_direct::OWNERS.to_owned()),
            _ => Some(self.client()?.owners_of("", settings)),
        }
    }

    /// Number of partitions of each client of a pod.
    pub(super) fn assigned_partitions(self, settings: &QuerySettings) -> Option<String> {
        match self {
            Self::Kafka => Some(kafka_direct::ASSIGNED.to_owned()),
            _ => Some(self.client()?.assigned(settings)),
        }
    }
}
