//! Hands out what was asked of Kafka beside the answers of a metrics server.

use std::sync::Arc;

use super::answers::KafkaAnswers;
use crate::metrics::kafka_direct::is_of_kafka;
use crate::metrics::{MetricsSource, Relay};
use crate::prometheus::{
    ApiRequest, ApiResponse, MetricQuery, PrometheusClient, Server, Transport, TransportError,
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
}

impl Relay for BesideKafka<'_> {
    fn hand_on<A>(&self, query: &MetricQuery, ask: impl FnOnce(&dyn MetricsSource) -> A) -> A {
        ask(if is_of_kafka(&query.promql) { &self.kafka } else { self.other })
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
