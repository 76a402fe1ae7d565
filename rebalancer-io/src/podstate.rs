//! The aggregator: sends the queries of all metrics for one moment in parallel, and joins the answers with
//! the live pods.

use std::collections::HashSet;
use std::thread::{self, ScopedJoinHandle};

use jiff::Timestamp;
use rebalancer_core::{Freshness, Join, JoinError, Joined, LivePod, Metric, PerMetric};

use crate::metrics::{MetricQuery, MetricsSource, QuerySet, UnknownAge, mark_stale, question_name};
use crate::prometheus::{PrometheusClient, PrometheusConfig, QueryError, Samples, seconds};
use crate::recording::{Recording, Replay};

/// Fetches the metrics of one workload from a source.
#[derive(Clone, Copy)]
pub struct Aggregator<'a> {
    source: &'a dyn MetricsSource,
    queries: &'a QuerySet,
}

/// The answers to all queries of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Answers {
    /// The moment.
    pub at: Timestamp,
    /// The answer of each queried metric.
    pub metrics: PerMetric<Option<Samples>>,
    /// Why the age of the samples behind an own query is unknown; `None` if it is known.
    pub unknown_ages: PerMetric<Option<UnknownAge>>,
}

/// The answer of one metric, and why its age is unknown.
type Aged = (Option<Samples>, Option<UnknownAge>);

impl<'a> Aggregator<'a> {
    /// An aggregator over `source`; a metric without a query is not queried.
    pub const fn new(source: &'a dyn MetricsSource, queries: &'a QuerySet) -> Self {
        Self { source, queries }
    }

    /// Sends all queries in parallel, pinned to `at`.
    ///
    /// # Errors
    /// The first failed query in the order of the metrics. The other answers are then discarded: an
    /// incomplete answer says nothing about the workload.
    pub fn fetch(&self, at: Timestamp) -> Result<Answers, QueryError> {
        let fetched = thread::scope(|scope| {
            let threads = PerMetric::from_fn(|metric| scope.spawn(move || self.fetch_one(metric, at)));
            threads.map(finished)
        });
        Self::answers(fetched, at)
    }

    /// The same, one query after the other: for a source that knows the answers.
    ///
    /// # Errors
    /// As [`Aggregator::fetch`].
    pub fn fetch_in_turn(&self, at: Timestamp) -> Result<Answers, QueryError> {
        Self::answers(PerMetric::from_fn(|metric| self.fetch_one(metric, at)), at)
    }

    /// The answer of one metric, with stale samples marked.
    fn fetch_one(&self, metric: Metric, at: Timestamp) -> Result<Aged, QueryError> {
        let Some(query) = self.queries.get(metric) else { return Ok((None, None)) };
        let mut answer = self.source.instant(query, at)?;
        if !self.queries.is_own(metric) {
            return Ok((Some(answer), None));
        }
        let namespace = query.namespace.as_deref();
        let questions = self.queries.freshness_of(metric);
        let marked =
            questions.and_then(|questions| mark_stale(self.source, &questions, namespace, at, &mut answer));
        Ok((Some(answer), marked.err()))
    }

    /// The answers of all metrics, in their order.
    fn answers(fetched: PerMetric<Result<Aged, QueryError>>, at: Timestamp) -> Result<Answers, QueryError> {
        let mut answers = Answers::new(at, PerMetric::default());
        for (metric, aged) in fetched.into_pairs() {
            (answers.metrics[metric], answers.unknown_ages[metric]) = aged?;
        }
        Ok(answers)
    }
}

/// The result of a thread; a panic in it aborts the program.
fn finished<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("a thread that panics aborts the program")
}

impl Answers {
    /// Answers whose samples are as old as they claim.
    pub fn new(at: Timestamp, metrics: PerMetric<Option<Samples>>) -> Self {
        Self { at, metrics, unknown_ages: PerMetric::default() }
    }

    /// The metrics that were queried.
    pub fn asked(&self) -> Vec<Metric> {
        self.metrics.iter().filter(|(_, answer)| answer.is_some()).map(|(metric, _)| metric).collect()
    }

    /// Whether any answer has a sample.
    pub fn has_samples(&self) -> bool {
        self.metrics.iter().any(|(_, answer)| answer.as_ref().is_some_and(|samples| !samples.is_empty()))
    }

    /// The answers of a recording, decoded again; `place` names it in messages. Samples without a recorded
    /// freshness check are not known to be stale.
    ///
    /// # Errors
    /// The same as when they were first decoded.
    pub fn replayed(
        recording: &Recording,
        place: String,
        namespace: Option<&str>,
        pod_label: Option<&str>,
    ) -> Result<Self, QueryError> {
        let client = PrometheusClient::over(Replay::new(recording, place), PrometheusConfig::MAX_SAVED_BYTES);
        let at = recording.evaluation_time;
        let mut answers = Self::new(at, PerMetric::default());
        for metric in Metric::ALL {
            let Some(promql) = recording.promql(metric.name()) else { continue };
            let mut query =
                MetricQuery::new(metric.name(), promql).with_pod_label(pod_label.unwrap_or("pod"));
            if let Some(namespace) = namespace {
                query = query.in_namespace(namespace);
            }
            let mut answer = client.instant(&query, at)?;
            let asked = question_name(metric.name());
            let question = |text| MetricQuery::new(&asked, text).with_pod_label(&query.pod_label);
            let questions: Vec<MetricQuery> = recording.promqls(&asked).into_iter().map(question).collect();
            if !questions.is_empty() {
                let marked = mark_stale(&client, &questions, namespace, at, &mut answer);
                answers.unknown_ages[metric] = marked.err();
            }
            answers.metrics[metric] = Some(answer);
        }
        Ok(answers)
    }

    /// Joins the answers with the live pods.
    ///
    /// # Errors
    /// Two live pods with the same name, or two samples of one metric for one live pod.
    pub fn join(&self, live: &[LivePod], freshness: Freshness) -> Result<Joined, JoinError> {
        let mut join = Join::default();
        for (metric, answer) in self.metrics.iter() {
            if let Some(samples) = answer {
                join.add(metric, samples.with_seconds());
            }
        }
        join.with_live(live, freshness, seconds(self.at.as_millisecond()))
    }

    /// Every pod named in the answers, assumed to be Running and Ready, in order of first mention: the
    /// workload of a replay without pod facts.
    pub fn assumed_pods(&self) -> Vec<LivePod> {
        let mut seen = HashSet::new();
        self.pods().filter(|pod| seen.insert(*pod)).map(LivePod::assumed).collect()
    }

    /// The pods of all samples of all answers.
    fn pods(&self) -> impl Iterator<Item = &str> {
        self.metrics.iter().filter_map(|(_, answer)| answer.as_ref()).flat_map(Samples::pods)
    }
}
