//! Which two pods a rotation would take: the busiest and the least busy.

use core::cmp::Ordering;

/// The busiest and the least busy pod, as positions in the analysed slice; never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Outliers {
    /// Position of the pod with the largest score.
    pub busiest: usize,
    /// Position of the pod with the smallest score among the others.
    pub least_busy: usize,
}

/// Finds the outliers among candidates `(score, name, position)`; ties go to the smallest name,
/// compared bytewise. `None` with fewer than two candidates.
pub(crate) fn outliers<'a>(
    candidates: impl Iterator<Item = (f64, &'a str, usize)> + Clone,
) -> Option<Outliers> {
    let by_score_falling =
        |a: &(f64, &str, usize), b: &(f64, &str, usize)| b.0.total_cmp(&a.0).then_with(|| tie(a, b));
    let by_score_rising =
        |a: &(f64, &str, usize), b: &(f64, &str, usize)| a.0.total_cmp(&b.0).then_with(|| tie(a, b));
    let (_, _, busiest) = candidates.clone().min_by(by_score_falling)?;
    let (_, _, least_busy) = candidates.filter(|candidate| candidate.2 != busiest).min_by(by_score_rising)?;
    Some(Outliers { busiest, least_busy })
}

fn tie(a: &(f64, &str, usize), b: &(f64, &str, usize)) -> Ordering {
    a.1.cmp(b.1)
}
