//! The lowest layer: sends one API call, returns status, content type and a readable body.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Request, Uri};
use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, ServerName};
use secrecy::{ExposeSecret as _, SecretString};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Proxy};

use super::auth::Auth;
use super::config::{ConfigError, Endpoint, Header, Method, PrometheusConfig, Tls};
use super::error::TransportError;
use crate::clock::ServerClock;
use crate::pem::{PemError, PemFile};
use crate::proxies;
use crate::secrets::{Secrets, form};

/// How much longer than the server's limit the client waits, so that the server's own timeout message
/// arrives.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// The moments of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum When {
    /// One instant.
    Instant(Timestamp),
    /// Those of a range.
    Range(TimeRange),
}

/// The moments `start`, `start` + `step` and so on, up to and including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeRange {
    /// First moment.
    pub start: Timestamp,
    /// Last moment, or a little after it where the range is not whole steps long.
    pub end: Timestamp,
    /// Time between two moments, above 0.
    pub step: Duration,
}

impl When {
    /// The first moment.
    pub fn start(&self) -> Timestamp {
        match *self {
            Self::Instant(start) | Self::Range(TimeRange { start, .. }) => start,
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instant(at) => write!(f, "{at}"),
            Self::Range(TimeRange { start, end, step }) => write!(f, "{start} to {end} by {step:?}"),
        }
    }
}

/// One call of the query API, independent of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRequest<'a> {
    /// Name of the query, for instance `cpu`.
    pub name: &'a str,
    /// The query.
    pub query: &'a str,
    /// The moments.
    pub when: When,
}

impl ApiRequest<'_> {
    pub(crate) fn path(&self) -> &'static str {
        match self.when {
            When::Instant(_) => "/api/v1/query",
            When::Range(_) => "/api/v1/query_range",
        }
    }

    pub(crate) fn params(&self) -> Params<'_> {
        let mut params = vec![("query".into(), self.query.into())];
        match self.when {
            When::Instant(at) => params.push(("time".into(), seconds(at).into())),
            When::Range(TimeRange { start, end, step }) => {
                params.push(("start".into(), seconds(start).into()));
                params.push(("end".into(), seconds(end).into()));
                params.push(("step".into(), format!("{}", step.as_secs_f64()).into()));
            }
        }
        params
    }
}

/// Seconds since 1970 with the three decimals that Prometheus keeps, if there are any.
fn seconds(at: Timestamp) -> String {
    let ms = at.as_millisecond();
    match ms.rem_euclid(1000) {
        0 => (ms / 1000).to_string(),
        fraction => format!("{}.{fraction:03}", ms.div_euclid(1000)),
    }
}

/// An HTTP answer. A failed read of the body may carry a [`TransportError`].
pub struct ApiResponse {
    /// HTTP status.
    pub status: u16,
    /// Declared content type.
    pub content_type: Option<String>,
    /// Target of a redirect.
    pub location: Option<String>,
    /// The body, decompressed.
    pub body: Box<dyn Read + Send>,
}

/// Carries calls of the query API.
pub trait Transport: Send + Sync {
    /// Performs one call, once.
    ///
    /// # Errors
    /// If no HTTP answer arrives; an HTTP error status is an answer.
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError>;

    /// The source of the answers, for messages: an address without credentials, or a file.
    fn place(&self) -> &str;

    /// The text without the credentials in it; `None` if it contains none. A transport that wraps another one
    /// asks the inner one.
    fn masked(&self, said: &[u8]) -> Option<Vec<u8>>;
}

/// A transport to a live server.
pub trait Server: Transport {
    /// Asks for what lies at `path` behind the base address, such as `/api/v1/stores`.
    ///
    /// # Errors
    /// As [`Transport::send`].
    fn get(&self, path: &str) -> Result<ApiResponse, TransportError>;
}

impl Server for Box<dyn Server> {
    fn get(&self, path: &str) -> Result<ApiResponse, TransportError> {
        (**self).get(path)
    }
}

