//! What the metrics server remembers of one metric: samples of each pod on a fixed grid of time.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use libm::{fabs, round};

use crate::input::pod::Load;

/// Furthest a sample may lie from its step, in seconds. Servers answer a range query on the very
/// grid they were asked for; what lies further away is the answer to another question.
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

    /// Seconds since the Unix epoch of the last instant; that of the first on an empty grid.
    pub fn end_s(&self) -> f64 {
        self.start_s + self.step.as_secs_f64() * self.steps.saturating_sub(1) as f64
    }

    /// Which instant `timestamp_s` is, if it is one.
    fn index(&self, timestamp_s: f64) -> Option<usize> {
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

/// Stands for a step without a load; no load is negative.
const GAP: f64 = -1.0;

/// Samples of one metric: a column of steps for each pod, with gaps.
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
    /// A load or a [`GAP`] for each step: half the memory of an `Option`, and there are many.
    columns: BTreeMap<String, Box<[f64]>>,
}

impl History {
    /// A history without any series yet.
    pub const fn new(grid: Grid) -> Self {
        Self { grid, columns: BTreeMap::new() }
    }

    /// Adds the series of one pod as `(seconds since the Unix epoch, value)`. Values that are no
    /// load (NaN, infinite, negative) are gaps.
    ///
    /// # Errors
    /// A second series of the pod (a series per container, two scrape jobs), two samples of one
    /// instant, or a sample off the grid. The history is unchanged then.
    pub fn add_series(
        &mut self,
        pod: &str,
        samples: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<(), InvalidHistory> {
        if self.columns.contains_key(pod) {
            return Err(InvalidHistory::DuplicateSeries { pod: pod.to_string() });
        }
        self.add_piece(pod, samples)
    }

    /// As [`History::add_series`], for a part of the instants: the pieces of a pod add up.
    ///
    /// # Errors
    /// As [`History::add_series`], but that the pod may have other pieces. The history is unchanged then.
    pub fn add_piece(
        &mut self,
        pod: &str,
        samples: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<(), InvalidHistory> {
        let known = self.columns.get(pod);
        let mut column = known.cloned().unwrap_or_else(|| alloc::vec![GAP; self.grid.steps].into());
        let mut seen: Vec<bool> = column.iter().map(|load| *load >= 0.0).collect();
        for (timestamp_s, value) in samples {
            let Some(index) = self.grid.index(timestamp_s) else {
                return Err(InvalidHistory::OffGrid { pod: pod.to_string(), timestamp_s });
            };
            if core::mem::replace(&mut seen[index], true) {
                return Err(InvalidHistory::DuplicateSample { pod: pod.to_string(), timestamp_s });
            }
            column[index] = Load::from_sample(value).map_or(GAP, Load::value);
        }
        self.columns.insert(pod.to_string(), column);
        Ok(())
    }

    /// The instants the samples are of.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// Names of the pods that have a series, sorted.
    pub fn pods(&self) -> impl Iterator<Item = &str> {
        self.columns.keys().map(String::as_str)
    }

    /// The samples of `pod`, a step each, `None` being a gap; `None` when it has no series.
    pub fn column(&self, pod: &str) -> Option<impl Iterator<Item = Option<f64>>> {
        Some(self.columns.get(pod)?.iter().map(|load| (*load >= 0.0).then_some(*load)))
    }

    /// Mean of the samples of `pod` in the steps from `from` up to, not including, `to`.
    pub(crate) fn mean(&self, pod: &str, from: usize, to: usize) -> Option<f64> {
        let known = self.columns.get(pod)?.get(from..to)?.iter().filter(|load| **load >= 0.0);
        let (sum, count) = known.fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
        (count > 0).then(|| sum / count as f64)
    }
}

/// Why series are not the history of a metric per pod.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHistory {
    /// More than one series of a pod.
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

/// One metric of each pod over a window in three numbers, as the server computed them: what is
/// asked for when a fleet is too large for its samples to be fetched.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WindowSummary {
    rows: Vec<(String, WindowLoad)>,
}

/// What a pod did over a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WindowLoad {
    /// The load it was above for all but the smallest samples: `quantile_over_time` of
    /// `1 - percent / 100` of the persistence guard, 0.2 by default.
    pub low: f64,
    /// Mean load: `avg_over_time`.
    pub mean: f64,
    /// Number of samples: `count_over_time`.
    pub samples: usize,
}

impl WindowSummary {
    /// A summary of the given pods; one that is no load in any of its numbers is left out.
    ///
    /// # Errors
    /// A pod that is given twice.
    pub fn new(rows: impl IntoIterator<Item = (String, WindowLoad)>) -> Result<Self, InvalidHistory> {
        let is_load = |value: f64| Load::from_sample(value).is_some();
        let mut rows: Vec<(String, WindowLoad)> =
            rows.into_iter().filter(|(_, load)| is_load(load.low) && is_load(load.mean)).collect();
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        if let Some(twice) = rows.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(InvalidHistory::DuplicateSeries { pod: twice[0].0.clone() });
        }
        Ok(Self { rows })
    }

    /// What `pod` did, if it is known.
    pub fn of(&self, pod: &str) -> Option<&WindowLoad> {
        let place = self.rows.binary_search_by(|(name, _)| name.as_str().cmp(pod)).ok()?;
        Some(&self.rows[place].1)
    }
}
