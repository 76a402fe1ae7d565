//! Answers about many workloads at once. Each metric is asked for once for all of them, and each workload is
//! then decided on as if it had been asked about alone: a [`View`] answers its queries from what is known, and
//! asks the server itself for the rest.

mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{LivePod, Metric};

use crate::facts::{WindowQuestion, history_name, history_range, offsets_range};
use crate::metrics::kafka_direct::is_of_kafka;
use crate::metrics::{
    ASSIGNED, AtMost, CLIENT_LABEL, GROUPLESS, JointQueries, KafkaPreset, MetricQuery, MetricsSource, OWNERS,
    OffsetQueries, PARTITION_LABELS, QuerySettings, Reach, pattern_of, pod_prefixes,
};
use crate::prometheus::{
    InstantAnswer, LabelledAnswer, LabelledSample, Point, QueryError, RangeAnswer, RawSample, Sample,
    Samples, Series,
};
use places::{Home, Placed};

/// Most queries at once: as many as a run sends for its metrics.
const AT_ONCE: usize = 4;

/// Metrics whose history a decision looks at.
const WITH_A_PAST: [Metric; 3] = [Metric::Cpu, Metric::Lag, Metric::Rate];

/// Answers about all workloads at one moment.
pub struct Joint<'a> {
    source: AtMost<'a>,
    at: Timestamp,
    /// Where lag and rate of all come from, once they were asked for.
    preset: Option<KafkaPreset>,
    instants: BTreeMap<String, Placed<(f64, i64)>>,
    labelled: BTreeMap<String, Placed<LabelledSample>>,
    ranges: BTreeMap<String, (Span, Placed<Vec<Point>>)>,
    /// Means over windows, by the query of one workload and its moment.
    windows: BTreeMap<(String, Timestamp), Samples>,
    /// Whole answers by the text of the query: workloads share the alerts that fire.
    raw: Mutex<BTreeMap<String, Vec<RawSample>>>,
}

/// Start, end and step of a range.
type Span = (Timestamp, Timestamp, Duration);

/// What is asked of the past of some workloads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted<'a> {
    /// The window whose history a decision looks at; `None` where it looks at none.
    pub history: Option<&'a Persistence>,
    /// Whether the partitions and their past are asked for.
    pub partitions: bool,
}

impl<'a> Joint<'a> {
    /// Nothing is known yet about the moment `at`.
    pub fn new(source: &'a dyn MetricsSource, at: Timestamp) -> Self {
        Self {
            source: AtMost::new(source, AT_ONCE),
            at,
            preset: None,
            instants: BTreeMap::new(),
            labelled: BTreeMap::new(),
            ranges: BTreeMap::new(),
            windows: BTreeMap::new(),
            raw: Mutex::default(),
        }
    }

    /// The moment of the answers.
    pub const fn at(&self) -> Timestamp {
        self.at
    }

    /// Asks for the loads of all pods, and how many partitions each reads.
    ///
    /// # Errors
    /// The first query that fails: a part of the loads is no ground for a decision.
    pub fn ask_loads(&mut self, queries: &JointQueries) -> Result<(), QueryError> {
        let wanted: Vec<&MetricQuery> = Metric::ALL
            .into_iter()
            .filter_map(|metric| queries.metric(metric))
            .chain(&queries.partitions)
            .collect();
        self.preset = Some(queries.preset);
        let answers = Self::all(&wanted, |query| self.source.instant(query, self.at));
        for (query, answer) in wanted.iter().zip(answers) {
            let samples = answer?.samples;
            let rows = samples
                .iter()
                .map(|Sample { pod, value, timestamp_ms }| (pod.to_owned(), (value, timestamp_ms)));
            self.instants.insert(query.name.clone(), rows.collect());
        }
        Ok(())
    }

    /// Asks for the past of the pods that `queries` select, in place of what was asked before. What a server does not
    /// answer so is asked for each workload alone, when a decision needs it.
    pub fn ask_past(&mut self, queries: &JointQueries, wanted: Wanted<'_>) {
        self.ranges.clear();
        self.labelled.clear();
        let mut ranges: Vec<(MetricQuery, Span)> = Vec::new();
        if let Some(rule) = wanted.history {
            let span = history_range(rule, self.at);
            let metrics = WITH_A_PAST.into_iter().filter_map(|metric| queries.metric(metric));
            ranges.extend(
                metrics.map(|query| (MetricQuery { name: history_name(&query.name), ..query.clone() }, span)),
            );
        }
        if wanted.partitions {
            let past = [&queries.lead, &queries.owned].into_iter().flatten();
            ranges.extend(past.map(|query| (query.clone(), offsets_range(self.at))));
        }
        let asked: Vec<&(MetricQuery, Span)> = ranges.iter().collect();
        let answers =
            Self::all(&asked, |(query, (start, end, step))| self.source.range(query, *start, *end, *step));
        for ((query, span), answer) in ranges.iter().zip(answers) {
            let Ok(RangeAnswer { series, .. }) = answer else { continue };
            let rows = series.into_iter().map(|Series { pod, points }| (pod, points)).collect();
            self.ranges.insert(query.name.clone(), (*span, rows));
        }
        if wanted.history.is_some() && wanted.partitions {
            self.ask_owners(queries);
        }
    }

