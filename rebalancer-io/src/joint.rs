//! Answers about many workloads at once. Each metric is asked for once for all of them, and each workload is
//! then decided on as if it had been asked about alone: a [`View`] answers its queries from what is known, and
//! asks the server itself for the rest.

mod chunks;
mod members;
mod parts;
mod places;
mod points;
mod tables;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{LivePod, Metric};

use crate::facts::{WITH_A_PAST, WindowQuestion, history_name, history_range, offsets_range};
use crate::metrics::detect::{
    JointDetection, KnownSeries, SERIES_LABEL, is_of_a_client, known_series_of_all, plain_topic,
};
use crate::metrics::kafka_direct::is_of_kafka;
use crate::metrics::{
    ADDRESSES, ASSIGNED, ASSIGNOR, AtMost, ClientQueries, GroupQueries, Groups, KafkaPreset, LOAD,
    MemberQueries, MetricQuery, MetricsSource, OWNERS, QuerySettings, REBALANCE, container_queries,
    of_members, tagged,
};
use crate::prometheus::{Point, QueryError, Sample, Samples, Series, TimeRange};
use parts::{Packed, by_tag, packed};
use places::Placed;
use tables::{Key, Ranged, Tables, exporters_of, rows_of, window_key};
use view::{HISTORY_ADDRESSES, OWNED_ADDRESSES, labelled_name};

pub use chunks::{Chunked, chunks, may_be_named, settings_of};
pub use view::View;

/// Most queries at once: as many as a run sends for its metrics.
const AT_ONCE: usize = 4;

/// What is asked of some workloads only.
const OF_SOME: [&str; 5] = [OWNERS, ASSIGNED, LOAD, ASSIGNOR, REBALANCE];

/// Answers about all workloads at one moment.
pub struct Joint<'a> {
    tables: Tables<'a>,
    /// No answers, for a workload whose own queries differ from those about all.
    nothing: Tables<'a>,
}

/// What is asked of the past of some workloads.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// The window whose history a decision looks at; `None` where it looks at none.
    pub history: Option<&'a Persistence>,
    /// Where lag and rate of them come from.
    pub presets: BTreeSet<KafkaPreset>,
    /// The preset of each workload that reads partitions, and its consumer group.
    pub readers: Vec<(KafkaPreset, Option<&'a str>)>,
    /// The users' own queries of loads whose history is looked at.
    pub own: Vec<MetricQuery>,
}

impl<'a> Joint<'a> {
    /// Nothing is known yet about the moment `at`.
    pub fn new(source: &'a dyn MetricsSource, at: Timestamp) -> Self {
        let tables = || Tables::new(AtMost::new(source, AT_ONCE), at);
        Self { tables: tables(), nothing: tables() }
    }

    /// The moment of the answers.
    pub const fn at(&self) -> Timestamp {
        self.tables.at
    }

    /// Asks where the lag of the workloads may come from. Where it is not the same for all, also what tells it for
    /// each; what a server does not answer of that is asked for each alone.
    ///
    /// # Errors
    /// A server that does not say which series it has.
    pub fn ask_sources(&mut self, settings: &QuerySettings) -> Result<KnownSeries, QueryError> {
        let answer =
            self.tables.source.labelled(&known_series_of_all(settings), &[SERIES_LABEL], self.tables.at)?;
        let known = KnownSeries::read(&answer, |_| true);
        if known.is_alone() {
            return Ok(known);
        }
        let is_of_others = |name: &String| !is_of_a_client(name);
        let others = answer.into_iter().filter(|sample| sample.labels.first().is_some_and(is_of_others));
        let questions = JointDetection::new(&known, settings);
        let mut wanted: Vec<(Key, &MetricQuery)> = Vec::new();
        wanted.extend(questions.clients.iter().map(|(of, query)| ((*of, query.name.clone()), query)));
        let of_all = |name: String| (KafkaPreset::None, name);
        wanted.extend(questions.topics.iter().map(|(_, query)| (of_all(query.name.clone()), query)));
        wanted.extend(questions.addresses.iter().map(|query| (of_all(ADDRESSES.to_owned()), query)));
        for (group, query) in questions.by_address.iter().chain(&questions.by_client) {
            wanted.push((of_all(labelled_name(&query.name, &[group])), query));
        }
        let is_complete = self.ask_and_keep(&wanted).iter().take(questions.clients.len()).all(Result::is_ok);
        self.ask_topics(&questions);
        self.tables.series = Some(others.collect()).filter(|_| is_complete);
        Ok(known)
    }

