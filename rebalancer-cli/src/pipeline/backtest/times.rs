//! The moments that a backtest decides.

use jiff::Timestamp;

use crate::cli::args::{BacktestArgs, Moment};
use crate::failure::Failure;

/// Maximum number of moments: a year in steps of 15 minutes, or a month in steps of a minute.
const MOST_MOMENTS: u64 = 50_000;

/// The moments: multiples of `--every` since 1970, because servers that align ranges answer only for those.
///
/// # Errors
/// Bounds with no moment between them, or too many moments.
pub fn times(args: &BacktestArgs, now: Timestamp) -> Result<Vec<Timestamp>, Failure> {
    let Some(from) = args.from else {
        return Err(Failure::usage("--from is not given: a time, or a duration ago such as 7d"));
    };
    let (from, to) = bounds(from, args.to, now)?;
    let every_ms = i64::try_from(args.every.as_millis()).unwrap_or(i64::MAX);
    let aligned = |at: Timestamp| at.as_millisecond() - at.as_millisecond().rem_euclid(every_ms);
    let (first, last) = (aligned(from), aligned(to));
    let steps = (last - first) / every_ms;
    if u64::try_from(steps).unwrap_or_default() >= MOST_MOMENTS {
        return Err(Failure::usage(format!(
            "from {from} to {to} there are {steps} moments to decide, more than {MOST_MOMENTS}; \
             take a longer --every or a later --from"
        )));
    }
    let moments = (0..=steps).map(|step| first + step * every_ms);
    Ok(moments.filter_map(|ms| Timestamp::from_millisecond(ms).ok()).collect())
}

/// The two ends of the past to look at; `now` where there is no `to`.
///
/// # Errors
/// An end in the future, or a start that is not before it.
pub fn bounds(from: Moment, to: Option<Moment>, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let resolved = |moment: Moment| {
        moment.resolve(now).ok_or_else(|| Failure::usage("--from or --to lies beyond all time"))
    };
    let (from, to) = (resolved(from)?, to.map_or(Ok(now), resolved)?);
    if to > now {
        return Err(Failure::usage(format!("--to is {to}, which is in the future")));
    }
    if from >= to {
        return Err(Failure::usage(format!("--from is {from}, which is not before --to, {to}")));
    }
    Ok((from, to))
}
