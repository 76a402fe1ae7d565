//! The past of the pods: their loads over a window, around the last replacement, and before the last day's
//! replacements.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{Fact, Grid, History, LivePod, Load, Metric, PastSpread, Replacement, Spread, Window};

use super::finder::{FactFinder, is_not_recorded, lacking, unusable};
use super::history::{Kept, PastError, history};
use super::kin::Kin;
use super::windows::window_question;
use crate::metrics::{MetricQuery, MetricsSource as _};
use crate::prometheus::{QueryError, TimeRange};

/// Metrics whose history is fetched: those that can trigger, and the rate, for CPU per message.
pub const WITH_A_PAST: [Metric; 3] = [Metric::Cpu, Metric::Lag, Metric::Rate];

/// Name of the history query that belongs to the query `name`, in messages and recordings.
pub fn history_name(name: &str) -> String {
    format!("{name}_history")
}

/// Start, end and step of the range that holds the history of a metric over the window of `rule`.
pub(crate) fn history_range(rule: &Persistence, at: Timestamp) -> TimeRange {
    time_range(rule.grid(at.as_millisecond() as f64 / 1000.0))
}

impl FactFinder<'_> {
    /// The past of a metric of the live pods over the window of `rule`, as for [`FactFinder::find`].
    pub fn past(
        &self,
        metric: Metric,
        live: &[LivePod],
        rule: &Persistence,
        kept: &Kept<'_>,
    ) -> Fact<History> {
        let Some(query) = self.queries.metric(metric) else { return Fact::Absent };
        let at_s = self.at.as_millisecond() as f64 / 1000.0;
        let query = MetricQuery { name: history_name(&query.name), ..query.clone() };
        let (whole, exact) = (rule.grid(at_s), Grid::ending(at_s, rule.window, rule.step));
        let names = names(live);
        let read = |grid: Grid| {
            history(&self.source, &query, (grid, time_range(grid)), kept, |pod| names.contains(pod))
        };
        let mut past = read(whole);
        if whole != exact && matches!(&past, Err(PastError::Query(error)) if is_not_recorded(error)) {
            // Recordings of earlier versions have the range that ends exactly at this moment.
            past = read(exact);
        }
        match past {
            Ok(history) if history.pods().next().is_none() => Fact::Absent,
            Ok(history) => Fact::Known(history),
            Err(PastError::Query(error)) => lacking(&error),
            Err(PastError::Invalid(error)) => unusable(error),
        }
    }

    /// The loads before and after the newest pod was created: by message rate if there is one, else by CPU.
    pub(super) fn last_replacement(&self, live: &[LivePod]) -> Fact<Replacement> {
        let Some([earlier, later]) = Replacement::windows(live) else { return Fact::Absent };
        let Some(ago) = live.iter().filter_map(|pod| pod.age).min() else { return Fact::Absent };
        let (names, kin) = (names(live), Kin::of(live));
        for metric in [Metric::Rate, Metric::Cpu] {
            let Some(query) = self.queries.metric(metric) else { continue };
            let after = match self.means(query, "after", later, |pod| names.contains(pod)) {
                Ok(loads) if loads.is_empty() => continue,
                Ok(loads) => loads,
                Err(error) => return lacking(&error),
            };
            let replacement =
                |before| Fact::Known(Replacement { metric, before, after, ago, length: earlier.length });
            let before = self.means(query, "before", earlier, |pod| kin.has(pod));
            return before.map_or_else(|error| lacking(&error), replacement);
        }
        Fact::Absent
    }

    /// Mean loads over a window of the pods for which `counts` holds.
    fn means(
        &self,
        query: &MetricQuery,
        word: &str,
        window: Window,
        counts: impl Fn(&str) -> bool,
    ) -> Result<Vec<f64>, QueryError> {
        let (query, when) = window_question(query, word, window, self.at);
        let answer = self.source.instant(&query, when.start())?;
        let counted = answer.iter().filter(|sample| counts(sample.pod));
        Ok(counted.filter_map(|sample| Load::from_sample(sample.value)).map(Load::value).collect())
    }

    /// How uneven a metric was before the replacements of the last day; absent unless there were several.
    pub(super) fn past_spread(
        &self,
        metric: Metric,
        live: &[LivePod],
        rollout_age: Option<Duration>,
    ) -> Fact<PastSpread> {
        let Some(query) = self.queries.metric(metric) else { return Fact::Absent };
        let Some(window) = PastSpread::window(live, rollout_age) else { return Fact::Absent };
        let kin = Kin::of(live);
        let loads = match self.means(query, "before_all", window, |pod| kin.has(pod)) {
            Ok(loads) => loads,
            Err(error) => return lacking(&error),
        };
        // After a rollout, few pods of that time can be recognised as part of this workload.
        if 2 * loads.len() < live.len() {
            return Fact::Absent;
        }
        let past = |spread: Spread| Fact::Known(PastSpread { cv: spread.cv, ago: window.ended });
        Spread::of(&loads).map_or(Fact::Absent, past)
    }
}

/// The moment this many seconds after the Unix epoch, rounded to milliseconds.
fn moment(seconds: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap_or(Timestamp::MAX)
}

/// The moments of a grid, as a metrics server is asked for them.
pub(super) fn time_range(grid: Grid) -> TimeRange {
    TimeRange { start: moment(grid.start_s), end: moment(grid.end_s()), step: grid.step }
}

fn names(live: &[LivePod]) -> BTreeSet<&str> {
    live.iter().map(|pod| pod.name.as_str()).collect()
}
