//! Finds out where lag and rate of a workload come from, and which consumer group its pods are members of: by
//! the names of the series that the server has, and by what exporters tell of members.

use std::collections::{BTreeMap, BTreeSet};

use super::client::Client;
use super::exporter::{CLIENT_ID, Exporter, MEMBER_HOST};
use super::joint::{addresses, placed};
use super::kafka::{by_ip, running_pods};
use super::members::is_client_of;
use super::preset::{all_of, in_namespace, select};
use super::settings::{KafkaPreset, QuerySettings};
use crate::prometheus::{LabelledSample, MetricQuery};
use crate::promql::{literal, regex};

/// The label under which the question for known series answers their names.
pub const SERIES_LABEL: &str = "series";

/// Labels of the answer to [`topics_of_pods`].
pub const TOPIC_LABELS: [&str; 3] = ["topic", "client_id", "clientid"];

/// The presets that read exporters which tell of consumer groups; those that name members first, since they need no guess.
const EXPORTERS: [KafkaPreset; 4] =
    [KafkaPreset::KlagIp, KafkaPreset::KafkaLagExporterIp, KafkaPreset::Kminion, KafkaPreset::KafkaExporter];

/// The clients in pods that are told by the names of their series.
const CLIENTS: [KafkaPreset; 2] = [KafkaPreset::Micrometer, KafkaPreset::JmxDefault];

/// Name of the lag that the OpenTelemetry agent writes, with a dot or an underscore.
const OTEL_LAG: [&str; 2] = ["kafka_consumer_records_lag", "kafka.consumer.records_lag"];

/// The client in pods that a preset reads, if its series name the pod.
fn client_of(preset: KafkaPreset) -> Option<&'static Client> {
    preset.client().filter(|client| !client.is_agent)
}

/// The exporter that a preset reads, if its series name members.
fn naming_members(preset: KafkaPreset) -> Option<&'static Exporter> {
    preset.exporter().filter(|exporter| exporter.has_members)
}

impl Exporter {
    /// Its series about groups that `labels` select too.
    fn of_groups(&self, labels: &str, settings: &QuerySettings) -> String {
        select(self.lag, &all_of(&[&format!("{}!=\"\"", self.group), labels]), settings)
    }

    /// The addresses of members by group.
    fn addresses(&self, settings: &QuerySettings) -> String {
        by_ip(&self.of_groups(MEMBER_HOST, settings), self.group)
    }

    /// The names of members by group; `labels` select them.
    fn clients(&self, labels: &str, settings: &QuerySettings) -> String {
        let members = self.of_groups(&all_of(&[CLIENT_ID, labels]), settings);
        format!("count by ({}, client_id) ({members})", self.group)
    }

    /// The topics that groups read; `labels` select them.
    fn topics(&self, labels: &str, settings: &QuerySettings) -> String {
        format!("count by ({}, {}) ({})", self.group, self.topic, self.of_groups(labels, settings))
    }
}

/// The series by which a client in pods is known.
fn names_of(client: &Client) -> String {
    format!("{}|{}", client.assigned, client.lag)
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
    let clients: Vec<String> = CLIENTS.into_iter().filter_map(client_of).map(names_of).collect();
    let clients = in_namespace("", &format!("__name__=~\"{}\"", clients.join("|")), settings);
    let others: Vec<&str> =
        EXPORTERS.into_iter().filter_map(KafkaPreset::exporter).map(|exporter| exporter.lag).collect();
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
        let mut known = Self::default();
        for sample in samples {
            known.add(sample, &is_live);
        }
        known
    }

    /// Takes in one sample of that answer, which has one for each pod.
    pub fn add(&mut self, sample: &LabelledSample, is_live: impl Fn(&str) -> bool) {
        let is_there = sample.value > 0.0 && sample.pod.as_deref().is_none_or(is_live);
        let name = sample.labels.first().filter(|name| is_there && is_looked_for(name));
        if let Some(name) = name.filter(|name| !self.0.contains(*name)) {
            self.0.insert(name.clone());
        }
    }

    /// The presets that read clients inside the pods and whose series are there, the usual one first. Of the
    /// OpenTelemetry agent it is not known yet whether they are of these pods.
    pub fn in_pods(&self) -> Vec<KafkaPreset> {
        let has = |preset: &KafkaPreset| match client_of(*preset) {
            Some(client) => [client.assigned, client.lag].iter().any(|name| self.0.contains(*name)),
            None => OTEL_LAG.iter().any(|name| self.0.contains(*name)),
        };
        CLIENTS.into_iter().chain([KafkaPreset::OtelJava]).filter(has).collect()
    }

    /// Whether clients in pods tell what they fetch.
    fn reads_clients(&self) -> bool {
        self.in_pods().into_iter().any(|preset| client_of(preset).is_some())
    }

    /// Whether all workloads have one source or none: nothing but clients of one kind in pods.
    pub fn is_alone(&self) -> bool {
        let in_pods = self.in_pods();
        self.exporters().is_empty() && in_pods.len() <= 1 && !in_pods.contains(&KafkaPreset::OtelJava)
    }

    /// The exporters whose series are there, by the preset that reads them.
    pub fn exporters(&self) -> Vec<KafkaPreset> {
        let is_there =
            |preset: &KafkaPreset| preset.exporter().is_some_and(|exporter| self.0.contains(exporter.lag));
        EXPORTERS.into_iter().filter(is_there).collect()
    }
}