/// A pointer to a transport is a transport.
macro_rules! by_pointer {
    ($($pointer:ty),+) => {$(
        impl<T: Transport + ?Sized> Transport for $pointer {
            fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
                (**self).send(request)
            }

            fn place(&self) -> &str {
                (**self).place()
            }

            fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
                (**self).masked(said)
            }
        }
    )+};
}

by_pointer!(&T, Box<T>, Arc<T>);

/// The names and values of parameters.
pub(crate) type Params<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// What the calls of one server have in common, however they reach it.
pub(crate) struct Calls {
    headers: Vec<Header>,
    /// Parameters that the user gave; their values are secrets.
    extra: Vec<(String, SecretString)>,
    /// Parameters that this program adds.
    params: Vec<(&'static str, String)>,
    pub(crate) method: Method,
    pub(crate) timeout: Duration,
    /// Records what the answers show about the server's clock.
    pub(crate) clock: Arc<ServerClock>,
    /// The credentials sent so far.
    sent: Mutex<Secrets>,
}

impl Calls {
    pub(crate) fn new(config: &PrometheusConfig) -> Self {
        let mut params = vec![("timeout", format!("{}ms", config.timeout.as_millis()))];
        if config.refuse_partial {
            let refusals = [("partial_response", "false"), ("deny_partial_response", "1"), ("nocache", "1")];
            params.extend(refusals.map(|(key, value)| (key, value.to_owned())));
        }
        Self {
            headers: config.headers.clone(),
            extra: config.extra_params.clone(),
            params,
            method: config.method,
            timeout: config.timeout,
            clock: Arc::default(),
            sent: Mutex::default(),
        }
    }

    /// The parameters of a query.
    pub(crate) fn params<'p>(&'p self, request: &'p ApiRequest<'_>) -> Params<'p> {
        let mut params = request.params();
        // Servers use the first of several values: the user's parameters come before ours.
        params.extend(self.given());
        params.extend(self.params.iter().map(|(key, value)| ((*key).into(), value.as_str().into())));
        params
    }

    /// The parameters that the user gave.
    pub(crate) fn given(&self) -> Params<'_> {
        self.extra.iter().map(|(key, value)| (key.as_str().into(), value.expose_secret().into())).collect()
    }

    /// A request with these parameters, in the address or as a form, and with these headers and the user's.
    pub(crate) fn request(
        &self,
        method: Method,
        address: &str,
        mut headers: HeaderMap,
        params: &Params<'_>,
    ) -> Result<Request<Vec<u8>>, TransportError> {
        for Header { name, value } in &self.headers {
            headers.append(name, value.clone());
        }
        let pairs = form(params.iter().map(|(key, value)| (&**key, &**value)));
        let (request, body) = match method {
            Method::Post => {
                let form = HeaderValue::from_static("application/x-www-form-urlencoded");
                headers.insert(CONTENT_TYPE, form);
                (Request::post(address), pairs.into_bytes())
            }
            Method::Get if pairs.is_empty() => (Request::get(address), Vec::new()),
            Method::Get => (Request::get(format!("{address}?{pairs}")), Vec::new()),
        };
        let request = request.body(body).map_err(|error| TransportError::Other(error.to_string()));
        request.map(|mut request| {
            *request.headers_mut() = headers;
            request
        })
    }

    /// The secrets of a request.
    pub(crate) fn secrets(&self, request: &Request<Vec<u8>>) -> Secrets {
        let mut secrets = Secrets::of(request.headers());
        self.extra.iter().for_each(|(_, value)| secrets.add(value.expose_secret()));
        secrets
    }

    /// Keeps in mind that these have been sent.
    pub(crate) fn remember(&self, secrets: &Secrets) {
        self.sent.lock().expect("no thread panics while it holds the lock").extend(secrets);
    }

    /// The text without what has been sent; `None` if it contains nothing of it.
    pub(crate) fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.sent.lock().expect("no thread panics while it holds the lock").masked_bytes(said)
    }
}

