//! Reads the loads of pods over a stretch of the past, and keeps of them what a decision needs.

use std::collections::BTreeSet;

use rebalancer_core::{Grid, History, InvalidHistory};
use thiserror::Error;

use super::kin::Kin;
use crate::metrics::{MetricQuery, MetricsSource};
use crate::prometheus::{QueryError, Series, TimeRange};

/// The pods whose single samples are kept. For others only means are kept ([`History::add_pooled`]): single
/// samples of 10,000 pods take 5 MB per metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept<'a> {
    /// All pods: the history decides which pod is rotated.
    All,
    /// The pods that may be rotated.
    Only {
        /// Their names.
        pods: BTreeSet<&'a str>,
        /// Names of the candidates; their mean at each instant is the comparison for these pods.
        candidates: BTreeSet<&'a str>,
    },
}

impl Kept<'_> {
    /// No pod: the history decides nothing.
    pub const fn none() -> Self {
        Self::Only { pods: BTreeSet::new(), candidates: BTreeSet::new() }
    }

    fn add(&self, history: &mut History, series: &Series) -> Result<(), InvalidHistory> {
        let samples = series.points.iter().map(|point| (point.timestamp_ms as f64 / 1000.0, point.value));
        let name = series.pod.as_str();
        match self {
            Self::Only { pods, candidates } if !pods.contains(name) => {
                history.add_pooled(name, samples, candidates.contains(name))
            }
            _ => history.add_series(name, samples),
        }
    }
}

/// Why the loads of a stretch of the past are not known.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PastError {
    /// The server did not answer.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// It answered with something else.
    #[error(transparent)]
    Invalid(#[from] InvalidHistory),
}

/// The loads of the pods of `kin` at every moment of `range`. Only means are kept.
///
/// # Errors
/// A query that fails, or an answer of another shape.
pub fn loads_between(
    source: &dyn MetricsSource,
    query: &MetricQuery,
    kin: &Kin<'_>,
    range: TimeRange,
) -> Result<History, PastError> {
    let TimeRange { start, end, step } = range;
    let steps = end.duration_since(start).unsigned_abs().as_millis() / step.as_millis().max(1) + 1;
    let start_s = start.as_millisecond() as f64 / 1000.0;
    let grid = Grid { start_s, step, steps: usize::try_from(steps).unwrap_or(usize::MAX) };
    history(source, query, (grid, range), &Kept::none(), |pod| kin.has(pod))
}

/// The loads on a grid, which is that of a range, of the pods for which `counts` holds. Each series is reduced as it is read; the
/// answer is never held whole.
pub(super) fn history(
    source: &dyn MetricsSource,
    query: &MetricQuery,
    (grid, range): (Grid, TimeRange),
    kept: &Kept<'_>,
    counts: impl Fn(&str) -> bool,
) -> Result<History, PastError> {
    let mut history = History::new(grid);
    let mut wrong: Option<InvalidHistory> = None;
    source.range_by_series(query, range, &mut |series| {
        if wrong.is_none() && counts(&series.pod) {
            wrong = kept.add(&mut history, &series).err();
        }
    })?;
    wrong.map_or(Ok(history), |error| Err(error.into()))
}
