//! The query API behind a Service, asked through the API server: who reaches the cluster needs no port-forward.

use std::io::{self, Cursor, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING};
use http::{HeaderValue, Request};
use jiff::Timestamp;
use kube::client::Body;
use rebalancer_core::{ApiFailure, FailureKind};

use super::answer::Status;
use super::cluster::Cluster;
use super::service_address::ServiceAddress;
use crate::clock::ServerClock;
use crate::prometheus::{
    ApiRequest, ApiResponse, Calls, GRACE, Method, Params, PrometheusConfig, Server, ServiceProblem,
    Transport, TransportError, words,
};
use crate::secrets::form;

/// Longest query that is sent in the address, in bytes: with the rest of it, less than the 8 KiB that load
/// balancers in front of API servers take. A longer one is a form, which needs `create services/proxy`.
const MAX_IN_THE_ADDRESS: usize = 6 << 10;

/// Most bytes read of an answer that may be a refusal of the API server.
const MAX_REFUSAL_BYTES: u64 = 64 << 10;

/// Calls of the query API through the API server: each is sent once, with the credentials of the cluster.
pub struct ServiceTransport {
    cluster: Arc<Cluster>,
    address: ServiceAddress,
    place: String,
    calls: Calls,
}

impl ServiceTransport {
    /// Prepares calls. Of `config` the endpoint, the credentials and the certificates are not used: the API
    /// server hands on none.
    pub fn new(cluster: Arc<Cluster>, address: ServiceAddress, config: &PrometheusConfig) -> Self {
        let place = format!("{address} through {}", cluster.server().trim_end_matches('/'));
        Self { place, cluster, address, calls: Calls::new(config) }
    }

    /// The same transport, which lets `clock` know what the answers tell of the server's clock.
    #[must_use]
    pub fn noting(mut self, clock: Arc<ServerClock>) -> Self {
        self.calls.clock = clock;
        self
    }

    fn call(&self, path: &str, params: &Params<'_>) -> Result<ApiResponse, TransportError> {
        let request = self.request(path, params)?;
        let mut secrets = self.calls.secrets(&request);
        let sent = Timestamp::now();
        let timeout = self.calls.timeout;
        let ends = Instant::now() + timeout + GRACE;
        let answer = self.cluster.open(request, ends).map_err(|failure| self.transport_error(&failure))?;
        secrets.extend(&self.cluster.sent());
        self.calls.remember(&secrets);
        self.calls.clock.note(answer.headers(), sent);
        let (head, body) = answer.into_parts();
        let cluster = Arc::clone(&self.cluster);
        let body = ServiceBody { cluster, body, piece: Vec::new(), read: 0, ends, timeout };
        let is_packed = head.headers.get(CONTENT_ENCODING);
        let is_packed = is_packed.is_some_and(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"gzip"));
        let answer = if is_packed {
            ApiResponse::new(&head, MultiGzDecoder::new(body), &secrets)
        } else {
            ApiResponse::new(&head, body, &secrets)
        };
        let ApiResponse { status, body, .. } = answer;
        let body = if status < 400 { body } else { not_refused(status, body)? };
        Ok(ApiResponse { body, ..answer })
    }

    /// In the address where that is short enough: to read through the proxy is a lesser right.
    fn request(&self, path: &str, params: &Params<'_>) -> Result<Request<Vec<u8>>, TransportError> {
        let path = format!("{}{path}", self.address.proxy_path());
        let is_long = form(params.iter().map(|(key, value)| (&**key, &**value))).len() > MAX_IN_THE_ADDRESS;
        let method = if is_long { self.calls.method } else { Method::Get };
        let headers = [(ACCEPT, "application/json"), (ACCEPT_ENCODING, "gzip")];
        let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
        self.calls.request(method, &path, headers.into_iter().collect(), params)
    }

    fn transport_error(&self, failure: &ApiFailure) -> TransportError {
        match failure.kind {
            FailureKind::Unreachable => TransportError::Connect(words(&failure.message)),
            FailureKind::Unauthorized => {
                let problem = ServiceProblem::Unauthorized;
                TransportError::Service { problem, words: words(&failure.message) }
            }
            FailureKind::NoAnswer if failure.message == "none in time" => {
                TransportError::Timeout(self.calls.timeout)
            }
            _ => TransportError::Closed,
        }
    }
}

