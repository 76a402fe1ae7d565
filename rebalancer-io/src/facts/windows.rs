//! Mean loads over windows of the past: each workload has windows of its own, by the ages of its pods. They can be asked for
//! alone, or those of several workloads in one query.

use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{LivePod, Metric, PastSpread, Replacement, Window};

use crate::metrics::{FactQueries, MetricQuery};
use crate::prometheus::When;
use crate::promql::duration;

/// A query, and the time that it is about.
pub type Question = (MetricQuery, When);

/// What asks for the mean of `query` over a window before `at`, as it was when the window ended; `word` is added to its name.
pub(super) fn window_question(query: &MetricQuery, word: &str, window: Window, at: Timestamp) -> Question {
    let query = MetricQuery {
        name: format!("{}_{word}", query.name),
        promql: format!("avg_over_time(({})[{}:1m])", query.promql, duration(window.length)),
        ..query.clone()
    };
    (query, When::Instant(before(at, window.ended)))
}

/// The mean over a window as it was so long ago; `None` of a query that is no mean over a window.
pub(crate) fn shifted(promql: &str, ago: Duration) -> Option<String> {
    let mean = promql.strip_prefix("avg_over_time((")?.strip_suffix(":1m])")?;
    Some(format!("avg_over_time(({mean}:1m] offset {})", duration(ago)))
}

/// What a decision on these pods asks of windows. `by_rate` is whether they have a rate now: a replacement is judged by the
/// rate if they had one after it, else by CPU.
pub fn window_questions(
    queries: &FactQueries,
    live: &[LivePod],
    rollout_age: Option<Duration>,
    at: Timestamp,
    by_rate: bool,
) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    if let Some([earlier, later]) = Replacement::windows(live) {
        let mut ask = |metric: Metric, word: &str, window: Window| {
            questions.extend(queries.metric(metric).map(|query| window_question(query, word, window, at)));
        };
        ask(Metric::Rate, "after", later);
        let judged = if by_rate { Metric::Rate } else { Metric::Cpu };
        if judged == Metric::Cpu {
            ask(judged, "after", later);
        }
        ask(judged, "before", earlier);
    }
    if let Some(window) = PastSpread::window(live, rollout_age) {
        let of_triggers = Metric::TRIGGERS.into_iter().filter_map(|metric| queries.metric(metric));
        questions.extend(of_triggers.map(|query| window_question(query, "before_all", window, at)));
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
        let (query, when) = window_question(&MetricQuery::new("cpu", "up"), "after", window, at);
        assert_eq!((&*query.name, &*query.promql), ("cpu_after", "avg_over_time((up)[30m:1m])"));
        assert_eq!(at.as_millisecond() - when.start().as_millisecond(), 90_500);
        let mean = "avg_over_time((up)[30m:1m] offset 90500ms)";
        assert_eq!(shifted(&query.promql, window.ended).as_deref(), Some(mean));
        assert_eq!(shifted("up", window.ended), None);
    }
}
