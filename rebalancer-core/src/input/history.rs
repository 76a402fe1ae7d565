//! The history of one metric: samples of each pod on a fixed time grid.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use libm::{fabs, round};

use crate::input::pod::Load;

/// Largest distance of a sample from its step, in seconds. Servers answer a range query on the grid of the
/// query; a sample further away was not asked for.
const GRID_TOLERANCE_S: f64 = 0.01;

/// The instants of a range query: `steps` of them, `step` apart, the first at `start_s`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Grid {
    /// Seconds since the Unix epoch of the first instant.
    pub start_s: f64,
    /// Time between two instants; more than zero.
    pub step: Duration,
    /// Number of instants.
    pub steps: usize,
}

impl Grid {
    /// The grid of `window / step` instants whose last one is `now_s`; empty when `step` is zero
    /// or longer than the window.
    ///
    /// ```
    /// use core::time::Duration;
    /// use rebalancer_core::Grid;
    ///
    /// let grid = Grid::ending(3_600.0, Duration::from_secs(3_600), Duration::from_secs(60));
    /// assert_eq!((grid.steps, grid.start_s, grid.end_s()), (60, 60.0, 3_600.0));
    /// ```
    pub fn ending(now_s: f64, window: Duration, step: Duration) -> Self {
        let steps = if step.is_zero() { 0 } else { window.as_nanos() / step.as_nanos() };
        let steps = usize::try_from(steps).unwrap_or(usize::MAX);
        let span_s = step.as_secs_f64() * steps.saturating_sub(1) as f64;
        Self { start_s: now_s - span_s, step, steps }
    }

    /// Seconds since the Unix epoch of the last instant; on an empty grid, of the first.
    pub fn end_s(&self) -> f64 {
        self.start_s + self.step.as_secs_f64() * self.steps.saturating_sub(1) as f64
    }

    /// The length of so many steps.
    pub(crate) fn time(&self, steps: usize) -> Duration {
        self.step.saturating_mul(u32::try_from(steps).unwrap_or(u32::MAX))
    }

    /// The index of the instant at `timestamp_s`, if it is on the grid.
    pub(crate) fn index(&self, timestamp_s: f64) -> Option<usize> {
        let step_s = self.step.as_secs_f64();
        let index = round((timestamp_s - self.start_s) / step_s);
        let on_grid = fabs(self.start_s + index * step_s - timestamp_s) <= GRID_TOLERANCE_S;
        if !on_grid || index < 0.0 || index >= self.steps as f64 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to steps - 1")]
        Some(index as usize)
    }
}

/// Number of equal stretches for which each pod's mean is kept. With six, a stretch is longer than the
/// correlation time of the noise, and there are enough of them for a variance.
pub(crate) const STRETCHES: usize = 6;

/// Marks a step without a load; no load is negative.
const GAP: f64 = -1.0;

/// Samples of one metric: one column of steps per pod, with gaps.
///
/// Keeps the mean load of every pod over each of `STRETCHES`. Keeps single samples only for pods added by
/// [`History::add_series`]; those of [`History::add_pooled`] only enter the mean at each instant, which is
/// all that the decision needs for most pods of a large fleet.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Grid, History};
///
/// let mut history = History::new(Grid { start_s: 0.0, step: Duration::from_secs(60), steps: 3 });
/// history.add_series("orders-0", [(0.0, 1.0), (120.0, 2.0)])?;
/// let column: Vec<Option<f64>> = history.column("orders-0").expect("it was added").collect();
/// assert_eq!(column, [Some(1.0), None, Some(2.0)]);
/// # Ok::<(), rebalancer_core::InvalidHistory>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    grid: Grid,
    stretches: BTreeMap<String, [Total; STRETCHES]>,
    /// A load or [`GAP`] per step: half the memory of an `Option`.
    columns: BTreeMap<String, Box<[f64]>>,
    /// The loads of the pooled pods at each step.
    pool: Vec<Total>,
}

/// A sum of loads and their number.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Total {
    sum: f64,
    count: u32,
}

impl Total {
    fn add(&mut self, load: f64) {
        self.sum += load;
        self.count += 1;
    }

    /// Mean of the loads; NaN if there are none.
    fn mean(self) -> f64 {
        self.sum / f64::from(self.count)
    }
}

impl History {
    /// An empty history.
    pub fn new(grid: Grid) -> Self {
        let pool = alloc::vec![Total::default(); grid.steps];
        Self { grid, stretches: BTreeMap::new(), columns: BTreeMap::new(), pool }
    }

