//! Where lag and message rate come from, and which consumer group the pods are members of: found by the series
//! that the metrics server has, where `METRICS_PRESET` is `auto`.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{Metric, PerMetric, Workload};
use rebalancer_io::metrics::detect::{self, Consumers, KnownSeries};
use rebalancer_io::metrics::{KafkaPreset, MetricQuery, MetricsSource, QuerySet, QuerySettings};
use rebalancer_io::prometheus::LabelledSample;

use crate::failure::Failure;
use crate::format::text::first_of;
use crate::report::FoundReport;

/// Most groups that are named.
const MOST_GROUPS: usize = 10;

/// Why a group is that of the pods, where its members tell it.
const BY_MEMBERS: &str = "its members are these pods";

/// What a question that is not answered leaves open.
const UNKNOWN: &str = "cannot find out where the lag comes from (METRICS_PRESET=auto)";

/// Where the lag and the rate of a workload come from, as it is set or found.
#[derive(Debug, Clone, Default)]
pub struct KafkaSource {
    /// The preset; `None` of the presets where no series are there.
    pub preset: KafkaPreset,
    /// The group: the one that was set, or the one that was found.
    pub group: Option<String>,
    /// What was found, as settings.
    pub found: Vec<FoundReport>,
    /// What is not clear.
    pub told: Vec<String>,
}

impl KafkaSource {
    /// What is set.
    pub fn set(settings: &QuerySettings) -> Self {
        Self { preset: settings.preset, group: settings.group.clone(), ..Self::default() }
    }

    /// This preset for this reason, with the group that is set.
    fn found(preset: KafkaPreset, why: &str, settings: &QuerySettings) -> Self {
        Self { preset, found: vec![preset_found(preset, why)], ..Self::set(settings) }
    }

    /// No Kafka, since neither clients nor exporters of it are known.
    pub fn none(settings: &QuerySettings) -> Self {
        let why = format!("no series of a Kafka client or exporter; looked for {}", detect::known_sources());
        Self::found(KafkaPreset::None, &why, settings)
    }

    /// Takes the group if it is the only one.
    pub fn set_group(&mut self, groups: BTreeSet<String>, why: &str) {
        let groups: Vec<String> = groups.into_iter().collect();
        match groups.as_slice() {
            [] => {}
            [group] => {
                self.found.push(FoundReport::new("KAFKA_GROUP", group, why));
                self.group = Some(group.clone());
            }
            several => self.told.push(format!(
                "several consumer groups fit these pods, so that none is chosen: {}; set KAFKA_GROUP",
                first_of(several, MOST_GROUPS)
            )),
        }
    }
}

/// The preset as a setting that was found.
pub fn preset_found(preset: KafkaPreset, why: &str) -> FoundReport {
    FoundReport::new("METRICS_PRESET", preset.name(), why)
}

/// Finds preset and group for the pods of `workload`. `settings` hold the group where it is set.
///
/// # Errors
/// A metrics server that does not answer; several groups where the preset needs one.
pub fn find<S: MetricsSource>(
    source: &S,
    settings: &QuerySettings,
    workload: &Workload,
    at: Timestamp,
) -> Result<KafkaSource, Failure> {
    let live = workload.living().map(|pod| pod.name.as_str()).collect();
    Asking { source, settings, live, at }.find()
}

/// The means to ask about one moment.
struct Asking<'a, S> {
    source: &'a S,
    settings: &'a QuerySettings,
    /// The names of the live pods.
    live: HashSet<&'a str>,
    at: Timestamp,
}