impl ApiResponse {
    /// An answer without the secrets of its request.
    pub(crate) fn new(head: &Parts, body: impl Read + Send + 'static, secrets: &Secrets) -> Self {
        let header = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        Self {
            status: head.status.as_u16(),
            content_type: header(CONTENT_TYPE).map(|text| secrets.masked(text)),
            location: header(LOCATION).map(|text| secrets.masked(text)),
            body: secrets.masking(head.status.as_u16(), body),
        }
    }
}

/// Calls over HTTP: one connection pool, no redirects, no retries, proxies from the environment.
pub struct HttpTransport {
    agent: Agent,
    endpoint: Endpoint,
    /// The base address to call, with the name in the certificate.
    base: String,
    /// The `Host` to send if it is not that of `base`.
    host: Option<HeaderValue>,
    auth: Auth,
    calls: Calls,
}

impl HttpTransport {
    /// Prepares calls: reads the certificate files, opens no connection.
    ///
    /// # Errors
    /// If a certificate or key file cannot be read or used.
    pub fn new(config: &PrometheusConfig) -> Result<Self, ConfigError> {
        let builder = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(config.timeout + GRACE))
            .user_agent(concat!("pod-rebalancer/", env!("CARGO_PKG_VERSION")))
            .accept("application/json")
            .tls_config(tls_config(&config.tls)?)
            .proxy(proxy_for(&config.endpoint)?);
        let endpoint = config.endpoint.clone();
        let (agent, base, host) = match &config.tls.server_name {
            None => (Agent::new_with_config(builder.build()), endpoint.as_str().to_owned(), None),
            Some(name) => {
                let (base, resolver, host) = renamed(&endpoint, name)?;
                let config = builder.proxy(None).build();
                (Agent::with_parts(config, DefaultConnector::default(), resolver), base, Some(host))
            }
        };
        Ok(Self { agent, base, host, endpoint, auth: config.auth.clone(), calls: Calls::new(config) })
    }

    /// The same transport, which also records in `clock` what the answers show about the server's clock.
    #[must_use]
    pub fn noting(mut self, clock: Arc<ServerClock>) -> Self {
        self.calls.clock = clock;
        self
    }

    fn call(&self, method: Method, path: &str, params: &Params<'_>) -> Result<ApiResponse, TransportError> {
        let request = self.request(method, path, params)?;
        let secrets = self.calls.secrets(&request);
        self.calls.remember(&secrets);
        let sent = Timestamp::now();
        let answer = match method {
            Method::Post => self.agent.run(request),
            Method::Get => self.agent.run(request.map(drop)),
        };
        let timeout = self.calls.timeout;
        let answer = answer.map_err(|error| TransportError::from_ureq(error, timeout))?;
        self.calls.clock.note(answer.headers(), sent);
        let (head, body) = answer.into_parts();
        Ok(ApiResponse::new(&head, HttpBody { body: body.into_reader(), timeout }, &secrets))
    }

    /// A request with its body, which is empty unless it is a form.
    fn request(
        &self,
        method: Method,
        path: &str,
        params: &Params<'_>,
    ) -> Result<Request<Vec<u8>>, TransportError> {
        let mut headers = HeaderMap::new();
        headers.extend(self.host.clone().map(|host| (HOST, host)));
        headers.extend(self.auth.authorization()?.map(|value| (AUTHORIZATION, value)));
        let at = |base: &str, headers: HeaderMap| {
            self.calls.request(method, &format!("{base}{path}"), headers, params)
        };
        let (mut parts, body) = at(self.endpoint.as_str(), headers)?.into_parts();
        if let Auth::Identity(identity) = &self.auth {
            // What is proved is the server's own name, not that in its certificate.
            identity.prove(&mut parts, &body)?;
        }
        parts.uri = at(&self.base, HeaderMap::new())?.uri().clone();
        Ok(Request::from_parts(parts, body))
    }
}

