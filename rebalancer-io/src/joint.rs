//! Answers about many workloads at once. Each metric is asked for once for all of them, and each workload is
//! then decided on as if it had been asked about alone: a [`View`] answers its queries from what is known, and
//! asks the server itself for the rest.

mod chunks;
mod members;
mod open;
mod parts;
mod places;
mod points;
mod tables;
mod view;
mod wanted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use jiff::Timestamp;
use rebalancer_core::LivePod;
use rebalancer_core::guard::Persistence;

use crate::facts::{WindowQuestion, history_range, offsets_range};
use crate::metrics::detect::{
    JointDetection, KnownSeries, SERIES_LABEL, is_of_a_client, known_series_of_all, plain_topic,
};
use crate::metrics::kafka_direct::is_of_kafka;
use crate::metrics::{
    ADDRESSES, AtMost, COMMITTED, ClientQueries, END, GroupQueries, KafkaPreset, LEAD, LOAD, MetricQuery,
    MetricsSource, OWNED, OffsetQueries, QuerySettings, REBALANCE, START, container_queries, of_members,
    tagged,
};
use crate::prometheus::{Point, QueryError, Sample, Samples, Series, TimeRange, When};
use open::OF_SUSPECTS;
use parts::{Packed, by_tag, packed};
use places::Placed;
use tables::{Key, Ranged, Tables, exporters_of, labelled, rows_of, window_key};
use view::{OWNED_ADDRESSES, labelled_name};
use wanted::{OfSuspects, Ranges, clients_of, groups_of, keyed, members_of, named};

pub use chunks::{Chunked, chunks, has_room_for, may_be_named, settings_of};
pub use open::{Open, Question, look_at_history};
pub use view::View;

/// Most queries at once: as many as a run sends for its metrics.
const AT_ONCE: usize = 4;

/// Rows of a part about now: what tells each, its value, and when that was.
type Rows = Vec<(String, (f64, i64))>;

/// Most rows over an hour in one answer: 20 MB of text, of the 32 MiB that an answer may have.
const MOST_PACKED_ROWS: usize = 10_000;

/// Answers about all workloads at one moment.
pub struct Joint<'a> {
    tables: Tables<'a>,
    /// No answers, for a workload whose own queries differ from those about all.
    nothing: Tables<'a>,
}

/// What is asked about the workloads of a chunk besides their loads.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// The preset of each that reads partitions, and its consumer group.
    pub readers: Vec<(KafkaPreset, Option<&'a str>)>,
    /// Series that an answer about all of them has, at least one.
    pub rows: usize,
}

/// What is asked about those workloads of a chunk at whose history a decision looks.
#[derive(Debug, Clone)]
pub struct Suspects<'a> {
    /// The settings of the queries about them.
    pub settings: QuerySettings,
    /// The window whose history is looked at.
    pub window: Persistence,
    /// Where lag and rate of them come from.
    pub presets: BTreeSet<KafkaPreset>,
    /// The preset of each that reads partitions, and its consumer group.
    pub readers: Vec<(KafkaPreset, Option<&'a str>)>,
    /// The users' own queries of loads whose history is looked at.
    pub own: Vec<MetricQuery>,
    /// The windows of the past that are looked at.
    pub windows: Vec<WindowQuestion>,
}

impl<'a> Joint<'a> {
    /// Nothing is known yet about the moment `at`.
    pub fn new(source: &'a dyn MetricsSource, at: Timestamp) -> Self {
        let tables = || Tables::new(AtMost::new(source, AT_ONCE), at);
        Self { tables: tables(), nothing: tables() }
    }

    /// Whether what a decision on history looks at is known of the workloads that are decided on.
    pub const fn knows_history(&self) -> bool {
        self.tables.has_history
    }

    /// Number of partitions that clients in all pods tell of.
    pub fn partitions(&self) -> f64 {
        let counts = self.tables.instants.iter().filter(|((_, name), _)| name == OffsetQueries::COUNT);
        counts.flat_map(|(_, rows)| rows.all()).map(|(_, (count, _))| count).sum()
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
        let texts: BTreeSet<(&str, &str)> =
            queries.iter().map(|query| (query.promql.as_str(), query.pod_label.as_str())).collect();
        let texts: Vec<(&str, &str)> = texts.into_iter().collect();
        let parts =
            texts.iter().enumerate().map(|(tag, (promql, pod))| tagged(promql, tag, &["namespace", pod]));
        for (tag, rows) in self.ask_instants(&packed("own queries", parts, usize::MAX)) {
            let (Some((promql, pod)), Some(rows)) = (texts.get(tag), rows) else { continue };
            let key = ((*promql).to_owned(), (*pod).to_owned());
            self.tables.own.insert(key, rows.into_iter().collect());
        }
    }

