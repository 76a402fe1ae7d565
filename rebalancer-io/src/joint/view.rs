//! What is known of one workload: its queries are answered from what was asked about all, as if each had been asked alone.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rebalancer_core::{LivePod, Metric};

use super::members::Members;
use super::places::{Home, Placed};
use super::points::merged;
use super::tables::{OF_SUSPECTS, Tables, exporters_of, told_key};
use crate::facts::{Question, history_name};
use crate::metrics::detect::{
    BY_ADDRESS, BY_CLIENT, BY_TOPIC, COUNT_BY_ADDRESS, COUNT_BY_CLIENT, KNOWN_SERIES, TOPICS_OF_PODS,
    labelled_name, plain_topic, series_of, topics_name,
};
use crate::metrics::{
    ADDRESSES, ASSIGNED, ASSIGNOR, COMMITTED, END, KafkaPreset, LEAD, LOAD, MetricQuery, MetricsSource,
    OWNED, OWNERS, OffsetQueries, QuerySet, QuerySettings, REBALANCE, START, is_client_of, is_kafka_metric,
    kafka_metrics, of_preset, pod_prefixes,
};
use crate::prometheus::{LabelledSample, Point, QueryError, RawSample, Samples, Series, TimeRange, When};

/// Questions about the past of one workload that were not asked yet, and were answered by nothing. What was decided by that does
/// not count if there are any.
#[derive(Debug, Default)]
pub struct Open(Mutex<Vec<Question>>);

impl Open {
    /// The questions.
    pub fn into_questions(self) -> Vec<Question> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, query: &MetricQuery, when: When) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((query.clone(), when));
    }
}

/// The answers about one workload, from what was asked about all. What that does not tell is asked of the server.
///
/// A query of a metric is answered so only if its text is that of the preset by which all were asked. Other queries are known by
/// their names, since they are asked by the preset of the workload alone.
pub struct View<'j, 'a> {
    tables: &'j Tables<'a>,
    /// Those of the workload's own queries.
    settings: &'j QuerySettings,
    /// The queries of its metrics, where they were written already.
    queries: Option<&'j QuerySet>,
    pods: &'j [LivePod],
    /// Places of these pods, and of other workloads whose pods' names begin as theirs.
    home: Home,
    prefixes: Vec<&'j str>,
    open: Option<&'j Open>,
}

impl<'j, 'a> View<'j, 'a> {
    /// The answers for the workload of these pods, whose own queries are made from `settings`.
    pub(super) fn new(tables: &'j Tables<'a>, settings: &'j QuerySettings, pods: &'j [LivePod]) -> Self {
        let prefixes = pod_prefixes(pods);
        let home = Home::new(&settings.namespace, &prefixes);
        Self { tables, settings, queries: None, pods, home, prefixes, open: None }
    }

    /// The same, which notes what is to be asked about the past of this workload and other ones together, in place of asking
    /// it of the server.
    #[must_use]
    pub fn noting(self, open: Option<&'j Open>) -> Self {
        Self { open, ..self }
    }

    /// The same, where the queries of the workload's metrics are written already.
    #[must_use]
    pub fn asked_by(self, queries: &'j QuerySet) -> Self {
        Self { queries: Some(queries), ..self }
    }

    /// Whether any of the pods has a sample of the metric.
    pub fn has(&self, metric: Metric) -> bool {
        self.is_told(self.source_of(metric), metric.name())
    }

    /// Whether any of the pods has a metric from Kafka, or a client that tells of partitions that it reads.
    pub fn knows_kafka(&self) -> bool {
        kafka_metrics().any(|metric| self.has(metric))
            || self.is_told(self.settings.preset, OffsetQueries::COUNT)
    }

