//! The stretches of time over which the diagnosis judges pods, and how a pod is compared with the others.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use crate::facts::Facts;
use crate::input::history::{History, STRETCHES};
use crate::input::metric::Metric;
use crate::input::pod::Load;
use crate::measure::analysis::Analysis;
use crate::measure::spread::Spread;

/// CPU and message rate of the analysed pods over one stretch, by position; NaN if a load is unknown or the pod is no
/// candidate.
pub(super) struct Stretch {
    pub cpu: Vec<f64>,
    pub rate: Vec<f64>,
}

/// The current loads, as those of a [`Stretch`].
pub(super) fn now(analysis: &Analysis<'_>, metric: Metric) -> Vec<f64> {
    of_candidates(analysis, |position| analysis.load(position, metric).map(Load::value))
}

/// Both halves of the history, or the current loads if there is no history of CPU and rate. Of a pod only what it did
/// since its containers last started counts: before that, a pod of its name may have been another, or ill.
pub(super) fn stretches(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Vec<Stretch> {
    let (Some(cpu), Some(rate)) = (facts.past.cpu.known(), facts.past.rate.known()) else {
        return alloc::vec![Stretch { cpu: now(analysis, Metric::Cpu), rate: now(analysis, Metric::Rate) }];
    };
    let warm = warm_for(facts);
    let half = |half: Range<usize>| {
        let means = |history: &History| {
            let mean = |position| {
                let name = analysis.name(position);
                let own = warm.get(name).map_or(0, |age| history.first_within(*age));
                history.mean(name, half.start.max(own)..half.end)
            };
            of_candidates(analysis, mean)
        };
        Stretch { cpu: means(cpu), rate: means(rate) }
    };
    [0..STRETCHES / 2, STRETCHES / 2..STRETCHES].map(half).into_iter().collect()
}

/// For how long each live pod has been what it is now, where that is known.
pub(super) fn warm_for<'f>(facts: &'f Facts<'_>) -> BTreeMap<&'f str, Duration> {
    facts.live.iter().filter_map(|pod| Some((pod.name.as_str(), pod.warm_for()?))).collect()
}

/// One number per position: the candidate's if known, else NaN.
fn of_candidates(analysis: &Analysis<'_>, number: impl Fn(usize) -> Option<f64>) -> Vec<f64> {
    let mut all = alloc::vec![f64::NAN; analysis.count()];
    for position in analysis.candidates().iter().copied() {
        all[position] = number(position).unwrap_or(f64::NAN);
    }
    all
}

/// The known numbers.
pub(super) fn known(column: &[f64]) -> impl Iterator<Item = f64> {
    column.iter().copied().filter(|load| !load.is_nan())
}

/// Their mean; `None` if there are none.
pub(super) fn mean(column: &[f64]) -> Option<f64> {
    let known: Vec<f64> = known(column).collect();
    Spread::of(&known).map(|spread| spread.mean)
}

/// What is in the middle of some numbers, to compare each with the median of the others.
pub(super) struct Middle {
    /// The number at the lower middle rank of the others, and the next one.
    lower: [f64; 2],
    /// The same for the upper middle rank, which is the lower one if the others are odd in number.
    upper: [f64; 2],
}

/// A number is only judged if there are at least this many others.
const LEAST_OTHERS: usize = 2;

impl Middle {
    /// `None` with fewer than three numbers.
    pub(super) fn of(known: impl Iterator<Item = f64>) -> Option<Self> {
        let mut numbers: Vec<f64> = known.collect();
        if numbers.len() <= LEAST_OTHERS {
            return None;
        }
        let others = numbers.len() - 1;
        let mut at = |rank: usize| *numbers.select_nth_unstable_by(rank, f64::total_cmp).1;
        let mut two = |rank: usize| [at(rank), at(rank + 1)];
        Some(Self { lower: two((others - 1) / 2), upper: two(others / 2) })
    }

    /// The median of the numbers without `left_out`, which is one of them.
    pub(super) fn median_without(&self, left_out: f64) -> f64 {
        // Without it, those from its rank on move up by one.
        let other = |[number, next]: [f64; 2]| if number < left_out { number } else { next };
        f64::midpoint(other(self.lower), other(self.upper))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_median_of_the_others_is_that_of_a_list_without_one(
            numbers in prop::collection::vec(0_u32..20, 0..40),
            left_out: prop::sample::Index,
        ) {
            let mut others: Vec<f64> = numbers.into_iter().map(f64::from).collect();
            let middle = Middle::of(others.iter().copied());
            prop_assert_eq!(middle.is_some(), others.len() > LEAST_OTHERS);
            let Some(middle) = middle else { return Ok(()) };
            let one = others.swap_remove(left_out.index(others.len()));
            prop_assert_eq!(Some(middle.median_without(one)), crate::measure::spread::median(others));
        }
    }
}
