//! Whether the samples behind an own query are fresh. The answer of a query carries the time of the
//! question whatever it read, so the series that the query reads are asked about themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::selectors::SourceSeries;
use super::source::MetricsSource;
use crate::prometheus::MetricQuery;
use crate::prometheus::{InstantAnswer, LabelledSample, Point, QueryError, Sample, Samples};
use crate::promql::literal;

/// Most selectors of one query that are asked about: each costs a question, and a query that reads
/// more is not judged.
const MOST_SELECTORS: usize = 8;

/// Label that tells pods of one name apart.
const NAMESPACE: &str = "namespace";

/// The moment of a sample whose series have none that is fresh: older than any limit.
const LONG_AGO_MS: i64 = 0;

/// Why it cannot be known how old the samples behind an own query are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownAge {
    /// The server has no sample of anything that the query was found to read.
    #[error("the server shows no sample of the series it reads ({0})")]
    NoSeries(String),
    /// It reads too much to be asked about.
    #[error("it has {0} selectors, more than {MOST_SELECTORS}")]
    TooMany(usize),
    /// The server did not answer.
    #[error("{0}")]
    Query(#[from] QueryError),
}

/// The questions whether the series that `query` reads have a sample of the last `limit`: one for each
/// selector. The answer has 1 for fresh and 0 for stale, by namespace and pod.
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

/// What the questions about the query called `name` are called.
pub(crate) fn question_name(name: &str) -> String {
    format!("{name}_fresh")
}

/// A label as a grouping takes it: quoted where it is more than letters, digits and underscores.
fn label(name: &str) -> String {
    let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", literal(name)) }
}

/// Asks `questions` and takes from the samples of `answer` their moment where the series behind them
/// are stale, so that they are too old whatever the limit.
///
/// A sample is fresh when every selector that names its pod is. Where no selector does, and for selectors
/// that name other pods only (an exporter's own), it is fresh when each of these has a fresh series.
///
/// # Errors
/// When that cannot be known; the answer is unchanged then.
pub fn mark_stale(
    source: &dyn MetricsSource,
    questions: &[MetricQuery],
    namespace: Option<&str>,
    at: Timestamp,
    answer: &mut InstantAnswer,
) -> Result<(), UnknownAge> {
    if answer.samples.is_empty() {
        return Ok(());
    }
    let named: BTreeSet<&str> = answer.samples.pods().collect();
    let mut of_pods: BTreeMap<String, bool> = BTreeMap::new();
    let (mut others_fresh, mut others) = (true, 0);
    for question in questions {
        let rows = source.labelled(question, &[NAMESPACE], at)?.samples;
        let own = |row: &&LabelledSample| {
            let here =
                row.labels[0].is_empty() || namespace.is_none_or(|namespace| row.labels[0] == namespace);
            here && row.pod.as_deref().is_some_and(|pod| named.contains(pod))
        };
        let is_fresh = |row: &LabelledSample| row.value > 0.0;
        let mut own_rows = rows.iter().filter(own).peekable();
        if own_rows.peek().is_none() {
            others += usize::from(!rows.is_empty());
            others_fresh &= rows.is_empty() || rows.iter().any(is_fresh);
        }
        for row in own_rows {
            *of_pods.entry(row.pod.clone().unwrap_or_default()).or_insert(true) &= is_fresh(row);
        }
    }
    if of_pods.is_empty() && others == 0 {
        let asked: Vec<&str> = questions.iter().map(|question| question.promql.as_str()).collect();
        return Err(UnknownAge::NoSeries(asked.join("; ")));
    }
    let is_fresh = |pod: &str| others_fresh && of_pods.get(pod).copied().unwrap_or(of_pods.is_empty());
    let mut marked = Samples::default();
    for Sample { pod, value, timestamp_ms } in answer.samples.iter() {
        let timestamp_ms = if is_fresh(pod) { timestamp_ms } else { LONG_AGO_MS };
        marked.push(pod, Point { timestamp_ms, value });
    }
    answer.samples = marked;
    Ok(())
}
