//! Answers about many workloads at once. Each metric is asked for once for all of them, and each workload is
//! then decided on as if it had been asked about alone: a [`View`] answers its queries from what is known, and
//! asks the server itself for the rest.

mod chunks;
mod members;
mod places;
mod points;
mod tables;
mod together;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{LivePod, Metric};

use crate::facts::{Question, WITH_A_PAST, history_name, history_range, offsets_range};
use crate::metrics::detect::{
    KNOWN_SERIES, KnownSeries, SERIES_LABEL, is_of_a_client, known_series_of_all, questions_of_all,
};
use crate::metrics::{
    ADDRESSES, COMMITTED, END, KafkaPreset, LEAD, LOAD, MetricQuery, MetricsSource, OWNED, OffsetQueries,
    Queries, QuerySettings, REBALANCE, Reach, START, client_queries, container_queries, group_queries,
    kafka_metrics, member_queries, of_members,
};
use crate::prometheus::{QueryError, TimeRange, When};
use tables::{Key, OF_SUSPECTS, Ranged, Tables, exporters_of};
use together::Part;
use view::{HISTORY_ADDRESSES, OWNED_ADDRESSES};

pub use chunks::{Chunked, chunks, has_room_for, may_be_named, settings_of};
pub use tables::look_at_history;
pub use view::{Open, View};

/// Most rows over an hour in one answer: 20 MB of text, of the 32 MiB that an answer may have.
const MOST_PACKED_ROWS: usize = 10_000;

/// Answers about all workloads at one moment.
pub struct Joint<'a> {
    tables: Tables<'a>,
    /// No answers, for a workload whose own queries differ from those about all.
    nothing: Tables<'a>,
}

/// Workloads that read partitions: the preset of each, and its consumer group.
type Readers<'r> = [(KafkaPreset, Option<&'r str>)];

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
    pub windows: Vec<Question>,
}

impl<'a> Joint<'a> {
    /// Nothing is known yet about the moment `at`.
    pub fn new(source: &'a dyn MetricsSource, at: Timestamp) -> Self {
        Self { tables: Tables::new(source, at), nothing: Tables::new(source, at) }
    }

    /// Whether what a decision on history looks at is known of the workloads that are decided on.
    pub const fn knows_history(&self) -> bool {
        self.tables.has_history
    }

    /// Number of partitions that clients in all pods tell of.
    pub fn partitions(&self) -> f64 {
        let counts = self.tables.instants.iter().filter(|((_, name), _)| name == OffsetQueries::COUNT);
        counts.flat_map(|(_, rows)| rows.all()).map(|(_, count)| count.value).sum()
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
        let questions = questions_of_all(&known, settings);
        let wanted = questions.iter().map(|(preset, name, query)| ((*preset, name.clone()), query));
        let answers = self.tables.ask_and_keep(&wanted.collect::<Vec<(Key, &MetricQuery)>>());
        let of_clients = questions.iter().zip(&answers).filter(|((_, name, _), _)| name == KNOWN_SERIES);
        let is_complete = of_clients.map(|(_, answer)| answer).all(Result::is_ok);
        self.tables.series = Some(others.collect()).filter(|_| is_complete);
        Ok(known)
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
        let clients: Vec<(KafkaPreset, Queries)> =
            presets.iter().map(|preset| (*preset, client_queries(*preset, settings))).collect();
        let of_containers = containers.iter().map(|(_, query)| keyed(KafkaPreset::None, query));
        let of_clients = clients.iter().flat_map(|(preset, queries)| {
            let names = kafka_metrics().map(Metric::name).chain([OffsetQueries::COUNT]);
            names.filter_map(|name| queries.get(name)).map(|query| keyed(*preset, query))
        });
        let wanted: Vec<(Key, &MetricQuery)> = of_containers.chain(of_clients).collect();
        let answers = self.tables.ask_and_keep(&wanted);
        // One process that names two pods spoils the answer about all of the agent's.
        let may_fail = |((preset, _), _): &(Key, &MetricQuery)| *preset == KafkaPreset::OtelJava;
        wanted.iter().zip(answers).filter(|(wanted, _)| !may_fail(wanted)).try_for_each(|(_, answer)| answer)
    }

