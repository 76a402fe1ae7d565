//! The queries about many workloads at once: those of the presets over all of their pods. Namespace and pod are
//! joined in one label, the place, so that the answer is read as that of one workload.

use rebalancer_core::{Metric, PerMetric};

use super::group::{ASSIGNED, OWNERS};
use super::offsets::{GROUPLESS, OffsetQueries};
use super::settings::{KafkaPreset, QuerySettings, Reach, SettingError};
use super::{cpu, memory};
use crate::prometheus::MetricQuery;

/// Label of an answer that names namespace and pod.
const PLACE_LABEL: &str = "place";

/// The queries of presets about all pods that the settings reach. A query is absent where the metric has no source, where
/// it is the user's own, and where only one workload can be asked about: where a consumer group is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JointQueries {
    /// Where lag, rate and what is known of clients come from.
    pub(crate) preset: KafkaPreset,
    pub(crate) metrics: PerMetric<Option<MetricQuery>>,
    /// Number of partitions that the clients of each pod read.
    pub(crate) partitions: Option<MetricQuery>,
    /// Lead by pod and partition.
    pub(crate) lead: Option<MetricQuery>,
    /// Any value by pod and partition: who owns what.
    pub(crate) owned: Option<MetricQuery>,
    /// The same by the labels namespace, pod, topic and partition.
    pub(crate) owners: Option<MetricQuery>,
    /// Number of partitions by the labels namespace, pod and client.
    pub(crate) assigned: Option<MetricQuery>,
}

impl JointQueries {
    /// The queries about all pods in reach.
    pub fn new(settings: &QuerySettings) -> Self {
        let joins = match settings.preset {
            // The agent's `target_info` is matched with one namespace.
            KafkaPreset::OtelJava => settings.reach == Reach::One,
            // No metrics server is asked.
            KafkaPreset::Kafka => false,
            _ => true,
        };
        let preset = if joins { settings.preset } else { KafkaPreset::None };
        let settings = &QuerySettings { preset, ..settings.clone() };
        let of_clients = settings.group.is_none();
        let placed = |query: MetricQuery| by_place(&query.name, &query.promql);
        let client = |name: &str, promql: Option<String>| {
            promql.filter(|_| of_clients).map(|promql| MetricQuery::new(name, promql))
        };
        let owned = |past: &str, promql: Option<String>| {
            let promql = promql.filter(|_| of_clients)?;
            let labels = r#""namespace", "pod", "topic", "partition""#;
            let joined = format!("label_join({promql}, \"{PLACE_LABEL}\", \"/\", {labels})");
            Some(
                MetricQuery::new(past, format!("max by ({PLACE_LABEL}) ({joined})"))
                    .with_pod_label(PLACE_LABEL),
            )
        };
        let assigned =
            preset.assigned_partitions(settings).filter(|_| settings.own_assigned_partitions.is_none());
        let counted = preset.leads(settings).filter(|_| of_clients).map(|leads| {
            let each = format!("max by (namespace, pod, topic, partition) ({leads})");
            by_place(OffsetQueries::COUNT, &format!("count by (namespace, pod) ({each})"))
        });
        Self {
            preset,
            metrics: PerMetric::from_fn(|metric| metric_query(metric, settings).map(placed)),
            partitions: counted,
            lead: owned(GROUPLESS[0], preset.leads(settings)),
            owned: owned(GROUPLESS[1], preset.partition_owners(settings)),
            owners: client(OWNERS, preset.partition_owners(settings)),
            assigned: client(ASSIGNED, assigned),
        }
    }

    /// The query of a metric, where it can be asked about all workloads.
    pub fn metric(&self, metric: Metric) -> Option<&MetricQuery> {
        self.metrics[metric].as_ref()
    }
}

/// The preset of a metric, unless the user has an own query or it needs the name of a group.
fn metric_query(metric: Metric, settings: &QuerySettings) -> Option<MetricQuery> {
    if settings.own[metric].is_some() {
        return None;
    }
    let groupless = QuerySettings { group: None, ..settings.clone() };
    let known = |query: Result<Option<MetricQuery>, SettingError>| query.ok().flatten();
    match metric {
        Metric::Cpu => settings.has_server.then(|| cpu::preset(settings)),
        Metric::Memory => settings.has_server.then(|| memory::preset(settings)),
        Metric::Lag => known(settings.preset.lag(&groupless)),
        Metric::Rate => known(settings.preset.rate(&groupless)),
    }
}

/// The query with namespace and pod in one label.
fn by_place(name: &str, promql: &str) -> MetricQuery {
    let joined = format!("label_join({promql}, \"{PLACE_LABEL}\", \"/\", \"namespace\", \"pod\")");
    MetricQuery::new(name, joined).with_pod_label(PLACE_LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(preset: KafkaPreset, reach: Reach) -> QuerySettings {
        QuerySettings { reach, preset, ..QuerySettings::new("shop") }
    }

    #[test]
    fn a_joint_query_selects_the_namespaces_and_joins_the_place() {
        let several = Reach::Several(vec!["a.b".to_owned(), "c".to_owned()]);
        let joint = JointQueries::new(&settings(KafkaPreset::Micrometer, several));
        for metric in Metric::ALL {
            let query = joint.metric(metric).unwrap_or_else(|| panic!("{metric}"));
            assert!(query.promql.contains(r#"namespace=~"a\\.b|c""#), "{}", query.promql);
            assert!(query.promql.ends_with(r#", "place", "/", "namespace", "pod")"#), "{}", query.promql);
            assert_eq!((query.pod_label.as_str(), &query.namespace), ("place", &None));
        }
        let all = JointQueries::new(&settings(KafkaPreset::None, Reach::All));
        assert!(all.metric(Metric::Cpu).is_some_and(|query| query.promql.contains(r#"{namespace!="""#)));
        assert_eq!((all.metric(Metric::Lag), &all.partitions, &all.owners), (None, &None, &None));
    }

    #[test]
    fn what_is_about_one_workload_is_not_asked_jointly() {
        let of_group = JointQueries::new(&QuerySettings {
            group: Some("g".to_owned()),
            own: PerMetric { cpu: Some("up".to_owned()), ..PerMetric::default() },
            ..settings(KafkaPreset::KafkaExporter, Reach::One)
        });
        assert!(of_group.metric(Metric::Cpu).is_none(), "an own query is for one workload");
        assert!(
            of_group.metric(Metric::Lag).is_none() && of_group.lead.is_none() && of_group.assigned.is_none()
        );
        assert!(of_group.metric(Metric::Rate).is_some(), "which the clients tell");
        let direct = JointQueries::new(&QuerySettings {
            has_server: false,
            ..settings(KafkaPreset::Kafka, Reach::One)
        });
        assert!(Metric::ALL.into_iter().all(|metric| direct.metric(metric).is_none()));
        assert!(direct.owners.is_none() && direct.assigned.is_none() && direct.partitions.is_none());
        let agents = |reach| JointQueries::new(&settings(KafkaPreset::OtelJava, reach));
        assert!(agents(Reach::One).metric(Metric::Lag).is_some());
        assert!(agents(Reach::All).metric(Metric::Lag).is_none());
    }
}