    /// Whether a query has a row of any of the pods.
    fn is_told(&self, preset: KafkaPreset, name: &str) -> bool {
        let is_pod = |(name, _): &(Cow<'_, str>, Point)| self.pods.iter().any(|pod| pod.name == *name);
        self.rows_now(preset, name).is_some_and(|rows| rows.iter().any(is_pod))
    }

    /// Whether the query of a metric is answered from what all were asked by the same query.
    pub fn answers(&self, metric: Metric) -> bool {
        self.rows_now(self.source_of(metric), metric.name()).is_some()
    }

    /// Number of partitions that the pods read, as far as their clients tell it to all.
    pub fn partitions(&self) -> f64 {
        self.partitions_of_clients().unwrap_or_default()
    }

    fn partitions_of_clients(&self) -> Option<f64> {
        let rows = self.rows_now(self.settings.preset, OffsetQueries::COUNT)?;
        Some(rows.iter().map(|(_, count)| count.value).sum())
    }

    /// What is told now by pod, by exporters of the members of its group if they tell of them, else by clients and containers.
    fn rows_now(&self, preset: KafkaPreset, name: &str) -> Option<Vec<(Cow<'_, str>, Point)>> {
        let is_own = preset == self.settings.preset;
        if let Some(members) = is_own.then(|| self.members().now(name)).flatten() {
            return Some(members.into_iter().map(|((pod, _), point)| (pod.into(), point)).collect());
        }
        let rows = self.tables.instant(preset, name)?.of(&self.home);
        Some(rows.map(|(pod, point)| (pod.into(), *point)).collect())
    }

    /// What exporters tell of the members of its group.
    const fn members(&self) -> Members<'_, 'a> {
        Members { tables: self.tables, settings: self.settings, home: &self.home }
    }

    /// The preset under which the workload's own query of a metric is known.
    const fn source_of(&self, metric: Metric) -> KafkaPreset {
        if is_kafka_metric(metric) { self.settings.preset } else { KafkaPreset::None }
    }

    /// The preset by which all were asked what `query` asks about this workload; `None` if that is no query of a metric by a
    /// preset.
    fn preset_of(&self, query: &MetricQuery) -> Option<KafkaPreset> {
        let is_named =
            |metric: &Metric| query.name == metric.name() || query.name == history_name(metric.name());
        let metric = Metric::ALL.into_iter().find(is_named)?;
        let written = self.queries.filter(|queries| !queries.is_own(metric));
        if written.and_then(|queries| queries.get(metric)).is_some_and(|own| own.promql == query.promql) {
            return Some(self.source_of(metric));
        }
        let is_by = |settings: &QuerySettings| {
            let own = of_preset(settings, metric).ok().flatten();
            own.is_some_and(|own| own.promql == query.promql)
        };
        if is_by(self.settings) {
            return Some(self.source_of(metric));
        }
        let is_known = |preset: &KafkaPreset| self.tables.instant(*preset, metric.name()).is_some();
        let mut others = KafkaPreset::of_series().filter(is_known);
        others.find(|preset| is_by(&QuerySettings { preset: *preset, ..self.settings.clone() }))
    }

    /// The known series of a range query.
    fn known(&self, query: &MetricQuery, range: TimeRange) -> Option<Vec<Series>> {
        if let Some(told) = self.tables.told.get(&told_key(query, When::Range(range))) {
            let rows = told.as_ref()?;
            return Some(match query.namespace {
                Some(_) => rows.of(&self.home).map(|(pod, points)| series(pod, points)).collect(),
                // Not about pods, so that no namespace stands before it.
                None => rows.starting("/").map(|(label, points)| series(label, points)).collect(),
            });
        }
        let preset = self.settings.preset;
        let table = |preset: KafkaPreset| self.tables.range_over(preset, &query.name, range);
        Some(match query.name.as_str() {
            COMMITTED => {
                let group = self.settings.group.as_ref()?;
                let rows = self.of_own(table(exporters_of(preset))?)?;
                rows.map(|(partition, points)| series(&format!("{partition}/{group}"), points)).collect()
            }
            END | START => self.of_topics(table(exporters_of(preset))?)?,
            LEAD => self.of_clients(table(preset)?, |topic, partition, _| format!("{topic}/{partition}")),
            OWNED => {
                let Some(rows) = self.members().over(OWNED, OWNED_ADDRESSES, range) else {
                    return Some(self.of_clients(table(preset)?, |topic, partition, pod| {
                        format!("{topic}/{partition}/{pod}")
                    }));
                };
                let of_partition =
                    |((pod, partition), points)| Series { pod: format!("{partition}/{pod}"), points };
                rows.into_iter().map(of_partition).collect()
            }
            name => {
                let source = self.preset_of(query)?;
                let of_members = || self.members().over(name, HISTORY_ADDRESSES, range);
                if let Some(rows) = (source == preset).then(of_members).flatten() {
                    let of_pod = |((pod, _), points)| Series { pod, points };
                    return Some(rows.into_iter().map(of_pod).collect());
                }
                let rows = table(source)?.of(&self.home);
                rows.map(|(pod, points)| series(pod, points)).collect()
            }
        })
    }

    /// The known samples of an instant query.
    fn known_now(&self, query: &MetricQuery, at: Timestamp) -> Option<Samples> {
        let mut samples = Samples::default();
        if let Some(told) = self.tables.told.get(&told_key(query, When::Instant(at))) {
            for (pod, points) in told.as_ref()?.of(&self.home) {
                for point in points {
                    samples.push(pod, *point);
                }
            }
            return Some(samples);
        }
        let preset = self.preset_of(query).filter(|_| at == self.tables.at)?;
        for (pod, point) in self.rows_now(preset, &query.name)? {
            samples.push(&pod, point);
        }
        Some(samples)
    }

    /// Notes that a question is to be asked together with those of other workloads, and says whether it is.
    fn is_noted(&self, query: &MetricQuery, when: When) -> bool {
        let was_asked =
            || self.tables.told.contains_key(&told_key(query, when)) || self.tables.has_failed(&query.name);
        let open = self.open.filter(|_| !was_asked());
        open.is_some_and(|open| {
            open.add(query, when);
            true
        })
    }

    /// The series of the partitions of the group's topics.
    fn of_topics(&self, rows: &Placed<Vec<Point>>) -> Option<Vec<Series>> {
        let mut found = Vec::new();
        for topic in self.topics_of_group()? {
            let topic = format!("{topic}/");
            let rows = rows.starting(&topic);
            found.extend(rows.map(|(partition, points)| series(&format!("{topic}{partition}"), points)));
        }
        Some(found)
    }

    /// The series that the group's clients tell of their partitions, labelled by topic, partition and pod. At each moment at
    /// which clients name the group, they alone count.
    fn of_clients(
        &self,
        rows: &Placed<Vec<Point>>,
        label: impl Fn(&str, &str, &str) -> String,
    ) -> Vec<Series> {
        let rows = rows.of(&self.home).filter_map(|(place, points)| {
            let [pod, topic, partition, client] = partition_of(place)?;
            Some((self.is_named(client), label(topic, partition, pod), points.as_slice()))
        });
        let rows: Vec<(bool, String, &[Point])> = rows.collect();
        let has_others = rows.iter().any(|(is_named, ..)| !is_named);
        let named = rows.iter().filter(|(is_named, ..)| *is_named && has_others);
        let taken: BTreeSet<i64> =
            named.flat_map(|(_, _, points)| points.iter().map(|point| point.timestamp_ms)).collect();
        let counted = rows.into_iter().map(|(is_named, label, points)| {
            if is_named || taken.is_empty() {
                return (label, Cow::Borrowed(points));
            }
            let is_left = |point: &&Point| !taken.contains(&point.timestamp_ms);
            (label, points.iter().filter(is_left).copied().collect())
        });
        let counted = counted.filter(|(_, points)| !points.is_empty());
        merged(counted, f64::max)
    }

    /// Of rows that clients tell, each with the name of the client, those of the group: of the clients that name it, if there
    /// are any, else all.
    fn of_the_group<'r, R>(&self, rows: impl Iterator<Item = (&'r str, R)>) -> Vec<R> {
        let rows: Vec<(&str, R)> = rows.collect();
        let is_any_named = rows.iter().any(|(client, _)| self.is_named(client));
        let counts = |client: &str| !is_any_named || self.is_named(client);
        rows.into_iter().filter(|(client, _)| counts(client)).map(|(_, row)| row).collect()
    }

    /// Whether a client names the group.
    fn is_named(&self, client: &str) -> bool {
        let is_pod = |name: &str| {
            self.prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|own| !own.is_empty()))
        };
        self.settings.group.as_deref().is_some_and(|group| is_client_of(client, group, is_pod))
    }

    /// The topics of which the group has committed offsets.
    fn topics_of_group(&self) -> Option<BTreeSet<&str>> {
        let (rows, _) = self.tables.range(exporters_of(self.settings.preset), COMMITTED)?;
        Some(self.of_own(rows)?.filter_map(|(partition, _)| Some(partition.rsplit_once('/')?.0)).collect())
    }

    /// The rows of the group, each with the rest of its place.
    fn of_own<'r, R>(
        &self,
        rows: &'r Placed<R>,
    ) -> Option<impl Iterator<Item = (&'r str, &'r R)> + use<'r, R>> {
        Some(rows.starting(&format!("{}\n", self.settings.group.as_ref()?)))
    }

    /// The known samples of a query with labels.
    fn known_samples(&self, name: &str, labels: &[&str]) -> Option<Vec<LabelledSample>> {
        let of_group = |name: &str| self.tables.instant(exporters_of(self.settings.preset), name);
        let nobody = vec![""; labels.len()];
        match (name, labels) {
            (KNOWN_SERIES, _) => self.known_series(),
            (BY_ADDRESS, [group]) => self.groups_by_address(group),
            (BY_CLIENT, [group, _]) => self.groups_by_client(group),
            (BY_TOPIC, [group, topic]) => self.groups_by_topic([group, topic]),
            (COUNT_BY_ADDRESS, [group]) => self.count_members(&labelled_name(BY_ADDRESS, &[group]), '/'),
            (COUNT_BY_CLIENT, [group]) => self.count_members(&labelled_name(BY_CLIENT, &[group]), '\n'),
            (OWNERS, _) => self.owners(),
            (ASSIGNED, _) => self.assigned(),
            (LOAD, _) => self.loads_of_partitions(),
            (ASSIGNOR, _) => {
                let rows = self.of_own(of_group(ASSIGNOR)?)?;
                Some(rows.map(|(protocol, _)| sample(None, &[protocol], 1.0)).collect())
            }
            (REBALANCE, _) => {
                let rows = self.of_own(of_group(REBALANCE)?)?;
                Some(rows.map(|(_, point)| sample(None, &nobody, point.value)).collect())
            }
            (OffsetQueries::COUNT, _) => {
                let count = self.count()?;
                Some((count > 0.0).then(|| sample(None, &nobody, count)).into_iter().collect())
            }
            (name, _) if name.starts_with(TOPICS_OF_PODS) => self.topics(name),
            _ => None,
        }
    }

    /// Who owns which partition.
    fn owners(&self) -> Option<Vec<LabelledSample>> {
        let rows = self.tables.instant(self.settings.preset, OWNERS)?.of(&self.home);
        let rows = rows.filter_map(|(place, _)| {
            let [pod, topic, partition, client] = partition_of(place)?;
            Some((client, (pod, topic, partition)))
        });
        let owners: BTreeSet<(&str, &str, &str)> = self.of_the_group(rows).into_iter().collect();
        let owned = owners.into_iter();
        Some(owned.map(|(pod, topic, number)| sample(Some(pod), &[topic, number], 1.0)).collect())
    }

    /// How many partitions each client has.
    fn assigned(&self) -> Option<Vec<LabelledSample>> {
        let rows = self.tables.instant(self.settings.preset, ASSIGNED)?.of(&self.home);
        let rows = rows.filter_map(|(place, count)| {
            let (pod, client) = place.split_once('/')?;
            Some((client, sample(Some(pod), &[client], count.value)))
        });
        Some(self.of_the_group(rows))
    }

    /// The topics that the pods fetch.
    fn topics(&self, name: &str) -> Option<Vec<LabelledSample>> {
        let rows = self.tables.instant(KafkaPreset::None, name)?.of(&self.home);
        let rows = rows.filter_map(|(place, _)| {
            let (pod, rest) = place.split_once('/')?;
            let (topic, clients) = rest.split_once('/')?;
            let (dashed, plain) = clients.rsplit_once('/')?;
            Some(sample(Some(pod), &[topic, dashed, plain], 1.0))
        });
        Some(rows.collect())
    }

    /// Messages per second of the group's partitions; where no exporter computes them from commits, as they are written.
    fn loads_of_partitions(&self) -> Option<Vec<LabelledSample>> {
        if let Some(rows) = self.members().now(LOAD) {
            let row = |((pod, partition), load): (&(String, String), &Point)| {
                let (topic, number) = partition.split_once('/')?;
                Some(sample(Some(pod), &[topic, number], load.value))
            };
            return Some(rows.iter().filter_map(row).collect());
        }
        let rows = self.tables.instant(exporters_of(self.settings.preset), LOAD)?;
        let mut loads: BTreeMap<(&str, &str), f64> = BTreeMap::new();
        for (place, load) in self.of_own(rows)? {
            loads.extend(place.rsplit_once('/').map(|partition| (partition, load.value)));
        }
        for topic in self.topics_of_group()? {
            for (partition, load) in rows.starting(&format!("\n{topic}/")) {
                loads.entry((topic, partition)).or_insert(load.value);
            }
        }
        Some(
            loads.iter().map(|((topic, partition), load)| sample(None, &[topic, partition], *load)).collect(),
        )
    }

    /// Number of the group's partitions: those with a commit now, else those that its clients tell of. `None` where clients
    /// would tell and did not answer.
    fn count(&self) -> Option<f64> {
        let of_clients = self.partitions_of_clients();
        if self.settings.group.is_none() {
            return of_clients;
        }
        let (rows, end_ms) = self.tables.range(exporters_of(self.settings.preset), COMMITTED)?;
        let is_of_now = |points: &[Point]| points.last().is_some_and(|point| point.timestamp_ms == end_ms);
        let committed = self.of_own(rows)?.filter(|(_, points)| is_of_now(points)).count();
        if committed > 0 {
            return Some(committed as f64);
        }
        let may_tell = || self.settings.preset.leads(self.settings).is_some();
        of_clients.or_else(|| (!may_tell()).then_some(0.0))
    }

    /// The series that the server has of clients in these pods, and of exporters.
    fn known_series(&self) -> Option<Vec<LabelledSample>> {
        let mut series = self.tables.series.clone()?;
        for ((preset, name), rows) in &self.tables.instants {
            let Some(of_client) = series_of(*preset).filter(|_| name == KNOWN_SERIES) else { continue };
            series.extend(rows.of(&self.home).map(|(pod, _)| sample(Some(pod), &[of_client], 1.0)));
        }
        Some(series)
    }

    fn groups_by_address<'r>(&'r self, label: &str) -> Option<Vec<LabelledSample>> {
        let addresses = self.tables.instant(KafkaPreset::None, ADDRESSES)?;
        let groups = self.tables.instant(KafkaPreset::None, &labelled_name(BY_ADDRESS, &[label]))?;
        let of_pod = |(place, _): (&'r str, _)| {
            let (pod, address) = place.split_once('/')?;
            let groups = groups.starting(&format!("{address}/"));
            Some(groups.map(move |(group, _)| sample(Some(pod), &[group], 1.0)))
        };
        Some(addresses.of(&self.home).filter_map(of_pod).flatten().collect())
    }

    fn groups_by_client(&self, label: &str) -> Option<Vec<LabelledSample>> {
        let groups = self.tables.instant(KafkaPreset::None, &labelled_name(BY_CLIENT, &[label]))?;
        let rows: Vec<(&str, &Point)> = match self.prefixes.as_slice() {
            [] => groups.all().collect(),
            prefixes => prefixes.iter().flat_map(|prefix| groups.beginning(prefix)).collect(),
        };
        let row = |(place, _): (&str, _)| {
            let (client, group) = place.split_once('\n')?;
            Some(sample(None, &[group, client], 1.0))
        };
        Some(rows.into_iter().filter_map(row).collect())
    }

    /// The number of members of each group, whose places are the member and the group with `between` them.
    fn count_members(&self, name: &str, between: char) -> Option<Vec<LabelledSample>> {
        let mut counts: BTreeMap<&str, f64> = BTreeMap::new();
        for (place, _) in self.tables.instant(KafkaPreset::None, name)?.all() {
            if let Some((_, group)) = place.split_once(between) {
                *counts.entry(group).or_default() += 1.0;
            }
        }
        Some(counts.into_iter().map(|(group, count)| sample(None, &[group], count)).collect())
    }

    /// The groups that read any of the topics that these pods fetch.
    fn groups_by_topic(&self, labels: [&str; 2]) -> Option<Vec<LabelledSample>> {
        let groups = self.tables.instant(KafkaPreset::None, &labelled_name(BY_TOPIC, &labels))?;
        let mut topics: BTreeSet<String> = BTreeSet::new();
        for preset in KafkaPreset::ALL {
            let rows = self.tables.instant(KafkaPreset::None, &topics_name(preset)).into_iter();
            let fetched = rows.flat_map(|rows| rows.of(&self.home));
            topics.extend(fetched.filter_map(|(place, _)| Some(plain_topic(place.split('/').nth(1)?))));
        }
        let of_topic = |topic: &String| {
            let rows = groups.starting(&format!("{topic}/"));
            rows.map(|(group, _)| sample(None, &[group, topic], 1.0)).collect::<Vec<LabelledSample>>()
        };
        Some(topics.iter().flat_map(of_topic).collect())
    }

    /// Whether an own query has fresh series, by pod: of these pods if it names any, else of all.
    fn ages(&self, query: &MetricQuery) -> Option<Vec<LabelledSample>> {
        let told = self.tables.told.get(&told_key(query, When::Instant(self.tables.at)))?.as_ref()?;
        let row = |namespace: &str, pod: &str, points: &[Point]| {
            let value = points.last().map_or(f64::NAN, |point| point.value);
            sample(Some(pod).filter(|pod| !pod.is_empty()), &[namespace], value)
        };
        let here: Vec<LabelledSample> =
            told.of(&self.home).map(|(pod, points)| row("", pod, points)).collect();
        if !here.is_empty() {
            return Some(here);
        }
        let of_all = told.all().filter_map(|(place, points)| {
            let (namespace, pod) = place.split_once('/')?;
            Some(row(namespace, pod, points))
        });
        Some(of_all.collect())
    }
}

