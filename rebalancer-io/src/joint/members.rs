//! What exporters outside the pods tell of the members of a workload's group, by pod.

use std::collections::BTreeMap;

use super::places::{Home, Placed};
use super::points::{at_moments, merge};
use super::tables::Tables;
use crate::metrics::detect::KNOWN_SERIES;
use crate::metrics::{ADDRESSES, KafkaPreset, QuerySettings, of_members};
use crate::prometheus::{Point, TimeRange};

/// What is told of the members in each pod: by pod, and by topic and partition (`orders/3`), which are empty where it is told of all.
pub(super) type ByPod<R> = BTreeMap<(String, String), R>;

/// The members of a workload's group. What is `None` has to be asked for this workload alone.
pub(super) struct Members<'v, 'a> {
    pub(super) tables: &'v Tables<'a>,
    pub(super) settings: &'v QuerySettings,
    /// Where the rows of the workload's pods are.
    pub(super) home: &'v Home,
}

impl Members<'_, '_> {
    /// What is told of them now under this name.
    pub(super) fn now(&self, name: &str) -> Option<ByPod<Point>> {
        let rows = self.tables.instant(self.settings.preset, &of_members(name))?;
        let addresses = self.tables.instant(KafkaPreset::None, ADDRESSES);
        let both = |known: &Point, point: &Point| Point {
            timestamp_ms: known.timestamp_ms.max(point.timestamp_ms),
            value: known.value + point.value,
        };
        self.by_pod(rows, addresses, |row, _| *row, both)
    }

    /// What is told of them over a range: a pod had what stood under its address while it had that address.
    pub(super) fn over(&self, name: &str, addresses: &str, range: TimeRange) -> Option<ByPod<Vec<Point>>> {
        let rows = self.tables.range_over(self.settings.preset, &of_members(name), range)?;
        let addresses = self.tables.range_over(KafkaPreset::None, addresses, range);
        let while_had = |points: &Vec<Point>, had: Option<&Vec<Point>>| {
            had.map_or_else(|| points.clone(), |had| at_moments(points, had))
        };
        self.by_pod(rows, addresses, while_had, |known, more| merge(known, more, |one, other| one + other))
    }

    /// The rows of the group's members by pod: `own` makes that of a pod from a row and, where the member is an address, from what
    /// shows when the pod had it. Several of one pod are summed by `both`: within a range, a pod may have had several addresses.
    fn by_pod<R, A>(
        &self,
        rows: &Placed<R>,
        addresses: Option<&Placed<A>>,
        own: impl Fn(&R, Option<&A>) -> R,
        both: impl Fn(&R, &R) -> R,
    ) -> Option<ByPod<R>> {
        if self.has_clients() {
            return None;
        }
        let mut found: ByPod<R> = ByPod::new();
        let mut add = |pod: &str, partition: &str, row: R| {
            let key = (pod.to_owned(), partition.to_owned());
            let row = match found.get(&key) {
                Some(known) => both(known, &row),
                None => row,
            };
            found.insert(key, row);
        };
        let group = format!("{}\n", self.settings.group.as_ref()?);
        if self.settings.preset == KafkaPreset::ClientId {
            for (place, row) in rows.starting(&group) {
                let (pod, partition) = place.split_once('/').unwrap_or((place, ""));
                add(pod, partition, own(row, None));
            }
            return Some(found);
        }
        for (place, had) in addresses?.of(self.home) {
            let Some((pod, address)) = place.split_once('/') else { continue };
            for (rest, row) in rows.starting(&format!("{group}{address}")) {
                // Not a longer address.
                if let Some(partition) = rest.strip_prefix('/').or_else(|| rest.is_empty().then_some("")) {
                    add(pod, partition, own(row, Some(had)));
                }
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