    /// Asks which groups read which topics, and keeps that by the spelling that all share.
    fn ask_topics(&mut self, questions: &JointDetection) {
        for (labels, query) in &questions.by_topic {
            let Ok(answer) = self.tables.source.instant(query, self.tables.at) else { continue };
            let row = |Sample { pod: place, value, timestamp_ms }: Sample<'_>| {
                let (topic, group) = place.split_once('/')?;
                Some((format!("{}/{group}", plain_topic(topic)), (value, timestamp_ms)))
            };
            let rows: Placed<(f64, i64)> = answer.iter().filter_map(row).collect();
            self.tables.instants.insert((KafkaPreset::None, labelled_name(&query.name, labels)), rows);
        }
    }

    /// Asks for the loads of all pods, and how many partitions each reads: what clients tell by each of `presets`.
    ///
    /// # Errors
    /// The first query that fails: a part of the loads is no ground for a decision.
    pub fn ask_loads(
        &mut self,
        settings: &QuerySettings,
        presets: &BTreeSet<KafkaPreset>,
    ) -> Result<(), QueryError> {
        let containers = container_queries(settings);
        let clients: Vec<(KafkaPreset, ClientQueries)> =
            presets.iter().map(|preset| (*preset, ClientQueries::new(*preset, settings))).collect();
        let of_containers = containers.iter().map(|(_, query)| keyed(KafkaPreset::None, query));
        let of_clients = clients
            .iter()
            .flat_map(|(preset, queries)| queries.loads().map(move |query| keyed(*preset, query)));
        let wanted: Vec<(Key, &MetricQuery)> = of_containers.chain(of_clients).collect();
        let answers = self.ask_and_keep(&wanted);
        // One process that names two pods spoils the answer about all of the agent's.
        let may_fail = |((preset, _), _): &(Key, &MetricQuery)| *preset == KafkaPreset::OtelJava;
        wanted.iter().zip(answers).filter(|(wanted, _)| !may_fail(wanted)).try_for_each(|(_, answer)| answer)
    }

    /// Asks for the lag and the rate of members that exporters name, where it was found that they do.
    pub fn ask_members(&mut self, settings: &QuerySettings, readers: &[(KafkaPreset, Option<&str>)]) {
        if self.tables.series.is_none() {
            return;
        }
        let members = members_of(readers, settings);
        let of_loads = members.iter().flat_map(|(preset, queries)| {
            [&queries.lag, &queries.rate].into_iter().flatten().map(move |query| keyed(*preset, query))
        });
        self.ask_and_keep(&of_loads.collect::<Vec<_>>());
    }

    /// Asks the users' own queries of several workloads together, each text once. What a server does not answer so is asked
    /// for each workload alone.
    pub fn ask_own(&mut self, queries: &[MetricQuery]) {
        let (texts, packed) = parted("own queries", queries);
        let asked: Vec<&Packed> = packed.iter().collect();
        let answers =
            Self::in_threads(&asked, |packed| self.tables.source.instant(&packed.query, self.tables.at));
        for (Packed { tags, .. }, answer) in packed.iter().zip(answers) {
            let Ok(answer) = answer else { continue };
            let rows = answer.iter().map(|sample| (sample.pod, (sample.value, sample.timestamp_ms)));
            let found = by_tag(tags, rows).into_iter();
            self.tables.own.extend(found.filter_map(|(tag, rows)| Some((texts.get(tag)?.clone(), rows))));
        }
    }

    /// Asks for the past of the pods that `settings` select, in place of what was asked before. What a server does not
    /// answer so is asked for each workload alone, when a decision needs it.
    pub fn ask_past(&mut self, settings: &QuerySettings, wanted: &Wanted<'_>) {
        let clients = |presets: &BTreeSet<KafkaPreset>| -> Vec<(KafkaPreset, ClientQueries)> {
            presets.iter().map(|preset| (*preset, ClientQueries::new(*preset, settings))).collect()
        };
        let readers = clients(&wanted.readers.iter().map(|(preset, _)| *preset).collect());
        let groups = groups_of(wanted, settings);
        let known = wanted.readers.iter().copied().filter(|_| self.tables.series.is_some());
        let members = members_of(&known.collect::<Vec<_>>(), settings);
        let mut ranges = Ranges::default();
        if let Some(rule) = wanted.history {
            let range = history_range(rule, self.tables.at);
            ranges.add_history(&container_queries(settings), &clients(&wanted.presets), &members, range);
        }
        let range = offsets_range(self.tables.at);
        for (preset, queries) in &readers {
            ranges.at_once(*preset, queries.owned.clone(), range);
            // Needed only where nobody reports a commit.
            ranges.when_needed(*preset, queries.lead.clone(), range);
        }
        for (preset, queries) in &members {
            ranges.at_once(*preset, queries.owned.clone(), range);
            ranges.at_once(KafkaPreset::None, named(queries.addresses.as_ref(), OWNED_ADDRESSES), range);
        }
        for (preset, queries) in &groups {
            ranges.at_once(*preset, queries.committed.clone(), range);
            ranges.at_once(*preset, queries.end.clone(), range);
            // Needed only where a partition may stand.
            ranges.when_needed(*preset, queries.start.clone(), range);
        }
        let source = &self.tables.source;
        let asked: Vec<&Ranged> = ranges.first.iter().filter_map(|key| ranges.all.get(key)).collect();
        Self::in_threads(&asked, |range| range.ask(source));
        self.tables.ranges = ranges.all;
        self.ask_now(&clients(&wanted.presets), &groups, &members, wanted.history.is_some());
        self.ask_own_past(wanted);
    }

    /// Asks what the groups are doing and, where a decision looks at history, who owns what.
    fn ask_now(
        &mut self,
        clients: &[(KafkaPreset, ClientQueries)],
        groups: &[(KafkaPreset, GroupQueries)],
        members: &[(KafkaPreset, MemberQueries)],
        is_history_wanted: bool,
    ) {
        let load = of_members(LOAD);
        self.tables.instants.retain(|(_, name), _| !OF_SOME.contains(&name.as_str()) && *name != load);
        let of_clients = clients.iter().filter(|_| is_history_wanted).flat_map(|(preset, queries)| {
            [&queries.owners, &queries.assigned].into_iter().flatten().map(move |query| keyed(*preset, query))
        });
        let of_groups = groups.iter().flat_map(|(preset, queries)| {
            let with_history =
                [&queries.load, &queries.assignor].into_iter().filter(move |_| is_history_wanted);
            with_history.chain([&queries.rebalance]).flatten().map(move |query| keyed(*preset, query))
        });
        let with_history = members.iter().filter(|_| is_history_wanted);
        let loads = with_history.filter_map(|(preset, queries)| Some(keyed(*preset, queries.load.as_ref()?)));
        self.ask_and_keep(&of_clients.chain(of_groups).chain(loads).collect::<Vec<_>>());
    }

    /// Asks these, keeps what is answered, and says of each whether it was.
    fn ask_and_keep(&mut self, wanted: &[(Key, &MetricQuery)]) -> Vec<Result<(), QueryError>> {
        let answers = self.ask(wanted);
        let mut kept = Vec::with_capacity(answers.len());
        for ((key, _), answer) in wanted.iter().zip(answers) {
            kept.push(answer.map(|rows| drop(self.tables.instants.insert(key.clone(), rows))));
        }
        kept
    }

    /// Asks for the history of own queries.
    fn ask_own_past(&mut self, wanted: &Wanted<'_>) {
        self.tables.own_ranges.clear();
        let Some(rule) = wanted.history else { return };
        let range = history_range(rule, self.tables.at);
        let (texts, packed) = parted("history of own queries", &wanted.own);
        let asked: Vec<&Packed> = packed.iter().collect();
        let answers = Self::in_threads(&asked, |packed| self.tables.source.range(&packed.query, range));
        for (Packed { tags, .. }, answer) in packed.iter().zip(answers) {
            let Ok(series) = answer else { continue };
            let rows = series.iter().map(|Series { pod, points }| (pod.as_str(), points.clone()));
            for (tag, rows) in by_tag(tags, rows) {
                let Some(text) = texts.get(tag) else { continue };
                self.tables.own_ranges.insert(text.clone(), (range, rows));
            }
        }
    }

    /// Asks for means over windows, in place of those asked before: as many in one query as a server takes. What it does not
    /// answer so is asked for each workload alone.
    pub fn ask_windows(&mut self, questions: &[WindowQuestion]) {
        self.tables.windows.clear();
        // Kafka itself knows no past.
        let of_server = questions.iter().filter(|question| !is_of_kafka(&question.query.promql));
        let questions: Vec<&WindowQuestion> = of_server.collect();
        let parts = questions.iter().enumerate().map(|(tag, question)| question.tagged(tag));
        let packed = packed("window_means", parts);
        let asked: Vec<&Packed> = packed.iter().collect();
        let answers =
            Self::in_threads(&asked, |packed| self.tables.source.instant(&packed.query, self.tables.at));
        for (Packed { tags, .. }, answer) in packed.iter().zip(answers) {
            let Ok(answer) = answer else { continue };
            let rows = answer.iter().map(|sample| {
                let Sample { pod: place, value, timestamp_ms } = sample;
                (place, Point { timestamp_ms, value })
            });
            for (tag, rows) in by_tag(tags, rows) {
                let Some(question) = questions.get(tag) else { continue };
                let own = question.query.namespace.as_deref();
                let mut samples = Samples::default();
                for (place, point) in rows.all() {
                    let Some((namespace, pod)) = place.split_once('/') else { continue };
                    if namespace.is_empty() || own.is_none_or(|own| namespace == own) {
                        samples.push(pod, *point);
                    }
                }
                self.tables.windows.insert(window_key(&question.query, question.ended), samples);
            }
        }
    }

    /// The answers to instant queries, asked in parallel.
    fn ask(&self, wanted: &[(Key, &MetricQuery)]) -> Vec<Result<Placed<(f64, i64)>, QueryError>> {
        let queries: Vec<&MetricQuery> = wanted.iter().map(|(_, query)| *query).collect();
        Self::in_threads(&queries, |query| {
            let answer = self.tables.source.instant(query, self.tables.at)?;
            Ok(rows_of(&query.name, &answer))
        })
    }

    /// The answers of `ask` to all of `queries`, in their order, asked in parallel by as many threads as may ask at once.
    fn in_threads<Q: Sync, A: Send>(queries: &[&Q], ask: impl Fn(&Q) -> A + Sync) -> Vec<A> {
        let next = AtomicUsize::new(0);
        let answer = || {
            let mut answers: Vec<(usize, A)> = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(query) = queries.get(place) else { return answers };
                answers.push((place, ask(query)));
            }
        };
        let mut answers: Vec<(usize, A)> = thread::scope(|scope| {
            let threads: Vec<_> = (0..queries.len().min(AT_ONCE)).map(|_| scope.spawn(answer)).collect();
            let answers = threads
                .into_iter()
                .flat_map(|thread| thread.join().expect("a thread that panics aborts the program"));
            answers.collect()
        });
        answers.sort_by_key(|(place, _)| *place);
        answers.into_iter().map(|(_, answer)| answer).collect()
    }

    /// The answers for the workload of these pods, whose own queries are made from `settings`.
    pub fn view<'j>(&'j self, settings: &'j QuerySettings, pods: &'j [LivePod]) -> View<'j, 'a> {
        View::new(&self.tables, settings, pods)
    }

    /// The same for a workload whose own queries differ from those about all, so that nothing is known of it.
    pub fn view_apart<'j>(&'j self, settings: &'j QuerySettings, pods: &'j [LivePod]) -> View<'j, 'a> {
        View::new(&self.nothing, settings, pods)
    }
}

