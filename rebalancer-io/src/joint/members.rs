//! What exporters outside the pods tell of the members of a workload's group, by pod.

use std::collections::BTreeMap;

use super::places::{Home, Placed};
use super::points::{at_moments, merge};
use super::tables::Tables;
use crate::metrics::detect::KNOWN_SERIES;
use crate::metrics::{ADDRESSES, KafkaPreset, QuerySettings, of_members};
use crate::prometheus::{Point, TimeRange};

/// What is told of the members in a pod.
pub(super) struct Member<R> {
    pub(super) pod: String,
    /// Topic and partition, `orders/3`; empty where it is told of all.
    pub(super) partition: String,
    pub(super) row: R,
}

impl<R> Member<R> {
    fn map<S>(self, change: impl FnOnce(R) -> S) -> Member<S> {
        Member { pod: self.pod, partition: self.partition, row: change(self.row) }
    }
}

/// The members of a workload's group. What is `None` has to be asked for this workload alone.
pub(super) struct Members<'v, 'a> {
    pub(super) tables: &'v Tables<'a>,
    pub(super) settings: &'v QuerySettings,
    /// Where the rows of the workload's pods are.
    pub(super) home: &'v Home,
}

impl Members<'_, '_> {
    /// What is told of them now under this name.
    pub(super) fn now(&self, name: &str) -> Option<Vec<Member<Point>>> {
        let rows = self.tables.instant(self.settings.preset, &of_members(name))?;
        let addresses = self.tables.instant(KafkaPreset::None, ADDRESSES);
        let found = self.with_pods(rows, addresses)?.into_iter().map(|(member, _)| member.map(|row| *row));
        Some(by_pod(found, |one, other| Point {
            timestamp_ms: one.timestamp_ms.max(other.timestamp_ms),
            value: one.value + other.value,
        }))
    }

    /// What is told of them over a range: a pod had what stood under its address while it had that address.
    pub(super) fn over(
        &self,
        name: &str,
        addresses: &str,
        range: TimeRange,
    ) -> Option<Vec<Member<Vec<Point>>>> {
        let rows = self.tables.range_over(self.settings.preset, &of_members(name), range)?;
        let addresses = self.tables.range_over(KafkaPreset::None, addresses, range);
        let found = self.with_pods(rows, addresses)?.into_iter().map(|(member, had)| {
            member.map(|points| had.map_or_else(|| points.clone(), |had| at_moments(points, had)))
        });
        Some(by_pod(found, |one, other| merge(&one, &other, |one, other| one + other)))
    }

    /// The rows of the group's members, each with its pod and, where the member is an address, what shows when the pod had it.
    fn with_pods<'r, R, A>(
        &'r self,
        rows: &'r Placed<R>,
        addresses: Option<&'r Placed<A>>,
    ) -> Option<Vec<(Member<&'r R>, Option<&'r A>)>> {
        if self.has_clients() {
            return None;
        }
        let group = format!("{}\n", self.settings.group.as_ref()?);
        if self.settings.preset == KafkaPreset::ClientId {
            let of_pod = |(place, row): (&'r str, &'r R)| {
                let (pod, partition) = place.split_once('/').unwrap_or((place, ""));
                (Member { pod: pod.to_owned(), partition: partition.to_owned(), row }, None)
            };
            return Some(rows.starting(&group).map(of_pod).collect());
        }
        let mut found = Vec::new();
        for (place, had) in addresses?.of(self.home) {
            let Some((pod, address)) = place.split_once('/') else { continue };
            for (rest, row) in rows.starting(&format!("{group}{address}")) {
                // Not a longer address.
                let Some(partition) = rest.strip_prefix('/').or_else(|| rest.is_empty().then_some("")) else {
                    continue;
                };
                found.push((Member { pod: pod.to_owned(), partition: partition.to_owned(), row }, Some(had)));
            }
        }
        Some(found)
    }

    /// Whether clients in these pods tell of themselves. Then the workload's own query, by a preset that was set, counts
    /// members without partitions too, which no exporter mentions.
    fn has_clients(&self) -> bool {
        KafkaPreset::of_series().any(|preset| {
            let rows = self.tables.instant(preset, KNOWN_SERIES);
            rows.is_some_and(|rows| rows.of(self.home).next().is_some())
        })
    }
}

/// One row for each pod and partition, which is the `sum` of several: within a range, a pod may have had several addresses.
fn by_pod<R>(members: impl Iterator<Item = Member<R>>, sum: impl Fn(R, R) -> R) -> Vec<Member<R>> {
    let mut found: BTreeMap<(String, String), R> = BTreeMap::new();
    for Member { pod, partition, row } in members {
        let key = (pod, partition);
        let row = match found.remove(&key) {
            Some(known) => sum(known, row),
            None => row,
        };
        found.insert(key, row);
    }
    found.into_iter().map(|((pod, partition), row)| Member { pod, partition, row }).collect()
}
