//! Compares the loads before and after each change.

use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{History, LONGEST_SIDE, Metric, PerMetric, SETTLING, SHORTEST_SIDE, SpreadChange};
use rebalancer_io::facts::{Kin, loads_between};
use rebalancer_io::metrics::{MetricsSource, QuerySet};
use rebalancer_io::prometheus::TimeRange;

use super::turns::Change;
use crate::pipeline::clocks::ago;

/// The metrics whose spread has a threshold.
const COMPARED: [Metric; 2] = [Metric::Cpu, Metric::Lag];

/// Maximum number of samples of one side: with more pods the steps are longer than a minute.
const MOST_SAMPLES: usize = 200_000;

const MINUTE: Duration = Duration::from_secs(60);

/// The two stretches of time that are compared, equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// Start of the one before.
    pub before: Timestamp,
    /// Start of the one after.
    pub after: Timestamp,
    /// Length of each, in whole minutes.
    pub length: Duration,
}

/// What limits the time around a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Another change, which ended or began then.
    Change(Timestamp),
    /// The end of what the server remembers, or of what was asked for.
    Memory(Timestamp),
}

impl Sides {
    /// The time around a change, up to an hour on each side.
    ///
    /// # Errors
    /// Why there is less than 25 minutes of it, in words.
    pub fn around(change: &Change, earlier: Limit, later: Limit) -> Result<Self, String> {
        let before_ends = whole_minute(change.began - change.slack, false);
        let after_begins = whole_minute(change.ended + SETTLING, true);
        let before = match earlier {
            Limit::Change(ended) => ago(ended + SETTLING, before_ends),
            Limit::Memory(begins) => ago(begins, before_ends),
        };
        let (Limit::Change(ends) | Limit::Memory(ends)) = later;
        let after = ago(after_begins, ends);
        let needed = SHORTEST_SIDE.as_secs() / 60;
        if after < SHORTEST_SIDE {
            let there = after.as_secs() / 60;
            return Err(match later {
                Limit::Change(at) => format!(
                    "the next change began at {at}, {there} min after it had settled; {needed} are needed"
                ),
                Limit::Memory(_) => {
                    format!("{there} min after it are known since it has settled; {needed} are needed")
                }
            });
        }
        if before < SHORTEST_SIDE {
            let there = before.as_secs() / 60;
            return Err(match earlier {
                Limit::Change(ended) => format!(
                    "the change before it ended at {ended}, {there} min before it; {needed} are needed"
                ),
                Limit::Memory(begins) if there == 0 => {
                    format!("the metrics server remembers nothing of it before {begins}")
                }
                Limit::Memory(_) => {
                    format!("the metrics server remembers {there} min before it; {needed} are needed")
                }
            });
        }
        let length = before.min(after).min(LONGEST_SIDE);
        let length = MINUTE * u32::try_from(length.as_secs() / 60).unwrap_or(u32::MAX);
        Ok(Self { before: before_ends - length, after: after_begins, length })
    }
}

/// The whole minute at or before a moment, or at or after it.
fn whole_minute(at: Timestamp, is_later: bool) -> Timestamp {
    let beyond_s = at.as_second().rem_euclid(60);
    let is_whole = beyond_s == 0 && at.subsec_nanosecond() == 0;
    let minute = at.as_second() - beyond_s + if is_later && !is_whole { 60 } else { 0 };
    Timestamp::from_second(minute).unwrap_or(at)
}

/// The spread of each metric on both sides, by the loads that a metrics server has of about so many pods; `None` where there
/// are none.
///
/// # Errors
/// A query that fails, in words.
pub fn compare(
    source: &dyn MetricsSource,
    queries: &QuerySet,
    kin: &Kin<'_>,
    pods: usize,
    floors: PerMetric<f64>,
    sides: Sides,
) -> Result<PerMetric<Option<SpreadChange>>, String> {
    let longer = (pods * 60).div_ceil(MOST_SAMPLES).max(1);
    let step = MINUTE * u32::try_from(longer).unwrap_or(u32::MAX);
    let read = |metric: Metric, start: Timestamp| -> Option<Result<History, String>> {
        let query = queries.get(metric)?;
        let range = TimeRange { start, end: start + sides.length - step, step };
        Some(loads_between(source, query, kin, range).map_err(|error| error.to_string()))
    };
    let read = &read;
    let mut found = PerMetric::default();
    thread::scope(|scope| {
        let asked = COMPARED
            .map(|metric| [sides.before, sides.after].map(|start| scope.spawn(move || read(metric, start))));
        for (metric, threads) in COMPARED.into_iter().zip(asked) {
            let [before, after] = threads.map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).transpose()
            });
            if let (Some(before), Some(after)) = (before?, after?) {
                found[metric] = SpreadChange::between(&before, &after, floors[metric]);
            }
        }
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_410_000 + 60 * minute).expect("a time")
    }

    fn change(began: i64, ended: i64) -> Change {
        let none = BTreeSet::new;
        let (came, gone, restarted) = (none(), none(), none());
        Change { began: at(began), ended: at(ended), slack: Duration::ZERO, came, gone, restarted }
    }

    #[test]
    fn both_sides_are_equally_long_and_free_of_other_changes() {
        let around = |earlier, later| Sides::around(&change(100, 102), earlier, later);
        let far = around(Limit::Memory(at(-900)), Limit::Memory(at(900))).expect("time enough");
        assert_eq!((far.before, far.after, far.length), (at(40), at(107), LONGEST_SIDE));
        let near = around(Limit::Change(at(60)), Limit::Change(at(900))).expect("35 minutes");
        assert_eq!((near.before, near.after, near.length), (at(65), at(107), 35 * MINUTE));
        let early = around(Limit::Memory(at(-900)), Limit::Memory(at(125))).expect_err("18 minutes");
        assert!(early.starts_with("18 min after"), "{early}");
        let close = around(Limit::Change(at(80)), Limit::Memory(at(900))).expect_err("15 minutes");
        assert!(close.contains("15 min before"), "{close}");
        let forgotten = around(Limit::Memory(at(500)), Limit::Memory(at(900))).expect_err("nothing");
        assert!(forgotten.contains("remembers nothing"), "{forgotten}");
    }

    #[test]
    fn the_sides_begin_on_whole_minutes_and_allow_for_times_that_are_not_exact() {
        let inexact = Change {
            began: at(100) + Duration::from_millis(1),
            slack: Duration::from_secs(400),
            ended: at(100) + Duration::from_secs(90),
            ..change(0, 0)
        };
        let sides = Sides::around(&inexact, Limit::Memory(at(-900)), Limit::Memory(at(900)));
        let sides = sides.expect("time enough");
        assert_eq!((sides.before + sides.length, sides.after), (at(93), at(107)));
    }
}
