//! Which two pods a rotation would take: the busiest and the least busy.

use crate::sums::range;

/// The busiest and the least busy pod, as positions in the analysed slice; never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Outliers {
    /// Position of the pod with the largest score.
    pub busiest: usize,
    /// Position of the pod with the smallest score among the others.
    pub least_busy: usize,
}

/// Finds the outliers among rows with these scores; ties go to the smallest name, compared
/// bytewise. `None` with fewer than two rows.
pub(crate) fn outliers<'a>(scores: &[f64], name: impl Fn(usize) -> &'a str) -> Option<Outliers> {
    if scores.len() < 2 {
        return None;
    }
    let (lowest, highest) = range(scores)?;
    let first_of = |score: f64, except: Option<usize>| {
        let rows = rows_with(scores, score).filter(|row| Some(*row) != except);
        rows.reduce(|first, row| if name(row) < name(first) { row } else { first })
    };
    let busiest = first_of(highest, None)?;
    let least_busy = first_of(lowest, Some(busiest))?;
    Some(Outliers { busiest, least_busy })
}

/// The rows that have this score.
fn rows_with(scores: &[f64], score: f64) -> impl Iterator<Item = usize> {
    /// Scores that are compared without looking at each result.
    const BLOCK: usize = 64;
    let has_score =
        move |block: &[f64]| block.iter().fold(0, |hits, other| hits | u64::from(*other == score)) != 0;
    let hits = scores.chunks(BLOCK).enumerate().filter(move |(_, block)| has_score(block));
    hits.flat_map(move |(number, block)| {
        let rows = block.iter().enumerate().filter(move |(_, other)| **other == score);
        rows.map(move |(offset, _)| number * BLOCK + offset)
    })
}
