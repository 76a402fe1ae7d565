//! A cache for the history before each moment: the windows of neighbouring moments overlap.
//!
//! The answers are the same as without it: a server evaluates each instant of a range separately, so a longer
//! range over the same instants contains the shorter ones.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use rebalancer_io::metrics::{AtMost, MetricQuery, MetricsSource};
use rebalancer_io::prometheus::{LabelledSample, Point, QueryError, RawSample, Samples, Series, TimeRange};

/// Instants of one block: six hours of minutes.
const BLOCK: i64 = 360;

/// Maximum number of cached single-moment answers. A replacement is examined by four queries for a day.
const INSTANTS: usize = 64;

/// Caches another source's answers about the past. Moments must be requested in time order.
pub struct Remembered<'a> {
    source: AtMost<'a>,
    /// Nothing later than this is queried.
    latest: Timestamp,
    /// The blocks of each query and step in milliseconds, by their start in milliseconds.
    blocks: Mutex<BTreeMap<(String, i64), Blocks>>,
    instants: Mutex<BTreeMap<(String, Timestamp), Samples>>,
}

/// The answers about stretches of [`BLOCK`] instants, by the first instant.
type Blocks = BTreeMap<i64, Vec<Series>>;

impl<'a> Remembered<'a> {
    /// Caches the answers of `source` about the time up to `latest`.
    pub fn new(source: AtMost<'a>, latest: Timestamp) -> Self {
        Self { source, latest, blocks: Mutex::default(), instants: Mutex::default() }
    }

    /// The source itself.
    pub const fn source(&self) -> &AtMost<'a> {
        &self.source
    }

    /// The range, assembled from blocks; `None` if it is as long as a block, or if the blocks cannot be fetched.
    fn in_blocks(
        &self,
        query: &MetricQuery,
        TimeRange { start, end, step }: TimeRange,
    ) -> Option<Vec<Series>> {
        let [start_ms, end_ms] = [start, end].map(Timestamp::as_millisecond);
        let step_ms = i64::try_from(step.as_millis()).ok().filter(|step_ms| *step_ms > 0)?;
        let length_ms = step_ms.checked_mul(BLOCK)?;
        if !(0..length_ms).contains(&(end_ms - start_ms)) {
            return None;
        }
        let phase_ms = start_ms.rem_euclid(step_ms);
        let [first, last] = [start_ms, end_ms].map(|at_ms| (at_ms - phase_ms).div_euclid(length_ms));
        let starts: Vec<i64> = (first..=last).map(|index| phase_ms + index * length_ms).collect();
        let all = || self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (query.promql.clone(), step_ms);
        let mut known = all().remove(&key).unwrap_or_default();
        known.retain(|start_ms, _| starts.contains(start_ms));
        for start_ms in starts {
            if known.contains_key(&start_ms) {
                continue;
            }
            // Servers may align ranges that end off the grid.
            let latest_ms = self.latest.as_millisecond();
            let latest_ms = latest_ms - (latest_ms - start_ms).rem_euclid(step_ms);
            let ends = [start_ms, latest_ms.min(start_ms + length_ms - step_ms)];
            let [start, end] = ends.map(Timestamp::from_millisecond);
            // A server may refuse a range this long but answer a shorter one.
            let range = TimeRange { start: start.ok()?, end: end.ok()?, step };
            known.insert(start_ms, self.source.range(query, range).ok()?);
        }
        let answer = cut(known.values(), start_ms, end_ms);
        all().insert(key, known);
        Some(answer)
    }
}

/// The points of consecutive answers from `start_ms` to `end_ms`; pods without any are left out.
fn cut<'r>(answers: impl Iterator<Item = &'r Vec<Series>>, start_ms: i64, end_ms: i64) -> Vec<Series> {
    let mut points: BTreeMap<&str, Vec<Point>> = BTreeMap::new();
    for series in answers.flatten() {
        let within = |point: &&Point| (start_ms..=end_ms).contains(&point.timestamp_ms);
        points.entry(&series.pod).or_default().extend(series.points.iter().filter(within));
    }
    let series = points.into_iter().filter(|(_, points)| !points.is_empty());
    series.map(|(pod, points)| Series { pod: pod.to_owned(), points }).collect()
}

