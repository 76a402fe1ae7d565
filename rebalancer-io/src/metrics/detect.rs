//! Finds out where lag and rate of a workload come from, and which consumer group its pods are members of: by
//! the names of the series that the server has, and by what exporters tell of members.

use std::collections::{BTreeMap, BTreeSet};

use super::client::{JMX_DEFAULT, MICROMETER};
use super::joint_members::addresses;
use super::kafka::{CLIENT_ID, MEMBER_HOST, by_ip, running_pods};
use super::members::is_client_of;
use super::preset::{in_namespace, select};
use super::settings::{KafkaPreset, QuerySettings};
use crate::prometheus::{LabelledSample, MetricQuery};
use crate::promql::{literal, regex};

/// The label under which the question for known series answers their names.
pub const SERIES_LABEL: &str = "series";

/// Labels of the answer to [`topics_of_pods`].
pub const TOPIC_LABELS: [&str; 3] = ["topic", "client_id", "clientid"];

/// What is known of an exporter that tells of consumer groups.
struct Exporter {
    preset: KafkaPreset,
    series: &'static str,
    group: &'static str,
    topic: &'static str,
    /// Whether its series name members.
    has_members: bool,
}

/// The exporters that tell of consumer groups; those that name members first, since they need no guess.
const EXPORTERS: [Exporter; 4] = [
    exporter(KafkaPreset::KlagIp, "klag_consumer_lag", "consumer_group", "topic", true),
    exporter(KafkaPreset::KafkaLagExporterIp, "kafka_consumergroup_group_lag", "group", "topic", true),
    exporter(
        KafkaPreset::Kminion,
        "kminion_kafka_consumer_group_topic_partition_lag",
        "group_id",
        "topic_name",
        false,
    ),
    exporter(KafkaPreset::KafkaExporter, "kafka_consumergroup_lag", "consumergroup", "topic", false),
];

/// Name of the lag that the OpenTelemetry agent writes, with a dot or an underscore.
const OTEL_LAG: [&str; 2] = ["kafka_consumer_records_lag", "kafka.consumer.records_lag"];

const fn exporter(
    preset: KafkaPreset,
    series: &'static str,
    group: &'static str,
    topic: &'static str,
    has_members: bool,
) -> Exporter {
    Exporter { preset, series, group, topic, has_members }
}

/// Names of the questions.
pub(crate) const KNOWN_SERIES: &str = "known series";
pub(crate) const BY_ADDRESS: &str = "groups by address";
pub(crate) const BY_CLIENT: &str = "groups by client";
pub(crate) const BY_TOPIC: &str = "groups by topic";
pub(crate) const COUNT_BY_ADDRESS: &str = "members of groups by address";
pub(crate) const COUNT_BY_CLIENT: &str = "members of groups by client";

/// What the names of questions for the topics that clients in pods fetch begin with.
pub(crate) const TOPICS_OF_PODS: &str = "topics of the pods";

/// The name of the question for the topics that clients in pods fetch.
pub(crate) fn topics_name(preset: KafkaPreset) -> String {
    format!("{TOPICS_OF_PODS} ({preset})")
}

/// Asks which of the known series the server has: of the clients in the workload's pods by pod, and of exporters anywhere.
pub fn known_series(settings: &QuerySettings) -> MetricQuery {
    known_series_by("series, pod", settings)
}

/// The same without the pods, for many workloads.
pub(crate) fn known_series_of_all(settings: &QuerySettings) -> MetricQuery {
    known_series_by("series", settings)
}

