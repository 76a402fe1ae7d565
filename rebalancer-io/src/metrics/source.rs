//! What answers metric queries.

use std::time::Duration;

use jiff::Timestamp;

use crate::prometheus::{
    InstantAnswer, LabelledAnswer, MetricQuery, PrometheusClient, QueryError, RangeAnswer, Series, Transport,
};

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

impl<T: Transport> MetricsSource for PrometheusClient<T> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<InstantAnswer, QueryError> {
        self.query(query, at)
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<LabelledAnswer, QueryError> {
        self.query_labelled(query, labels, at)
    }

    fn range(
        &self,
        query: &MetricQuery,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
    ) -> Result<RangeAnswer, QueryError> {
        self.query_range(query, start, end, step)
    }

    fn range_by_series(
        &self,
        query: &MetricQuery,
        start: Timestamp,
        end: Timestamp,
        step: Duration,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        self.query_range_by_series(query, start, end, step, each)
    }
}