    /// Asks for means over windows, in place of those asked before: as many in one query as a server takes. What it does not
    /// answer so is asked for each workload alone.
    pub fn ask_windows(&mut self, questions: &[WindowQuestion]) {
        self.windows.clear();
        let mut queries: Vec<(MetricQuery, Vec<usize>)> = Vec::new();
        // Kafka itself knows no past.
        let of_server = |(_, question): &(usize, &WindowQuestion)| !is_of_kafka(&question.query.promql);
        for (tag, question) in questions.iter().enumerate().filter(of_server) {
            let part = question.tagged(tag);
            let last = queries.last_mut();
            match last.filter(|(query, _)| query.promql.len() + part.len() + 4 <= MOST_BYTES) {
                Some((query, tags)) => {
                    query.promql.push_str(" or ");
                    query.promql.push_str(&part);
                    tags.push(tag);
                }
                None => {
                    queries.push((MetricQuery::new("window_means", part).with_pod_label("place"), vec![tag]));
                }
            }
        }
        let asked: Vec<&(MetricQuery, Vec<usize>)> = queries.iter().collect();
        let answers = Self::all(&asked, |(query, _)| self.source.instant(query, self.at));
        for ((_, tags), answer) in queries.iter().zip(answers) {
            let Ok(answer) = answer else { continue };
            let mut found: BTreeMap<usize, Samples> =
                tags.iter().map(|tag| (*tag, Samples::default())).collect();
            for Sample { pod: place, value, timestamp_ms } in answer.samples.iter() {
                let mut parts = place.splitn(3, '/');
                let Some(tag): Option<usize> = parts.next().and_then(|tag| tag.parse().ok()) else {
                    continue;
                };
                let (Some(namespace), Some(pod)) = (parts.next(), parts.next()) else { continue };
                let is_own = |own: &str| namespace.is_empty() || namespace == own;
                let own = questions.get(tag).and_then(|question| question.query.namespace.as_deref());
                if let Some(samples) = found.get_mut(&tag).filter(|_| own.is_none_or(is_own)) {
                    samples.push(pod, Point { timestamp_ms, value });
                }
            }
            let known = found.into_iter().filter_map(|(tag, samples)| Some((questions.get(tag)?, samples)));
            self.windows.extend(known.map(|(of, samples)| ((of.query.promql.clone(), of.ended), samples)));
        }
    }

    /// Asks who owns what, for decisions on workloads over a threshold.
    fn ask_owners(&mut self, queries: &JointQueries) {
        let owners = queries.owners.iter().map(|query| (query, PARTITION_LABELS.as_slice()));
        let assigned = queries.assigned.iter().map(|query| (query, [CLIENT_LABEL].as_slice()));
        for (query, labels) in owners.chain(assigned).collect::<Vec<_>>() {
            let with_namespace = [&["namespace"], labels].concat();
            let Ok(answer) = self.source.labelled(query, &with_namespace, self.at) else { continue };
            let rows = answer.samples.into_iter().filter_map(|mut sample| {
                let namespace = sample.labels.remove(0);
                Some((format!("{namespace}/{}", sample.pod.as_deref()?), sample))
            });
            self.labelled.insert(query.name.clone(), rows.collect());
        }
    }

