//! Several queries in one: each is a part with a tag.

use std::collections::BTreeMap;

use super::places::Placed;
use crate::metrics::MetricQuery;
use crate::promql::joined_by_or;

/// A query made of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) query: MetricQuery,
    /// The tags of its parts.
    pub(super) tags: Vec<usize>,
}

/// These parts, each with its tag, in as few queries as servers take.
pub(super) fn packed(name: &str, parts: impl IntoIterator<Item = String>) -> Vec<Packed> {
    let mut tags = 0..;
    let packed = joined_by_or(parts).into_iter().map(|(promql, count)| Packed {
        query: MetricQuery::new(name, promql).with_pod_label("place"),
        tags: tags.by_ref().take(count).collect(),
    });
    packed.collect()
}

/// The rows of each part of an answer, by namespace and pod.
pub(super) fn by_tag<'r, T>(
    tags: &[usize],
    rows: impl Iterator<Item = (&'r str, T)>,
) -> BTreeMap<usize, Placed<T>> {
    let mut found: BTreeMap<usize, Vec<(String, T)>> = tags.iter().map(|tag| (*tag, Vec::new())).collect();
    for (place, row) in rows {
        let Some((tag, place)) = place.split_once('/') else { continue };
        let Some(rows) = tag.parse().ok().and_then(|tag: usize| found.get_mut(&tag)) else { continue };
        rows.push((place.to_owned(), row));
    }
    found.into_iter().map(|(tag, rows)| (tag, rows.into_iter().collect())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_by_their_tags() {
        let parts = ["a".repeat(9_000), "b".repeat(5_000), "c".repeat(5_000)];
        let tags: Vec<Vec<usize>> = packed("x", parts).into_iter().map(|packed| packed.tags).collect();
        assert_eq!(tags, [vec![0, 1], vec![2]]);
        let rows = [("0/shop/a", 1), ("7/shop/b", 2), ("1/shop/a", 3), ("odd", 4)];
        let found = by_tag(&[0, 1], rows.into_iter());
        let first: Vec<(&str, &i32)> = found[&0].all().collect();
        assert_eq!((first, found.len()), (vec![("shop/a", &1)], 2));
    }
}
