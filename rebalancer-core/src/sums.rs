//! Sums and ranges of columns: several lanes at once, compensated where digits would be lost.
//!
//! The lanes are there for the processor, which adds two to eight of them in one instruction; a sum
//! in one lane waits for every addition. Within a block of [`BLOCK`] values a plain sum loses less
//! than the corrections of the caller restore; what thousands of blocks would lose is compensated
//! between them. A column of one block is compensated throughout: thresholds are met exactly there,
//! by ten pods of which one is hot.

/// Values added without compensation in between.
const BLOCK: usize = 1024;

/// Sums that run side by side.
const LANES: usize = 8;

/// The sums of `N` terms of each value.
pub(crate) fn sums<const N: usize>(values: &[f64], terms: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    if values.len() <= BLOCK {
        return compensated(values, terms);
    }
    let mut totals = [Sum::default(); N];
    for block in values.chunks(BLOCK) {
        for (total, sum) in totals.iter_mut().zip(plain(block, &terms)) {
            total.add(sum);
        }
    }
    totals.map(Sum::value)
}

/// The smallest and the largest value, NaN left out where another one stands before it; `None` when
/// there is none.
pub(crate) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let first = *values.first()?;
    let lesser = |one: f64, other: f64| if one < other { one } else { other };
    let greater = |one: f64, other: f64| if one > other { one } else { other };
    let (mut min, mut max) = ([first; LANES], [first; LANES]);
    let (chunks, rest): (&[[f64; LANES]], &[f64]) = values.as_chunks();
    for chunk in chunks {
        for (value, (min, max)) in chunk.iter().zip(min.iter_mut().zip(&mut max)) {
            *min = lesser(*value, *min);
            *max = greater(*value, *max);
        }
    }
    let min = min.iter().chain(rest).fold(first, |min, value| lesser(*value, min));
    let max = max.iter().chain(rest).fold(first, |max, value| greater(*value, max));
    Some((min, max))
}

/// Whether every value is NaN or a number from `0.0` (not `-0.0`) to `max`.
pub(crate) fn are_loads(values: &[f64], max: f64) -> bool {
    const SIGN: u64 = 1 << 63;
    // Without an early end the processor looks at many values at once.
    let odd = values.iter().fold(0, |odd, value| {
        let bits = if value.is_nan() { 0 } else { value.to_bits() };
        let too_large = if *value > max { SIGN } else { 0 };
        odd | bits | too_large
    });
    odd & SIGN == 0
}

/// The rest that fills no chunk is added apart: lanes that are picked by number would have to lie in
/// memory.
fn plain<const N: usize>(values: &[f64], terms: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[0.0; LANES]; N];
    let (chunks, rest): (&[[f64; LANES]], &[f64]) = values.as_chunks();
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            for (sums, term) in lanes.iter_mut().zip(terms(*value)) {
                sums[lane] += term;
            }
        }
    }
    let mut totals = lanes.map(|sums| sums.iter().sum());
    for value in rest {
        for (total, term) in totals.iter_mut().zip(terms(*value)) {
            *total += term;
        }
    }
    totals
}

fn compensated<const N: usize>(values: &[f64], terms: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[Sum::default(); LANES]; N];
    let (chunks, rest): (&[[f64; LANES]], &[f64]) = values.as_chunks();
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            for (sums, term) in lanes.iter_mut().zip(terms(*value)) {
                sums[lane].add(term);
            }
        }
    }
    let mut totals = lanes.map(|sums| {
        let mut total = Sum::default();
        for Sum { sum, lost } in sums {
            total.add(sum);
            total.lost += lost;
        }
        total
    });
    for value in rest {
        for (total, term) in totals.iter_mut().zip(terms(*value)) {
            total.add(term);
        }
    }
    totals.map(Sum::value)
}

/// A sum with what its additions have rounded away (Knuth's two-sum).
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    #[inline]
    fn add(&mut self, term: f64) {
        let next = self.sum + term;
        let taken = next - self.sum;
        self.lost += (self.sum - (next - taken)) + (term - taken);
        self.sum = next;
    }

    fn value(self) -> f64 {
        self.sum + self.lost
    }
}
