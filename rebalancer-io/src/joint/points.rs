//! Points of several series at the same moments. Each series is in the order of time.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::prometheus::{Point, Series};

/// One series for each label: `value` of two at a moment at which both have a point.
pub(super) fn merged<'r>(
    rows: impl IntoIterator<Item = (String, Cow<'r, [Point]>)>,
    value: impl Fn(f64, f64) -> f64,
) -> Vec<Series> {
    let mut found: BTreeMap<String, Cow<'_, [Point]>> = BTreeMap::new();
    for (label, points) in rows {
        match found.entry(label) {
            Entry::Vacant(place) => drop(place.insert(points)),
            Entry::Occupied(mut known) => {
                let both = merge(known.get(), &points, &value);
                known.insert(Cow::Owned(both));
            }
        }
    }
    found.into_iter().map(|(label, points)| Series { pod: label, points: points.into_owned() }).collect()
}

/// The points of both: `value` of two at a moment at which both have one.
pub(super) fn merge(one: &[Point], other: &[Point], value: impl Fn(f64, f64) -> f64) -> Vec<Point> {
    let mut all: BTreeMap<i64, f64> = one.iter().map(|point| (point.timestamp_ms, point.value)).collect();
    for point in other {
        let both = all.get(&point.timestamp_ms).map_or(point.value, |known| value(*known, point.value));
        all.insert(point.timestamp_ms, both);
    }
    all.into_iter().map(|(timestamp_ms, value)| Point { timestamp_ms, value }).collect()
}

/// Those of `points` that lie at a moment of `moments`.
pub(super) fn at_moments(points: &[Point], moments: &[Point]) -> Vec<Point> {
    let is_there = |point: &&Point| {
        moments.binary_search_by_key(&point.timestamp_ms, |moment| moment.timestamp_ms).is_ok()
    };
    points.iter().filter(is_there).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(of: &[(i64, f64)]) -> Vec<Point> {
        of.iter().map(|(timestamp_ms, value)| Point { timestamp_ms: *timestamp_ms, value: *value }).collect()
    }

    #[test]
    fn series_of_one_label_become_one() {
        let rows = [
            ("a", points(&[(1, 1.0), (2, 5.0)])),
            ("b", points(&[(9, 9.0)])),
            ("a", points(&[(2, 2.0), (3, 3.0)])),
            ("a", points(&[(0, 7.0), (3, f64::NAN)])),
        ];
        let rows =
            || rows.iter().map(|(label, points)| ((*label).to_owned(), Cow::Borrowed(points.as_slice())));
        let found = |value: fn(f64, f64) -> f64| -> Vec<(String, Vec<(i64, f64)>)> {
            let plain =
                |points: Vec<Point>| points.iter().map(|point| (point.timestamp_ms, point.value)).collect();
            merged(rows(), value).into_iter().map(|Series { pod, points }| (pod, plain(points))).collect()
        };
        let largest = [("a", vec![(0, 7.0), (1, 1.0), (2, 5.0), (3, 3.0)]), ("b", vec![(9, 9.0)])];
        assert_eq!(found(f64::max), largest.map(|(label, points)| (label.to_owned(), points)));
        assert_eq!(found(|one, other| one + other)[0].1[2], (2, 7.0));
    }

    #[test]
    fn only_points_at_known_moments_are_left() {
        let left =
            at_moments(&points(&[(1, 1.0), (2, 2.0), (4, 4.0)]), &points(&[(0, 1.0), (2, 1.0), (4, 1.0)]));
        assert_eq!(left, points(&[(2, 2.0), (4, 4.0)]));
    }
}