/// Whether a series of this name tells of a client or an exporter.
fn is_looked_for(series: &str) -> bool {
    let mut exporters = EXPORTERS.into_iter().filter_map(KafkaPreset::exporter);
    is_of_a_client(series) || OTEL_LAG.contains(&series) || exporters.any(|exporter| exporter.lag == series)
}

/// The names of the exporters and clients that are looked for.
pub fn known_sources() -> &'static str {
    "Micrometer, JMX exporter or OpenTelemetry agent in these pods, klag, kafka-lag-exporter, kminion, kafka_exporter"
}

/// Asks for the groups that have a member at the address of a pod of the workload, and the label that names them;
/// `None` where the exporter of this preset names no members.
pub fn groups_by_ip(preset: KafkaPreset, settings: &QuerySettings) -> Option<(MetricQuery, &'static str)> {
    let exporter = naming_members(preset)?;
    let (group, members, pods) = (exporter.group, exporter.addresses(settings), running_pods(settings));
    let promql = format!("count by ({group}, pod) ({members} * on (pod_ip) group_left (pod) {pods})");
    Some((MetricQuery::new(BY_ADDRESS, promql), group))
}

/// Asks for the groups with a member that is called like a pod, by the labels of the group and `client_id`;
/// `None` where the exporter of this preset names no members.
pub fn groups_by_client(
    preset: KafkaPreset,
    settings: &QuerySettings,
) -> Option<(MetricQuery, [&'static str; 2])> {
    let exporter = naming_members(preset)?;
    let pattern = settings.pod_pattern.as_deref().unwrap_or(".+");
    let clients = exporter.clients(&format!("client_id=~\"{}\"", literal(pattern)), settings);
    Some((MetricQuery::new(BY_CLIENT, clients), [exporter.group, "client_id"]))
}

/// Asks for the number of members of each group, by the label that names it: of members with an address, or with a name
/// (`by_client`); `None` where the exporter of this preset names no members.
pub fn members_of_groups(
    preset: KafkaPreset,
    by_client: bool,
    settings: &QuerySettings,
) -> Option<(MetricQuery, &'static str)> {
    let exporter = naming_members(preset)?;
    let (name, members) = if by_client {
        (COUNT_BY_CLIENT, exporter.clients("", settings))
    } else {
        (COUNT_BY_ADDRESS, exporter.addresses(settings))
    };
    let group = exporter.group;
    Some((MetricQuery::new(name, format!("count by ({group}) ({members})")), group))
}

/// Asks for the topics that the clients in the pods fetch, by the labels of [`TOPIC_LABELS`]; `None` where this preset
/// does not read clients of pods by name.
pub fn topics_of_pods(preset: KafkaPreset, settings: &QuerySettings) -> Option<MetricQuery> {
    let lag = in_namespace(client_of(preset)?.lag, "topic!=\"\"", settings);
    Some(MetricQuery::new(
        topics_name(preset),
        format!("count by (pod, topic, client_id, clientid) ({lag} >= -1)"),
    ))
}

/// Asks which groups read any of these topics, by the labels of group and topic.
pub fn groups_by_topic(
    preset: KafkaPreset,
    topics: &BTreeSet<String>,
    settings: &QuerySettings,
) -> Option<(MetricQuery, [&'static str; 2])> {
    let exporter = preset.exporter()?;
    // Clients write dots as underscores.
    let names: Vec<String> = topics.iter().map(|name| regex(name).replace('_', "[._]")).collect();
    let topics = literal(&names.join("|"));
    let read = exporter.topics(&format!("{}=~\"{topics}\"", exporter.topic), settings);
    Some((MetricQuery::new(BY_TOPIC, read), [exporter.group, exporter.topic]))
}

/// The questions of this file about all pods and groups that the settings reach, as far as they matter where these series are
/// known. Each is answered by one label, and comes with the preset and the name under which its answer is known.
pub(crate) fn questions_of_all(
    known: &KnownSeries,
    settings: &QuerySettings,
) -> Vec<(KafkaPreset, String, MetricQuery)> {
    let mut questions: Vec<(KafkaPreset, String, MetricQuery)> = Vec::new();
    let mut add = |preset, by: &[&str], query: MetricQuery| {
        let name = if by.is_empty() { query.name.clone() } else { labelled_name(&query.name, by) };
        questions.push((preset, name, query));
    };
    let exporters = || known.exporters().into_iter().filter_map(KafkaPreset::exporter);
    for preset in known.in_pods() {
        let Some(client) = client_of(preset) else { continue };
        let names = format!("__name__=~\"{}\"", names_of(client));
        let counted = format!("count by (namespace, pod) ({})", in_namespace("", &names, settings));
        add(preset, &[], placed(KNOWN_SERIES, &counted, "/", &["namespace", "pod"]));
        if exporters().next().is_some() {
            let lag = in_namespace(client.lag, "topic!=\"\"", settings);
            let counted = format!("count by (namespace, pod, topic, client_id, clientid) ({lag} >= -1)");
            let labels = ["namespace", "pod", "topic", "client_id", "clientid"];
            add(KafkaPreset::None, &[], placed(&topics_name(preset), &counted, "/", &labels));
        }
    }
    if exporters().any(|exporter| exporter.has_members) {
        add(KafkaPreset::None, &[], addresses(settings));
    }
    for exporter in exporters() {
        let Exporter { group, topic, .. } = *exporter;
        if exporter.has_members {
            let of_addresses = placed(BY_ADDRESS, &exporter.addresses(settings), "/", &["pod_ip", group]);
            add(KafkaPreset::None, &[group], of_addresses);
            let of_clients = placed(BY_CLIENT, &exporter.clients("", settings), r"\n", &["client_id", group]);
            add(KafkaPreset::None, &[group], of_clients);
        }
        if known.reads_clients() {
            let of_topics = placed(BY_TOPIC, &exporter.topics("", settings), "/", &[topic, group]);
            add(KafkaPreset::None, &[group, topic], of_topics);
        }
    }
    questions
}

/// The name under which the answer to a question is known whose labels differ by exporter.
pub(crate) fn labelled_name(name: &str, labels: &[&str]) -> String {
    format!("{name} by {}", labels.join(", "))
}

/// Whether a series of this name is one of a client inside pods that is told by its name.
pub(crate) fn is_of_a_client(series: &str) -> bool {
    CLIENTS.into_iter().filter_map(client_of).any(|client| [client.assigned, client.lag].contains(&series))
}

/// The series by which a client of this preset is known; `None` where it is known otherwise.
pub(crate) fn series_of(preset: KafkaPreset) -> Option<&'static str> {
    client_of(preset).map(|client| client.assigned)
}

/// The spelling of a topic that all of them share.
pub fn plain_topic(topic: &str) -> String {
    topic.replace('.', "_")
}

/// The consumers of the workload's pods: what each fetches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consumers {
    /// Pod, `client.id` and topic.
    fetched: BTreeSet<(String, String, String)>,
}

