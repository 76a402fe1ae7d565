//! The query API behind a Service, asked through the API server: who reaches the cluster needs no port-forward.

use std::borrow::Cow;
use std::io::{self, Cursor, Read};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::read::MultiGzDecoder;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, LOCATION};
use http::{HeaderMap, HeaderValue, Request, Response};
use jiff::Timestamp;
use kube::client::Body;
use rebalancer_core::{ApiFailure, FailureKind};
use secrecy::{ExposeSecret as _, SecretString};

use super::answer::Status;
use super::cluster::Cluster;
use super::service_address::ServiceAddress;
use crate::clock::ServerClock;
use crate::prometheus::{
    ApiRequest, ApiResponse, GRACE, Header, Method, PrometheusConfig, Server, ServiceProblem, Transport,
    TransportError, own_params, words,
};
use crate::secrets::{Secrets, form};

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
    headers: Vec<Header>,
    /// Parameters that were given; their values are secrets.
    extra: Vec<(String, SecretString)>,
    /// Parameters of our own.
    params: Vec<(&'static str, String)>,
    method: Method,
    timeout: Duration,
    clock: Arc<ServerClock>,
    /// The credentials that have been sent.
    sent: Mutex<Secrets>,
}

type Params<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

impl ServiceTransport {
    /// Prepares calls. Of `config` the endpoint, the credentials and the certificates are not used: the API
    /// server hands on none.
    pub fn new(cluster: Arc<Cluster>, address: ServiceAddress, config: &PrometheusConfig) -> Self {
        Self {
            place: format!("{address} through {}", cluster.server().trim_end_matches('/')),
            cluster,
            address,
            headers: config.headers.clone(),
            extra: config.extra_params.clone(),
            params: own_params(config),
            method: config.method,
            timeout: config.timeout,
            clock: Arc::default(),
            sent: Mutex::default(),
        }
    }

    /// The same transport, which lets `clock` know what the answers tell of the server's clock.
    #[must_use]
    pub fn noting(mut self, clock: Arc<ServerClock>) -> Self {
        self.clock = clock;
        self
    }

    fn call(&self, path: &str, params: &Params<'_>) -> Result<ApiResponse, TransportError> {
        let request = self.request(path, params)?;
        let mut secrets = Secrets::of(request.headers());
        self.extra.iter().for_each(|(_, value)| secrets.add(value.expose_secret()));
        let sent = Timestamp::now();
        let ends = Instant::now() + self.timeout + GRACE;
        let answer = self.cluster.open(request, ends).map_err(|failure| self.transport_error(&failure))?;
        secrets.extend(&self.cluster.sent());
        self.sent.lock().expect("no thread panics while it holds the lock").extend(&secrets);
        self.clock.note(answer.headers(), sent);
        self.response(answer, ends, &secrets)
    }

    fn response(
        &self,
        answer: Response<Body>,
        ends: Instant,
        secrets: &Secrets,
    ) -> Result<ApiResponse, TransportError> {
        let (head, body) = answer.into_parts();
        let header = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let (cluster, timeout) = (Arc::clone(&self.cluster), self.timeout);
        let body = ServiceBody { cluster, body, piece: Vec::new(), read: 0, ends, timeout };
        let is_packed =
            header(CONTENT_ENCODING).is_some_and(|encoding| encoding.eq_ignore_ascii_case("gzip"));
        let status = head.status.as_u16();
        let body = if is_packed {
            secrets.masking(status, MultiGzDecoder::new(body))
        } else {
            secrets.masking(status, body)
        };
        let body = if status < 400 { body } else { not_refused(status, body)? };
        Ok(ApiResponse {
            status,
            content_type: header(CONTENT_TYPE).map(|text| secrets.masked(text)),
            location: header(LOCATION).map(|text| secrets.masked(text)),
            body,
        })
    }

    /// In the address where that is short enough: to read through the proxy is a lesser right.
    fn request(&self, path: &str, params: &Params<'_>) -> Result<Request<Vec<u8>>, TransportError> {
        let path = format!("{}{path}", self.address.proxy_path());
        let form = form(params.iter().map(|(key, value)| (&**key, &**value)));
        let in_the_address = self.method == Method::Get || form.len() <= MAX_IN_THE_ADDRESS;
        let request = if in_the_address {
            let mark = if form.is_empty() { "" } else { "?" };
            Request::get(format!("{path}{mark}{form}")).body(Vec::new())
        } else {
            let request = Request::post(path).header(CONTENT_TYPE, "application/x-www-form-urlencoded");
            request.body(form.into_bytes())
        };
        let mut request = request.map_err(|error| TransportError::Other(error.to_string()))?;
        let headers: &mut HeaderMap = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        for Header { name, value } in &self.headers {
            headers.append(name, value.clone());
        }
        Ok(request)
    }

    /// The parameters that were given.
    fn given(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        self.extra.iter().map(|(key, value)| (key.as_str().into(), value.expose_secret().into()))
    }

    fn transport_error(&self, failure: &ApiFailure) -> TransportError {
        match failure.kind {
            FailureKind::Unreachable => TransportError::Connect(words(&failure.message)),
            FailureKind::Unauthorized => {
                let problem = ServiceProblem::Unauthorized;
                TransportError::Service { problem, words: words(&failure.message) }
            }
            FailureKind::NoAnswer if failure.message == "none in time" => {
                TransportError::Timeout(self.timeout)
            }
            _ => TransportError::Closed,
        }
    }
}

impl Transport for ServiceTransport {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        let mut params = request.params();
        // Servers take the first of several values: what was given comes before what we add.
        params.extend(self.given());
        params.extend(self.params.iter().map(|(key, value)| ((*key).into(), value.as_str().into())));
        self.call(request.path(), &params)
    }

    fn place(&self) -> &str {
        &self.place
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.sent.lock().expect("no thread panics while it holds the lock").masked_bytes(said)
    }
}

impl Server for ServiceTransport {
    fn get(&self, path: &str) -> Result<ApiResponse, TransportError> {
        self.call(path, &self.given().collect())
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
