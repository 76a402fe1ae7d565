//! Mean and spread of binary64 values in exact arithmetic: the oracle of the core's statistics.

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

/// What the values have exactly, each rounded once to the nearest `f64` (standard deviation and
/// coefficient of variation: within one unit in the last place).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exact {
    /// Arithmetic mean.
    pub mean: f64,
    /// Population variance, divided by the count.
    pub variance: f64,
    /// Population standard deviation.
    pub std_dev: f64,
    /// Standard deviation over mean; 0 when the mean is 0.
    pub cv: f64,
}

impl Exact {
    /// Computes them with integers of any size: every finite `f64` is one times a power of two.
    ///
    /// # Panics
    /// On an empty slice or a value that is not finite.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "a mean of nothing does not exist");
        let scale = values.iter().map(|value| parts(*value).1).min().unwrap_or(0);
        let count = BigInt::from(values.len());
        let mut sum = BigInt::zero();
        let mut squares = BigInt::zero();
        for value in values {
            let (mantissa, exponent) = parts(*value);
            let integer = BigInt::from(mantissa) << (exponent - scale);
            squares += &integer * &integer;
            sum += integer;
        }
        let spread = &count * squares - &sum * &sum;
        let mean = quotient(&sum, &count, scale);
        let variance = quotient(&spread, &(&count * &count), 2 * scale);
        let std_dev = variance.sqrt();
        let cv = if mean == 0.0 { 0.0 } else { std_dev / mean };
        Self { mean, variance, std_dev, cv }
    }
}

/// A finite `value` as `mantissa * 2^exponent`, the mantissa odd or zero.
fn parts(value: f64) -> (i64, i64) {
    assert!(value.is_finite(), "{value} has no exact value");
    if value == 0.0 {
        return (0, 0);
    }
    let bits = value.to_bits();
    let exponent_bits = (bits >> 52) & 0x7ff;
    let fraction = bits & ((1 << 52) - 1);
    let (magnitude, exponent) = match exponent_bits {
        0 => (fraction, -1074),
        normal => (fraction | (1 << 52), i64::try_from(normal).expect("eleven bits") - 1075),
    };
    let zeros = magnitude.trailing_zeros();
    let mantissa = i64::try_from(magnitude >> zeros).expect("at most 53 bits");
    (if value < 0.0 { -mantissa } else { mantissa }, exponent + i64::from(zeros))
}

/// `numerator / denominator * 2^exponent`, rounded once.
fn quotient(numerator: &BigInt, denominator: &BigInt, exponent: i64) -> f64 {
    if numerator.is_zero() {
        return 0.0;
    }
    // The quotient gets at least 66 bits, and a last bit that says whether anything was cut off,
    // so the conversion, which rounds to nearest, sees which side of a tie it is on.
    let missing = 66 + denominator.bits().cast_signed() - numerator.bits().cast_signed();
    let shift = missing.max(0);
    let (mut digits, rest) = {
        let widened: BigInt = numerator.abs() << shift;
        (&widened / denominator, widened % denominator)
    };
    digits <<= 1;
    if !rest.is_zero() {
        digits += 1;
    }
    let rounded = digits.to_f64().expect("a finite integer");
    let magnitude = scaled(rounded, exponent - shift - 1);
    if numerator.is_negative() { -magnitude } else { magnitude }
}

/// `value * 2^exponent` in steps that stay within the range of the powers.
fn scaled(mut value: f64, mut exponent: i64) -> f64 {
    while exponent != 0 {
        let step = exponent.clamp(-1000, 1000);
        value *= f64::powi(2.0, i32::try_from(step).expect("at most 1000"));
        exponent -= step;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_make_the_value_again() {
        for value in [0.1, 1.0, -3.5, 1e19, 5e-324, f64::MAX, f64::MIN_POSITIVE] {
            let (mantissa, exponent) = parts(value);
            assert_eq!(scaled(mantissa as f64, exponent), value);
        }
    }

    #[test]
    fn known_values_come_out_whole() {
        let exact = Exact::of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(exact, Exact { mean: 5.0, variance: 4.0, std_dev: 2.0, cv: 0.4 });
        assert_eq!(Exact::of(&[0.1, 0.1, 0.1]).variance, 0.0);
        // Around 2^53 the squares of plain sums keep no digit of 8/3.
        let big = 9_007_199_254_740_992.0;
        assert_eq!(Exact::of(&[big, big + 2.0, big + 4.0]).variance, 8.0 / 3.0);
    }
}