/// The queries about the groups of the readers, by where what is told of them comes from.
fn groups_of(wanted: &Wanted<'_>, settings: &QuerySettings) -> Vec<(KafkaPreset, GroupQueries)> {
    let mut groups: BTreeMap<KafkaPreset, BTreeSet<&str>> = BTreeMap::new();
    for (preset, group) in &wanted.readers {
        groups.entry(exporters_of(*preset)).or_default().extend(*group);
    }
    let named = groups.into_iter().filter(|(_, names)| !names.is_empty());
    named
        .map(|(preset, names)| {
            (preset, GroupQueries::new(preset, Groups::of(names, &settings.matchers), settings))
        })
        .collect()
}

/// The queries about members of the groups of these readers.
fn members_of(
    readers: &[(KafkaPreset, Option<&str>)],
    settings: &QuerySettings,
) -> Vec<(KafkaPreset, MemberQueries)> {
    let mut groups: BTreeMap<KafkaPreset, BTreeSet<&str>> = BTreeMap::new();
    for (preset, group) in readers {
        groups.entry(*preset).or_default().extend(*group);
    }
    let queries = groups.into_iter().filter_map(|(preset, names)| {
        Some((preset, MemberQueries::new(preset, Groups::of(names, &settings.matchers), settings)?))
    });
    queries.collect()
}

