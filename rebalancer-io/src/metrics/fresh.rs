//! Whether the samples behind a user's own query are fresh. The answer carries the time of the request,
//! however old its samples are, so the program checks the series that the query reads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::selectors::SourceSeries;
use super::source::MetricsSource;
use crate::prometheus::{MetricQuery, QueryError, Sample, Samples};
use crate::promql::literal;

/// Maximum number of selectors of one query to check, with one request each. With more, the query's age is
/// unknown.
const MOST_SELECTORS: usize = 8;

/// Label that distinguishes pods with the same name.
const NAMESPACE: &str = "namespace";

/// The time given to a stale sample: older than any limit.
const LONG_AGO_MS: i64 = 0;

/// Why the age of the samples behind an own query is unknown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownAge {
    /// The server has no sample of any series that the query reads.
    #[error("the server shows no sample of the series it reads ({0})")]
    NoSeries(String),
    /// The query has too many selectors.
    #[error("it has {0} selectors, more than {MOST_SELECTORS}")]
    TooMany(usize),
    /// A request failed.
    #[error("{0}")]
    Query(#[from] QueryError),
}

/// The queries that check whether the series read by `query` have a sample within `limit`, one for each
/// selector. Each answers 1 for fresh and 0 for stale, by namespace and pod.
pub(super) fn questions(query: &MetricQuery, limit: Duration) -> Result<Vec<MetricQuery>, UnknownAge> {
    let sources = SourceSeries::of(&query.promql);
    if sources.len() > MOST_SELECTORS {
        return Err(UnknownAge::TooMany(sources.len()));
    }
    let pod = label(&query.pod_label);
    let (name, limit_s) = (question_name(&query.name), limit.as_secs_f64());
    let question = |source: &SourceSeries| {
        let fresh = format!("timestamp({}) >= bool (time() - {limit_s})", source.selector());
        let promql = format!("max by ({NAMESPACE}, {pod}) ({fresh})");
        MetricQuery::new(name.clone(), promql).with_pod_label(&query.pod_label)
    };
    Ok(sources.iter().map(question).collect())
}

/// The name of the checks that belong to the query `name`.
pub(crate) fn question_name(name: &str) -> String {
    format!("{name}_fresh")
}

/// A label as used in a grouping: quoted unless it has only letters, digits and underscores.
fn label(name: &str) -> String {
    let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", literal(name)) }
}

/// Whether the samples behind an own query are within the limit.
struct Ages {
    /// Whether the series that name a pod are fresh, by pod name.
    of_pods: BTreeMap<String, bool>,
    /// Whether each selector that names none of the pods has a fresh series.
    others_fresh: bool,
}

impl Ages {
    /// What the answers to `questions` say about `pods`.
    fn of(
        source: &dyn MetricsSource,
        questions: &[MetricQuery],
        namespace: Option<&str>,
        at: Timestamp,
        pods: &BTreeSet<&str>,
    ) -> Result<Self, UnknownAge> {
        let mut ages = Self { of_pods: BTreeMap::new(), others_fresh: true };
        let mut others = 0;
        for question in questions {
            let (mut names_any, mut has_rows, mut has_fresh) = (false, false, false);
            source.labelled_by_sample(question, &[NAMESPACE], at, &mut |row| {
                let (is_fresh, of) = (row.value > 0.0, &row.labels[0]);
                (has_rows, has_fresh) = (true, has_fresh || is_fresh);
                let is_here = of.is_empty() || namespace.is_none_or(|namespace| of == namespace);
                let Some(pod) = row.pod.filter(|pod| is_here && pods.contains(pod.as_str())) else { return };
                names_any = true;
                *ages.of_pods.entry(pod).or_insert(true) &= is_fresh;
            })?;
            if !names_any {
                others += usize::from(has_rows);
                ages.others_fresh &= !has_rows || has_fresh;
            }
        }
        if ages.of_pods.is_empty() && others == 0 {
            let asked: Vec<&str> = questions.iter().map(|question| question.promql.as_str()).collect();
            return Err(UnknownAge::NoSeries(asked.join("; ")));
        }
        Ok(ages)
    }

    /// A sample is fresh if every selector that names its pod is fresh and each selector that names none of
    /// the pods has a fresh series. If selectors name other pods but not this one, it is stale.
    fn is_fresh(&self, pod: &str) -> bool {
        self.others_fresh && self.of_pods.get(pod).copied().unwrap_or(self.of_pods.is_empty())
    }
}

/// Runs `questions` and, where the series behind the samples of `answer` are stale, sets their time so far
/// back that they exceed any limit.
///
/// # Errors
/// If freshness cannot be determined; the answer is then unchanged.
pub fn mark_stale(
    source: &dyn MetricsSource,
    questions: &[MetricQuery],
    namespace: Option<&str>,
    at: Timestamp,
    answer: &mut Samples,
) -> Result<(), UnknownAge> {
    if answer.is_empty() {
        return Ok(());
    }
    let ages = Ages::of(source, questions, namespace, at, &answer.pods().collect())?;
    let mark = |sample: Sample<'_>| if ages.is_fresh(sample.pod) { sample.timestamp_ms } else { LONG_AGO_MS };
    *answer = answer.iter().map(|sample| Sample { timestamp_ms: mark(sample), ..sample }).collect();
    Ok(())
}

/// Runs `questions` and returns whether the series behind an own query are fresh: those of each of `pods`
/// that they name, and one of each selector that names none.
///
/// # Errors
/// If that cannot be determined.
pub(crate) fn are_fresh(
    source: &dyn MetricsSource,
    questions: &[MetricQuery],
    namespace: Option<&str>,
    at: Timestamp,
    pods: &BTreeSet<&str>,
) -> Result<bool, UnknownAge> {
    let ages = Ages::of(source, questions, namespace, at, pods)?;
    Ok(ages.others_fresh && ages.of_pods.values().all(|is_fresh| *is_fresh))
}
