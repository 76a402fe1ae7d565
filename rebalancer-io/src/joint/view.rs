//! What is known of one workload: its queries are answered from what was asked about all, as if each had been asked alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use jiff::Timestamp;
use rebalancer_core::{LivePod, Metric};

use super::places::{Home, Placed};
use super::tables::{Tables, exporters_of};
use crate::facts::history_name;
use crate::metrics::detect::{
    BY_ADDRESS, BY_CLIENT, BY_TOPIC, COUNT_BY_ADDRESS, COUNT_BY_CLIENT, KNOWN_SERIES, plain_topic, series_of,
    topics_name,
};
use crate::metrics::{
    ADDRESSES, ASSIGNED, ASSIGNOR, COMMITTED, END, KafkaPreset, LEAD, LOAD, MetricQuery, MetricsSource,
    OWNED, OWNERS, OffsetQueries, QuerySettings, REBALANCE, START, is_client_of, of_members, pod_prefixes,
};
use crate::prometheus::{
    InstantAnswer, LabelledAnswer, LabelledSample, Point, QueryError, RangeAnswer, RawSample, Samples,
    Series, TimeRange,
};

/// What is known of one workload. What is not is asked of the server.
pub struct View<'j, 'a> {
    tables: &'j Tables<'a>,
    home: Home,
    prefixes: Vec<String>,
    preset: KafkaPreset,
    group: Option<String>,
}

impl<'j, 'a> View<'j, 'a> {
    /// The answers for the workload of these pods, whose own queries are made from `settings`.
    pub(super) fn new(tables: &'j Tables<'a>, settings: &QuerySettings, pods: &[LivePod]) -> Self {
        let prefixes = pod_prefixes(pods);
        Self {
            tables,
            home: Home::new(&settings.namespace, &prefixes),
            prefixes: prefixes.into_iter().map(str::to_owned).collect(),
            preset: settings.preset,
            group: settings.group.clone(),
        }
    }

    /// Whether any of the pods has a sample of the metric.
    pub fn has(&self, metric: Metric) -> bool {
        if self.members_now(metric.name()).is_some_and(|rows| !rows.is_empty()) {
            return true;
        }
        let rows = self.tables.instant(self.source_of(metric.name()), metric.name());
        rows.is_some_and(|rows| rows.of(&self.home).next().is_some())
    }

    /// Whether the query of a metric is answered from what all were asked by the same query.
    pub fn answers(&self, metric: Metric) -> bool {
        let name = metric.name();
        self.members_now(name).is_some() || self.tables.instant(self.source_of(name), name).is_some()
    }

    /// Number of partitions that the pods read, as far as their clients tell it to all.
    pub fn partitions(&self) -> f64 {
        self.partitions_of_clients().unwrap_or_default()
    }

    fn partitions_of_clients(&self) -> Option<f64> {
        let rows = self.tables.instant(self.preset, OffsetQueries::COUNT)?;
        Some(rows.of(&self.home).map(|(_, (count, _))| count).sum())
    }

    /// Where the answer to the query of this name comes from.
    fn source_of(&self, name: &str) -> KafkaPreset {
        let is_of_container = [Metric::Cpu, Metric::Memory]
            .into_iter()
            .any(|metric| name == metric.name() || name == history_name(metric.name()));
        if is_of_container { KafkaPreset::None } else { self.preset }
    }