impl MetricsSource for Remembered<'_> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        let key = (query.promql.clone(), at);
        let known = || self.instants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = known().get(&key) {
            return Ok(answer.clone());
        }
        let answer = self.source.instant(query, at)?;
        let mut known = known();
        if known.len() >= INSTANTS {
            known.clear();
        }
        known.insert(key, answer.clone());
        Ok(answer)
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        self.source.labelled(query, labels, at)
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        self.source.raw(query, at)
    }

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        match self.in_blocks(query, range) {
            Some(answer) => Ok(answer),
            None => self.source.range(query, range),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use rebalancer_io::prometheus::Sample;

    use super::*;

    const STEP: Duration = Duration::from_secs(60);

    /// Answers each instant with its own time; one pod is there every other hour only. Counts what it
    /// is asked, and refuses ranges of more than `most` instants.
    struct Server {
        asked: Arc<AtomicUsize>,
        most: i64,
    }

    impl MetricsSource for Server {
        fn instant(&self, _: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            Ok([Sample { pod: "orders-0", value: 1.0, timestamp_ms: at.as_millisecond() }]
                .into_iter()
                .collect())
        }

        fn labelled(
            &self,
            _: &MetricQuery,
            _: &[&str],
            _: Timestamp,
        ) -> Result<Vec<LabelledSample>, QueryError> {
            unreachable!("nothing here asks for labels")
        }

        fn raw(&self, _: &MetricQuery, _: Timestamp) -> Result<Vec<RawSample>, QueryError> {
            unreachable!("nothing here asks for labels")
        }

        fn range(
            &self,
            query: &MetricQuery,
            TimeRange { start, end, step }: TimeRange,
        ) -> Result<Vec<Series>, QueryError> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            let step_ms = i64::try_from(step.as_millis()).expect("a short step");
            let (start_ms, end_ms) = (start.as_millisecond(), end.as_millisecond());
            let instants: Vec<i64> =
                (start_ms..=end_ms).step_by(usize::try_from(step_ms).expect("above 0")).collect();
            if i64::try_from(instants.len()).expect("few") > self.most {
                let kind = rebalancer_io::prometheus::ErrorKind::Api {
                    status: 422,
                    error_type: "execution".into(),
                    error: "too many points".into(),
                };
                let name = query.name.clone();
                return Err(QueryError {
                    name,
                    place: String::new(),
                    query: String::new(),
                    kind: Box::new(kind),
                });
            }
            let there = |pod: &str, at: i64| pod == "always" || at.div_euclid(3_600_000) % 2 == 0;
            let series = ["always", "at-times"].map(|pod| {
                let points = instants.iter().filter(|at| there(pod, **at));
                let points = points.map(|at| Point { timestamp_ms: *at, value: *at as f64 }).collect();
                Series { pod: pod.to_owned(), points }
            });
            let series = series.into_iter().filter(|series| !series.points.is_empty()).collect();
            Ok(series)
        }
    }

    /// The hours before moments a quarter of an hour apart are the same as from the server itself.
    fn hours_agree(offset_s: i64, most: i64) -> usize {
        let asked = Arc::new(AtomicUsize::new(0));
        let server = Server { asked: Arc::clone(&asked), most };
        let query = MetricQuery::new("cpu", "up");
        let at = |index: i64| Timestamp::from_second(1_795_410_000 + offset_s + 900 * index).expect("a time");
        let remembered = Remembered::new(AtMost::new(&server, 2), at(95));
        let mut direct = 0;
        for index in 0..96 {
            let (start, end) = (at(index) - Duration::from_secs(59 * 60), at(index));
            let range = TimeRange { start, end, step: STEP };
            let expected = server.range(&query, range).expect("an hour is short");
            direct += 1;
            assert_eq!(remembered.range(&query, range).expect("it answers"), expected, "{index}");
        }
        asked.load(Ordering::Relaxed) - direct
    }

    #[test]
    fn what_is_remembered_is_what_would_be_answered() {
        assert!(hours_agree(0, i64::MAX) <= 6, "a day in blocks of six hours");
        assert!(hours_agree(17, i64::MAX) <= 6, "off the full minute");
        assert_eq!(hours_agree(0, 60), 2 * 96, "a server that refuses blocks is asked for each hour");
    }

    #[test]
    fn ranges_as_long_as_a_block_and_other_steps_are_passed_on() {
        let server = Server { asked: Arc::default(), most: i64::MAX };
        let query = MetricQuery::new("cpu", "up");
        let end = Timestamp::from_second(1_795_410_000).expect("a time");
        let remembered = Remembered::new(AtMost::new(&server, 2), end);
        for (hours, step_s) in [(6, 60), (7, 60), (1, 7), (1, 3600)] {
            let (start, step) = (end - Duration::from_secs(3600 * hours), Duration::from_secs(step_s));
            let range = TimeRange { start, end, step };
            let expected = server.range(&query, range).expect("it answers");
            assert_eq!(remembered.range(&query, range).expect("it answers"), expected);
        }
    }

    #[test]
    fn a_moment_is_asked_about_once() {
        let asked = Arc::new(AtomicUsize::new(0));
        let server = Server { asked: Arc::clone(&asked), most: 0 };
        let remembered = Remembered::new(AtMost::new(&server, 2), Timestamp::UNIX_EPOCH);
        let [one, other] = ["up", "down"].map(|promql| MetricQuery::new("cpu", promql));
        let first = remembered.instant(&one, Timestamp::UNIX_EPOCH).expect("it answers");
        assert_eq!(remembered.instant(&one, Timestamp::UNIX_EPOCH).expect("it answers"), first);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert!(remembered.instant(&other, Timestamp::UNIX_EPOCH).is_ok());
        assert!(remembered.instant(&one, Timestamp::MAX).is_ok());
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}