/// Names under which the addresses that pods had are known.
pub(super) const HISTORY_ADDRESSES: &str = "addresses of pods in the history";
pub(super) const OWNED_ADDRESSES: &str = "addresses of owners";

fn sample(pod: Option<&str>, labels: &[&str], value: f64) -> LabelledSample {
    let labels = labels.iter().map(|label| (*label).to_owned()).collect();
    LabelledSample { pod: pod.map(str::to_owned), labels, value }
}

fn series(pod: &str, points: &[Point]) -> Series {
    Series { pod: pod.to_owned(), points: points.to_vec() }
}

/// Pod, topic, partition and client of a place.
fn partition_of(place: &str) -> Option<[&str; 4]> {
    let mut parts = place.splitn(4, '/');
    Some([parts.next()?, parts.next()?, parts.next()?, parts.next()?])
}

impl MetricsSource for View<'_, '_> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        match self.known_now(query, at) {
            Some(samples) => Ok(samples),
            None if at != self.tables.at && self.is_noted(query, When::Instant(at)) => Ok(Samples::default()),
            None => self.tables.source.instant(query, at),
        }
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        let known = || self.ages(query).or_else(|| self.known_samples(&query.name, labels));
        if let Some(samples) = Some(()).filter(|()| at == self.tables.at).and_then(|()| known()) {
            return Ok(samples);
        }
        let is_of_suspects = OF_SUSPECTS.contains(&query.name.as_str()) && !self.tables.has_history;
        if is_of_suspects && self.is_noted(query, When::Instant(at)) {
            return Ok(Vec::new());
        }
        self.tables.source.labelled(query, labels, at)
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        if at != self.tables.at {
            return self.tables.source.raw(query, at);
        }
        let known = || self.tables.raw.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(&query.promql) {
            return Ok(answer.clone());
        }
        let answer = self.tables.source.raw(query, at)?;
        known().insert(query.promql.clone(), answer.clone());
        Ok(answer)
    }

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        match self.known(query, range) {
            Some(series) => Ok(series),
            None if self.is_noted(query, When::Range(range)) => Ok(Vec::new()),
            None => self.tables.source.range(query, range),
        }
    }

    fn range_by_series(
        &self,
        query: &MetricQuery,
        range: TimeRange,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        match self.known(query, range) {
            Some(series) => series.into_iter().for_each(each),
            None if self.is_noted(query, When::Range(range)) => {}
            None => return self.tables.source.range_by_series(query, range, each),
        }
        Ok(())
    }
}