impl Transport for HttpTransport {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        self.call(self.calls.method, request.path(), &self.calls.params(request))
    }

    fn place(&self) -> &str {
        self.endpoint.as_str()
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.calls.masked(said)
    }
}

impl Server for HttpTransport {
    fn get(&self, path: &str) -> Result<ApiResponse, TransportError> {
        self.call(Method::Get, path, &self.calls.given())
    }
}

/// The proxy of the environment for an endpoint.
pub(crate) fn proxy_for(endpoint: &Endpoint) -> Result<Option<Proxy>, ConfigError> {
    let server: Uri = endpoint.as_str().parse().expect("an Endpoint is parsed from a valid URI");
    let Some(proxies::Proxy { variable, address }) = proxies::of(&server) else { return Ok(None) };
    Proxy::new(&address).map(Some).map_err(|_| ConfigError::Proxy { variable })
}

/// A body whose errors are explained in plain words.
struct HttpBody {
    body: ureq::BodyReader<'static>,
    timeout: Duration,
}

impl Read for HttpBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.body.read(buffer).map_err(|error| {
            io::Error::other(TransportError::from_ureq(ureq::Error::from(error), self.timeout))
        })
    }
}

/// Resolves the endpoint's address, whatever name the request carries.
#[derive(Debug)]
struct EndpointResolver {
    target: Uri,
    inner: DefaultResolver,
}

impl Resolver for EndpointResolver {
    fn resolve(
        &self,
        _: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        self.inner.resolve(&self.target, config, timeout)
    }
}

/// An address under another name: what to call, how to resolve it, and which `Host` to send.
fn renamed(endpoint: &Endpoint, name: &str) -> Result<(String, EndpointResolver, HeaderValue), ConfigError> {
    if ServerName::try_from(name).is_err() {
        return Err(ConfigError::TlsServerName(name.to_owned()));
    }
    let target: Uri = endpoint.as_str().parse().expect("an Endpoint is parsed from a valid URI");
    let authority = target.authority().expect("an Endpoint has an authority");
    let host = HeaderValue::from_str(authority.as_str()).expect("an authority is visible ASCII");
    let (scheme, rest) = endpoint.as_str().split_once("://").expect("an Endpoint has a scheme");
    // The rest begins with the host: an Endpoint contains no credentials.
    let base = format!("{scheme}://{}", rest.replacen(endpoint.host(), name, 1));
    Ok((base, EndpointResolver { target, inner: DefaultResolver::default() }, host))
}

/// The authorities in a file. The HTTP library skips those that it cannot parse; here a wrong file is an error.
pub(crate) fn root_certs(file: PemFile<'_>) -> Result<RootCerts, PemError> {
    Ok(RootCerts::new_with_certs(&for_http(&file.certificates()?)))
}

fn tls_config(tls: &Tls) -> Result<TlsConfig, ConfigError> {
    let file = |variable, path| PemFile { variable, path };
    let mut builder = TlsConfig::builder().disable_verification(tls.insecure_skip_verify);
    if let Some(path) = &tls.ca_file {
        builder = builder.root_certs(root_certs(file("PROMETHEUS_CA_FILE", path))?);
    }
    match (&tls.client_cert_file, &tls.client_key_file) {
        (None, None) => {}
        (Some(cert), Some(key)) => {
            // The HTTP library panics if certificate and key do not match; here that is an error.
            let key = file("PROMETHEUS_CLIENT_KEY", key);
            let pair = file("PROMETHEUS_CLIENT_CERT", cert).with_key(key)?;
            let private = PrivateKey::from_pem(&pair.key_pem).map_err(|error| key.unusable(error))?;
            builder = builder.client_cert(Some(ClientCert::new_with_certs(&for_http(&pair.chain), private)));
        }
        _ => return Err(ConfigError::TlsPair),
    }
    Ok(builder.build())
}

/// Certificates as the HTTP library holds them.
fn for_http(certificates: &[CertificateDer<'_>]) -> Vec<Certificate<'static>> {
    certificates.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect()
}