    /// Adds the series of one pod as `(seconds since the Unix epoch, value)`. Values that are no load (NaN,
    /// infinite, negative) become gaps.
    ///
    /// # Errors
    /// A second series for the pod (a series per container, two scrape jobs), two samples at one instant, or
    /// a sample off the grid. The history is then unchanged.
    pub fn add_series(
        &mut self,
        pod: &str,
        samples: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<(), InvalidHistory> {
        let column = self.checked(pod, samples)?;
        self.add_stretches(pod, &column);
        self.columns.insert(pod.to_string(), column);
        Ok(())
    }

    /// Like [`History::add_series`], without keeping single samples: [`History::column`] returns none. The
    /// samples of a candidate enter the candidates' mean at each instant.
    ///
    /// # Errors
    /// As for [`History::add_series`].
    pub fn add_pooled(
        &mut self,
        pod: &str,
        samples: impl IntoIterator<Item = (f64, f64)>,
        is_candidate: bool,
    ) -> Result<(), InvalidHistory> {
        let column = self.checked(pod, samples)?;
        self.add_stretches(pod, &column);
        let loads = self.pool.iter_mut().zip(&column).filter(|(_, load)| is_candidate && **load >= 0.0);
        loads.for_each(|(total, load)| total.add(*load));
        Ok(())
    }

    /// Builds the column of a pod that has none yet.
    fn checked(
        &self,
        pod: &str,
        samples: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<Box<[f64]>, InvalidHistory> {
        if self.stretches.contains_key(pod) {
            return Err(InvalidHistory::DuplicateSeries { pod: pod.to_string() });
        }
        let mut column: Box<[f64]> = alloc::vec![GAP; self.grid.steps].into();
        let mut seen = alloc::vec![false; self.grid.steps];
        for (timestamp_s, value) in samples {
            let Some(index) = self.grid.index(timestamp_s) else {
                return Err(InvalidHistory::OffGrid { pod: pod.to_string(), timestamp_s });
            };
            if core::mem::replace(&mut seen[index], true) {
                return Err(InvalidHistory::DuplicateSample { pod: pod.to_string(), timestamp_s });
            }
            column[index] = Load::from_sample(value).map_or(GAP, Load::value);
        }
        Ok(column)
    }

    fn add_stretches(&mut self, pod: &str, column: &[f64]) {
        let mut totals = [Total::default(); STRETCHES];
        for (stretch, total) in totals.iter_mut().enumerate() {
            let [from, to] = [stretch, stretch + 1].map(|edge| edge * column.len() / STRETCHES);
            column[from..to].iter().filter(|load| **load >= 0.0).for_each(|load| total.add(*load));
        }
        self.stretches.insert(pod.to_string(), totals);
    }

    /// The instants of the samples.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Names of the pods that have a series, sorted.
    pub fn pods(&self) -> impl Iterator<Item = &str> {
        self.stretches.keys().map(String::as_str)
    }

    /// The samples of `pod`, one per step, `None` for a gap; `None` if it has no series or a pooled one.
    pub fn column(&self, pod: &str) -> Option<impl Iterator<Item = Option<f64>>> {
        Some(self.columns.get(pod)?.iter().map(|load| (*load >= 0.0).then_some(*load)))
    }

    /// Number of loads of `pod`; 0 if it has no series.
    pub fn samples(&self, pod: &str) -> usize {
        let known = self.stretches.get(pod).into_iter().flatten();
        known.map(|total| total.count as usize).sum()
    }

    /// Seconds of one of the [`STRETCHES`].
    pub(crate) fn stretch_s(&self) -> f64 {
        self.grid.step.as_secs_f64() * self.grid.steps as f64 / STRETCHES as f64
    }

    /// The first of the [`STRETCHES`] that began no longer ago than `age`.
    pub(crate) fn first_within(&self, age: Duration) -> usize {
        let began_s = |stretch: &usize| self.stretch_s() * (STRETCHES - stretch) as f64;
        (0..STRETCHES).find(|stretch| began_s(stretch) <= age.as_secs_f64()).unwrap_or(STRETCHES)
    }

    /// Mean load of `pod` over some of its [`STRETCHES`]; `None` if there is none.
    pub(crate) fn mean(&self, pod: &str, stretches: Range<usize>) -> Option<f64> {
        let known = self.stretches.get(pod)?.get(stretches)?.iter();
        let total = known.fold(Total::default(), |all, one| Total {
            sum: all.sum + one.sum,
            count: all.count + one.count,
        });
        (total.count > 0).then(|| total.mean())
    }

    /// Mean load at each step of the `candidates` that have one, pooled candidates included; NaN if none has.
    pub(crate) fn means(&self, candidates: &[&str]) -> Vec<f64> {
        let mut totals = self.pool.clone();
        for column in candidates.iter().filter_map(|name| self.column(name)) {
            let loads = totals.iter_mut().zip(column);
            loads.for_each(|(total, load)| load.into_iter().for_each(|load| total.add(load)));
        }
        totals.into_iter().map(Total::mean).collect()
    }
}

/// Why series do not form the history of a metric per pod.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHistory {
    /// More than one series for a pod.
    #[error("the history has more than one series for pod {pod:?}; the query must give one a pod")]
    DuplicateSeries {
        /// Which pod.
        pod: String,
    },
    /// More than one sample at one instant.
    #[error("the history of pod {pod:?} has two samples at {timestamp_s}")]
    DuplicateSample {
        /// Which pod.
        pod: String,
        /// When, in seconds since the Unix epoch.
        timestamp_s: f64,
    },
    /// A sample between the instants that were asked for.
    #[error("the history of pod {pod:?} has a sample at {timestamp_s}, which was not asked for")]
    OffGrid {
        /// Which pod.
        pod: String,
        /// When, in seconds since the Unix epoch.
        timestamp_s: f64,
    },
}