    /// The known series of a range query.
    fn known(&self, query: &MetricQuery, range: TimeRange) -> Option<Vec<Series>> {
        let own = (query.promql.clone(), query.pod_label.clone());
        if let Some((_, rows)) = self.tables.own_ranges.get(&own).filter(|(known, _)| *known == range) {
            return Some(rows.of(&self.home).map(|(pod, points)| series(pod, points)).collect());
        }
        let table = |preset: KafkaPreset| self.tables.range_over(preset, &query.name, range);
        let table_of_members = |name: &str| self.tables.range_over(self.preset, &of_members(name), range);
        let group = || Some(format!("{}\n", self.group.as_ref()?));
        Some(match query.name.as_str() {
            COMMITTED => {
                let rows = table(exporters_of(self.preset))?.starting(&group()?);
                let of = self.group.as_ref()?;
                rows.map(|(partition, points)| series(&format!("{partition}/{of}"), points)).collect()
            }
            END | START => self.of_topics(table(exporters_of(self.preset))?)?,
            LEAD => {
                self.of_clients(table(self.preset)?, |topic, partition, _| format!("{topic}/{partition}"))
            }
            OWNED if self.has_members(&of_members(OWNED)) => {
                let rows = self.members_over(table_of_members(OWNED)?, OWNED_ADDRESSES)?;
                let label = |(pod, partition, points): (String, String, Vec<Point>)| Series {
                    pod: format!("{}/{pod}", partition.trim_start_matches('/')),
                    points,
                };
                rows.into_iter().map(label).collect()
            }
            OWNED => self.of_clients(table(self.preset)?, |topic, partition, pod| {
                format!("{topic}/{partition}/{pod}")
            }),
            name if self.has_members(&of_members(name)) => {
                let rows = self.members_over(table_of_members(name)?, HISTORY_ADDRESSES)?;
                rows.into_iter().map(|(pod, _, points)| Series { pod, points }).collect()
            }
            name => {
                let rows = table(self.source_of(name))?.of(&self.home);
                rows.map(|(pod, points)| series(pod, points)).collect()
            }
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

    /// The series that the group's clients tell of their partitions, labelled by topic, partition and pod.
    fn of_clients(
        &self,
        rows: &Placed<Vec<Point>>,
        label: impl Fn(&str, &str, &str) -> String,
    ) -> Vec<Series> {
        let rows = rows.of(&self.home).filter_map(|(place, points)| {
            let [pod, topic, partition, client] = partition_of(place)?;
            Some((client, (label(topic, partition, pod), points)))
        });
        largest(self.of_the_group(rows))
    }

    /// Whether an exporter was asked about the members of groups under this name, over a range.
    fn has_members(&self, name: &str) -> bool {
        self.tables.ranges.contains_key(&(self.preset, name.to_owned()))
    }

    /// The rows of the group's members over a range, each with its pod and what stands behind the member: one for each pod
    /// that had the address, while it had it.
    fn members_over(&self, rows: &Placed<Vec<Point>>, addresses: &str) -> Option<Vec<Member<Vec<Point>>>> {
        let group = format!("{}\n", self.group.as_ref()?);
        if self.preset == KafkaPreset::ClientId {
            let of_pod = |(member, points): (&str, &Vec<Point>)| {
                let end = member.find('/').unwrap_or(member.len());
                (member[..end].to_owned(), member[end..].to_owned(), points.clone())
            };
            return Some(rows.starting(&group).map(of_pod).collect());
        }
        let (addresses, _) = self.tables.range(KafkaPreset::None, addresses)?;
        let mut found = Vec::new();
        for (place, had) in addresses.of(&self.home) {
            let Some((pod, address)) = place.split_once('/') else { continue };
            let had_at = |point: &&Point| had.iter().any(|had| had.timestamp_ms == point.timestamp_ms);
            for (rest, points) in rows.starting(&format!("{group}{address}")) {
                // Not a longer address.
                if rest.is_empty() || rest.starts_with('/') {
                    let points = points.iter().filter(had_at).copied().collect();
                    found.push((pod.to_owned(), rest.to_owned(), points));
                }
            }
        }
        Some(found)
    }

    /// The rows of the group's members now, each with its pod and what stands behind the member.
    fn members_now(&self, name: &str) -> Option<Vec<Member<(f64, i64)>>> {
        let rows = self.tables.instant(self.preset, &of_members(name))?;
        let group = format!("{}\n", self.group.as_ref()?);
        if self.preset == KafkaPreset::ClientId {
            let of_pod = |(member, row): (&str, &(f64, i64))| {
                let end = member.find('/').unwrap_or(member.len());
                (member[..end].to_owned(), member[end..].to_owned(), *row)
            };
            return Some(rows.starting(&group).map(of_pod).collect());
        }
        let addresses = self.tables.instant(KafkaPreset::None, ADDRESSES)?;
        let of_pod = |(place, _): (&str, _)| {
            let (pod, address) = place.split_once('/')?;
            let rows = rows.starting(&format!("{group}{address}"));
            let own = rows.filter(|(rest, _)| rest.is_empty() || rest.starts_with('/'));
            Some(own.map(|(rest, row)| (pod.to_owned(), rest.to_owned(), *row)).collect::<Vec<_>>())
        };
        Some(addresses.of(&self.home).filter_map(of_pod).flatten().collect())
    }

    /// Of rows that clients tell, each with the name of the client, those of the group: of the clients that name it, if there
    /// are any, else all.
    fn of_the_group<'r, R>(&self, rows: impl Iterator<Item = (&'r str, R)>) -> Vec<R> {
        let rows: Vec<(&str, R)> = rows.collect();
        let is_pod = |name: &str| {
            self.prefixes.iter().any(|prefix| name.strip_prefix(prefix).is_some_and(|own| !own.is_empty()))
        };
        let is_named =
            |client: &str| self.group.as_deref().is_some_and(|group| is_client_of(client, group, is_pod));
        let is_any_named = rows.iter().any(|(client, _)| is_named(client));
        rows.into_iter().filter(|(client, _)| !is_any_named || is_named(client)).map(|(_, row)| row).collect()
    }

    /// The topics of which the group has committed offsets.
    fn topics_of_group(&self) -> Option<BTreeSet<&str>> {
        let (rows, _) = self.tables.range(exporters_of(self.preset), COMMITTED)?;
        let rows = rows.starting(&format!("{}\n", self.group.as_ref()?));
        Some(rows.filter_map(|(partition, _)| Some(partition.rsplit_once('/')?.0)).collect())
    }

    /// The known samples of a query with labels.
    fn known_samples(&self, name: &str, labels: &[&str]) -> Option<Vec<LabelledSample>> {
        let of_group = |name: &str| self.tables.instant(exporters_of(self.preset), name);
        let nobody = || vec![String::new(); labels.len()];
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
                let rows = of_group(ASSIGNOR)?.starting(&format!("{}\n", self.group.as_ref()?));
                Some(rows.map(|(protocol, _)| sample(None, &[protocol], 1.0)).collect())
            }
            (REBALANCE, _) => {
                let rows = of_group(REBALANCE)?.starting(&format!("{}\n", self.group.as_ref()?));
                Some(
                    rows.map(|(_, (value, _))| LabelledSample { pod: None, labels: nobody(), value: *value })
                        .collect(),
                )
            }
            (OffsetQueries::COUNT, _) => {
                let count = self.count()?;
                let counted = LabelledSample { pod: None, labels: nobody(), value: count };
                Some(Some(counted).filter(|_| count > 0.0).into_iter().collect())
            }
            (name, _) if name.starts_with(TOPICS) => self.topics(name),
            _ => None,
        }
    }

    /// Who owns which partition.
    fn owners(&self) -> Option<Vec<LabelledSample>> {
        let rows = self.tables.instant(self.preset, OWNERS)?.of(&self.home);
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
        let rows = self.tables.instant(self.preset, ASSIGNED)?.of(&self.home);
        let rows = rows.filter_map(|(place, (count, _))| {
            let (pod, client) = place.split_once('/')?;
            Some((client, sample(Some(pod), &[client], *count)))
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
        if let Some(rows) = self.members_now(LOAD) {
            let row = |(pod, partition, (value, _)): (String, String, (f64, i64))| {
                let (topic, number) = partition.trim_start_matches('/').split_once('/')?;
                let labels = [topic, number].map(str::to_owned).to_vec();
                Some(LabelledSample { pod: Some(pod), labels, value })
            };
            return Some(rows.into_iter().filter_map(row).collect());
        }
        let rows = self.tables.instant(exporters_of(self.preset), LOAD)?;
        let mut loads: BTreeMap<(String, String), f64> = BTreeMap::new();
        for (place, (load, _)) in rows.starting(&format!("{}\n", self.group.as_ref()?)) {
            if let Some((topic, partition)) = place.rsplit_once('/') {
                loads.insert((topic.to_owned(), partition.to_owned()), *load);
            }
        }
        for topic in self.topics_of_group()? {
            for (partition, (load, _)) in rows.starting(&format!("\n{topic}/")) {
                loads.entry((topic.to_owned(), partition.to_owned())).or_insert(*load);
            }
        }
        let row =
            |((topic, partition), value)| LabelledSample { pod: None, labels: vec![topic, partition], value };
        Some(loads.into_iter().map(row).collect())
    }

    /// Number of the group's partitions: those with a commit now, else those that its clients tell of.
    fn count(&self) -> Option<f64> {
        let of_clients = self.partitions_of_clients();
        let Some(group) = &self.group else { return of_clients };
        let (rows, end_ms) = self.tables.range(exporters_of(self.preset), COMMITTED)?;
        let is_of_now = |points: &[Point]| points.last().is_some_and(|point| point.timestamp_ms == end_ms);
        let committed = rows.starting(&format!("{group}\n")).filter(|(_, points)| is_of_now(points)).count();
        if committed > 0 { Some(committed as f64) } else { Some(of_clients.unwrap_or_default()) }
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

    fn groups_by_address(&self, label: &str) -> Option<Vec<LabelledSample>> {
        let addresses = self.tables.instant(KafkaPreset::None, ADDRESSES)?;
        let groups = self.tables.instant(KafkaPreset::None, &labelled_name(BY_ADDRESS, &[label]))?;
        let of_pod = |(place, _): (&str, _)| {
            let (pod, address) = place.split_once('/')?;
            let groups = groups.starting(&format!("{address}/"));
            let row = |(group, _): (&str, _)| LabelledSample {
                pod: Some(pod.to_owned()),
                labels: vec![group.to_owned()],
                value: 1.0,
            };
            Some(groups.map(row).collect::<Vec<LabelledSample>>())
        };
        Some(addresses.of(&self.home).filter_map(of_pod).flatten().collect())
    }

    fn groups_by_client(&self, label: &str) -> Option<Vec<LabelledSample>> {
        let groups = self.tables.instant(KafkaPreset::None, &labelled_name(BY_CLIENT, &[label]))?;
        let row = |client: String, group: &str| LabelledSample {
            pod: None,
            labels: vec![group.to_owned(), client],
            value: 1.0,
        };
        let split = |place: &str, start: &str| {
            let (rest, group) = place.split_once('\n')?;
            Some(row(format!("{start}{rest}"), group))
        };
        if self.prefixes.is_empty() {
            return Some(groups.all().filter_map(|(place, _)| split(place, "")).collect());
        }
        let of_prefix = |prefix: &String| {
            let rows = groups.starting(prefix);
            rows.filter_map(|(rest, _)| split(rest, prefix)).collect::<Vec<LabelledSample>>()
        };
        Some(self.prefixes.iter().flat_map(of_prefix).collect())
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
            let row = |(group, _): (&str, _)| LabelledSample {
                pod: None,
                labels: vec![group.to_owned(), topic.clone()],
                value: 1.0,
            };
            rows.map(row).collect::<Vec<LabelledSample>>()
        };
        Some(topics.iter().flat_map(of_topic).collect())
    }

    /// Whether an own query has fresh series, by pod: of these pods if it names any, else of all.
    fn ages(&self, query: &MetricQuery) -> Option<Vec<LabelledSample>> {
        let rows = self.tables.own.get(&(query.promql.clone(), query.pod_label.clone()))?;
        let row = |namespace: &str, pod: &str, value: f64| LabelledSample {
            pod: Some(pod.to_owned()).filter(|pod| !pod.is_empty()),
            labels: vec![namespace.to_owned()],
            value,
        };
        let here: Vec<LabelledSample> =
            rows.of(&self.home).map(|(pod, (value, _))| row("", pod, *value)).collect();
        if !here.is_empty() {
            return Some(here);
        }
        let of_all = rows.all().filter_map(|(place, (value, _))| {
            let (namespace, pod) = place.split_once('/')?;
            Some(row(namespace, pod, *value))
        });
        Some(of_all.collect())
    }
}

/// A pod, what stands behind the member in the place of its row, and the row.
type Member<R> = (String, String, R);

/// Names under which the addresses that pods had are known.
pub(super) const HISTORY_ADDRESSES: &str = "addresses of pods in the history";
pub(super) const OWNED_ADDRESSES: &str = "addresses of owners";

/// What the names of questions for topics begin with.
const TOPICS: &str = "topics of the pods";

/// The name under which the answer to a question is known whose labels differ by exporter.
pub(super) fn labelled_name(name: &str, labels: &[&str]) -> String {
    format!("{name} by {}", labels.join(", "))
}

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

/// One series for each label, with the largest value at each moment.
fn largest(rows: Vec<(String, &Vec<Point>)>) -> Vec<Series> {
    let mut found: BTreeMap<String, BTreeMap<i64, f64>> = BTreeMap::new();
    for (label, points) in rows {
        let known = found.entry(label).or_default();
        for Point { timestamp_ms, value } in points {
            let largest = known.entry(*timestamp_ms).or_insert(*value);
            // NaN counts only where there is nothing else, as in `max by`.
            *largest = largest.max(*value);
        }
    }
    let points = |known: BTreeMap<i64, f64>| {
        known.into_iter().map(|(timestamp_ms, value)| Point { timestamp_ms, value }).collect()
    };
    found.into_iter().map(|(label, known)| Series { pod: label, points: points(known) }).collect()
}

impl MetricsSource for View<'_, '_> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<InstantAnswer, QueryError> {
        if let Some(samples) = self.tables.windows.get(&(query.promql.clone(), at)) {
            return Ok(InstantAnswer { samples: samples.clone(), ..InstantAnswer::default() });
        }
        if let Some(rows) = self.members_now(&query.name).filter(|_| at == self.tables.at) {
            let mut samples = Samples::default();
            for (pod, _, (value, timestamp_ms)) in &rows {
                samples.push(pod, Point { timestamp_ms: *timestamp_ms, value: *value });
            }
            return Ok(InstantAnswer { samples, ..InstantAnswer::default() });
        }
        let own = self.tables.own.get(&(query.promql.clone(), query.pod_label.clone()));
        let known = own.or_else(|| self.tables.instant(self.source_of(&query.name), &query.name));
        let Some(rows) = known.filter(|_| at == self.tables.at) else {
            return self.tables.source.instant(query, at);
        };
        let mut samples = Samples::default();
        for (pod, (value, timestamp_ms)) in rows.of(&self.home) {
            samples.push(pod, Point { timestamp_ms: *timestamp_ms, value: *value });
        }
        Ok(InstantAnswer { samples, ..InstantAnswer::default() })
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<LabelledAnswer, QueryError> {
        let known = || self.ages(query).or_else(|| self.known_samples(&query.name, labels));
        match Some(()).filter(|()| at == self.tables.at).and_then(|()| known()) {
            Some(samples) => Ok(LabelledAnswer { samples, ..LabelledAnswer::default() }),
            None => self.tables.source.labelled(query, labels, at),
        }
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

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<RangeAnswer, QueryError> {
        match self.known(query, range) {
            Some(series) => Ok(RangeAnswer { series, ..RangeAnswer::default() }),
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
            None => return self.tables.source.range_by_series(query, range, each),
        }
        Ok(())
    }
}
