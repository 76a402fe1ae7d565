//! The queries about the workloads of a chunk, and the ranges among them.

use std::collections::{BTreeMap, BTreeSet};

use rebalancer_core::Metric;

use super::tables::{Key, Ranged, exporters_of};
use super::view::HISTORY_ADDRESSES;
use crate::facts::{WITH_A_PAST, history_name};
use crate::metrics::{
    ClientQueries, GroupQueries, Groups, KafkaPreset, MemberQueries, MetricQuery, QuerySettings, of_members,
};
use crate::prometheus::TimeRange;

/// The queries about the workloads at whose history a decision looks.
pub(super) struct OfSuspects {
    pub(super) clients: Vec<(KafkaPreset, ClientQueries)>,
    pub(super) groups: Vec<(KafkaPreset, GroupQueries)>,
    pub(super) members: Vec<(KafkaPreset, MemberQueries)>,
}

impl OfSuspects {
    /// What is asked about now: who owns what, and what the groups are doing.
    pub(super) fn instants(&self) -> impl Iterator<Item = (Key, &MetricQuery)> {
        let of_clients = self.clients.iter().flat_map(|(preset, queries)| {
            [&queries.owners, &queries.assigned].into_iter().flatten().map(move |query| keyed(*preset, query))
        });
        let of_groups = self.groups.iter().flat_map(|(preset, queries)| {
            [&queries.load, &queries.assignor].into_iter().flatten().map(move |query| keyed(*preset, query))
        });
        let of_members =
            self.members.iter().filter_map(|(preset, queries)| Some(keyed(*preset, queries.load.as_ref()?)));
        of_clients.chain(of_groups).chain(of_members)
    }
}

/// The queries about clients, once for each preset.
pub(super) fn clients_of(
    presets: impl Iterator<Item = KafkaPreset>,
    settings: &QuerySettings,
) -> Vec<(KafkaPreset, ClientQueries)> {
    let presets: BTreeSet<KafkaPreset> = presets.collect();
    presets.into_iter().map(|preset| (preset, ClientQueries::new(preset, settings))).collect()
}

/// The queries about the groups of the readers, by where what is told of them comes from.
pub(super) fn groups_of(
    readers: &[(KafkaPreset, Option<&str>)],
    settings: &QuerySettings,
) -> Vec<(KafkaPreset, GroupQueries)> {
    let mut groups: BTreeMap<KafkaPreset, BTreeSet<&str>> = BTreeMap::new();
    for (preset, group) in readers {
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
pub(super) fn members_of(
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
pub(super) fn keyed(preset: KafkaPreset, query: &MetricQuery) -> (Key, &MetricQuery) {
    ((preset, query.name.clone()), query)
}

/// A query under another name.
pub(super) fn named(query: Option<&MetricQuery>, name: &str) -> Option<MetricQuery> {
    query.map(|query| MetricQuery { name: name.to_owned(), ..query.clone() })
}

/// Ranges, and which of them are asked for at once: each alone, or together with others over the same range.
#[derive(Default)]
pub(super) struct Ranges {
    pub(super) all: BTreeMap<Key, Ranged>,
    pub(super) alone: Vec<Key>,
    pub(super) together: BTreeMap<TimeRange, Vec<Key>>,
}

impl Ranges {
    pub(super) fn together(&mut self, preset: KafkaPreset, query: Option<MetricQuery>, range: TimeRange) {
        let Some(query) = query else { return };
        let key = (preset, query.name.clone());
        if !self.all.contains_key(&key) {
            self.together.entry(range).or_default().push(key);
            self.when_needed(preset, Some(query), range);
        }
    }

    /// The history of the loads.
    pub(super) fn add_history(
        &mut self,
        containers: &[(Metric, MetricQuery)],
        queries: &OfSuspects,
        range: TimeRange,
    ) {
        let past =
            |query: &MetricQuery| Some(MetricQuery { name: history_name(&query.name), ..query.clone() });
        for (_, query) in containers.iter().filter(|(metric, _)| WITH_A_PAST.contains(metric)) {
            self.alone(KafkaPreset::None, past(query), range);
        }
        for (preset, queries) in &queries.clients {
            let of_metrics = WITH_A_PAST.into_iter().filter_map(|metric| queries.metric(metric));
            of_metrics.for_each(|query| self.alone(*preset, past(query), range));
        }
        for (preset, queries) in &queries.members {
            for (metric, query) in [(Metric::Lag, &queries.lag), (Metric::Rate, &queries.rate)] {
                self.alone(*preset, named(query.as_ref(), &of_members(&history_name(metric.name()))), range);
            }
            self.together(KafkaPreset::None, named(queries.addresses.as_ref(), HISTORY_ADDRESSES), range);
        }
    }

    fn alone(&mut self, preset: KafkaPreset, query: Option<MetricQuery>, range: TimeRange) {
        self.alone.extend(query.as_ref().map(|query| (preset, query.name.clone())));
        self.when_needed(preset, query, range);
    }

    pub(super) fn when_needed(&mut self, preset: KafkaPreset, query: Option<MetricQuery>, range: TimeRange) {
        if let Some(query) = query {
            self.all.insert((preset, query.name.clone()), Ranged::new(query, range));
        }
    }
}