impl Consumers {
    /// Reads the answer to [`topics_of_pods`], of the pods for which `is_live` holds.
    pub fn read(samples: &[LabelledSample], is_live: impl Fn(&str) -> bool) -> Self {
        let mut fetched: BTreeSet<(String, String, String)> = BTreeSet::new();
        for sample in samples {
            let (Some(pod), [topic, dashed, plain]) = (&sample.pod, sample.labels.as_slice()) else {
                continue;
            };
            if topic.is_empty() || !is_live(pod) {
                continue;
            }
            let client = if dashed.is_empty() { plain } else { dashed };
            fetched.insert((pod.clone(), client.clone(), plain_topic(topic)));
        }
        Self { fetched }
    }

    /// All topics that they fetch.
    pub fn topics(&self) -> BTreeSet<String> {
        let topics: BTreeSet<&String> = self.fetched.iter().map(|(_, _, topic)| topic).collect();
        topics.into_iter().cloned().collect()
    }

    /// The groups that these consumers can be members of: each reads all topics of one consumer, and where a
    /// consumer's `client.id` names its group, no other. `groups` holds the topics of each group.
    ///
    /// More than one where it is not clear, or where the pods read for several groups.
    pub fn groups(&self, groups: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
        let mut possible: BTreeSet<String> = BTreeSet::new();
        let mut common: Option<BTreeSet<&String>> = None;
        let fetched: Vec<&(String, String, String)> = self.fetched.iter().collect();
        for of_one in fetched.chunk_by(|a, b| (&a.0, &a.1) == (&b.0, &b.1)) {
            let (pod, client, _) = of_one[0];
            let reads_all = |read: &BTreeSet<String>| of_one.iter().all(|(_, _, topic)| read.contains(topic));
            let reading = groups.iter().filter(|(_, read)| reads_all(read)).map(|(group, _)| group);
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
    use super::super::client::{JMX_DEFAULT, MICROMETER};
    use super::*;

    fn consumers(of: &[(&str, &str, &[&str])]) -> Consumers {
        let of_client = |(pod, client, topics): &(&str, &str, &[&str])| {
            let fetched = |topic: &&str| ((*pod).to_owned(), (*client).to_owned(), (*topic).to_owned());
            topics.iter().map(fetched).collect::<Vec<(String, String, String)>>()
        };
        Consumers { fetched: of.iter().flat_map(of_client).collect() }
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