fn known_series_by(labels: &str, settings: &QuerySettings) -> MetricQuery {
    let clients = [&MICROMETER, &JMX_DEFAULT].map(|client| format!("{}|{}", client.assigned, client.lag));
    let clients = in_namespace("", &format!("__name__=~\"{}\"", clients.join("|")), settings);
    let others: Vec<String> = EXPORTERS.iter().map(|exporter| exporter.series.to_owned()).collect();
    let others = format!("{}|kafka[._]consumer[._]records_lag", others.join("|"));
    let others = select("", &format!("__name__=~\"{others}\""), settings);
    let named = |series: &str| format!(r#"label_replace({series}, "series", "$1", "__name__", "(.+)")"#);
    let promql =
        format!("count by ({labels}) ({}) or count by (series) ({})", named(&clients), named(&others));
    MetricQuery::new(KNOWN_SERIES, promql)
}

/// Which of the known series there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownSeries(BTreeSet<String>);

impl KnownSeries {
    /// Reads the answer to [`known_series`] with the label [`SERIES_LABEL`]. Of series in pods, those of pods for which
    /// `is_live` holds count: names of other workloads' pods may begin with the name of this one.
    pub fn read(samples: &[LabelledSample], is_live: impl Fn(&str) -> bool) -> Self {
        let there =
            samples.iter().filter(|sample| sample.value > 0.0 && sample.pod.as_deref().is_none_or(&is_live));
        Self(
            there
                .filter_map(|sample| sample.labels.first())
                .filter(|name| !name.is_empty())
                .cloned()
                .collect(),
        )
    }

    /// The presets that read clients inside the pods and whose series are there, the usual one first. Of the
    /// OpenTelemetry agent it is not known yet whether they are of these pods.
    pub fn in_pods(&self) -> Vec<KafkaPreset> {
        let has = |names: &[&str]| names.iter().any(|name| self.0.contains(*name));
        let mut found: Vec<KafkaPreset> = Vec::new();
        for (preset, client) in
            [(KafkaPreset::Micrometer, &MICROMETER), (KafkaPreset::JmxDefault, &JMX_DEFAULT)]
        {
            if has(&[client.assigned, client.lag]) {
                found.push(preset);
            }
        }
        if has(&OTEL_LAG) {
            found.push(KafkaPreset::OtelJava);
        }
        found
    }

    /// Whether clients in pods tell what they fetch.
    fn reads_clients(&self) -> bool {
        self.in_pods().iter().any(|preset| preset.client().is_some())
    }

    /// Whether all workloads have one source or none: nothing but clients of one kind in pods.
    pub fn is_alone(&self) -> bool {
        let in_pods = self.in_pods();
        self.exporters().is_empty() && in_pods.len() <= 1 && !in_pods.contains(&KafkaPreset::OtelJava)
    }

    /// The exporters whose series are there, by the preset that reads them.
    pub fn exporters(&self) -> Vec<KafkaPreset> {
        let there = EXPORTERS.iter().filter(|exporter| self.0.contains(exporter.series));
        there.map(|exporter| exporter.preset).collect()
    }
}

/// The names of the exporters and clients that are looked for.
pub fn known_sources() -> &'static str {
    "Micrometer, JMX exporter or OpenTelemetry agent in these pods, klag, kafka-lag-exporter, kminion, kafka_exporter"
}

fn exporter_of(preset: KafkaPreset) -> Option<&'static Exporter> {
    EXPORTERS.iter().find(|exporter| exporter.preset == preset)
}

/// Asks for the groups that have a member at the address of a pod of the workload, and the label that names them;
/// `None` where the exporter of this preset names no members.
pub fn groups_by_ip(preset: KafkaPreset, settings: &QuerySettings) -> Option<(MetricQuery, &'static str)> {
    let Exporter { series, group, .. } = exporter_of(preset).filter(|exporter| exporter.has_members)?;
    let members = by_ip(&select(series, &format!("{group}!=\"\", {MEMBER_HOST}"), settings), group);
    let pods = running_pods(settings);
    let promql = format!("count by ({group}, pod) ({members} * on (pod_ip) group_left (pod) {pods})");
    Some((MetricQuery::new(BY_ADDRESS, promql), group))
}

