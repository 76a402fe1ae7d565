//! Sums and ranges of columns, several lanes at once.
//!
//! The lanes are there for the processor, which adds two to eight of them in one instruction; a sum
//! in one lane waits for every addition.

use libm::fabs;

/// Values looked at side by side: each has up to five numbers, and all of them must find place in
/// sixteen registers of two.
pub(crate) const LANES: usize = 4;

/// Range, sum and signs of some values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Smallest value, NaN left out; infinite without any.
    pub(crate) min: f64,
    /// Largest value, NaN left out; infinite without any.
    pub(crate) max: f64,
    /// Their plain sum, or that of their distances from a number; NaN when one of them is.
    pub(crate) sum: f64,
    /// Whether one of them has a sign: less than 0, or `-0.0`.
    signed: bool,
}

impl Look {
    /// What holds of no value at all.
    pub(crate) const NOTHING: Self =
        Self { min: f64::INFINITY, max: f64::NEG_INFINITY, sum: 0.0, signed: false };

    /// What one pass over the values tells.
    pub(crate) fn at(values: &[f64]) -> Self {
        let mut lanes = Lanes::default();
        let (chunks, rest) = values.as_chunks();
        for chunk in chunks {
            lanes.look_at(chunk, chunk);
        }
        rest.iter().fold(lanes.together(), |all, value| all.and(&Self::at_one(*value, *value)))
    }

    /// The same with the plain sum of the distances from `centre` in place of that of the values, and
    /// the plain sum of the squares of these distances.
    pub(crate) fn around(centre: f64, values: &[f64]) -> (Self, f64) {
        let (chunks, rest) = values.as_chunks();
        let (lanes, squares) = lanes_around(centre, chunks);
        let all = (lanes.together(), squares.iter().sum());
        rest.iter().fold(all, |(all, squares), value| {
            let distance = value - centre;
            (all.and(&Self::at_one(*value, distance)), squares + distance * distance)
        })
    }

    fn at_one(value: f64, sum: f64) -> Self {
        Self { min: value, max: value, sum, signed: value.is_sign_negative() }
    }

    /// What holds of both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self {
            min: lesser(self.min, other.min),
            max: greater(self.max, other.max),
            sum: self.sum + other.sum,
            signed: self.signed | other.signed,
        }
    }

    /// Whether every value is a number from `0.0` (not `-0.0`) to `most`.
    pub(crate) fn is_within(&self, most: f64) -> bool {
        !self.signed && self.max <= most && !self.sum.is_nan()
    }

    /// Whether all values are the same number.
    pub(crate) fn is_even(&self) -> bool {
        self.min == self.max && !self.sum.is_nan()
    }

    /// The largest magnitude.
    pub(crate) fn largest(&self) -> f64 {
        greater(fabs(self.min), fabs(self.max))
    }
}

/// Apart, so that the lanes come back through memory: else the compiler pairs each distance with its
/// square instead of with the next distance, which takes twice as long.
#[inline(never)]
fn lanes_around(centre: f64, chunks: &[[f64; LANES]]) -> (Lanes, [f64; LANES]) {
    let (mut lanes, mut squares) = (Lanes::default(), [0.0; LANES]);
    for chunk in chunks {
        let distances = chunk.map(|value| value - centre);
        lanes.look_at(chunk, &distances);
        for lane in 0..LANES {
            squares[lane] += distances[lane] * distances[lane];
        }
    }
    (lanes, squares)
}

/// Looks side by side.
struct Lanes {
    min: [f64; LANES],
    max: [f64; LANES],
    sum: [f64; LANES],
    /// The bits of all values, of which the first one counts.
    bits: [u64; LANES],
}

impl Default for Lanes {
    fn default() -> Self {
        let Look { min, max, sum, .. } = Look::NOTHING;
        Self { min: [min; LANES], max: [max; LANES], sum: [sum; LANES], bits: [0; LANES] }
    }
}

impl Lanes {
    #[inline]
    fn look_at(&mut self, values: &[f64; LANES], terms: &[f64; LANES]) {
        for lane in 0..LANES {
            self.min[lane] = lesser(self.min[lane], values[lane]);
            self.max[lane] = greater(self.max[lane], values[lane]);
            self.sum[lane] += terms[lane];
            self.bits[lane] |= values[lane].to_bits();
        }
    }

    fn together(&self) -> Look {
        (0..LANES).fold(Look::NOTHING, |all, lane| {
            let signed = f64::from_bits(self.bits[lane]).is_sign_negative();
            all.and(&Look { min: self.min[lane], max: self.max[lane], sum: self.sum[lane], signed })
        })
    }
}

/// The smaller one, or `other` when `one` is NaN; one instruction, unlike [`f64::min`].
pub(crate) fn lesser(one: f64, other: f64) -> f64 {
    if one < other { one } else { other }
}

/// The larger one, or `other` when `one` is NaN.
pub(crate) fn greater(one: f64, other: f64) -> f64 {
    if one > other { one } else { other }
}

/// How many of the values are numbers, when each is NaN or from `0.0` (not `-0.0`) to `most`.
pub(crate) fn numbers_within(values: &[f64], most: f64) -> Option<usize> {
    const SIGN: u64 = 1 << 63;
    // Without an early end the processor looks at many values at once.
    let (mut odd, mut numbers) = (0, 0_u64);
    for value in values {
        let bits = if value.is_nan() { 0 } else { value.to_bits() };
        let too_large = if *value > most { SIGN } else { 0 };
        odd |= bits | too_large;
        numbers += u64::from(!value.is_nan());
    }
    (odd & SIGN == 0).then_some(usize::try_from(numbers).unwrap_or(values.len()))
}

/// The sum of all terms as a number and the rest that it lacks, to about a hundred bits; no term is
/// larger than `bound`.
///
/// A lane begins far above all that it will hold, so that it is always larger than the next term:
/// what an addition rounds away then takes two subtractions (Dekker's fast two-sum) and not five.
/// The beginning is taken away without rounding, and the lanes are multiples of one small number, so
/// that their own sum is not rounded either.
pub(crate) fn exact(values: &[f64], bound: f64, term: impl Fn(f64) -> f64) -> (f64, f64) {
    let start = 4.0 * values.len() as f64 * bound;
    let (mut sums, mut lost) = ([start; LANES], [0.0; LANES]);
    let (chunks, rest): (&[[f64; LANES]], &[f64]) = values.as_chunks();
    for chunk in chunks {
        for lane in 0..LANES {
            add(&mut sums[lane], &mut lost[lane], term(chunk[lane]));
        }
    }
    // Apart: lanes that are picked by number would have to lie in memory.
    let (mut sum_of_rest, mut lost_of_rest) = (start, 0.0);
    for value in rest {
        add(&mut sum_of_rest, &mut lost_of_rest, term(*value));
    }
    let sum = sums.iter().fold(sum_of_rest - start, |all, sum| all + (sum - start));
    let lost = lost.iter().fold(lost_of_rest, |all, lost| all + lost);
    two_sum(sum, lost)
}

/// Adds a term that is not larger than the sum, and what that rounds away to what is lost.
#[inline]
fn add(sum: &mut f64, lost: &mut f64, term: f64) {
    let next = *sum + term;
    *lost += term - (next - *sum);
    *sum = next;
}

/// A sum and what it rounds away (Knuth).
pub(crate) fn two_sum(one: f64, other: f64) -> (f64, f64) {
    let sum = one + other;
    let taken = sum - one;
    (sum, (one - (sum - taken)) + (other - taken))
}