/// A query, and the key of the answer to it.
fn keyed(preset: KafkaPreset, query: &MetricQuery) -> (Key, &MetricQuery) {
    ((preset, query.name.clone()), query)
}

/// A query under another name.
fn named(query: Option<&MetricQuery>, name: &str) -> Option<MetricQuery> {
    query.map(|query| MetricQuery { name: name.to_owned(), ..query.clone() })
}

/// Ranges, and which of them are asked for at once.
#[derive(Default)]
struct Ranges {
    all: BTreeMap<Key, Ranged>,
    first: Vec<Key>,
}

impl Ranges {
    fn at_once(&mut self, preset: KafkaPreset, query: Option<MetricQuery>, range: TimeRange) {
        self.first.extend(query.as_ref().map(|query| (preset, query.name.clone())));
        self.when_needed(preset, query, range);
    }

    /// The history of the loads.
    fn add_history(
        &mut self,
        containers: &[(Metric, MetricQuery)],
        clients: &[(KafkaPreset, ClientQueries)],
        members: &[(KafkaPreset, MemberQueries)],
        range: TimeRange,
    ) {
        let past =
            |query: &MetricQuery| Some(MetricQuery { name: history_name(&query.name), ..query.clone() });
        for (_, query) in containers.iter().filter(|(metric, _)| WITH_A_PAST.contains(metric)) {
            self.at_once(KafkaPreset::None, past(query), range);
        }
        for (preset, queries) in clients {
            let of_metrics = WITH_A_PAST.into_iter().filter_map(|metric| queries.metric(metric));
            of_metrics.for_each(|query| self.at_once(*preset, past(query), range));
        }
        for (preset, queries) in members {
            for (metric, query) in [(Metric::Lag, &queries.lag), (Metric::Rate, &queries.rate)] {
                self.at_once(
                    *preset,
                    named(query.as_ref(), &of_members(&history_name(metric.name()))),
                    range,
                );
            }
            self.at_once(KafkaPreset::None, named(queries.addresses.as_ref(), HISTORY_ADDRESSES), range);
        }
    }

    fn when_needed(&mut self, preset: KafkaPreset, query: Option<MetricQuery>, range: TimeRange) {
        if let Some(query) = query {
            self.all.insert((preset, query.name.clone()), Ranged::new(query, range));
        }
    }
}

/// The texts of these queries, each once, with the label that names the pod, and the queries of which they are parts.
fn parted(name: &str, queries: &[MetricQuery]) -> (Vec<(String, String)>, Vec<Packed>) {
    let texts: BTreeSet<(String, String)> =
        queries.iter().map(|query| (query.promql.clone(), query.pod_label.clone())).collect();
    let texts: Vec<(String, String)> = texts.into_iter().collect();
    let parts = texts.iter().enumerate().map(|(tag, (promql, pod_label))| tagged(promql, tag, pod_label));
    let packed = packed(name, parts);
    (texts, packed)
}
