//! Whose series the workloads have: all are looked at together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rebalancer_io::joint::{Chunked, chunks, settings_of};
use rebalancer_io::metrics::{Groups, KafkaPreset, OriginQueries, QuerySettings};
use rebalancer_io::origin::{Origin, Owner, origins_of};
use rebalancer_io::prometheus::QueryError;

use crate::pipeline::live::Client;

/// A workload as far as it matters whose series it has.
pub(super) struct Looked<'w> {
    /// Its pods and its group.
    pub(super) of: Chunked<'w>,
    /// Where its lag comes from.
    pub(super) preset: KafkaPreset,
}

/// What is found of each workload: of all together, and of those about which a server does not name everything that is
/// disputed, chunk by chunk. What is unknown then has to be found out of each alone.
///
/// # Errors
/// A query that fails.
pub(super) fn origins(
    client: &Client,
    settings: &QuerySettings,
    workloads: &[Looked<'_>],
    at: Timestamp,
) -> Result<Vec<Origin>, QueryError> {
    let mut origins = found(client, settings, &workloads.iter().collect::<Vec<&Looked<'_>>>(), at)?;
    let all: Vec<(usize, &Looked<'_>)> = workloads.iter().enumerate().collect();
    let unknown = all.into_iter().filter(|(position, _)| origins[*position] == Origin::Unknown);
    for chunk in chunks(settings, unknown.collect(), |(_, looked)| looked.of) {
        // One alone is asked about when it is decided on.
        if chunk.len() > 1 {
            let settings = settings_of(settings, chunk.iter().map(|(_, looked)| looked.of));
            let (positions, looked): (Vec<usize>, Vec<&Looked<'_>>) = chunk.into_iter().unzip();
            let found = found(client, &settings, &looked, at)?;
            positions.into_iter().zip(found).for_each(|(position, origin)| origins[position] = origin);
        }
    }
    Ok(origins)
}

/// What queries of `settings` find of these workloads.
fn found(
    client: &Client,
    settings: &QuerySettings,
    workloads: &[&Looked<'_>],
    at: Timestamp,
) -> Result<Vec<Origin>, QueryError> {
    let own = |looked: &&Looked<'_>| QuerySettings {
        preset: looked.preset,
        group: looked.of.group.map(str::to_owned),
        ..settings.clone()
    };
    let own: Vec<QuerySettings> = workloads.iter().map(own).collect();
    let owners = workloads.iter().zip(&own).map(|(looked, settings)| {
        let Chunked { namespace, pods, .. } = looked.of;
        Owner { namespace, pods, settings }
    });
    let owners: Vec<Owner<'_>> = owners.collect();
    origins_of(client, &queries_of(settings, workloads), &owners, at)
}

/// The queries about whose series the workloads have.
fn queries_of(settings: &QuerySettings, workloads: &[&Looked<'_>]) -> OriginQueries {
    let mut groups: BTreeMap<KafkaPreset, BTreeSet<&str>> = BTreeMap::new();
    groups.insert(KafkaPreset::None, BTreeSet::new());
    for Looked { preset, of } in workloads {
        groups.entry(*preset).or_default().extend(of.group);
    }
    let of_preset = |(preset, names): (KafkaPreset, BTreeSet<&str>)| {
        let groups = if names.is_empty() { Groups::One } else { Groups::of(names, &settings.matchers) };
        QuerySettings { preset, group: None, groups, ..settings.clone() }
    };
    OriginQueries::of_all(&groups.into_iter().map(of_preset).collect::<Vec<QuerySettings>>())
}
