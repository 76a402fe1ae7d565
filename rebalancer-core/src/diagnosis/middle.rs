//! The median of all other numbers, for each number.

use alloc::vec::Vec;

/// Answers "the median without x" in constant time by keeping the order statistics it can be.
pub(super) struct Middle {
    /// The three middle numbers, ascending; for an even count, the middle two and the next one.
    numbers: [f64; 3],
    /// 1 if an even count remains without x, so that the median is a midpoint; else 0.
    between: usize,
}

/// A number is only judged if there are at least this many others.
const LEAST_OTHERS: usize = 2;

impl Middle {
    /// `None` with fewer than three numbers.
    pub(super) fn of(known: impl Iterator<Item = f64>) -> Option<Self> {
        let (_, at_most) = known.size_hint();
        let mut numbers: Vec<f64> = Vec::with_capacity(at_most.unwrap_or_default());
        numbers.extend(known);
        if numbers.len() <= LEAST_OTHERS {
            return None;
        }
        let others = numbers.len() - 1;
        let (_, low, above) = numbers.select_nth_unstable_by((others - 1) / 2, f64::total_cmp);
        let (middle, high, _) = above.select_nth_unstable_by(1, f64::total_cmp);
        Some(Self { numbers: [*low, middle[0], *high], between: 1 - others % 2 })
    }

    /// The median of the numbers without `left_out`, which is one of them.
    pub(super) fn median_without(&self, left_out: f64) -> f64 {
        let number = |place: usize| self.numbers[place + usize::from(self.numbers[place] >= left_out)];
        f64::midpoint(number(0), number(self.between))
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