impl Transport for ServiceTransport {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        self.call(request.path(), &self.calls.params(request))
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.calls.masked(said)
    }
}

impl Server for ServiceTransport {
    fn get(&self, path: &str) -> Result<ApiResponse, TransportError> {
        self.call(path, &self.calls.given())
    }
}

/// The body of an error that the metrics server answered.
///
/// # Errors
/// The error is the API server's own.
fn not_refused(status: u16, body: Box<dyn Read + Send>) -> Result<Box<dyn Read + Send>, TransportError> {
    let mut bytes: Vec<u8> = Vec::new();
    body.take(MAX_REFUSAL_BYTES).read_to_end(&mut bytes).map_err(TransportError::from_body)?;
    let refusal: Option<Status> = serde_json::from_slice(&bytes).ok();
    match refusal.filter(|refusal| refusal.kind == "Status") {
        Some(refusal) => {
            let problem = problem(&refusal, status);
            Err(TransportError::Service { problem, words: words(&refusal.message) })
        }
        // The proxy's own words where nothing answers it.
        None if bytes.starts_with(b"Error trying to reach service:") => {
            let problem = ServiceProblem::Unreachable;
            Err(TransportError::Service { problem, words: words(&String::from_utf8_lossy(&bytes)) })
        }
        None => Ok(Box::new(Cursor::new(bytes))),
    }
}

/// What is in the way where the API server does not hand a request on.
fn problem(refusal: &Status, status: u16) -> ServiceProblem {
    let says = |words: &str| refusal.message.contains(words);
    match status {
        401 => ServiceProblem::Unauthorized,
        403 => ServiceProblem::Forbidden,
        404 if refusal.details.kind == "services" || refusal.reason == "NotFound" => ServiceProblem::Absent,
        _ if says("no endpoints available") || says("no service port") => ServiceProblem::NoEndpoints,
        _ => ServiceProblem::Unreachable,
    }
}

/// A body that arrives through the API server.
struct ServiceBody {
    cluster: Arc<Cluster>,
    body: Body,
    piece: Vec<u8>,
    read: usize,
    ends: Instant,
    timeout: Duration,
}

impl Read for ServiceBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            let piece = self.cluster.next_piece(&mut self.body, self.ends);
            let lost = |_: ApiFailure| {
                let is_late = Instant::now() >= self.ends;
                io::Error::other(if is_late {
                    TransportError::Timeout(self.timeout)
                } else {
                    TransportError::Closed
                })
            };
            let Some(piece) = piece.map_err(lost)? else { return Ok(0) };
            (self.piece, self.read) = (piece, 0);
        }
        let length = buffer.len().min(self.piece.len() - self.read);
        buffer[..length].copy_from_slice(&self.piece[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &str) -> Option<ServiceProblem> {
        match not_refused(status, Box::new(Cursor::new(body.as_bytes().to_vec()))) {
            Err(TransportError::Service { problem, .. }) => Some(problem),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    }

    #[test]
    fn an_error_of_the_api_server_is_told_from_one_of_the_metrics_server() {
        let status = |message: &str, reason: &str| {
            format!(
                r#"{{"kind":"Status","apiVersion":"v1","metadata":{{}},"status":"Failure","message":"{message}","reason":"{reason}"}}"#
            )
        };
        let nothing =
            status(r#"no endpoints available for service \"prometheus:9090\""#, "ServiceUnavailable");
        assert_eq!(refused(503, &nothing), Some(ServiceProblem::NoEndpoints));
        let absent = status(r#"services \"prometheus\" not found"#, "NotFound");
        assert_eq!(refused(404, &absent), Some(ServiceProblem::Absent));
        let forbidden = status(r#"services \"p:9090\" is forbidden: User \"ada\" cannot get"#, "Forbidden");
        assert_eq!(refused(403, &forbidden), Some(ServiceProblem::Forbidden));
        let dead = status("error trying to reach service: dial tcp: refused", "ServiceUnavailable");
        assert_eq!(refused(503, &dead), Some(ServiceProblem::Unreachable));
        assert_eq!(refused(502, "Error trying to reach service: EOF"), Some(ServiceProblem::Unreachable));
        for own in [r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#, "<html>", ""] {
            assert_eq!(refused(400, own), None, "{own}");
        }
    }
}