    /// Asks for the lag and the rate of members that exporters name, where it was found that they do.
    pub fn ask_members(&mut self, settings: &QuerySettings, readers: &Readers<'_>) {
        if self.tables.series.is_none() {
            return;
        }
        let members = members_of(readers, settings);
        let of_loads = members.iter().flat_map(|(preset, queries)| {
            let of_loads = kafka_metrics().map(|metric| of_members(metric.name()));
            of_loads.filter_map(|name| Some(keyed(*preset, queries.get(&name)?)))
        });
        self.tables.ask_and_keep(&of_loads.collect::<Vec<_>>());
    }

    /// Asks the users' own queries of several workloads together, each text once.
    pub fn ask_own(&mut self, queries: &[MetricQuery]) {
        let now = When::Instant(self.tables.at);
        self.ask_open(&queries.iter().map(|query| (query.clone(), now)).collect::<Vec<Question>>());
    }

    /// Asks what was found to be missing in decisions, in as few queries as servers take. What they do not answer so is asked for
    /// each workload alone.
    pub fn ask_open(&mut self, open: &[Question]) {
        let parts = self.tables.told_parts(open);
        self.tables.ask_together(parts, usize::MAX);
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
        let now = When::Instant(self.tables.at);
        self.forget_history();
        self.tables.ranges.clear();
        self.tables.told.retain(|(when, ..), _| *when == now);
        self.tables.instants.retain(|(_, name), _| name != REBALANCE);
        let range = offsets_range(self.tables.at);
        let groups = groups_of(readers, settings);
        let mut parts: Vec<Part> = Vec::new();
        for (preset, mut queries) in clients_of(readers.iter().map(|(preset, _)| *preset), settings) {
            parts.extend(self.range(preset, queries.remove(OWNED), range));
            let lead = self.range(preset, queries.remove(LEAD), range);
            // Needed only where nobody reports a commit.
            let has_commits = |(of, queries): &(KafkaPreset, Queries)| {
                *of == exporters_of(preset) && queries.contains_key(COMMITTED)
            };
            let is_of_none = |(of, group): &(KafkaPreset, Option<&str>)| *of == preset && group.is_none();
            if !groups.iter().any(has_commits) || readers.iter().any(is_of_none) {
                parts.extend(lead);
            }
        }
        for (preset, mut queries) in members_of(self.with_known_sources(readers), settings) {
            parts.extend(self.range(preset, queries.remove(&of_members(OWNED)), range));
            let addresses = queries.remove(ADDRESSES).map(|query| named(query, OWNED_ADDRESSES));
            parts.extend(self.range(KafkaPreset::None, addresses, range));
        }
        for (preset, mut queries) in groups {
            parts.extend(self.range(preset, queries.remove(COMMITTED), range));
            parts.extend(self.range(preset, queries.remove(END), range));
            // Needed only where a partition may stand.
            drop(self.range(preset, queries.remove(START), range));
            parts.extend(queries.remove(REBALANCE).map(|query| Part::now(preset, query)));
        }
        parts.extend(suspects.into_iter().flat_map(|suspects| self.of_suspects(suspects)));
        self.tables.ask_together(parts, (MOST_PACKED_ROWS / (*rows).max(1)).max(1));
    }

    /// Asks for what a decision on these workloads looks at, besides what is known of the partitions that they read.
    pub fn ask_history(&mut self, suspects: &Suspects<'_>) {
        self.forget_history();
        let parts = self.of_suspects(suspects);
        self.tables.ask_together(parts, MOST_PACKED_ROWS);
    }

    /// Forgets what a decision on history looks at: it is known of the suspects alone.
    pub fn forget_history(&mut self) {
        self.tables.has_history = false;
        let is_of_partitions = |name: &str| {
            let names = [COMMITTED, END, START, LEAD, OWNED, OWNED_ADDRESSES];
            names.contains(&name) || name == of_members(OWNED)
        };
        self.tables.ranges.retain(|(_, name), _| is_of_partitions(name));
        let load = of_members(LOAD);
        self.tables.instants.retain(|(_, name), _| !OF_SUSPECTS.contains(&name.as_str()) && *name != load);
    }

