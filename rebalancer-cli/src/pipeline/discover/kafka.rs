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

/// What was found.
#[derive(Debug)]
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

/// Where lag and rate of many workloads may come from.
#[derive(Debug, Clone)]
pub struct OfAll {
    /// The presets of clients in pods, whichever write series, the usual one first.
    pub in_pods: Vec<KafkaPreset>,
    /// Whether the server has nothing else, so that no workload can have another preset, or a group.
    pub is_alone: bool,
}

impl OfAll {
    /// What these series show.
    pub fn of(known: &KnownSeries) -> Self {
        Self { in_pods: known.in_pods(), is_alone: known.is_alone() }
    }

    /// The preset that is told as that of all.
    pub fn usual(&self) -> KafkaPreset {
        self.in_pods.first().copied().unwrap_or(KafkaPreset::None)
    }
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
        let known = self.ask(&detect::known_series(self.settings), &[detect::SERIES_LABEL])?;
        let known = KnownSeries::read(&known, |pod| self.is_live(pod));
        let exporters = known.exporters();
        for preset in known.in_pods() {
            if preset != KafkaPreset::OtelJava || self.has_lag(preset)? {
                return self.in_pods(preset, &exporters);
            }
        }
        let members = self.members(&exporters)?;
        if let Some(preset) = members.preset() {
            return self.by_exporter(preset, &members.groups());
        }
        let none = KafkaSource::none(self.settings);
        if exporters.is_empty() {
            return Ok(none);
        }
        let exporters: Vec<&str> = exporters.iter().map(|preset| preset.name()).collect();
        let why = format!(
            "no series that tell which partitions these pods own, only those of {}",
            exporters.join(", ")
        );
        Ok(KafkaSource { found: vec![preset_found(KafkaPreset::None, &why)], ..none })
    }

    /// A preset that reads clients in the pods. The group is useful to it, and not needed.
    fn in_pods(&self, preset: KafkaPreset, exporters: &[KafkaPreset]) -> Result<KafkaSource, Failure> {
        let mut source = KafkaSource {
            preset,
            group: self.settings.group.clone(),
            found: vec![preset_found(preset, "series of clients in these pods")],
            told: Vec::new(),
        };
        if source.group.is_some() {
            return Ok(source);
        }
        let mut groups = self.members(exporters)?.groups();
        let mut why = "its members are these pods";
        if groups.is_empty() {
            groups = self.groups_by_topic(preset, exporters)?;
            why = "it reads the topics that these pods fetch";
        }
        source.set_group(groups, why);
        Ok(source)
    }

    /// A preset that reads an exporter which names the members of groups.
    fn by_exporter(&self, preset: KafkaPreset, groups: &BTreeSet<String>) -> Result<KafkaSource, Failure> {
        let mut source = KafkaSource {
            preset,
            group: self.settings.group.clone(),
            found: vec![preset_found(preset, "an exporter whose members are these pods")],
            told: Vec::new(),
        };
        if source.group.is_none() {
            source.set_group(groups.clone(), "its members are these pods");
        }
        match source.group {
            Some(_) => Ok(source),
            None => Err(Failure::usage(format!(
                "METRICS_PRESET={preset} was found and needs KAFKA_GROUP, which is not clear: {}",
                source.told.join("; ")
            ))),
        }
    }

    fn members(&self, exporters: &[KafkaPreset]) -> Result<Members, Failure> {
        let mut members = Members::default();
        for preset in exporters {
            if let Some((query, label)) = detect::groups_by_ip(*preset, self.settings) {
                let mut met = MetPods::default();
                for LabelledSample { pod, labels, .. } in self.ask(&query, &[label])? {
                    let live = pod.filter(|pod| self.is_live(pod));
                    if let (Some(pod), Some(group)) = (live, labels.into_iter().next()) {
                        met.entry(group).or_default().insert(pod);
                    }
                }
                let theirs = self.theirs(&met, detect::members_of_groups(*preset, false, self.settings))?;
                members.by_ip.extend(theirs.into_iter().map(|group| (group, *preset)));
            }
            let Some((query, labels)) = detect::groups_by_client(*preset, self.settings) else { continue };
            let mut met = MetPods::default();
            for sample in self.ask(&query, &labels)? {
                let [group, client] = sample.labels.as_slice() else { continue };
                // A pod of another namespace or cluster may have the same number.
                let mut named = detect::pods_called(client).filter(|pod| !is_numbered(pod));
                if let Some(pod) = named.find(|pod| self.is_live(pod)) {
                    met.entry(group.clone()).or_default().insert(pod.to_owned());
                }
            }
            let theirs = self.theirs(&met, detect::members_of_groups(*preset, true, self.settings))?;
            members.by_client.extend(theirs.into_iter().map(|group| (group, *preset)));
        }
        Ok(members)
    }

    /// The groups that have members in at least half of the pods. If there are none, those of whose members half are in
    /// these pods, since pods without partitions are no members to exporters. A group with fewer is that of another
    /// workload at the same addresses, or of a person who looks into a topic.
    fn theirs(
        &self,
        met: &MetPods,
        count: Option<(MetricQuery, &'static str)>,
    ) -> Result<BTreeSet<String>, Failure> {
        let in_most = |(group, pods): (&String, &BTreeSet<String>)| {
            (2 * pods.len() >= self.live.len()).then(|| group.clone())
        };
        let theirs: BTreeSet<String> = met.iter().filter_map(in_most).collect();
        let Some((query, label)) = count.filter(|_| theirs.is_empty() && !met.is_empty()) else {
            return Ok(theirs);
        };
        let counts = self.ask(&query, &[label])?;
        let is_theirs = |LabelledSample { labels, value, .. }: &LabelledSample| {
            let group = labels
                .first()
                .filter(|group| met.get(*group).is_some_and(|pods| 2.0 * pods.len() as f64 >= *value));
            group.cloned()
        };
        Ok(counts.iter().filter_map(is_theirs).collect())
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
        for exporter in exporters {
            let Some((query, labels)) = detect::groups_by_topic(*exporter, &topics, self.settings) else {
                continue;
            };
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
        let answer = answer.context("cannot find out where the lag comes from (METRICS_PRESET=auto)")?;
        Ok(answer)
    }
}

impl KafkaSource {
    /// Kafka itself, with no group yet.
    pub const fn of_kafka() -> Self {
        Self { preset: KafkaPreset::Kafka, group: None, found: Vec::new(), told: Vec::new() }
    }

    /// Nothing, for a workload without pods, which are members of nothing.
    pub fn without_pods() -> Self {
        Self { preset: KafkaPreset::None, ..Self::of_kafka() }
    }

    /// Kafka itself, and the group that is set.
    pub fn of_group(group: &str) -> Self {
        Self { group: Some(group.to_owned()), ..Self::of_kafka() }
    }

    /// No Kafka, since neither clients nor exporters of it are known.
    pub fn none(settings: &QuerySettings) -> Self {
        let why = format!("no series of a Kafka client or exporter; looked for {}", detect::known_sources());
        Self {
            preset: KafkaPreset::None,
            group: settings.group.clone(),
            found: vec![preset_found(KafkaPreset::None, &why)],
            told: Vec::new(),
        }
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

/// The pods in which a group has members, by the name of the group.
type MetPods = BTreeMap<String, BTreeSet<String>>;

/// Whether the name of a pod ends in a number, as those of stateful sets do.
fn is_numbered(pod: &str) -> bool {
    pod.rsplit('-').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The groups with members among the pods, and the exporter that tells it.
#[derive(Debug, Default)]
struct Members {
    by_ip: BTreeMap<String, KafkaPreset>,
    by_client: BTreeMap<String, KafkaPreset>,
}

impl Members {
    fn groups(&self) -> BTreeSet<String> {
        self.by_ip.keys().chain(self.by_client.keys()).cloned().collect()
    }

    /// The preset that joins these members to pods.
    fn preset(&self) -> Option<KafkaPreset> {
        let by_client = || self.by_client.values().any(|preset| *preset == KafkaPreset::KlagIp);
        self.by_ip.values().next().copied().or_else(|| by_client().then_some(KafkaPreset::ClientId))
    }
}

/// The preset as a setting that was found.
pub fn preset_found(preset: KafkaPreset, why: &str) -> FoundReport {
    FoundReport::new("METRICS_PRESET", preset.name(), why)
}
