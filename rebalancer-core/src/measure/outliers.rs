//! Which two pods a rotation would take: the busiest and the least busy.
//!
//! A score takes a division for each metric, and only that of two pods matters. So all pods are first
//! scored by multiplication, which is off by a few roundings; those within these roundings of an end
//! are then scored as defined, and their names compared.

use alloc::borrow::Cow;
use alloc::vec::Vec;

use crate::input::metric::{Metric, PerMetric};
use crate::measure::score::{ROUGH, Scale};
use crate::measure::sums::{LANES, greater, lesser};

/// Rows whose rough scores are looked at by their ends only, unless one of these is an end of all.
const BLOCK: usize = 64;

/// Rough scores this close are not told apart: below, a product has lost digits.
const TINY: f64 = 1e-280;

/// The busiest and the least busy pod, as positions in the analysed slice; never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Outliers {
    /// Position of the pod with the largest score.
    pub busiest: usize,
    /// Position of the pod with the smallest score among the others.
    pub least_busy: usize,
}

/// Finds the outliers among rows of columns; ties go to the smallest name, compared bytewise. `None`
/// with fewer than two rows.
pub(crate) fn outliers<'a>(
    scale: &Scale,
    columns: &PerMetric<Cow<'_, [f64]>>,
    name: impl Fn(usize) -> &'a str,
) -> Option<Outliers> {
    let rough = Rough::new(scale, columns);
    if rough.rows() < 2 {
        return None;
    }
    let ends = rough.ends();
    let (lowest, highest) = ends.iter().copied().reduce(both)?;
    let (low, high) = (lowest + lowest * ROUGH + TINY, highest - highest * ROUGH - TINY);
    let best = Best { scale, columns, name };
    let busiest = best.of(rough.rows_of(&ends, |score| score >= high), 1.0)?;
    let others = rough.rows_of(&ends, |score| score <= low).filter(|row| *row != busiest);
    let least_busy = best.of(others, -1.0)?;
    Some(Outliers { busiest, least_busy })
}

/// Picks by the score as it is defined.
struct Best<'a, 'b, N> {
    scale: &'a Scale,
    columns: &'a PerMetric<Cow<'b, [f64]>>,
    name: N,
}

impl<'c, N: Fn(usize) -> &'c str> Best<'_, '_, N> {
    /// The row whose score times `sign` is the largest, and of several the one with the smallest name.
    fn of(&self, rows: impl Iterator<Item = usize>, sign: f64) -> Option<usize> {
        let scored = rows.map(|row| (sign * self.scale.score(self.columns, row), row));
        let best = scored.reduce(|best, other| {
            let ties = || other.0 == best.0 && (self.name)(other.1) < (self.name)(best.1);
            if other.0 > best.0 || ties() { other } else { best }
        });
        best.map(|(_, row)| row)
    }
}

/// The smaller of the smallest, and the larger of the largest.
fn both(one: (f64, f64), other: (f64, f64)) -> (f64, f64) {
    (lesser(one.0, other.0), greater(one.1, other.1))
}

/// Scores by multiplication.
struct Rough<'a> {
    columns: [&'a [f64]; 4],
    factors: [f64; 4],
}

impl<'a> Rough<'a> {
    /// Without usable factors every score is 0, and none is told apart.
    fn new(scale: &Scale, columns: &'a PerMetric<Cow<'_, [f64]>>) -> Self {
        let any = columns.iter().map(|(_, column)| &**column).find(|column| !column.is_empty());
        let factors = scale.factors().unwrap_or_default();
        // An unusable metric has the factor 0, and any column will do.
        let column = |metric: Metric| match &*columns[metric] {
            [] => any.unwrap_or(&[]),
            column => column,
        };
        Self { columns: Metric::ALL.map(column), factors: Metric::ALL.map(|metric| factors[metric]) }
    }

    fn rows(&self) -> usize {
        self.columns[0].len()
    }

    #[inline]
    fn score(&self, loads: [f64; 4]) -> f64 {
        let [cpu, memory, lag, rate] = self.factors;
        (loads[0] * cpu + loads[1] * memory) + (loads[2] * lag + loads[3] * rate)
    }

    /// The smallest and the largest score of each block.
    fn ends(&self) -> Vec<(f64, f64)> {
        let [cpu, memory, lag, rate] = self.columns.map(|column| column.chunks(BLOCK));
        let blocks = cpu.zip(memory).zip(lag).zip(rate);
        blocks.map(|(((cpu, memory), lag), rate)| self.ends_of([cpu, memory, lag, rate])).collect()
    }

    fn ends_of(&self, block: [&[f64]; 4]) -> (f64, f64) {
        let [cpu, memory, lag, rate] = block.map(|column| column.as_chunks());
        let [min, max] = self.ends_of_lanes([cpu.0, memory.0, lag.0, rate.0]);
        let lanes = min.into_iter().zip(max);
        let rest = cpu.1.iter().zip(memory.1).zip(lag.1).zip(rate.1);
        let rest = rest.map(|(((cpu, memory), lag), rate)| self.score([*cpu, *memory, *lag, *rate]));
        lanes.chain(rest.map(|score| (score, score))).fold((f64::INFINITY, f64::NEG_INFINITY), both)
    }

    /// The smallest and the largest score of each lane. Apart, so that they come back through memory:
    /// else the compiler adds the metrics of one pod side by side, and not the pods.
    #[inline(never)]
    fn ends_of_lanes(&self, [cpu, memory, lag, rate]: [&[[f64; LANES]]; 4]) -> [[f64; LANES]; 2] {
        let (mut min, mut max) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        for (((cpu, memory), lag), rate) in cpu.iter().zip(memory).zip(lag).zip(rate) {
            for lane in 0..LANES {
                let score = self.score([cpu[lane], memory[lane], lag[lane], rate[lane]]);
                min[lane] = lesser(min[lane], score);
                max[lane] = greater(max[lane], score);
            }
        }
        [min, max]
    }

    /// The rows whose score is near an end, of the blocks of which an end is.
    fn rows_of(
        &self,
        ends: &[(f64, f64)],
        is_near: impl Fn(f64) -> bool + Copy,
    ) -> impl Iterator<Item = usize> {
        let blocks = ends.iter().enumerate();
        let blocks = blocks.filter(move |(_, (min, max))| is_near(*min) || is_near(*max));
        let rows = blocks.flat_map(|(number, _)| number * BLOCK..self.rows().min((number + 1) * BLOCK));
        rows.filter(move |&row| is_near(self.score(self.columns.map(|column| column[row]))))
    }
}
