//! The past of the pods: their loads over a window, around the last replacement, and before those of
//! the last day.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{
    Fact, Grid, History, InvalidHistory, LivePod, Load, Metric, Past, PastSpread, Replacement, Spread,
    Window, WindowLoad, WindowSummary,
};

use super::kin::Kin;
use super::{FactFinder, before, is_not_recorded, lacking, unusable};
use crate::metrics::{MetricQuery, MetricsSource, promql_duration};
use crate::prometheus::{LabelledSample, QueryError};

/// From more live pods than this the past is asked for as three numbers a pod, not a sample a minute.
/// The hour of 10,000 pods is 600,000 samples: 20 MB of JSON and 20 MB of memory a metric, which is what
/// the memory of a small job bears for three metrics. Below it the range is the cheaper question: a
/// Prometheus evaluates the window three times for three numbers.
pub const LARGE_FLEET: usize = 10_000;

/// Label that tells the three numbers of a pod apart.
const STATISTIC: &str = "statistic";

/// Name of the query for the history of what the query `name` asks for, in messages and recordings.
pub fn history_name(name: &str) -> String {
    format!("{name}_history")
}

impl FactFinder<'_> {
    /// The past of a metric of the live pods over the window of `rule`, as [`FactFinder::find`] asks for it.
    pub fn past(&self, metric: Metric, live: &[LivePod], rule: &Persistence) -> Fact<Past> {
        let Some(query) = self.queries.metric(metric) else { return Fact::Absent };
        if live.len() > LARGE_FLEET { self.summary(query, live, rule) } else { self.range(query, live, rule) }
    }

    fn range(&self, query: &MetricQuery, live: &[LivePod], rule: &Persistence) -> Fact<Past> {
        let at_s = self.at.as_millisecond() as f64 / 1000.0;
        let query = MetricQuery { name: history_name(&query.name), ..query.clone() };
        let over = |grid: Grid| {
            let [start, end] = [grid.start_s, grid.end_s()].map(moment);
            self.source.range(&query, start, end, rule.step).map(|answer| (grid, answer))
        };
        let (whole, exact) = (rule.grid(at_s), Grid::ending(at_s, rule.window, rule.step));
        let mut answer = over(whole);
        if whole != exact && answer.as_ref().is_err_and(is_not_recorded) {
            // Recordings of earlier versions have the range that ends at the very moment.
            answer = over(exact);
        }
        let (grid, answer) = match answer {
            Ok(found) => found,
            Err(error) => return lacking(&error),
        };
        let names = names(live);
        let mut history = History::new(grid);
        // Each series is let go as it is taken over: both copies of a large fleet's hour need not be there.
        for series in answer.series.into_iter().filter(|series| names.contains(series.pod.as_str())) {
            let samples = series.points.iter().map(|point| (point.timestamp_ms as f64 / 1000.0, point.value));
            if let Err(error) = history.add_series(&series.pod, samples) {
                return unusable(error);
            }
        }
        if history.pods().next().is_none() { Fact::Absent } else { Fact::Known(Past::Range(history)) }
    }

    fn summary(&self, query: &MetricQuery, live: &[LivePod], rule: &Persistence) -> Fact<Past> {
        let query = MetricQuery {
            name: history_name(&query.name),
            promql: summary_query(&query.promql, rule),
            ..query.clone()
        };
        let answer = match self.source.labelled(&query, &[STATISTIC], self.at) {
            Ok(answer) => answer,
            Err(error) => return lacking(&error),
        };
        let names = names(live);
        let of_live = |sample: &&LabelledSample| sample.pod.as_deref().is_some_and(|pod| names.contains(pod));
        match summary(answer.samples.iter().filter(of_live)) {
            Ok(None) => Fact::Absent,
            Ok(Some(summary)) => Fact::Known(Past::Summary(summary)),
            Err(error) => unusable(error),
        }
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

/// One query for the three numbers of each pod that the short form of the persistence guard needs.
fn summary_query(promql: &str, rule: &Persistence) -> String {
    let over = format!("({promql})[{}:{}]", promql_duration(rule.window), promql_duration(rule.step));
    let statistic = |name: &str, function: String| {
        format!("label_replace({function}, \"{STATISTIC}\", \"{name}\", \"\", \"\")")
    };
    [
        statistic("low", format!("quantile_over_time({}, {over})", rule.low_quantile())),
        statistic("mean", format!("avg_over_time({over})")),
        statistic("samples", format!("count_over_time({over})")),
    ]
    .join(" or ")
}

/// The three numbers of each pod in one row; a pod that lacks one is left out.
fn summary<'a>(
    samples: impl Iterator<Item = &'a LabelledSample>,
) -> Result<Option<WindowSummary>, InvalidHistory> {
    let mut rows: BTreeMap<&str, [Option<f64>; 3]> = BTreeMap::new();
    for sample in samples {
        let place = match sample.labels[0].as_str() {
            "low" => 0,
            "mean" => 1,
            "samples" => 2,
            _ => continue,
        };
        let pod = sample.pod.as_deref().unwrap_or_default();
        if rows.entry(pod).or_default()[place].replace(sample.value).is_some() {
            return Err(InvalidHistory::DuplicateSeries { pod: pod.to_owned() });
        }
    }
    let whole = rows.into_iter().filter_map(|(pod, row)| {
        let [Some(low), Some(mean), Some(samples)] = row else { return None };
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
        Some((pod.to_owned(), WindowLoad { low, mean, samples: samples as usize }))
    });
    let whole: Vec<(String, WindowLoad)> = whole.collect();
    if whole.is_empty() { Ok(None) } else { WindowSummary::new(whole).map(Some) }
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
