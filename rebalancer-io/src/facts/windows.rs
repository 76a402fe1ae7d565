//! Mean loads over windows of the past: each workload has windows of its own, by the ages of its pods. They can be asked for
//! alone, or those of several workloads in one query.

use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{LivePod, Metric, PastSpread, Replacement, Window};

use crate::metrics::{FactQueries, MetricQuery, tagged};
use crate::promql::duration;

/// The metrics that have a threshold.
pub(super) const TRIGGERS: [Metric; 2] = [Metric::Cpu, Metric::Lag];

/// The mean load of each pod over a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowQuestion {
    /// The query, to be evaluated when the window ended.
    pub query: MetricQuery,
    /// When that was.
    pub ended: Timestamp,
    ago: Duration,
}

impl WindowQuestion {
    /// The mean of `query` over a window before `at`; `word` is added to its name.
    pub(super) fn new(query: &MetricQuery, word: &str, window: Window, at: Timestamp) -> Self {
        let over = format!("[{}:1m]", duration(window.length));
        let query = MetricQuery {
            name: format!("{}_{word}", query.name),
            promql: format!("avg_over_time(({}){over})", query.promql),
            ..query.clone()
        };
        Self { query, ended: before(at, window.ended), ago: window.ended }
    }

    /// The question that is asked by evaluating `query` at `ended`, seen from `at`; `None` if it is not about a window.
    pub(crate) fn asked_by(query: &MetricQuery, ended: Timestamp, at: Timestamp) -> Option<Self> {
        let is_mean = query.promql.starts_with("avg_over_time((") && query.promql.ends_with(":1m])");
        let ago_ms = u64::try_from(at.as_millisecond().checked_sub(ended.as_millisecond())?).ok()?;
        is_mean.then(|| Self { query: query.clone(), ended, ago: Duration::from_millis(ago_ms) })
    }

    /// The same as a part of a query that is evaluated now, its rows told by `tag`, namespace and pod.
    pub(crate) fn tagged(&self, tag: usize) -> String {
        let mean = self.query.promql.strip_suffix(')').unwrap_or(&self.query.promql);
        let shifted = format!("{mean} offset {})", duration(self.ago));
        tagged(&shifted, tag, &["namespace", &self.query.pod_label])
    }
}

/// What a decision on these pods asks of windows. `by_rate` is whether they have a rate now: a replacement is judged by the
/// rate if they had one after it, else by CPU.
pub fn window_questions(
    queries: &FactQueries,
    live: &[LivePod],
    rollout_age: Option<Duration>,
    at: Timestamp,
    by_rate: bool,
) -> Vec<WindowQuestion> {
    let mut questions: Vec<WindowQuestion> = Vec::new();
    if let Some([earlier, later]) = Replacement::windows(live) {
        let mut ask = |metric: Metric, word: &str, window: Window| {
            questions
                .extend(queries.metric(metric).map(|query| WindowQuestion::new(query, word, window, at)));
        };
        ask(Metric::Rate, "after", later);
        let judged = if by_rate { Metric::Rate } else { Metric::Cpu };
        if judged == Metric::Cpu {
            ask(judged, "after", later);
        }
        ask(judged, "before", earlier);
    }
    if let Some(window) = PastSpread::window(live, rollout_age) {
        let of_triggers = TRIGGERS.into_iter().filter_map(|metric| queries.metric(metric));
        questions.extend(of_triggers.map(|query| WindowQuestion::new(query, "before_all", window, at)));
    }
    questions
}

/// The moment `ago` before `at`.
fn before(at: Timestamp, ago: Duration) -> Timestamp {
    let ago_ms = i64::try_from(ago.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_millisecond(at.as_millisecond().saturating_sub(ago_ms)).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_the_same_mean_at_another_moment() {
        let window = Window { ended: Duration::from_millis(90_500), length: Duration::from_secs(1800) };
        let at = Timestamp::from_second(1_795_410_000).expect("a time");
        let asked = WindowQuestion::new(&MetricQuery::new("cpu", "up"), "after", window, at);
        assert_eq!(
            (asked.query.name.as_str(), asked.query.promql.as_str()),
            ("cpu_after", "avg_over_time((up)[30m:1m])")
        );
        assert_eq!(at.as_millisecond() - asked.ended.as_millisecond(), 90_500);
        let mean = "avg_over_time((up)[30m:1m] offset 90500ms)";
        let tagged = format!("label_replace({mean}, \"query_part\", \"3\", \"\", \"\")");
        assert_eq!(
            asked.tagged(3),
            format!("label_join({tagged}, \"row_of_part\", \"/\", \"query_part\", \"namespace\", \"pod\")")
        );
        let again = WindowQuestion::asked_by(&asked.query, asked.ended, at);
        assert_eq!(again, Some(asked));
        assert_eq!(WindowQuestion::asked_by(&MetricQuery::new("cpu", "up"), at, at), None);
    }
}
