//! How unevenly one metric is spread over the pods: mean, variance, coefficient of variation.

use alloc::vec::Vec;

use libm::{fabs, fma, sqrt};
use statrs::statistics::{Data, OrderStatistics};

/// The spread of one metric over the candidate pods.
///
/// The pods are the whole population, so the variance is the population variance. All numbers are finite.
/// Sums are compensated and the variance is the corrected two-pass algorithm of Chan, Golub and `LeVeque`
/// (1983), *Algorithms for computing the sample variance*: a plain two-pass gives `0.5000000000000001` for
/// nine pods at 1 and one at 3, and would trigger at 0.5.
///
/// ```
/// use rebalancer_core::Spread;
///
/// let spread = Spread::of(&[3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]).expect("not empty");
/// assert_eq!(spread.cv, 0.5);
/// assert_eq!(spread.max_over_mean, Some(2.5));
/// assert_eq!(Spread::of(&[]), None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Spread {
    /// Number of pods, at least 1.
    pub count: usize,
    /// Arithmetic mean, in the unit of the metric.
    pub mean: f64,
    /// Population variance `sum((x - mean)^2) / count`, in the unit squared. Exactly 0 when all
    /// loads are equal. Reported, never compared: it is not scale-free.
    pub variance: f64,
    /// Population standard deviation, in the unit of the metric.
    pub std_dev: f64,
    /// Population coefficient of variation `std_dev / mean`; 0 when the mean is 0. Between 0 and
    /// `sqrt(count - 1)` for loads.
    pub cv: f64,
    /// Smallest load.
    pub min: f64,
    /// Largest load.
    pub max: f64,
    /// Largest load divided by the mean; `None` if the mean is 0.
    pub max_over_mean: Option<f64>,
}

impl Spread {
    /// The spread of `loads`; `None` if there are none, or if one of them or a result is not finite.
    pub fn of(loads: &[f64]) -> Option<Self> {
        if loads.is_empty() || !loads.iter().all(|load| load.is_finite()) {
            return None;
        }
        let min = loads.iter().copied().fold(f64::INFINITY, f64::min);
        let max = loads.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (mean, variance) = if min == max { (min, 0.0) } else { mean_and_variance(loads) };
        let std_dev = sqrt(variance);
        let spread = Self {
            count: loads.len(),
            mean,
            variance,
            std_dev,
            cv: ratio(std_dev, mean).unwrap_or(0.0),
            min,
            max,
            max_over_mean: ratio(max, mean),
        };
        let finite = [spread.mean, spread.variance, spread.cv].into_iter().all(f64::is_finite);
        finite.then_some(spread)
    }

    /// The coefficient of variation with the mean raised to `floor`: `std_dev / max(mean, floor)`.
    ///
    /// Below the floor, the jitter of an idle fleet counts for less. A floor of 0 changes nothing; the result
    /// is never above [`Spread::cv`].
    pub fn cv_with_floor(&self, floor: f64) -> f64 {
        ratio(self.std_dev, self.mean.max(floor)).unwrap_or(0.0)
    }
}

/// Population coefficient of variation of `loads`; 0 if they have no [`Spread`].
pub(crate) fn cv(loads: &[f64]) -> f64 {
    Spread::of(loads).map_or(0.0, |spread| spread.cv)
}

/// The median of `loads` (for an even count, the mean of the middle two); `None` if there are none.
pub fn median(loads: Vec<f64>) -> Option<f64> {
    if loads.is_empty() {
        return None;
    }
    Some(Data::new(loads).median())
}

/// `numerator / denominator`; `None` for a division by zero.
fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator != 0.0).then(|| numerator / denominator)
}

/// Mean and population variance of at least one value, in two passes. The second one sums the squared
/// distances from the rounded mean and is corrected for that rounding.
fn mean_and_variance(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let (sum, lost) = compensated_sum(values.iter().copied());
    let mean = sum / count;
    // The sum of the distances from the rounded mean: 0 except for rounding. `fma` rounds once.
    let residual = fma(-count, mean, sum) + lost;
    let distances = values.iter().map(|value| value - mean);
    let (squares, lost) = compensated_sum(distances.map(|distance| distance * distance));
    let squares = squares + lost - residual * residual / count;
    // Not `max`, which would turn the NaN of an overflow into 0.
    let squares = if squares < 0.0 { 0.0 } else { squares };
    (mean + residual / count, squares / count)
}

/// Neumaier's sum (1974): the rounded sum, and what rounding lost.
fn compensated_sum(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut sum, mut lost) = (0.0, 0.0);
    for value in values {
        let next = sum + value;
        lost += if fabs(sum) >= fabs(value) { (sum - next) + value } else { (value - next) + sum };
        sum = next;
    }
    let total = sum + lost;
    (total, (sum - total) + lost)
}
