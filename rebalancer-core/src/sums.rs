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

/// The smallest and the largest value; `None` when there is none or one is NaN.
pub(crate) fn range(values: &[f64]) -> Option<(f64, f64)> {
    let first = *values.first()?;
    let (mut min, mut max) = ([first; LANES], [first; LANES]);
    // NaN plus anything is NaN, and 0 times anything finite adds nothing.
    let mut odd = [0.0; LANES];
    let mut take = |lane: usize, value: f64| {
        min[lane] = if value < min[lane] { value } else { min[lane] };
        max[lane] = if value > max[lane] { value } else { max[lane] };
        odd[lane] += value * 0.0;
    };
    let chunks = values.chunks_exact(LANES);
    for (lane, value) in chunks.remainder().iter().enumerate() {
        take(lane, *value);
    }
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            take(lane, *value);
        }
    }
    let finite = odd.iter().sum::<f64>() == 0.0;
    finite.then(|| {
        let min = min.into_iter().fold(first, |a, b| if b < a { b } else { a });
        let max = max.into_iter().fold(first, |a, b| if b > a { b } else { a });
        (min, max)
    })
}

/// Whether every value is NaN or a number from `0.0` (not `-0.0`) to `max`.
pub(crate) fn are_loads(values: &[f64], max: f64) -> bool {
    // Without an early end the processor looks at many values at once.
    let odd = values.iter().fold(0, |odd, value| {
        let bits = if value.is_nan() { 0 } else { value.to_bits() };
        odd | (bits >> 63) | u64::from(*value > max)
    });
    odd == 0
}

fn plain<const N: usize>(values: &[f64], terms: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[0.0; LANES]; N];
    let chunks = values.chunks_exact(LANES);
    for (lane, value) in chunks.remainder().iter().enumerate() {
        for (sums, term) in lanes.iter_mut().zip(terms(*value)) {
            sums[lane] += term;
        }
    }
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            for (sums, term) in lanes.iter_mut().zip(terms(*value)) {
                sums[lane] += term;
            }
        }
    }
    lanes.map(|sums| sums.iter().sum())
}

fn compensated<const N: usize>(values: &[f64], terms: impl Fn(f64) -> [f64; N]) -> [f64; N] {
    let mut lanes = [[Sum::default(); LANES]; N];
    let chunks = values.chunks_exact(LANES);
    for (lane, value) in chunks.remainder().iter().enumerate() {
        for (sums, term) in lanes.iter_mut().zip(terms(*value)) {
            sums[lane].add(term);
        }
    }
    for chunk in chunks {
        for (lane, value) in chunk.iter().enumerate() {
            for (sums, term) in lanes.iter_mut().zip(terms(*value)) {
                sums[lane].add(term);
            }
        }
    }
    lanes.map(|sums| {
        let mut total = Sum::default();
        for Sum { sum, lost } in sums {
            total.add(sum);
            total.lost += lost;
        }
        total.value()
    })
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
