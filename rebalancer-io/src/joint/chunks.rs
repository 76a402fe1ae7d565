//! The workloads that are asked about together: as many as a query and its answer have room for.

use std::collections::BTreeSet;

use rebalancer_core::LivePod;

use crate::metrics::{QuerySettings, Reach, pattern_of, pod_prefixes};

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

/// Most series of one answer: an hour of minutes of each is 10 MB.
const MOST_ROWS: usize = 5_000;

/// Most bytes of the names in a selector, which stands in a query up to ten times. VictoriaMetrics refuses queries over
/// 16,384 bytes.
const MOST_TEXT: usize = 1_000;
