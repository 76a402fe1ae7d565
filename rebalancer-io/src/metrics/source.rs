//! Sources that answer metric queries.

use jiff::Timestamp;

use crate::prometheus::{
    LabelledSample, MetricQuery, PrometheusClient, QueryError, RawSample, Samples, Series, TimeRange,
    Transport, When, decode_instant, decode_labelled, decode_labelled_by_sample, decode_range,
    decode_range_by_series, decode_raw,
};

/// A source of answers to metric queries: a server, a recording, or a folder of answers.
pub trait MetricsSource: Sync {
    /// The samples of a query at one moment.
    ///
    /// # Errors
    /// Anything but a complete answer with at most one sample per pod.
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError>;

    /// The samples of a query at one moment, distinguished by `labels` besides the pod.
    ///
    /// # Errors
    /// Anything but a complete answer.
    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError>;

    /// Like [`MetricsSource::labelled`], one sample at a time, so that a large answer is never held whole. If
    /// this fails, discard what `each` received.
    ///
    /// # Errors
    /// As for [`MetricsSource::labelled`].
    fn labelled_by_sample(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
        each: &mut dyn FnMut(LabelledSample),
    ) -> Result<(), QueryError> {
        self.labelled(query, labels, at)?.into_iter().for_each(each);
        Ok(())
    }

    /// The samples of a query at one moment with all their labels, for answers that are small.
    ///
    /// # Errors
    /// Everything but a whole answer.
    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError>;

    /// The samples of a query at every moment of `range`.
    ///
    /// # Errors
    /// Anything but a complete answer with at most one series per pod.
    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError>;

    /// Like [`MetricsSource::range`], one series at a time, so that a large answer is never held whole. If
    /// this fails, discard what `each` received.
    ///
    /// # Errors
    /// As for [`MetricsSource::range`].
    fn range_by_series(
        &self,
        query: &MetricQuery,
        range: TimeRange,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        self.range(query, range)?.into_iter().for_each(each);
        Ok(())
    }
}

/// A source that hands each query to another one.
pub(crate) trait Relay: Sync {
    /// Asks the source that answers `query`.
    fn hand_on<A>(&self, query: &MetricQuery, ask: impl FnOnce(&dyn MetricsSource) -> A) -> A;
}

impl<R: Relay> MetricsSource for R {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        self.hand_on(query, |source| source.instant(query, at))
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        self.hand_on(query, |source| source.labelled(query, labels, at))
    }

    fn labelled_by_sample(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
        each: &mut dyn FnMut(LabelledSample),
    ) -> Result<(), QueryError> {
        self.hand_on(query, |source| source.labelled_by_sample(query, labels, at, each))
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        self.hand_on(query, |source| source.raw(query, at))
    }

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        self.hand_on(query, |source| source.range(query, range))
    }

    fn range_by_series(
        &self,
        query: &MetricQuery,
        range: TimeRange,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        self.hand_on(query, |source| source.range_by_series(query, range, each))
    }
}

impl<T: Transport> MetricsSource for PrometheusClient<T> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        self.ask(query, When::Instant(at), decode_instant)
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        self.ask(query, When::Instant(at), |body, wanted| decode_labelled(body, wanted, labels))
    }

    fn labelled_by_sample(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
        each: &mut dyn FnMut(LabelledSample),
    ) -> Result<(), QueryError> {
        self.ask(query, When::Instant(at), |body, wanted| {
            decode_labelled_by_sample(body, wanted, labels, each)
        })
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        let mut samples = self.ask(query, When::Instant(at), decode_raw)?;
        for sample in &mut samples {
            let mut told = sample.labels.clone();
            for text in told.values_mut() {
                self.mask(text);
            }
            sample.masked = (told != sample.labels).then_some(told);
        }
        Ok(samples)
    }

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        self.ask(query, When::Range(range), decode_range)
    }

    fn range_by_series(
        &self,
        query: &MetricQuery,
        range: TimeRange,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        self.ask(query, When::Range(range), |body, wanted| decode_range_by_series(body, wanted, each))
    }
}
