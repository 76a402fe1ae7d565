//! The workloads that are asked about together: as many as a query and its answer have room for.

use std::collections::BTreeSet;

use rebalancer_core::LivePod;

use crate::metrics::{QuerySettings, Reach, pattern_of, pod_prefixes};
use crate::promql::text_of;

/// The workloads that are asked about together by queries of `settings`: as many as a query and its answer have room for.
pub fn chunks<W>(settings: &QuerySettings, workloads: Vec<W>, of: impl Fn(&W) -> Chunked<'_>) -> Vec<Vec<W>> {
    let most = [MOST_ROWS, most_text(settings), Reach::most_text(&settings.matchers)];
    let mut chunks: Vec<Vec<W>> = Vec::new();
    let mut filled = Filled::default();
    for workload in workloads {
        let own = of(&workload);
        let is_full = filled.with(&own).iter().zip(most).any(|(size, most)| *size > most);
        if is_full {
            filled = Filled::default();
        }
        filled.add(&own);
        match chunks.last_mut().filter(|_| !is_full) {
            Some(chunk) => chunk.push(workload),
            None => chunks.push(vec![workload]),
        }
    }
    chunks
}

/// Whether the names of these namespaces are short enough to stand in queries of `settings` about many workloads.
pub fn may_be_named(names: &[String], settings: &QuerySettings) -> bool {
    names.iter().map(|name| text_of(name)).sum::<usize>() <= most_text(settings)
}

/// Most bytes of the names in one selector.
fn most_text(settings: &QuerySettings) -> usize {
    MOST_TEXT.saturating_sub(settings.matchers.to_string().len())
}

