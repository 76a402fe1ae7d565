//! How unevenly one metric is spread over the pods: mean, variance, coefficient of variation.

use alloc::vec::Vec;

use libm::sqrt;
use statrs::statistics::{Data, OrderStatistics};

use crate::input::metric::PerMetric;
use crate::measure::sums::{Look, exact, greater, two_sum};

/// Up to so many values the sums are compensated throughout: thresholds are met exactly there, by ten
/// pods of which one is hot.
const EXACT: usize = 1024;

/// Values of which a plain sum loses less than the corrections restore, and which stay in the
/// first-level cache; what thousands of blocks would lose is compensated between them.
const BLOCK: usize = 512;

/// The spread of one metric over the candidate pods.
///
/// The pods are the whole population, so the variance is the population variance. All numbers are
/// finite. The sums are compensated and the variance is the corrected two-pass one of Chan, Golub
/// and `LeVeque` (1983), *Algorithms for computing the sample variance*: a plain two-pass gives
/// `0.5000000000000001` for nine pods at 1 and one at 3, and would fire at 0.5.
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
    /// Largest load over the mean; `None` when the mean is 0.
    pub max_over_mean: Option<f64>,
}

impl Spread {
    /// The spread of `loads`; `None` when there are none, or when a result is not finite.
    pub fn of(loads: &[f64]) -> Option<Self> {
        if loads.len() <= EXACT {
            return Self::of_few(loads, &Look::at(loads));
        }
        let mut moments = Moments::default();
        for block in loads.chunks(BLOCK) {
            moments.add(block);
        }
        moments.spread()
    }

    /// The spread of so few loads that every addition is compensated.
    fn of_few(loads: &[f64], look: &Look) -> Option<Self> {
        let first = *loads.first()?;
        if look.is_even() {
            return Self::new(loads.len(), first, 0.0, look);
        }
        let (mean, variance) = if look.largest() <= HUGE {
            mean_and_variance(loads, look)
        } else {
            scaled_mean_and_variance(loads)
        };
        Self::new(loads.len(), mean, variance, look)
    }

    fn new(count: usize, mean: f64, variance: f64, look: &Look) -> Option<Self> {
        let std_dev = sqrt(variance);
        let spread = Self {
            count,
            mean,
            variance,
            std_dev,
            cv: ratio(std_dev, mean).unwrap_or(0.0),
            min: look.min,
            max: look.max,
            max_over_mean: ratio(look.max, mean),
        };
        let finite = [spread.mean, spread.variance, spread.cv].into_iter().all(f64::is_finite);
        finite.then_some(spread)
    }

    /// The coefficient of variation with the mean held up by `floor`: `std_dev / max(mean, floor)`.
    ///
    /// Below the floor an idle fleet's jitter counts for less. A floor of 0 changes nothing; the
    /// result is never above [`Spread::cv`].
    pub fn cv_with_floor(&self, floor: f64) -> f64 {
        ratio(self.std_dev, self.mean.max(floor)).unwrap_or(0.0)
    }
}

/// The median of `loads` (the mean of the middle two of an even count); `None` when there are none.
pub fn median(loads: Vec<f64>) -> Option<f64> {
    if loads.is_empty() {
        return None;
    }
    Some(Data::new(loads).median())
}

/// `numerator / denominator`, unless that is a division by zero.
fn ratio(numerator: f64, denominator: f64) -> Option<f64> {
    (denominator != 0.0).then(|| numerator / denominator)
}

/// Above this, what the sums begin with would not be finite.
const HUGE: f64 = 1e150;

/// Mean and population variance of a few values that are not all equal.
fn mean_and_variance(values: &[f64], look: &Look) -> (f64, f64) {
    let count = values.len() as f64;
    let (sum, rest) = exact(values, look.largest(), |value| value);
    let mean = sum / count;
    let residual = remainder(sum, count, mean) + rest;
    let width = look.max - look.min;
    let (squares, _) = exact(values, width * width, |value| (value - mean) * (value - mean));
    let variance = greater(0.0, squares - residual * residual / count) / count;
    (mean + residual / count, variance)
}