    /// What is asked together for a decision on these workloads. The history of their loads is asked for when it is needed:
    /// each is an answer by itself.
    fn of_suspects(
        &mut self,
        Suspects { settings, window, presets, readers, own, windows }: &Suspects<'_>,
    ) -> Vec<Part> {
        let range = history_range(window, self.tables.at);
        let past = |query: &MetricQuery| named(query.clone(), &history_name(&query.name));
        for (_, query) in
            container_queries(settings).iter().filter(|(metric, _)| WITH_A_PAST.contains(metric))
        {
            drop(self.range(KafkaPreset::None, Some(past(query)), range));
        }
        let now = |preset, mut queries: Queries| {
            OF_SUSPECTS.iter().filter_map(move |name| Some(Part::now(preset, queries.remove(*name)?)))
        };
        let mut parts: Vec<Part> = Vec::new();
        for (preset, queries) in clients_of(presets.iter().copied(), settings) {
            for metric in WITH_A_PAST {
                drop(self.range(preset, queries.get(metric.name()).map(past), range));
            }
            parts.extend(now(preset, queries));
        }
        for (preset, queries) in groups_of(readers, settings) {
            parts.extend(now(preset, queries));
        }
        for (preset, mut queries) in members_of(self.with_known_sources(readers), settings) {
            for metric in kafka_metrics() {
                let query = queries.remove(&of_members(metric.name()));
                let name = of_members(&history_name(metric.name()));
                drop(self.range(preset, query.map(|query| named(query, &name)), range));
            }
            let addresses = queries.remove(ADDRESSES).map(|query| named(query, HISTORY_ADDRESSES));
            parts.extend(self.range(KafkaPreset::None, addresses, range));
            parts.extend(queries.remove(&of_members(LOAD)).map(|query| Part::now(preset, query)));
        }
        let own = own.iter().map(|query| (query.clone(), When::Range(range)));
        parts.extend(self.tables.told_parts(&own.chain(windows.iter().cloned()).collect::<Vec<Question>>()));
        self.tables.has_history = true;
        parts
    }

    /// A range, which is asked for when it is needed, or before that as this part of a query; `None` if it is known already.
    fn range(&mut self, preset: KafkaPreset, query: Option<MetricQuery>, range: TimeRange) -> Option<Part> {
        let query = query?;
        let key = (preset, query.name.clone());
        if self.tables.ranges.contains_key(&key) {
            return None;
        }
        self.tables.ranges.insert(key, Ranged::new(query.clone(), range));
        Some(Part::over(preset, query, range))
    }

    /// Those of the readers of whose members exporters were found to tell.
    fn with_known_sources<'w, 'r>(&self, readers: &'w Readers<'r>) -> &'w Readers<'r> {
        if self.tables.series.is_some() { readers } else { &[] }
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

/// The queries about clients, once for each preset.
fn clients_of(
    presets: impl Iterator<Item = KafkaPreset>,
    settings: &QuerySettings,
) -> Vec<(KafkaPreset, Queries)> {
    let presets: BTreeSet<KafkaPreset> = presets.collect();
    presets.into_iter().map(|preset| (preset, client_queries(preset, settings))).collect()
}

/// The queries about the groups of the readers, by where what is told of them comes from.
fn groups_of(readers: &Readers<'_>, settings: &QuerySettings) -> Vec<(KafkaPreset, Queries)> {
    let groups = named_groups(readers, exporters_of, settings);
    groups.map(|(preset, groups)| (preset, group_queries(preset, groups, settings))).collect()
}

/// The queries about members of the groups of these readers.
fn members_of(readers: &Readers<'_>, settings: &QuerySettings) -> Vec<(KafkaPreset, Queries)> {
    let groups = named_groups(readers, |preset| preset, settings);
    groups.filter_map(|(preset, groups)| Some((preset, member_queries(preset, groups, settings)?))).collect()
}

/// The groups of the readers by what `of` says of their presets.
fn named_groups(
    readers: &Readers<'_>,
    of: impl Fn(KafkaPreset) -> KafkaPreset,
    settings: &QuerySettings,
) -> impl Iterator<Item = (KafkaPreset, Reach)> {
    let mut groups: BTreeMap<KafkaPreset, BTreeSet<&str>> = BTreeMap::new();
    for (preset, group) in readers {
        groups.entry(of(*preset)).or_default().extend(*group);
    }
    let named = groups.into_iter().filter(|(_, names)| !names.is_empty());
    named.map(|(preset, names)| (preset, Reach::of_groups(names, &settings.matchers)))
}

/// A query, and the key of the answer to it.
fn keyed(preset: KafkaPreset, query: &MetricQuery) -> (Key, &MetricQuery) {
    ((preset, query.name.clone()), query)
}

/// A query under another name.
fn named(query: MetricQuery, name: &str) -> MetricQuery {
    MetricQuery { name: name.to_owned(), ..query }
}