/// The settings of queries about the pods of these workloads alone. Those about many find them by `settings`.
pub fn settings_of<'w>(
    settings: &QuerySettings,
    workloads: impl Iterator<Item = Chunked<'w>>,
) -> QuerySettings {
    let (mut namespaces, mut prefixes) = (BTreeSet::new(), BTreeSet::new());
    let mut has_pattern = true;
    for Chunked { namespace, pods, is_named, .. } in workloads {
        namespaces.insert(namespace);
        let own = pod_prefixes(pods);
        has_pattern &= is_named && !own.is_empty();
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

/// Whether one answer has room for so many series.
pub fn has_room_for(rows: f64) -> bool {
    rows <= MOST_ROWS as f64
}

/// What of a workload counts for the size of a query and of its answer.
#[derive(Debug, Clone, Copy)]
pub struct Chunked<'w> {
    /// Its namespace.
    pub namespace: &'w str,
    /// Its pods.
    pub pods: &'w [LivePod],
    /// Whether queries name them. They need not where an answer has room for all pods of the namespaces.
    pub is_named: bool,
    /// Its consumer group, if that is asked about.
    pub group: Option<&'w str>,
    /// Series that an answer about it has.
    pub rows: usize,
}

/// Most series of one answer: an hour of minutes of each is 10 MB.
const MOST_ROWS: usize = 5_000;

/// Most bytes of names and matchers in a selector. The longest query, the rate that JMX rules write, has fourteen selectors,
/// and VictoriaMetrics refuses queries over 16,384 bytes.
const MOST_TEXT: usize = 800;

/// What the workloads of a chunk take.
#[derive(Debug, Default)]
struct Filled {
    namespaces: BTreeSet<String>,
    groups: BTreeSet<String>,
    /// Rows of an answer, bytes of names in a selector, bytes of the names of groups.
    sizes: [usize; 3],
}

impl Filled {
    /// The sizes with one more workload.
    fn with(&self, own: &Chunked<'_>) -> [usize; 3] {
        let Chunked { namespace, pods, is_named, group, rows } = *own;
        let is_new = |names: &BTreeSet<String>, name: &str| !names.contains(name);
        let of_pods: usize = pod_prefixes(pods).into_iter().filter(|_| is_named).map(text_of).sum();
        let of_namespace = if is_new(&self.namespaces, namespace) { text_of(namespace) } else { 0 };
        let of_group = group.filter(|group| is_new(&self.groups, group)).map_or(0, text_of);
        let [all_rows, text, groups] = self.sizes;
        // A server may count as many rows as it likes.
        [all_rows.saturating_add(rows), text + of_pods + of_namespace, groups + of_group]
    }

    fn add(&mut self, own: &Chunked<'_>) {
        self.sizes = self.with(own);
        if !self.namespaces.contains(own.namespace) {
            self.namespaces.insert(own.namespace.to_owned());
        }
        self.groups.extend(own.group.map(str::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{
        KafkaPreset, MetricQuery, OriginQueries, Queries, client_queries, container_queries, group_queries,
        member_queries,
    };

    fn sizes(workloads: Vec<(&str, Option<&str>, usize)>) -> Vec<usize> {
        let settings = QuerySettings::new("shop");
        let chunks = chunks(&settings, workloads, |(namespace, group, rows)| Chunked {
            namespace,
            pods: &[],
            is_named: true,
            group: *group,
            rows: *rows,
        });
        chunks.iter().map(Vec::len).collect()
    }

    #[test]
    fn a_chunk_has_room_for_rows_names_and_groups() {
        assert_eq!(sizes(vec![("shop", None, 2_000); 5]), [2, 2, 1]);
        assert_eq!(sizes(vec![("shop", None, usize::MAX); 3]), [1, 1, 1], "whatever a server counts");
        let names: Vec<String> =
            (0..40).map(|number| format!("a-name-of-forty-bytes-which-is-long-{number:04}")).collect();
        let places = names.iter().map(|name| (name.as_str(), None, 1)).collect();
        assert_eq!(sizes(places), [19, 19, 2]);
        let groups = |names: &[String]| -> Vec<usize> {
            sizes(names.iter().map(|name| ("shop", Some(name.as_str()), 1)).collect())
        };
        assert_eq!(groups(&names), [24, 16], "no chunk asks about all groups");
        assert_eq!(groups(&vec![names[0].clone(); 40]), [40], "one group is named once");
    }

    #[test]
    fn the_longest_query_about_many_workloads_is_one_that_servers_take() {
        for matchers in ["", r#"cluster="eu-west-1""#, &format!("cluster=~\"{}\"", "a|".repeat(300))] {
            let settings =
                QuerySettings { matchers: matchers.parse().expect("matchers"), ..QuerySettings::new("shop") };
            let most = most_text(&settings);
            let names: Vec<String> = (0..most / 20).map(|number| format!("a-name-{number:012}")).collect();
            let (places, prefixes) = names.split_at(names.len() / 2);
            let most_of_groups = Reach::most_text(&settings.matchers);
            let groups: Vec<String> =
                (0..most_of_groups / 20).map(|number| format!("a-group-{number:011}")).collect();
            let settings = QuerySettings {
                reach: Reach::Several(places.to_vec()),
                pod_pattern: pattern_of(prefixes),
                ..settings
            };
            let groups = Reach::of_groups(groups.iter().map(String::as_str), &settings.matchers);
            assert_ne!(groups, Reach::All);
            for preset in KafkaPreset::of_series() {
                for MetricQuery { name, promql, .. } in asked(preset, &groups, &settings) {
                    assert!(promql.len() <= 16_384, "{preset} {name}: {} bytes, {matchers}", promql.len());
                }
            }
            let of_preset =
                |preset| QuerySettings { preset, groups: groups.clone(), group: None, ..settings.clone() };
            let all: Vec<QuerySettings> = KafkaPreset::of_series().map(of_preset).collect();
            for MetricQuery { name, promql, .. } in OriginQueries::of_all(&all).all() {
                assert!(promql.len() <= 16_384, "{name}: {} bytes, {matchers}", promql.len());
            }
        }
    }

    /// All that is asked about the workloads of a chunk.
    fn asked(preset: KafkaPreset, groups: &Reach, settings: &QuerySettings) -> Vec<MetricQuery> {
        let members = member_queries(preset, groups.clone(), settings).unwrap_or_default();
        let of_kafka =
            [client_queries(preset, settings), group_queries(preset, groups.clone(), settings), members];
        let of_containers = container_queries(settings).into_iter().map(|(_, query)| query);
        of_kafka.into_iter().flat_map(Queries::into_values).chain(of_containers).collect()
    }
}