    /// The answers of `ask` to all of `queries`, asked in parallel.
    fn all<Q: Sync, A: Send>(queries: &[&Q], ask: impl Fn(&Q) -> A + Sync) -> Vec<A> {
        let ask = &ask;
        thread::scope(|scope| {
            let threads: Vec<_> = queries.iter().map(|query| scope.spawn(move || ask(query))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a thread that panics aborts the program"))
                .collect()
        })
    }

    /// The answers for the workload of these pods, whose own queries are made from `settings`.
    pub fn view(&self, settings: &QuerySettings, pods: &[LivePod]) -> View<'_, 'a> {
        let home = Home::new(&settings.namespace, &pod_prefixes(pods));
        let of_another = self.preset.is_some_and(|preset| preset != settings.preset);
        View { joint: self, home, of_group: settings.group.is_some(), of_another }
    }

    /// Whether any of these pods has a sample of the metric.
    pub fn has(&self, view: &View<'_, '_>, metric: Metric) -> bool {
        self.instants.get(metric.name()).is_some_and(|rows| rows.of(&view.home).next().is_some())
    }

    /// Number of partitions that these pods read, as far as their clients tell it to all.
    pub fn partitions(&self, view: &View<'_, '_>) -> f64 {
        self.instants
            .get(OffsetQueries::COUNT)
            .map_or(0.0, |rows| rows.of(&view.home).map(|(_, (count, _))| count).sum())
    }
}

/// What is known of one workload.
pub struct View<'j, 'a> {
    joint: &'j Joint<'a>,
    home: Home,
    /// Whether the workload's queries name a group, of which nothing was asked jointly.
    of_group: bool,
    /// Whether its lag and rate come from elsewhere than those of all.
    of_another: bool,
}

impl View<'_, '_> {
    /// Whether the answers to the query `name` hold for this workload.
    fn is_joint(&self, name: &str) -> bool {
        let of_clients = [GROUPLESS[0], GROUPLESS[1], OWNERS, ASSIGNED, OffsetQueries::COUNT];
        let [lag, rate] = [Metric::Lag, Metric::Rate].map(Metric::name);
        let is_of_kafka = [lag, rate].iter().any(|metric| name == *metric || name == history_name(metric));
        let is_of_clients = of_clients.contains(&name);
        !(is_of_clients && self.of_group) && !((is_of_clients || is_of_kafka) && self.of_another)
    }

    /// The known series of a range query.
    fn known(&self, query: &MetricQuery, span: Span) -> Option<Vec<Series>> {
        let (known, rows) = self.joint.ranges.get(&query.name).filter(|_| self.is_joint(&query.name))?;
        if *known != span {
            return None;
        }
        let found = rows.of(&self.home);
        let [lead, owned] = GROUPLESS;
        Some(match query.name.as_str() {
            name if name == lead => by_partition(found),
            name if name == owned => {
                found.filter_map(|(place, points)| Some(series(&of_owner(place)?, points))).collect()
            }
            _ => found.map(|(pod, points)| series(pod, points)).collect(),
        })
    }
}

fn series(pod: &str, points: &[Point]) -> Series {
    Series { pod: pod.to_owned(), points: points.to_vec() }
}

/// The label of a series of owners: `orders-0/topic/7` as `topic/7/orders-0`.
fn of_owner(place: &str) -> Option<String> {
    let (pod, partition) = place.split_once('/')?;
    Some(format!("{partition}/{pod}"))
}

/// The largest value of each partition over the pods, at each moment.
fn by_partition<'r>(rows: impl Iterator<Item = (&'r str, &'r Vec<Point>)>) -> Vec<Series> {
    let mut found: BTreeMap<&str, BTreeMap<i64, f64>> = BTreeMap::new();
    for (place, points) in rows {
        let Some((_, partition)) = place.split_once('/') else { continue };
        let known = found.entry(partition).or_default();
        for Point { timestamp_ms, value } in points {
            let largest = known.entry(*timestamp_ms).or_insert(*value);
            // NaN counts only where there is nothing else, as in `max by`.
            *largest = largest.max(*value);
        }
    }
    let points = |known: BTreeMap<i64, f64>| {
        known.into_iter().map(|(timestamp_ms, value)| Point { timestamp_ms, value }).collect()
    };
    found
        .into_iter()
        .map(|(partition, known)| Series { pod: partition.to_owned(), points: points(known) })
        .collect()
}

