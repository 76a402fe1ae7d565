//! What is measured and where it comes from: queries by metric, and the sources that answer them.

mod at_most;
mod client;
mod cpu;
mod fresh;
mod group;
mod kafka;
mod matchers;
mod memory;
mod origin;
mod otel;
mod pods;
mod preset;
mod query;
mod selectors;
mod template;
mod topic;

use std::time::Duration;

use jiff::Timestamp;

use crate::prometheus::{InstantAnswer, LabelledAnswer, QueryError, RangeAnswer, Series};

pub use at_most::AtMost;
pub use cpu::CpuFetcher;
pub(crate) use fresh::question_name;
pub use fresh::{UnknownAge, mark_stale};
pub use group::{CLIENT_LABEL, FactQueries, PARTITION_LABELS, PROTOCOL_LABEL};
pub use kafka::{KafkaFetcher, KafkaPreset};
pub use matchers::{InvalidMatchers, Matchers};
pub use memory::MemoryFetcher;
pub use origin::OriginQueries;
pub use pods::pod_pattern;
pub use query::{MetricQuery, QuerySet, QuerySettings, SettingError};
pub use selectors::SourceSeries;

pub(crate) use origin::{Family, FamilyQueries, METRIC_LABEL};
pub(crate) use template::duration as promql_duration;

/// Something that answers metric queries: a server, a recording, a folder of answers.
pub trait MetricsSource: Sync {
    /// The samples of a query at one moment.
    ///
    /// # Errors
    /// Everything but a whole answer with at most one sample a pod.
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<InstantAnswer, QueryError>;

    /// The samples of a query at one moment, told apart by `labels` beside the pod.
    ///
    /// # Errors
    /// Everything but a whole answer.
    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<LabelledAnswer, QueryError>;

    /// The samples of a query at every `step` from `start` to `end`.
    ///
    /// # Errors
    /// Everything but a whole answer with at most one series a pod.
    fn range(
        &self,
        query: &MetricQuery,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<RangeAnswer, QueryError>;

    /// As [`MetricsSource::range`], one series at a time, so that a large answer is never held whole.
    /// What `each` has taken is void when this fails.
    ///
    /// # Errors
    /// As [`MetricsSource::range`].
    fn range_by_series(
        &self,
        query: &MetricQuery,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        self.range(query, start, end, step)?.series.into_iter().for_each(each);
        Ok(())
    }
}
