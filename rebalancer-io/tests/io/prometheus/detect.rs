//! What real exporters wrote about real consumer groups, all on one server: the preset and the group of each workload
//! are found out.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rebalancer_io::metrics::detect::{self, Consumers, KnownSeries};
use rebalancer_io::metrics::{KafkaPreset, MetricQuery, MetricsSource as _, QuerySettings};
use rebalancer_io::prometheus::{LabelledSample, PrometheusClient};

use super::exporters::{GROUPS, Group, settings};
use super::recorded::Recorded;
use super::servers::on_each_server;

/// The means to ask about the pods of one group at one moment.
struct Asking<'a> {
    client: &'a PrometheusClient,
    settings: QuerySettings,
    group: Group,
    at: Timestamp,
}

impl Asking<'_> {
    fn ask(&self, query: &MetricQuery, labels: &[&str]) -> Vec<LabelledSample> {
        let answer = self.client.labelled(query, labels, self.at);
        answer.unwrap_or_else(|error| panic!("{}: {error}", self.group.name))
    }

    fn is_live(&self, pod: &str) -> bool {
        pod.starts_with(self.group.prefix)
    }

    /// The groups that have a member at the address of a pod.
    fn by_ip(&self, preset: KafkaPreset) -> BTreeSet<String> {
        let (query, label) = detect::groups_by_ip(preset, &self.settings).expect("an exporter with members");
        let samples = self.ask(&query, &[label]).into_iter();
        let of_pods = samples.filter(|sample| sample.pod.as_deref().is_some_and(|pod| self.is_live(pod)));
        of_pods.filter_map(|sample| sample.labels.into_iter().next()).collect()
    }

    /// The groups that read what the pods fetch, as one exporter tells it.
    fn by_topic(&self, preset: KafkaPreset, exporter: KafkaPreset) -> BTreeSet<String> {
        let query = detect::topics_of_pods(preset, &self.settings).expect("a preset of clients");
        let consumers = Consumers::read(&self.ask(&query, &detect::TOPIC_LABELS), |pod| self.is_live(pod));
        let (query, labels) =
            detect::groups_by_topic(exporter, &consumers.topics(), &self.settings).expect("an exporter");
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for sample in self.ask(&query, &labels) {
            groups
                .entry(sample.labels[0].clone())
                .or_default()
                .insert(detect::plain_topic(&sample.labels[1]));
        }
        consumers.groups(&groups)
    }
}

#[test]
fn preset_and_group_are_found_by_what_exporters_write() {
    let recorded = Recorded::load("groups", &["t1"]);
    let at = Timestamp::from_millisecond(recorded.moment("t1").at_ms).expect("a time");
    on_each_server(&recorded.series(), |server, client| {
        for group in GROUPS {
            let settings = QuerySettings { group: None, ..settings(group, KafkaPreset::None) };
            let asking = Asking { client, settings, group, at };
            let known = asking.ask(&detect::known_series(&asking.settings), &[detect::SERIES_LABEL]);
            let known = KnownSeries::read(&known, |_| true);
            let in_pods = [KafkaPreset::Micrometer, KafkaPreset::JmxDefault, KafkaPreset::OtelJava];
            assert_eq!(known.in_pods(), in_pods, "{server} {}", group.name);
            let exporters = [KafkaPreset::KlagIp, KafkaPreset::Kminion, KafkaPreset::KafkaExporter];
            assert_eq!(known.exporters(), exporters, "{server} {}", group.name);

            let own = BTreeSet::from([group.name.to_owned()]);
            let members = if group.has_members { own.clone() } else { BTreeSet::new() };
            assert_eq!(asking.by_ip(KafkaPreset::KlagIp), members, "{server} {} by address", group.name);
            for by_client in [false, true] {
                let counts = detect::members_of_groups(KafkaPreset::KlagIp, by_client, &asking.settings);
                let (query, label) = counts.expect("an exporter with members");
                let counts = asking.ask(&query, &[label]);
                let is_counted = counts.iter().any(|row| row.labels[0] == group.name && row.value >= 1.0);
                assert_eq!(is_counted, group.has_members, "{server} {}: {counts:?}", group.name);
            }
            // Three of the groups read one topic; of them, the clients of one name their group.
            let is_alone = matches!(group.name, "grp-two7" | "grp-idle7");
            for preset in [KafkaPreset::Micrometer, KafkaPreset::JmxDefault] {
                for exporter in exporters {
                    let found = asking.by_topic(preset, exporter);
                    let what = format!("{server} {} by {preset} and {exporter}: {found:?}", group.name);
                    assert!(found.contains(group.name), "{what}");
                    assert_eq!(found.len() == 1, is_alone, "{what}");
                }
            }
        }
        let elsewhere = QuerySettings::new("elsewhere");
        let known = client.labelled(&detect::known_series(&elsewhere), &[detect::SERIES_LABEL], at);
        let known = KnownSeries::read(&known.expect("an answer"), |_| true);
        assert_eq!(known.in_pods(), [KafkaPreset::OtelJava], "{server}: of which the pods are not known yet");
    });
}
