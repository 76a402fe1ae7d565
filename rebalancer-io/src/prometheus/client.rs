//! The client: sends a query and turns the answer into data or an error.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::config::{ConfigError, PrometheusConfig};
use super::decode::Wanted;
use super::error::{ErrorKind, QueryError, TransportError};
use super::transport::{ApiRequest, ApiResponse, HttpTransport, Server, Transport, When};
use super::words::{cause, words};

/// Most bytes read of an error page: more than any error of the API, and quick to read.
const MAX_ERROR_BYTES: u64 = 64 << 10;

/// Most bytes read of a list of stores: thousands of them.
const MAX_STORES_BYTES: u64 = 1 << 20;

/// A query whose answer has one series per pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricQuery {
    /// Its name in messages and recordings: `cpu`, `memory`, `lag`, `rate`.
    pub name: String,
    /// The query, ready to send.
    pub promql: String,
    /// Namespace of the pods; series of other namespaces are left out.
    pub namespace: Option<String>,
    /// Name of the label that contains the pod, `pod` by default.
    pub pod_label: String,
}

impl MetricQuery {
    /// A query that labels its series `pod`.
    pub fn new(name: impl Into<String>, promql: impl Into<String>) -> Self {
        Self { name: name.into(), promql: promql.into(), namespace: None, pod_label: "pod".into() }
    }

    /// The same query for the pods of one namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The same query, with the pod in another label.
    #[must_use]
    pub fn with_pod_label(mut self, label: impl Into<String>) -> Self {
        self.pod_label = label.into();
        self
    }

    pub(crate) fn wanted(&self, max_bytes: u64) -> Wanted<'_> {
        Wanted { pod_label: &self.pod_label, namespace: self.namespace.as_deref(), max_bytes }
    }
}

/// Queries one server, or whatever its transport stands for. [`crate::metrics::MetricsSource`] has its queries.
#[derive(Debug)]
pub struct PrometheusClient<T = HttpTransport> {
    transport: T,
    max_bytes: u64,
    counts: Arc<RequestCounts>,
}

/// Requests by their result.
#[derive(Debug, Default)]
pub struct RequestCounts {
    sent: AtomicU64,
    partial: AtomicU64,
    failed: AtomicU64,
}

impl RequestCounts {
    /// Requests sent.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Those whose answer was marked as partial.
    pub fn partial(&self) -> u64 {
        self.partial.load(Ordering::Relaxed)
    }

    /// Those without a usable answer for another reason.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    fn count<A>(&self, answer: &Result<A, ErrorKind>) {
        let counter = match answer {
            Ok(_) => return,
            Err(ErrorKind::PartialData { .. }) => &self.partial,
            Err(_) => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl PrometheusClient {
    /// A client of a live server.
    ///
    /// # Errors
    /// If a certificate or key file cannot be read or used.
    pub fn new(config: &PrometheusConfig) -> Result<Self, ConfigError> {
        Ok(Self::over(HttpTransport::new(config)?, config.max_response_bytes))
    }
}

impl<T: Server> PrometheusClient<T> {
    /// Whether the server is a Thanos, recognised by the list of stores that no other server has. A server
    /// that does not answer is not known to be one.
    pub fn is_thanos(&self) -> bool {
        let Ok(response) = self.transport.get("/api/v1/stores") else { return false };
        if !(200..300).contains(&response.status) {
            return false;
        }
        let body = response.body.take(MAX_STORES_BYTES);
        let answer: Result<StoresAnswer, _> = serde_json::from_reader(body);
        answer.is_ok_and(|answer| answer.status == "success" && answer.data.is_object())
    }
}

/// Thanos' list of stores: an object by kind of store.
#[derive(serde::Deserialize)]
struct StoresAnswer {
    status: String,
    data: serde_json::Value,
}

impl<T: Transport> PrometheusClient<T> {
    /// A client over any transport; reads at most `max_bytes` of an answer.
    pub fn over(transport: T, max_bytes: u64) -> Self {
        Self { transport, max_bytes, counts: Arc::default() }
    }

    /// The same client, counting its requests in `counts`.
    #[must_use]
    pub fn counting(mut self, counts: Arc<RequestCounts>) -> Self {
        self.counts = counts;
        self
    }

    /// The transport.
    pub fn transport(&self) -> &T {
        &self.transport
    }

    /// Requests sent so far.
    pub fn requests(&self) -> u64 {
        self.counts.sent()
    }

    /// Sends a query once, and decodes the answer with `decode`.
    ///
    /// # Errors
    /// No answer, an error of the server, or what `decode` refuses.
    pub(crate) fn ask<A>(
        &self,
        query: &MetricQuery,
        when: When,
        decode: impl FnOnce(Box<dyn Read + Send>, &Wanted<'_>) -> Result<A, ErrorKind>,
    ) -> Result<A, QueryError> {
        let request = ApiRequest { name: &query.name, query: &query.promql, when };
        self.counts.sent.fetch_add(1, Ordering::Relaxed);
        let answer = self.transport.send(&request).map_err(ErrorKind::from);
        let answer = answer.and_then(|response| read(response, &query.wanted(self.max_bytes), decode));
        self.counts.count(&answer);
        answer.map_err(|mut kind| {
            kind.said().into_iter().for_each(|text| self.mask(text));
            QueryError {
                name: query.name.clone(),
                place: self.transport.place().to_owned(),
                query: query.promql.clone(),
                kind: Box::new(kind),
            }
        })
    }

    /// Masks the credentials that a text of the other side repeats.
    pub(crate) fn mask(&self, text: &mut String) {
        if let Some(masked) = self.transport.masked(text.as_bytes()) {
            *text = String::from_utf8_lossy(&masked).into_owned();
        }
    }
}

/// Turns an HTTP answer into data, or into an error that says what it is instead.
pub(crate) fn read<A>(
    response: ApiResponse,
    wanted: &Wanted<'_>,
    decode: impl FnOnce(Box<dyn Read + Send>, &Wanted<'_>) -> Result<A, ErrorKind>,
) -> Result<A, ErrorKind> {
    let ApiResponse { status, content_type, location, body } = response;
    match status {
        200..=299 => decode(body, wanted).map_err(|kind| match kind {
            ErrorKind::NotJson { words, .. } => ErrorKind::NotJson {
                content_type: self::words(content_type.as_deref().unwrap_or("unlabelled")),
                words,
            },
            kind => kind,
        }),
        300..=399 => {
            let location = location.as_deref().and_then(|text| text.split(['?', '#']).next());
            Err(ErrorKind::Redirect { status, location: words(location.unwrap_or("nowhere")) })
        }
        _ => Err(refusal(status, body)),
    }
}

/// The content of an HTTP error: an error of the API, or some other text.
fn refusal(status: u16, body: Box<dyn Read + Send>) -> ErrorKind {
    let mut bytes: Vec<u8> = Vec::new();
    if let Err(error) = body.take(MAX_ERROR_BYTES).read_to_end(&mut bytes)
        && bytes.is_empty()
    {
        return TransportError::from_body(error).into();
    }
    let parsed: Option<ApiRefusal> = serde_json::from_slice(&bytes).ok();
    match parsed {
        Some(refusal) if refusal.status == "error" => ErrorKind::Api {
            status,
            error_type: words(&refusal.error_type.unwrap_or_default()),
            error: cause(&refusal.error.unwrap_or_default()),
        },
        _ => ErrorKind::Http { status, words: words(&String::from_utf8_lossy(&bytes)) },
    }
}

/// An error in the API's format.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct ApiRefusal {
    status: String,
    error_type: Option<String>,
    error: Option<String>,
}