    /// Asks for the past of the partitions that the pods of a chunk read, which `settings` select, and for what a decision on
    /// the `suspects` among them looks at, all in place of what was asked before. What a server does not answer so is asked for
    /// each workload alone, when a decision needs it.
    pub fn ask_past(
        &mut self,
        settings: &QuerySettings,
        Wanted { readers, rows }: &Wanted<'_>,
        suspects: Option<&Suspects<'_>>,
    ) {
        self.forget_history();
        self.tables.ranges.clear();
        self.tables.told.clear();
        self.tables.instants.retain(|(_, name), _| name != REBALANCE);
        let clients = clients_of(readers.iter().map(|(preset, _)| *preset), settings);
        let groups = groups_of(readers, settings);
        let members = members_of(self.with_known_sources(readers), settings);
        let mut ranges = Ranges::default();
        let range = offsets_range(self.tables.at);
        for (preset, queries) in &clients {
            ranges.together(*preset, queries.owned.clone(), range);
            // Needed only where nobody reports a commit.
            let has_commits = |(of, queries): &(KafkaPreset, GroupQueries)| {
                *of == exporters_of(*preset) && queries.committed.is_some()
            };
            let is_of_none = |(of, group): &(KafkaPreset, Option<&str>)| of == preset && group.is_none();
            if groups.iter().any(has_commits) && !readers.iter().any(is_of_none) {
                ranges.when_needed(*preset, queries.lead.clone(), range);
            } else {
                ranges.together(*preset, queries.lead.clone(), range);
            }
        }
        for (preset, queries) in &members {
            ranges.together(*preset, queries.owned.clone(), range);
            ranges.together(KafkaPreset::None, named(queries.addresses.as_ref(), OWNED_ADDRESSES), range);
        }
        for (preset, queries) in &groups {
            ranges.together(*preset, queries.committed.clone(), range);
            ranges.together(*preset, queries.end.clone(), range);
            // Needed only where a partition may stand.
            ranges.when_needed(*preset, queries.start.clone(), range);
        }
        let rebalances =
            groups.iter().filter_map(|(preset, queries)| Some(keyed(*preset, queries.rebalance.as_ref()?)));
        self.ask_more(ranges, rebalances.collect(), *rows, suspects);
    }

    /// Asks for what a decision on these workloads looks at, besides what is known of the partitions that they read.
    pub fn ask_history(&mut self, suspects: &Suspects<'_>) {
        self.forget_history();
        self.ask_more(Ranges::default(), Vec::new(), 1, Some(suspects));
    }

    /// Forgets what a decision on history looks at: it is known of the suspects alone.
    pub fn forget_history(&mut self) {
        self.tables.has_history = false;
        self.tables.windows.clear();
        let is_of_partitions = |name: &str| {
            let names = [COMMITTED, END, START, LEAD, OWNED, OWNED_ADDRESSES];
            names.contains(&name) || name == of_members(OWNED)
        };
        self.tables.ranges.retain(|(_, name), _| is_of_partitions(name));
        let load = of_members(LOAD);
        self.tables.instants.retain(|(_, name), _| !OF_SUSPECTS.contains(&name.as_str()) && *name != load);
    }

    /// Asks for these ranges and instants, and for what a decision on the suspects looks at.
    fn ask_more(
        &mut self,
        mut ranges: Ranges,
        rebalances: Vec<(Key, &MetricQuery)>,
        rows: usize,
        suspects: Option<&Suspects<'_>>,
    ) {
        let of_suspects = suspects.map(|suspects| OfSuspects {
            clients: clients_of(suspects.presets.iter().copied(), &suspects.settings),
            groups: groups_of(&suspects.readers, &suspects.settings),
            members: members_of(self.with_known_sources(&suspects.readers), &suspects.settings),
        });
        let (mut instants, mut windows): (Vec<(Key, &MetricQuery)>, &[WindowQuestion]) = (rebalances, &[]);
        if let (Some(suspects), Some(queries)) = (suspects, &of_suspects) {
            let range = history_range(&suspects.window, self.tables.at);
            ranges.add_history(&container_queries(&suspects.settings), queries, range);
            instants.extend(queries.instants());
            windows = &suspects.windows;
        }
        self.ask_ranges(ranges, rows);
        self.ask_now(&instants, windows);
        if let Some(suspects) = suspects {
            self.tables.has_history = true;
            let range = history_range(&suspects.window, self.tables.at);
            let own = suspects.own.iter().map(|query| (query.clone(), When::Range(range)));
            self.ask_told(&own.collect::<Vec<Question>>());
        }
    }

