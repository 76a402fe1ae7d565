//! Whose series the workloads have: which of them have to be looked at by themselves, since sources disagree about some.

use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;
use rebalancer_core::LivePod;
use rebalancer_io::joint::{Chunked, chunks, settings_of};
use rebalancer_io::metrics::{Groups, KafkaPreset, OriginQueries, QuerySettings, pod_prefixes};
use rebalancer_io::origin::{Disputed, disputed};
use rebalancer_io::prometheus::QueryError;

use crate::pipeline::live::Client;

/// A workload as far as it matters whose series it has.
pub(super) struct Looked<'w> {
    /// Its pods.
    pub(super) of: Chunked<'w>,
    /// Where its lag comes from, and its group; `None` where nothing that all are asked about tells of it.
    pub(super) source: Option<(KafkaPreset, Option<&'w str>)>,
}

impl Looked<'_> {
    /// Whether its own queries may select any of these.
    fn may_have(&self, disputed: &BTreeSet<Disputed>) -> bool {
        let prefixes = pod_prefixes(self.of.pods);
        let is_named =
            |name: &str| prefixes.is_empty() || prefixes.iter().any(|prefix| name.starts_with(prefix));
        disputed.iter().any(|what| match what {
            Disputed::Pod { namespace, name } => namespace == self.of.namespace && is_named(name),
            Disputed::Group(name) => self.of.group == Some(name.as_str()),
        })
    }
}

/// The positions of the workloads of which it is not certain that each of their series has one source: all are looked at
/// together, and where a server names no more, chunk by chunk.
///
/// # Errors
/// A query that fails.
pub(super) fn in_doubt(
    client: &Client,
    settings: &QuerySettings,
    workloads: &[Looked<'_>],
    at: Timestamp,
) -> Result<BTreeSet<usize>, QueryError> {
    let pods: OnceCell<HashMap<(&str, &str), &LivePod>> = OnceCell::new();
    let pod_of = |namespace: &str, name: &str| -> Option<&LivePod> {
        pods.get_or_init(|| by_name(workloads)).get(&(namespace, name)).copied()
    };
    let found = |settings: &QuerySettings, workloads: &[(usize, &Looked<'_>)]| {
        let disputed = disputed(client, &queries_of(settings, workloads), &pod_of, at)?;
        let of_these = |disputed: BTreeSet<Disputed>| -> Vec<usize> {
            let found = workloads.iter().filter(|(_, workload)| workload.may_have(&disputed));
            found.map(|(position, _)| *position).collect()
        };
        Ok::<_, QueryError>(disputed.map(of_these))
    };
    let all: Vec<(usize, &Looked<'_>)> = workloads.iter().enumerate().collect();
    if let Some(found) = found(settings, &all)? {
        return Ok(found.into_iter().collect());
    }
    let mut in_doubt = BTreeSet::new();
    for chunk in chunks(settings, all, |(_, workload)| workload.of) {
        let settings = settings_of(settings, chunk.iter().map(|(_, workload)| workload.of));
        // One alone is asked about when it is decided on.
        let known = if chunk.len() == 1 { None } else { found(&settings, &chunk)? };
        in_doubt.extend(known.unwrap_or_else(|| chunk.iter().map(|(position, _)| *position).collect()));
    }
    Ok(in_doubt)
}

fn by_name<'w>(workloads: &[Looked<'w>]) -> HashMap<(&'w str, &'w str), &'w LivePod> {
    let of_workload = |workload: &Looked<'w>| {
        let Chunked { namespace, pods, .. } = workload.of;
        pods.iter().map(move |pod| ((namespace, pod.name.as_str()), pod))
    };
    workloads.iter().flat_map(of_workload).collect()
}

/// The queries about whose series the workloads have.
fn queries_of(settings: &QuerySettings, workloads: &[(usize, &Looked<'_>)]) -> OriginQueries {
    let mut groups: BTreeMap<KafkaPreset, BTreeSet<&str>> = BTreeMap::new();
    groups.insert(KafkaPreset::None, BTreeSet::new());
    for (preset, group) in workloads.iter().filter_map(|(_, workload)| workload.source) {
        groups.entry(preset).or_default().extend(group);
    }
    let of_preset = |(preset, names): (KafkaPreset, BTreeSet<&str>)| {
        let groups = if names.is_empty() { Groups::One } else { Groups::of(names, &settings.matchers) };
        QuerySettings { preset, group: None, groups, ..settings.clone() }
    };
    OriginQueries::of_all(&groups.into_iter().map(of_preset).collect::<Vec<QuerySettings>>())
}
