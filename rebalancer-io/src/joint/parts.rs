//! Several queries in one: each is a part with a tag.

use std::collections::BTreeMap;

use crate::metrics::{MetricQuery, ROW_LABEL};
use crate::promql::joined_by_or;

/// A query made of parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Packed {
    pub(super) query: MetricQuery,
    /// The tags of its parts.
    pub(super) tags: Vec<usize>,
}

/// These parts, which are tagged by their places, in as few queries as servers take, each of at most `most` parts.
pub(super) fn packed(name: &str, parts: impl IntoIterator<Item = String>, most: usize) -> Vec<Packed> {
    let mut tags = 0..;
    let packed = joined_by_or(parts, most).into_iter().map(|(promql, count)| Packed {
        query: MetricQuery::new(name, promql).with_pod_label(ROW_LABEL),
        tags: tags.by_ref().take(count).collect(),
    });
    packed.collect()
}

/// The rows of each part of an answer, by what tells them apart within the part.
pub(super) fn by_tag<T>(
    tags: &[usize],
    rows: impl Iterator<Item = (impl AsRef<str>, T)>,
) -> BTreeMap<usize, Vec<(String, T)>> {
    let mut found: BTreeMap<usize, Vec<(String, T)>> = tags.iter().map(|tag| (*tag, Vec::new())).collect();
    for (label, row) in rows {
        let Some((tag, label)) = label.as_ref().split_once('/') else { continue };
        let Some(rows) = tag.parse().ok().and_then(|tag: usize| found.get_mut(&tag)) else { continue };
        rows.push((label.to_owned(), row));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_by_their_tags() {
        let parts = ["a".repeat(9_000), "b".repeat(5_000), "c".repeat(5_000)];
        let tags: Vec<Vec<usize>> = packed("x", parts, 9).into_iter().map(|packed| packed.tags).collect();
        assert_eq!(tags, [vec![0, 1], vec![2]]);
        let rows = [("0/shop/a", 1), ("7/shop/b", 2), ("1/shop/a", 3), ("odd", 4)];
        let found = by_tag(&[0, 1], rows.into_iter());
        assert_eq!(
            found,
            BTreeMap::from([(0, vec![("shop/a".to_owned(), 1)]), (1, vec![("shop/a".to_owned(), 3)])])
        );
    }
}