    /// Asks what was found to be missing in decisions, in as few queries as servers take. What they do not answer so is asked for
    /// each workload alone.
    pub fn ask_open(&mut self, open: &[Question]) {
        let at = self.tables.at;
        let window = |(query, when): &Question| match when {
            When::Instant(ended) => WindowQuestion::asked_by(query, *ended, at),
            When::Range(_) => None,
        };
        let windows: Vec<WindowQuestion> = open.iter().filter_map(window).collect();
        self.ask_now(&[], &windows);
        self.ask_told(open);
    }

    /// Asks these questions about ranges, those over one range together.
    fn ask_told(&mut self, questions: &[Question]) {
        let mut texts: BTreeMap<TimeRange, BTreeMap<(&str, &str), &str>> = BTreeMap::new();
        for (query, when) in questions {
            if let When::Range(range) = when {
                texts.entry(*range).or_default().insert((&query.promql, &query.pod_label), &query.name);
            }
        }
        for (range, texts) in texts {
            let names: Vec<&str> = texts.values().copied().collect();
            let texts: Vec<(&str, &str)> = texts.into_keys().collect();
            let parts =
                texts.iter().enumerate().map(|(tag, (promql, pod))| tagged(promql, tag, &["namespace", pod]));
            let packed = packed(&names.join(", "), parts, usize::MAX);
            let asked: Vec<&Packed> = packed.iter().collect();
            let answers = Self::in_threads(&asked, |packed| self.tables.source.range(&packed.query, range));
            for (Packed { tags, .. }, answer) in packed.iter().zip(answers) {
                let mut found = answer.ok().map(|answer| by_tag(tags, series_of_rows(answer)));
                for (tag, (promql, pod)) in tags.iter().filter_map(|tag| Some((tag, texts.get(*tag)?))) {
                    let rows = found.as_mut().and_then(|found| found.remove(tag));
                    let key = (range, (*promql).to_owned(), (*pod).to_owned());
                    self.tables.told.insert(key, rows.map(|rows| rows.into_iter().collect()));
                }
            }
        }
    }

    /// Asks for ranges that are needed at once: about partitions as many in one query as have room for their rows.
    fn ask_ranges(&mut self, ranges: Ranges, rows: usize) {
        let Ranges { all, alone, together } = ranges;
        let source = &self.tables.source;
        let most = (MOST_PACKED_ROWS / rows.max(1)).max(1);
        let mut asked: Vec<(Option<Packed>, Vec<&Ranged>)> = Vec::new();
        let of_keys = |keys: &[Key]| -> Vec<&Ranged> { keys.iter().filter_map(|key| all.get(key)).collect() };
        asked.extend(of_keys(&alone).into_iter().map(|ranged| (None, vec![ranged])));
        for keys in together.values() {
            let parts = of_keys(keys);
            let texts = parts
                .iter()
                .enumerate()
                .map(|(tag, ranged)| tagged(&ranged.query.promql, tag, &[&ranged.query.pod_label]));
            let names: Vec<&str> = parts.iter().map(|ranged| ranged.query.name.as_str()).collect();
            for packed in packed(&names.join(", "), texts, most) {
                let parts = packed.tags.iter().filter_map(|tag| parts.get(*tag).copied()).collect();
                asked.push((Some(packed).filter(|packed| packed.tags.len() > 1), parts));
            }
        }
        let tasks: Vec<&(Option<Packed>, Vec<&Ranged>)> = asked.iter().collect();
        Self::in_threads(&tasks, |(packed, parts)| {
            let range = parts.first().map(|ranged| ranged.range);
            let answer = packed
                .as_ref()
                .zip(range)
                .and_then(|(packed, range)| Some((packed, source.range(&packed.query, range).ok()?)));
            match answer {
                Some((Packed { tags, .. }, answer)) => {
                    let found = by_tag(tags, series_of_rows(answer));
                    parts.iter().zip(found.into_values()).for_each(|(ranged, rows)| ranged.take(rows));
                }
                None => parts.iter().for_each(|ranged| ranged.ask(source)),
            }
        });
        self.tables.ranges.extend(all);
    }