impl MetricsSource for View<'_, '_> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<InstantAnswer, QueryError> {
        if let Some(samples) = self.joint.windows.get(&(query.promql.clone(), at)) {
            return Ok(InstantAnswer { samples: samples.clone(), ..InstantAnswer::default() });
        }
        let is_known = at == self.joint.at && self.is_joint(&query.name);
        let known = self.joint.instants.get(&query.name).filter(|_| is_known);
        let Some(rows) = known else { return self.joint.source.instant(query, at) };
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
        let is_known = at == self.joint.at && self.is_joint(&query.name);
        if let Some(rows) = self.joint.labelled.get(&query.name).filter(|_| is_known) {
            let samples = rows.of(&self.home).map(|(_, sample)| sample.clone()).collect();
            return Ok(LabelledAnswer { samples, ..LabelledAnswer::default() });
        }
        let is_count = query.name == OffsetQueries::COUNT && is_known;
        if is_count && self.joint.instants.contains_key(OffsetQueries::COUNT) {
            let count = self.joint.partitions(self);
            let samples =
                vec![LabelledSample { pod: None, labels: vec![String::new(); labels.len()], value: count }];
            let samples = if count > 0.0 { samples } else { Vec::new() };
            return Ok(LabelledAnswer { samples, ..LabelledAnswer::default() });
        }
        self.joint.source.labelled(query, labels, at)
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        if at != self.joint.at {
            return self.joint.source.raw(query, at);
        }
        let known = || self.joint.raw.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(&query.promql) {
            return Ok(answer.clone());
        }
        let answer = self.joint.source.raw(query, at)?;
        known().insert(query.promql.clone(), answer.clone());
        Ok(answer)
    }

    fn range(
        &self,
        query: &MetricQuery,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<RangeAnswer, QueryError> {
        match self.known(query, (start, end, step)) {
            Some(series) => Ok(RangeAnswer { series, ..RangeAnswer::default() }),
            None => self.joint.source.range(query, start, end, step),
        }
    }

    fn range_by_series(
        &self,
        query: &MetricQuery,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        match self.known(query, (start, end, step)) {
            Some(series) => series.into_iter().for_each(each),
            None => return self.joint.source.range_by_series(query, start, end, step, each),
        }
        Ok(())
    }
}

/// The workloads that are asked about together: as many as an answer and a query have room for.
pub fn chunks<W>(workloads: Vec<W>, of: impl Fn(&W) -> Chunked<'_>) -> Vec<Vec<W>> {
    let mut chunks: Vec<Vec<W>> = Vec::new();
    let mut namespaces: BTreeSet<String> = BTreeSet::new();
    let (mut rows, mut text) = (0, 0);
    for workload in workloads {
        let Chunked { namespace, pods, rows: own_rows } = of(&workload);
        let own_text: usize = pod_prefixes(pods).iter().map(|prefix| prefix.len() + 1).sum();
        let place = if namespaces.contains(namespace) { 0 } else { namespace.len() + 1 };
        let is_full = rows + own_rows > MOST_ROWS || text + own_text + place > MOST_TEXT;
        if is_full {
            namespaces.clear();
            (rows, text) = (0, 0);
        }
        text += own_text + if namespaces.insert(namespace.to_owned()) { namespace.len() + 1 } else { 0 };
        rows += own_rows;
        match chunks.last_mut().filter(|_| !is_full) {
            Some(chunk) => chunk.push(workload),
            None => chunks.push(vec![workload]),
        }
    }
    chunks
}

/// The settings of queries about the pods of these workloads alone. Those about many find them by `settings`.
pub fn settings_of<'w>(
    settings: &QuerySettings,
    workloads: impl Iterator<Item = Chunked<'w>>,
) -> QuerySettings {
    let (mut namespaces, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    let mut has_pattern = true;
    for Chunked { namespace, pods, .. } in workloads {
        namespaces.insert(namespace);
        let own = pod_prefixes(pods);
        has_pattern &= !own.is_empty();
        prefixes.extend(own);
    }
    let prefixes: Vec<&str> = prefixes.into_iter().filter(|_| has_pattern).collect();
    let names: Vec<String> = namespaces.into_iter().map(str::to_owned).collect();
    let own = QuerySettings { pod_pattern: pattern_of(&prefixes), ..settings.clone() };
    match names.as_slice() {
        [one] => QuerySettings { namespace: one.clone(), reach: Reach::One, ..own },
        _ => QuerySettings { reach: Reach::Several(names), ..own },
    }
}

/// What of a workload counts for the size of a query and of its answer.
#[derive(Debug, Clone, Copy)]
pub struct Chunked<'w> {
    /// Its namespace.
    pub namespace: &'w str,
    /// Its pods.
    pub pods: &'w [LivePod],
    /// Series that an answer about it has.
    pub rows: usize,
}

/// Most bytes of a query that is made of parts: VictoriaMetrics refuses more than 16,384.
const MOST_BYTES: usize = 15_000;

/// Most series of one answer: an hour of minutes of each is 10 MB.
const MOST_ROWS: usize = 5_000;

/// Most bytes of the names in a selector, which stands in a query up to ten times. VictoriaMetrics refuses queries over
/// 16,384 bytes.
const MOST_TEXT: usize = 1_000;
