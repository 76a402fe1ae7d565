//! The loads of a workload's pods over a stretch of the past, of pods that are gone too.

use rebalancer_core::{Grid, History, InvalidHistory};
use thiserror::Error;

use super::kept::Kept;
use super::kin::Kin;
use crate::metrics::{MetricQuery, MetricsSource};
use crate::prometheus::{QueryError, TimeRange};

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
    let length_ms = end.as_millisecond().saturating_sub(start.as_millisecond());
    let steps = u128::try_from(length_ms).unwrap_or_default() / step.as_millis().max(1) + 1;
    let start_s = start.as_millisecond() as f64 / 1000.0;
    let grid = Grid { start_s, step, steps: usize::try_from(steps).unwrap_or(usize::MAX) };
    let mut loads = History::new(grid);
    let mut wrong: Option<InvalidHistory> = None;
    source.range_by_series(query, range, &mut |series| {
        if wrong.is_none() && kin.has(&series.pod) {
            wrong = Kept::none().add(&mut loads, &series).err();
        }
    })?;
    wrong.map_or(Ok(loads), |error| Err(error.into()))
}