    /// Asks these about now together, with the means over windows. What a server does not answer so is asked by itself, and
    /// of windows for each workload alone.
    fn ask_now(&mut self, wanted: &[(Key, &MetricQuery)], windows: &[WindowQuestion]) {
        // Kafka itself knows no past.
        let windows: Vec<&WindowQuestion> =
            windows.iter().filter(|question| !is_of_kafka(&question.query.promql)).collect();
        let of_presets = wanted
            .iter()
            .enumerate()
            .map(|(tag, (_, query))| tagged(&query.promql, tag, &[&query.pod_label]));
        let of_windows =
            windows.iter().enumerate().map(|(place, window)| window.tagged(wanted.len() + place));
        let queries =
            wanted.iter().map(|(_, query)| *query).chain(windows.iter().map(|window| &window.query));
        let names: Vec<&str> = queries.map(|query| query.name.as_str()).collect();
        let packed = packed(&names.join(", "), of_presets.chain(of_windows), usize::MAX);
        let mut failed: Vec<(Key, &MetricQuery)> = Vec::new();
        for (tag, rows) in self.ask_instants(&packed) {
            if let Some((key, query)) = wanted.get(tag) {
                match rows {
                    Some(rows) => {
                        let rows = rows.iter().map(|(label, row)| (label.as_str(), *row));
                        self.tables.instants.insert(key.clone(), rows_of(&query.name, rows));
                    }
                    None => failed.push((key.clone(), query)),
                }
            } else if let Some(WindowQuestion { query, ended, .. }) =
                tag.checked_sub(wanted.len()).and_then(|place| windows.get(place))
            {
                let samples = rows.map(|rows| in_namespace(query.namespace.as_deref(), &rows));
                self.tables.windows.insert(window_key(query, *ended), samples);
            }
        }
        self.ask_and_keep(&failed);
    }

    /// The rows of each part of these queries; `None` where the server did not answer.
    fn ask_instants(&self, packed: &[Packed]) -> Vec<(usize, Option<Rows>)> {
        let asked: Vec<&Packed> = packed.iter().collect();
        let answers =
            Self::in_threads(&asked, |packed| self.tables.source.instant(&packed.query, self.tables.at));
        let mut found = Vec::new();
        for (Packed { tags, .. }, answer) in packed.iter().zip(answers) {
            let mut rows = answer.ok().map(|answer| by_tag(tags, labelled(&answer)));
            found.extend(tags.iter().map(|tag| (*tag, rows.as_mut().and_then(|rows| rows.remove(tag)))));
        }
        found
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

    /// Those of the readers of whose members exporters were found to tell.
    fn with_known_sources<'r>(
        &self,
        readers: &'r [(KafkaPreset, Option<&'r str>)],
    ) -> &'r [(KafkaPreset, Option<&'r str>)] {
        if self.tables.series.is_some() { readers } else { &[] }
    }

    /// The answers to instant queries, asked in parallel.
    fn ask(&self, wanted: &[(Key, &MetricQuery)]) -> Vec<Result<Placed<(f64, i64)>, QueryError>> {
        let queries: Vec<&MetricQuery> = wanted.iter().map(|(_, query)| *query).collect();
        Self::in_threads(&queries, |query| {
            let answer = self.tables.source.instant(query, self.tables.at)?;
            Ok(rows_of(&query.name, labelled(&answer)))
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

/// The rows of an answer over a range by their labels.
fn series_of_rows(answer: Vec<Series>) -> impl Iterator<Item = (String, Vec<Point>)> {
    answer.into_iter().map(|Series { pod, points }| (pod, points))
}

/// Of rows by `NAMESPACE/POD`, the samples of pods in this namespace, or that name none.
fn in_namespace(own: Option<&str>, rows: &[(String, (f64, i64))]) -> Samples {
    let mut samples = Samples::default();
    for (place, (value, timestamp_ms)) in rows {
        let Some((namespace, pod)) = place.split_once('/') else { continue };
        if namespace.is_empty() || own.is_none_or(|own| namespace == own) {
            samples.push(pod, Point { timestamp_ms: *timestamp_ms, value: *value });
        }
    }
    samples
}