impl<S: MetricsSource> Asking<'_, S> {
    fn find(&self) -> Result<KafkaSource, Failure> {
        let known = self.known_series()?;
        let exporters = known.exporters();
        for preset in known.in_pods() {
            if preset != KafkaPreset::OtelJava || self.has_lag(preset)? {
                return self.in_pods(preset, &exporters);
            }
        }
        let (groups, preset) = self.members(&exporters)?;
        if let Some(preset) = preset {
            return self.by_exporter(preset, groups);
        }
        if exporters.is_empty() {
            return Ok(KafkaSource::none(self.settings));
        }
        let exporters: Vec<&str> = exporters.iter().map(|preset| preset.name()).collect();
        let why = format!(
            "no series that tell which partitions these pods own, only those of {}",
            exporters.join(", ")
        );
        Ok(KafkaSource::found(KafkaPreset::None, &why, self.settings))
    }

    /// Which series there are. The answer has a sample for each pod, so it is never held whole.
    fn known_series(&self) -> Result<KnownSeries, Failure> {
        let mut known = KnownSeries::default();
        let query = detect::known_series(self.settings);
        let answer =
            self.source.labelled_by_sample(&query, &[detect::SERIES_LABEL], self.at, &mut |sample| {
                known.add(&sample, |pod| self.is_live(pod));
            });
        answer.context(UNKNOWN)?;
        Ok(known)
    }

    /// A preset that reads clients in the pods. The group is useful to it, and not needed.
    fn in_pods(&self, preset: KafkaPreset, exporters: &[KafkaPreset]) -> Result<KafkaSource, Failure> {
        let mut source = KafkaSource::found(preset, "series of clients in these pods", self.settings);
        if source.group.is_none() {
            let (groups, _) = self.members(exporters)?;
            if groups.is_empty() {
                let groups = self.groups_by_topic(preset, exporters)?;
                source.set_group(groups, "it reads the topics that these pods fetch");
            } else {
                source.set_group(groups, BY_MEMBERS);
            }
        }
        Ok(source)
    }

    /// A preset that reads an exporter which names the members of groups.
    fn by_exporter(&self, preset: KafkaPreset, groups: BTreeSet<String>) -> Result<KafkaSource, Failure> {
        let why = "an exporter whose members are these pods";
        let mut source = KafkaSource::found(preset, why, self.settings);
        if source.group.is_none() {
            source.set_group(groups, BY_MEMBERS);
        }
        match source.group {
            Some(_) => Ok(source),
            None => Err(Failure::usage(format!(
                "METRICS_PRESET={preset} was found and needs KAFKA_GROUP, which is not clear: {}",
                source.told.join("; ")
            ))),
        }
    }

    /// The groups with members among the pods, and the preset that joins these members to pods.
    fn members(&self, exporters: &[KafkaPreset]) -> Result<(BTreeSet<String>, Option<KafkaPreset>), Failure> {
        let (mut by_address, mut by_client) = (BTreeMap::new(), BTreeSet::new());
        let mut preset = None;
        for &exporter in exporters {
            if let Some((query, label)) = detect::groups_by_ip(exporter, self.settings) {
                let met = self.ask(&query, &[label])?.into_iter();
                let met = met.filter_map(|LabelledSample { pod, labels, .. }| {
                    Some((labels.into_iter().next()?, pod.filter(|pod| self.is_live(pod))?))
                });
                let count = detect::members_of_groups(exporter, false, self.settings);
                by_address.extend(self.theirs(met, count)?.into_iter().map(|group| (group, exporter)));
            }
            let Some((query, labels)) = detect::groups_by_client(exporter, self.settings) else { continue };
            let met = self.ask(&query, &labels)?.into_iter().filter_map(|sample| {
                let [group, client] = sample.labels.as_slice() else { return None };
                // A pod of another namespace or cluster may have the same number.
                let mut named = detect::pods_called(client).filter(|pod| !is_numbered(pod));
                Some((group.clone(), named.find(|pod| self.is_live(pod))?.to_owned()))
            });
            let count = detect::members_of_groups(exporter, true, self.settings);
            let theirs = self.theirs(met, count)?;
            if exporter == KafkaPreset::KlagIp && !theirs.is_empty() {
                preset = Some(KafkaPreset::ClientId);
            }
            by_client.extend(theirs);
        }
        let preset = by_address.values().next().copied().or(preset);
        by_client.extend(by_address.into_keys());
        Ok((by_client, preset))
    }

    /// The groups that have members in at least half of the pods, of those that were `met` in a pod each. If there are none,
    /// those of whose members half are in these pods, since pods without partitions are no members to exporters. A group with
    /// fewer is that of another workload at the same addresses, or of a person who looks into a topic.
    fn theirs(
        &self,
        met: impl Iterator<Item = (String, String)>,
        count: Option<(MetricQuery, &'static str)>,
    ) -> Result<BTreeSet<String>, Failure> {
        let mut pods: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (group, pod) in met {
            pods.entry(group).or_default().insert(pod);
        }
        let in_most = pods.iter().filter(|(_, pods)| 2 * pods.len() >= self.live.len());
        let theirs: BTreeSet<String> = in_most.map(|(group, _)| group.clone()).collect();
        let Some((query, label)) = count.filter(|_| theirs.is_empty() && !pods.is_empty()) else {
            return Ok(theirs);
        };
        let is_theirs = |LabelledSample { labels, value, .. }: LabelledSample| {
            let group = labels.into_iter().next()?;
            (2.0 * pods.get(&group)?.len() as f64 >= value).then_some(group)
        };
        Ok(self.ask(&query, &[label])?.into_iter().filter_map(is_theirs).collect())
    }

    fn groups_by_topic(
        &self,
        preset: KafkaPreset,
        exporters: &[KafkaPreset],
    ) -> Result<BTreeSet<String>, Failure> {
        let Some(query) = detect::topics_of_pods(preset, self.settings).filter(|_| !exporters.is_empty())
        else {
            return Ok(BTreeSet::new());
        };
        let consumers = Consumers::read(&self.ask(&query, &detect::TOPIC_LABELS)?, |pod| self.is_live(pod));
        let topics = consumers.topics();
        if topics.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        let query = |exporter: &KafkaPreset| detect::groups_by_topic(*exporter, &topics, self.settings);
        for (query, labels) in exporters.iter().filter_map(query) {
            for sample in self.ask(&query, &labels)? {
                if let [group, topic] = sample.labels.as_slice() {
                    groups.entry(group.clone()).or_default().insert(detect::plain_topic(topic));
                }
            }
        }
        Ok(consumers.groups(&groups))
    }

    /// Whether a live pod has a lag by this preset.
    fn has_lag(&self, preset: KafkaPreset) -> Result<bool, Failure> {
        let settings = QuerySettings { preset, own: PerMetric::default(), ..self.settings.clone() };
        let queries = QuerySet::new(&settings).map_err(|error| Failure::Usage(error.into()))?;
        let Some(query) = queries.get(Metric::Lag) else { return Ok(false) };
        let answer =
            self.source.instant(query, self.at).context("cannot find out where the lag comes from")?;
        Ok(answer.pods().any(|pod| self.is_live(pod)))
    }

    fn is_live(&self, name: &str) -> bool {
        self.live.contains(name)
    }

    fn ask(&self, query: &MetricQuery, labels: &[&str]) -> Result<Vec<LabelledSample>, Failure> {
        let answer = self.source.labelled(query, labels, self.at);
        Ok(answer.context(UNKNOWN)?)
    }
}