/// `sum - count * mean` without rounding: `mean` is the quotient, and its halves times a count of
/// eleven bits are not rounded.
fn remainder(sum: f64, count: f64, mean: f64) -> f64 {
    let upper = f64::from_bits(mean.to_bits() & !((1 << 27) - 1));
    (sum - count * upper) - count * (mean - upper)
}

/// The same of numbers whose squares would be too large, by way of numbers 2^600 times smaller.
fn scaled_mean_and_variance(values: &[f64]) -> (f64, f64) {
    let scale = f64::from_bits((1023 - 600) << 52);
    let scaled: Vec<f64> = values.iter().map(|value| value * scale).collect();
    let (mean, variance) = mean_and_variance(&scaled, &Look::at(&scaled));
    (mean / scale, variance / scale / scale)
}

/// Count, mean and squared distances of the blocks so far, merged as Chan, Golub and `LeVeque` do.
#[derive(Debug, Clone, Copy)]
struct Moments {
    count: usize,
    look: Look,
    /// The mean, and what it lacks.
    mean: (f64, f64),
    /// The sum of the squared distances from the mean, and what it lacks.
    squares: (f64, f64),
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, look: Look::NOTHING, mean: (0.0, 0.0), squares: (0.0, 0.0) }
    }
}

impl Moments {
    /// Adds a block of at least one value, and tells what one look at it does.
    fn add(&mut self, block: &[f64]) -> Look {
        let (before, count) = (self.count as f64, block.len() as f64);
        // How far the mean so far is from that of the block is part of the variance: no square cancels
        // that the result would not hold.
        let centre = if self.count == 0 { Look::at(block).sum / count } else { self.mean.0 };
        let (look, squares) = Look::around(centre, block);
        let correction = look.sum / count;
        if self.count == 0 {
            self.mean.0 = centre;
        }
        let (mean, lacking) = self.mean;
        let shift = (centre - mean) + (correction - lacking);
        let share = count / (before + count);
        self.mean = two_sum(mean, lacking + shift * share);
        let within = squares - look.sum * correction;
        let (squares, lost) = two_sum(self.squares.0, within + shift * shift * (before * share));
        self.squares = (squares, self.squares.1 + lost);
        self.look = self.look.and(&look);
        self.count += block.len();
        look
    }

    fn spread(&self) -> Option<Spread> {
        if self.look.is_even() {
            return Spread::new(self.count, self.look.min, 0.0, &self.look);
        }
        let variance = greater(0.0, self.squares.0 + self.squares.1) / self.count as f64;
        Spread::new(self.count, self.mean.0 + self.mean.1, variance, &self.look)
    }
}

/// The spreads of columns that have a load from 0 to `most` in every place; columns of no length have
/// none. `None` when a place has no such load.
pub(crate) fn spreads(columns: &PerMetric<&[f64]>, most: f64) -> Option<PerMetric<Option<Spread>>> {
    let count = columns.iter().map(|(_, column)| column.len()).max().unwrap_or(0);
    if count <= EXACT {
        let looks = PerMetric::from_fn(|metric| Look::at(columns[metric]));
        let complete = looks.iter().all(|(_, look)| look.is_within(most));
        let spread = |metric| Spread::of_few(columns[metric], &looks[metric]);
        return complete.then(|| PerMetric::from_fn(spread));
    }
    let mut moments: PerMetric<Moments> = PerMetric::default();
    // Row by row, so that a gap is found before much is done.
    for start in (0..count).step_by(BLOCK) {
        for (metric, column) in columns.iter().filter(|(_, column)| !column.is_empty()) {
            let block = &column[start..count.min(start + BLOCK)];
            if !moments[metric].add(block).is_within(most) {
                return None;
            }
        }
    }
    Some(moments.map(|moments| moments.spread()))
}
