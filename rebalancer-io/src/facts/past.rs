//! The past of the pods: their loads over a window, around the last replacement, and before those of
//! the last day.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{
    Fact, Grid, History, InvalidHistory, LivePod, Load, Metric, Past, PastSpread, Replacement, Spread, Window,
};

use super::kin::Kin;
use super::{FactFinder, before, is_not_recorded, lacking, unusable};
use crate::metrics::{MetricQuery, MetricsSource, promql_duration};
use crate::prometheus::QueryError;

/// Most samples that one answer to a range query is asked for, over all pods: at up to 39 bytes a sample
/// less than half of what an answer may have by default. More are asked for in pieces of the range.
pub const MOST_SAMPLES: usize = 400_000;

/// Name of the query for the history of what the query `name` asks for, in messages and recordings.
pub fn history_name(name: &str) -> String {
    format!("{name}_history")
}

impl FactFinder<'_> {
    /// The past of a metric of the live pods over the window of `rule`, as [`FactFinder::find`] asks for it.
    pub fn past(&self, metric: Metric, live: &[LivePod], rule: &Persistence) -> Fact<Past> {
        let Some(query) = self.queries.metric(metric) else { return Fact::Absent };
        let at_s = self.at.as_millisecond() as f64 / 1000.0;
        let query = MetricQuery { name: history_name(&query.name), ..query.clone() };
        let (whole, exact) = (rule.grid(at_s), Grid::ending(at_s, rule.window, rule.step));
        // Recordings of earlier versions have one range, of late on whole steps.
        let mut ways = vec![(whole, pieces(whole, live.len())), (whole, vec![whole]), (exact, vec![exact])];
        ways.dedup();
        let mut past: Result<Fact<Past>, QueryError> = Ok(Fact::Absent);
        for (grid, pieces) in ways {
            past = self.in_pieces(&query, grid, &pieces, live);
            if !past.as_ref().is_err_and(is_not_recorded) {
                break;
            }
        }
        past.unwrap_or_else(|error| lacking(&error))
    }

    /// The history on `grid`, asked for in pieces. Each series is reduced to its loads while it is read, so
    /// that no answer is ever held whole.
    fn in_pieces(
        &self,
        query: &MetricQuery,
        grid: Grid,
        pieces: &[Grid],
        live: &[LivePod],
    ) -> Result<Fact<Past>, QueryError> {
        let names = names(live);
        let mut history = History::new(grid);
        for piece in pieces {
            let mut wrong: Option<InvalidHistory> = None;
            let [start, end] = [piece.start_s, piece.end_s()].map(moment);
            self.source.range_by_series(query, start, end, grid.step, &mut |series| {
                if wrong.is_some() || !names.contains(series.pod.as_str()) {
                    return;
                }
                let samples = series.points.iter();
                let samples = samples.map(|point| (point.timestamp_ms as f64 / 1000.0, point.value));
                wrong = history.add_piece(&series.pod, samples).err();
            })?;
            if let Some(error) = wrong {
                return Ok(unusable(error));
            }
        }
        let is_empty = history.pods().next().is_none();
        Ok(if is_empty { Fact::Absent } else { Fact::Known(Past::Range(history)) })
    }

    /// The loads before and after the newest pod was born: the message rate where there is one, else
    /// CPU.
    pub(super) fn last_replacement(&self, live: &[LivePod]) -> Fact<Replacement> {
        let Some([earlier, later]) = Replacement::windows(live) else { return Fact::Absent };
        let Some(ago) = live.iter().filter_map(|pod| pod.age).min() else { return Fact::Absent };
        for metric in [Metric::Rate, Metric::Cpu] {
            let Some(query) = self.queries.metric(metric) else { continue };
            let after = match self.means(query, "after", later) {
                Ok(means) => of_live(means, live),
                Err(error) => return lacking(&error),
            };
            if after.is_empty() {
                continue;
            }
            return match self.means(query, "before", earlier) {
                Ok(means) => {
                    let (before, length) = (of_workload(means, live), earlier.length);
                    Fact::Known(Replacement { metric, before, after, ago, length })
                }
                Err(error) => lacking(&error),
            };
        }
        Fact::Absent
    }

    /// Mean load of each pod over a window.
    fn means(
        &self,
        query: &MetricQuery,
        word: &str,
        window: Window,
    ) -> Result<Vec<(String, f64)>, QueryError> {
        let over = format!("[{}:1m]", promql_duration(window.length));
        let query = MetricQuery {
            name: format!("{}_{word}", query.name),
            promql: format!("avg_over_time(({}){over})", query.promql),
            ..query.clone()
        };
        let answer = self.source.instant(&query, before(self.at, window.ended))?;
        Ok(answer.samples.iter().map(|sample| (sample.pod.to_owned(), sample.value)).collect())
    }

    /// How unevenly a metric was spread before the replacements of the last day; absent where there
    /// were not several.
    pub(super) fn past_spread(
        &self,
        metric: Metric,
        live: &[LivePod],
        rollout_age: Option<Duration>,
    ) -> Fact<PastSpread> {
        let Some(query) = self.queries.metric(metric) else { return Fact::Absent };
        let Some(window) = PastSpread::window(live, rollout_age) else { return Fact::Absent };
        let loads = match self.means(query, "before_all", window) {
            Ok(means) => of_workload(means, live),
            Err(error) => return lacking(&error),
        };
        // After a rollout few of the pods of that time can be told to be of this workload.
        if 2 * loads.len() < live.len() {
            return Fact::Absent;
        }
        let past = |spread: Spread| Fact::Known(PastSpread { cv: spread.cv, ago: window.ended });
        Spread::of(&loads).map_or(Fact::Absent, past)
    }
}

/// Stretches of `grid` whose samples of so many pods are at most [`MOST_SAMPLES`] each.
fn pieces(grid: Grid, pods: usize) -> Vec<Grid> {
    let most = (MOST_SAMPLES / pods.max(1)).max(1);
    let piece = |first: usize| Grid {
        start_s: grid.start_s + grid.step.as_secs_f64() * first as f64,
        steps: most.min(grid.steps - first),
        ..grid
    };
    (0..grid.steps).step_by(most).map(piece).collect()
}

/// The moment so many seconds after the Unix epoch, to the millisecond.
fn moment(seconds: f64) -> Timestamp {
    #[expect(clippy::cast_possible_truncation, reason = "`as` saturates")]
    Timestamp::from_millisecond((seconds * 1000.0).round() as i64).unwrap_or(Timestamp::MAX)
}

fn names(live: &[LivePod]) -> BTreeSet<&str> {
    live.iter().map(|pod| pod.name.as_str()).collect()
}

/// The loads of the pods that live now.
fn of_live(samples: Vec<(String, f64)>, live: &[LivePod]) -> Vec<f64> {
    let names = names(live);
    loads(samples.into_iter().filter(|(pod, _)| names.contains(pod.as_str())))
}

/// The loads of the pods of the workload, those that are gone included.
fn of_workload(samples: Vec<(String, f64)>, live: &[LivePod]) -> Vec<f64> {
    let kin = Kin::of(live);
    loads(samples.into_iter().filter(|(pod, _)| kin.has(pod)))
}

fn loads(samples: impl Iterator<Item = (String, f64)>) -> Vec<f64> {
    samples.filter_map(|(_, value)| Load::from_sample(value)).map(Load::value).collect()
}