/// Asks for the groups with a member that is called like a pod, by the labels of the group and `client_id`;
/// `None` where the exporter of this preset names no members.
pub fn groups_by_client(
    preset: KafkaPreset,
    settings: &QuerySettings,
) -> Option<(MetricQuery, [&'static str; 2])> {
    let Exporter { series, group, .. } = exporter_of(preset).filter(|exporter| exporter.has_members)?;
    let pattern = settings.pod_pattern.as_deref().unwrap_or(".+");
    let client = format!("client_id=~\"{}\"", literal(pattern));
    let members = select(series, &format!("{group}!=\"\", {CLIENT_ID}, {client}"), settings);
    let promql = format!("count by ({group}, client_id) ({members})");
    Some((MetricQuery::new(BY_CLIENT, promql), [group, "client_id"]))
}

/// Asks for the number of members of each group, by the label that names it: of members with an address, or with a name
/// (`by_client`); `None` where the exporter of this preset names no members.
pub fn members_of_groups(
    preset: KafkaPreset,
    by_client: bool,
    settings: &QuerySettings,
) -> Option<(MetricQuery, &'static str)> {
    let Exporter { series, group, .. } = exporter_of(preset).filter(|exporter| exporter.has_members)?;
    let members = |named: &str| select(series, &format!("{group}!=\"\", {named}"), settings);
    let (name, members) = if by_client {
        (COUNT_BY_CLIENT, format!("count by ({group}, client_id) ({})", members(CLIENT_ID)))
    } else {
        (COUNT_BY_ADDRESS, by_ip(&members(MEMBER_HOST), group))
    };
    Some((MetricQuery::new(name, format!("count by ({group}) ({members})")), group))
}

/// Asks for the topics that the clients in the pods fetch, by the labels of [`TOPIC_LABELS`]; `None` where this preset
/// does not read clients of pods by name.
pub fn topics_of_pods(preset: KafkaPreset, settings: &QuerySettings) -> Option<MetricQuery> {
    let lag = in_namespace(preset.client()?.lag, "topic!=\"\"", settings);
    Some(MetricQuery::new(
        topics_name(preset),
        format!("count by (pod, topic, client_id, clientid) ({lag} >= -1)"),
    ))
}

/// Asks which groups read any of these topics, by the labels of group and topic.
pub fn groups_by_topic(
    exporter: KafkaPreset,
    topics: &BTreeSet<String>,
    settings: &QuerySettings,
) -> Option<(MetricQuery, [&'static str; 2])> {
    let Exporter { series, group, topic, .. } = exporter_of(exporter)?;
    // Clients write dots as underscores.
    let names: Vec<String> = topics.iter().map(|name| regex(name).replace('_', "[._]")).collect();
    let topics = literal(&names.join("|"));
    let lag = select(series, &format!("{group}!=\"\", {topic}=~\"{topics}\""), settings);
    let promql = format!("count by ({group}, {topic}) ({lag})");
    Some((MetricQuery::new(BY_TOPIC, promql), [group, topic]))
}

/// The questions of this file about all pods and groups that the settings reach, each answered by one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JointDetection {
    /// The pods with series of a client in them, by `NAMESPACE/POD`.
    pub(crate) clients: Vec<(KafkaPreset, MetricQuery)>,
    /// What they fetch, by `NAMESPACE/POD/TOPIC/CLIENT_ID/CLIENTID`.
    pub(crate) topics: Vec<(KafkaPreset, MetricQuery)>,
    /// The addresses of pods, by `NAMESPACE/POD/ADDRESS`.
    pub(crate) addresses: Option<MetricQuery>,
    /// The groups of members by `ADDRESS/GROUP`, each with the label of the group.
    pub(crate) by_address: Vec<(&'static str, MetricQuery)>,
    /// The groups of members by `CLIENT_ID` and `GROUP`, with a newline between them.
    pub(crate) by_client: Vec<(&'static str, MetricQuery)>,
    /// The groups that read a topic by `TOPIC/GROUP`, each with the labels of both.
    pub(crate) by_topic: Vec<([&'static str; 2], MetricQuery)>,
}

impl JointDetection {
    /// The questions that matter where these series are known.
    pub(crate) fn new(known: &KnownSeries, settings: &QuerySettings) -> Self {
        let joined = |name: &str, series: &str, between: &str, labels: &[&str]| {
            let labels: Vec<String> = labels.iter().map(|label| format!("\"{label}\"")).collect();
            let joined = format!("label_join({series}, \"place\", \"{between}\", {})", labels.join(", "));
            MetricQuery::new(name, joined).with_pod_label("place")
        };
        let readers = || known.in_pods().into_iter().filter_map(|preset| Some((preset, preset.client()?)));
        let clients = readers().map(|(preset, client)| {
            let names = format!("__name__=~\"{}|{}\"", client.assigned, client.lag);
            let counted = format!("count by (namespace, pod) ({})", in_namespace("", &names, settings));
            (preset, joined(KNOWN_SERIES, &counted, "/", &["namespace", "pod"]))
        });
        let has_exporter = !known.exporters().is_empty();
        let topics = readers().filter(|_| has_exporter).map(|(preset, client)| {
            let lag = in_namespace(client.lag, "topic!=\"\"", settings);
            let counted = format!("count by (namespace, pod, topic, client_id, clientid) ({lag} >= -1)");
            let labels = ["namespace", "pod", "topic", "client_id", "clientid"];
            (preset, joined(&topics_name(preset), &counted, "/", &labels))
        });
        let exporters: Vec<&Exporter> = known.exporters().into_iter().filter_map(exporter_of).collect();
        let with_members = || exporters.iter().copied().filter(|exporter| exporter.has_members);
        let by_address = with_members().map(|Exporter { series, group, .. }| {
            let named = select(series, &format!("{group}!=\"\", {MEMBER_HOST}"), settings);
            (*group, joined(BY_ADDRESS, &by_ip(&named, group), "/", &["pod_ip", group]))
        });
        let by_client = with_members().map(|Exporter { series, group, .. }| {
            let named = select(series, &format!("{group}!=\"\", {CLIENT_ID}"), settings);
            let counted = format!("count by ({group}, client_id) ({named})");
            (*group, joined(BY_CLIENT, &counted, r"\n", &["client_id", group]))
        });
        let by_topic = exporters.iter().map(|Exporter { series, group, topic, .. }| {
            let lag = select(series, &format!("{group}!=\"\""), settings);
            let counted = format!("count by ({group}, {topic}) ({lag})");
            ([*group, *topic], joined(BY_TOPIC, &counted, "/", &[topic, group]))
        });
        Self {
            clients: clients.collect(),
            topics: topics.collect(),
            addresses: with_members().next().map(|_| addresses(settings)),
            by_address: by_address.collect(),
            by_client: by_client.collect(),
            by_topic: by_topic.filter(|_| known.reads_clients()).collect(),
        }
    }
}

/// Whether a series of this name is one of a client inside pods that is told by its name.
pub(crate) fn is_of_a_client(series: &str) -> bool {
    [&MICROMETER, &JMX_DEFAULT].iter().any(|client| [client.assigned, client.lag].contains(&series))
}

/// The series by which a client of this preset is known; `None` where it is known otherwise.
pub(crate) fn series_of(preset: KafkaPreset) -> Option<&'static str> {
    preset.client().map(|client| client.assigned)
}

/// The spelling of a topic that all of them share.
pub fn plain_topic(topic: &str) -> String {
    topic.replace('.', "_")
}

/// The consumers of the workload's pods: what each fetches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consumers {
    /// Topics by pod and `client.id`.
    topics: BTreeMap<(String, String), BTreeSet<String>>,
}

impl Consumers {
    /// Reads the answer to [`topics_of_pods`], of the pods for which `is_live` holds.
    pub fn read(samples: &[LabelledSample], is_live: impl Fn(&str) -> bool) -> Self {
        let mut topics: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
        for sample in samples {
            let (Some(pod), [topic, dashed, plain]) = (&sample.pod, sample.labels.as_slice()) else {
                continue;
            };
            if topic.is_empty() || !is_live(pod) {
                continue;
            }
            let client = if dashed.is_empty() { plain } else { dashed };
            topics.entry((pod.clone(), client.clone())).or_default().insert(plain_topic(topic));
        }
        Self { topics }
    }

    /// All topics that they fetch.
    pub fn topics(&self) -> BTreeSet<String> {
        self.topics.values().flatten().cloned().collect()
    }

    /// The groups that these consumers can be members of: each reads all topics of one consumer, and where a
    /// consumer's `client.id` names its group, no other. `groups` holds the topics of each group.
    ///
    /// More than one where it is not clear, or where the pods read for several groups.
    pub fn groups(&self, groups: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
        let mut possible: BTreeSet<String> = BTreeSet::new();
        let mut common: Option<BTreeSet<&String>> = None;
        for ((pod, client), topics) in &self.topics {
            let reading = groups.iter().filter(|(_, read)| topics.is_subset(read)).map(|(group, _)| group);
            let reading: BTreeSet<&String> = reading.collect();
            let named: BTreeSet<&String> = reading
                .iter()
                .copied()
                .filter(|group| is_client_of(client, group, |name| name == pod))
                .collect();
            let of_client = if named.is_empty() { reading } else { named };
            if of_client.is_empty() {
                // Its group is not exported: none of the others is proved.
                return BTreeSet::new();
            }
            possible.extend(of_client.iter().copied().cloned());
            common = Some(match common {
                None => of_client,
                Some(common) => common.intersection(&of_client).copied().collect(),
            });
        }
        let common = common.unwrap_or_default();
        match common.len() {
            1 => common.into_iter().cloned().collect(),
            _ => possible,
        }
    }
}

/// The pods whose name a `client.id` can be: itself, and without a `-N` at its end.
pub fn pods_called(client: &str) -> impl Iterator<Item = &str> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let shorter = client.rsplit_once('-').filter(|(_, number)| is_number(number)).map(|(pod, _)| pod);
    [Some(client), shorter].into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumers(of: &[(&str, &str, &[&str])]) -> Consumers {
        let topics = of.iter().map(|(pod, client, topics)| {
            let key = ((*pod).to_owned(), (*client).to_owned());
            (key, topics.iter().map(|topic| (*topic).to_owned()).collect())
        });
        Consumers { topics: topics.collect() }
    }

    fn groups(of: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let read = |topics: &[&str]| topics.iter().map(|topic| (*topic).to_owned()).collect();
        of.iter().map(|(group, topics)| ((*group).to_owned(), read(topics))).collect()
    }

    #[track_caller]
    fn assert_found(of: &Consumers, known: &[(&str, &[&str])], expected: &[&str]) {
        let found = of.groups(&groups(known));
        assert_eq!(found.iter().map(String::as_str).collect::<Vec<&str>>(), expected);
    }

    #[test]
    fn the_group_is_the_one_that_reads_what_the_pods_fetch() {
        let pods = consumers(&[("o-1", "c", &["orders"]), ("o-2", "c", &["orders", "returns"])]);
        assert_found(&pods, &[("g", &["orders", "returns"]), ("h", &["orders"])], &["g"]);
        assert_found(&pods, &[("g", &["orders", "returns"]), ("h", &["orders", "returns"])], &["g", "h"]);
        assert_found(&pods, &[("h", &["orders"])], &[]);
        assert_found(&consumers(&[]), &[("g", &["orders"])], &[]);
    }

    #[test]
    fn a_client_that_names_its_group_is_of_no_other() {
        let known: [(&str, &[&str]); 3] = [("g", &["orders"]), ("g-b", &["orders"]), ("audit", &["orders"])];
        assert_found(&consumers(&[("o-1", "consumer-g-1", &["orders"])]), &known, &["g"]);
        assert_found(&consumers(&[("o-1", "consumer-g-b-12", &["orders"])]), &known, &["g-b"]);
        assert_found(&consumers(&[("o-1", "consumer-g-o-1", &["orders"])]), &known, &["g"]);
        let two = [("o-1", "consumer-g-1", &["orders"][..]), ("o-1", "consumer-audit-2", &["orders"])];
        assert_found(&consumers(&two), &known, &["audit", "g"]);
        let stream = "g-b-4f8a-StreamThread-1-consumer";
        assert_found(&consumers(&[("o-1", stream, &["orders"])]), &known[1..], &["g-b"]);
    }

    #[test]
    fn a_client_of_the_pods_name_is_of_that_pod() {
        let is_of = |client: &str| pods_called(client).any(|pod| pod == "orders-0");
        assert!(is_of("orders-0") && is_of("orders-0-3"));
        for other in ["orders-01", "orders-0-", "orders-0-a", "orders", "retry-orders-0"] {
            assert!(!is_of(other), "{other}");
        }
    }

    #[test]
    fn an_odd_answer_names_nothing() {
        let sample = |labels: &[&str], value: f64| LabelledSample {
            pod: None,
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            value,
        };
        let odd =
            [sample(&[], 1.0), sample(&[""], 1.0), sample(&["up"], 1.0), sample(&[MICROMETER.lag], f64::NAN)];
        let known = KnownSeries::read(&odd, |_| true);
        assert!(known.in_pods().is_empty() && known.exporters().is_empty());
        let of_pod = LabelledSample { pod: Some("orders-0".into()), ..sample(&[JMX_DEFAULT.lag], 3.0) };
        let of_another = LabelledSample { pod: Some("orders-v2-0".into()), ..sample(&[MICROMETER.lag], 3.0) };
        let there = [sample(&["kafka.consumer.records_lag"], 3.0), of_pod, of_another];
        let known = KnownSeries::read(&there, |pod| pod == "orders-0");
        assert_eq!(known.in_pods(), [KafkaPreset::JmxDefault, KafkaPreset::OtelJava]);
    }
}