/// Whether the name of a pod ends in a number, as those of stateful sets do.
fn is_numbered(pod: &str) -> bool {
    pod.rsplit('-').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use rebalancer_core::LivePod;
    use rebalancer_io::prometheus::{QueryError, RawSample, Samples, Series, TimeRange};

    use super::*;

    /// Two exporters that name the members of one group by their clients, which are called like their pods.
    struct TwoExporters;

    impl MetricsSource for TwoExporters {
        fn instant(&self, _: &MetricQuery, _: Timestamp) -> Result<Samples, QueryError> {
            unreachable!("no preset in pods is there")
        }

        fn labelled(
            &self,
            query: &MetricQuery,
            _: &[&str],
            _: Timestamp,
        ) -> Result<Vec<LabelledSample>, QueryError> {
            let rows: &[&[&str]] = match query.name.as_str() {
                "known series" => &[&["klag_consumer_lag"], &["kafka_consumergroup_group_lag"]],
                "groups by client" => &[&["shop", "orders-a"], &["shop", "orders-b"]],
                _ => &[],
            };
            let sample = |labels: &&[&str]| LabelledSample {
                pod: None,
                labels: labels.iter().map(|label| (*label).to_owned()).collect(),
                value: 1.0,
            };
            Ok(rows.iter().map(sample).collect())
        }

        fn raw(&self, _: &MetricQuery, _: Timestamp) -> Result<Vec<RawSample>, QueryError> {
            unreachable!("nothing here asks for raw samples")
        }

        fn range(&self, _: &MetricQuery, _: TimeRange) -> Result<Vec<Series>, QueryError> {
            unreachable!("nothing here asks for ranges")
        }
    }

    #[test]
    fn clients_that_klag_names_are_found_beside_another_exporter_of_the_same_group() {
        let pods = ["orders-a", "orders-b"].map(LivePod::assumed);
        let workload = Workload { pods: pods.into(), owners: Vec::new() };
        let settings = QuerySettings::new("shop");
        let source = find(&TwoExporters, &settings, &workload, Timestamp::UNIX_EPOCH).expect("it answers");
        assert_eq!((source.preset, source.group.as_deref()), (KafkaPreset::ClientId, Some("shop")));
    }
}
