//! Hands out what was asked of Kafka beside the answers of a metrics server.

use std::sync::Arc;

use jiff::Timestamp;

use super::answers::KafkaAnswers;
use crate::metrics::MetricsSource;
use crate::metrics::kafka_direct::is_of_kafka;
use crate::prometheus::{
    ApiRequest, ApiResponse, LabelledSample, MetricQuery, PrometheusClient, QueryError, RawSample, Samples,
    Series, Server, TimeRange, Transport, TransportError,
};

/// A transport that answers the queries about Kafka itself, and passes on all others.
pub struct WithKafka<T> {
    answers: Arc<KafkaAnswers>,
    server: T,
}

impl<T> WithKafka<T> {
    /// These answers beside those of `server`.
    pub const fn new(answers: Arc<KafkaAnswers>, server: T) -> Self {
        Self { answers, server }
    }
}

impl<T: Transport> Transport for WithKafka<T> {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        match self.answers.to(request) {
            Some(response) => Ok(response),
            None => self.server.send(request),
        }
    }

    fn place(&self) -> &str {
        self.server.place()
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.server.masked(said)
    }
}

impl<T: Server> Server for WithKafka<T> {
    fn get(&self, path: &str) -> Result<ApiResponse, TransportError> {
        self.server.get(path)
    }
}

/// A source that answers the queries about Kafka itself, and passes on all others.
pub struct BesideKafka<'a> {
    kafka: PrometheusClient<WithKafka<NoServer>>,
    other: &'a dyn MetricsSource,
}

impl<'a> BesideKafka<'a> {
    /// These answers beside those of `other`.
    pub fn new(answers: Arc<KafkaAnswers>, other: &'a dyn MetricsSource) -> Self {
        // The answers are there already.
        Self { kafka: PrometheusClient::over(WithKafka::new(answers, NoServer), u64::MAX), other }
    }

    fn source_of(&self, query: &MetricQuery) -> &dyn MetricsSource {
        if is_of_kafka(&query.promql) { &self.kafka } else { self.other }
    }
}

impl MetricsSource for BesideKafka<'_> {
    fn instant(&self, query: &MetricQuery, at: Timestamp) -> Result<Samples, QueryError> {
        self.source_of(query).instant(query, at)
    }

    fn labelled(
        &self,
        query: &MetricQuery,
        labels: &[&str],
        at: Timestamp,
    ) -> Result<Vec<LabelledSample>, QueryError> {
        self.source_of(query).labelled(query, labels, at)
    }

    fn raw(&self, query: &MetricQuery, at: Timestamp) -> Result<Vec<RawSample>, QueryError> {
        self.source_of(query).raw(query, at)
    }

    fn range(&self, query: &MetricQuery, range: TimeRange) -> Result<Vec<Series>, QueryError> {
        self.source_of(query).range(query, range)
    }

    fn range_by_series(
        &self,
        query: &MetricQuery,
        range: TimeRange,
        each: &mut dyn FnMut(Series),
    ) -> Result<(), QueryError> {
        self.source_of(query).range_by_series(query, range, each)
    }
}

/// Stands where there is no metrics server.
#[derive(Debug, Clone, Copy)]
pub struct NoServer;

impl NoServer {
    const PLACE: &str = "no metrics server";

    fn refusal<T>() -> Result<T, TransportError> {
        Err(TransportError::Other("PROMETHEUS_ENDPOINT is not set, and Kafka does not know this".to_owned()))
    }
}

impl Transport for NoServer {
    fn send(&self, _: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        Self::refusal()
    }

    fn place(&self) -> &str {
        Self::PLACE
    }

    fn masked(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

impl Server for NoServer {
    fn get(&self, _: &str) -> Result<ApiResponse, TransportError> {
        Self::refusal()
    }
}
