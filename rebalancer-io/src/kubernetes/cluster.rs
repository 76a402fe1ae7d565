//! The connection to a cluster. Every request goes through here: it is signed, counted, and sent once.

use core::time::Duration;
use std::cell::{Cell, RefCell};
use std::error::Error;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use http::header::AUTHORIZATION;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Error as HttpError;
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use rebalancer_core::{ApiFailure, Controller, FailureKind, LAST_LOOK};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::answer::Reply;
use super::config::{ConnectError, ConnectOptions, Located, locate};
use super::controller_kind::ControllerKind;
use super::sign_in::{SignIn, client};
use crate::clock::{ServerClock, date};
use crate::prometheus::{tls_error, tls_words};

/// Largest answer that is read, in bytes: a page of 500 pods of 130 kB each.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest time for which waiting for an answer does not notice a stop.
const STOP_POLL: Duration = Duration::from_millis(100);

/// A connection to the API server of one cluster, for one namespace.
///
/// Its calls block: it contains an asynchronous runtime, and a call from within another runtime panics. No
/// request is ever repeated.
pub struct Cluster {
    link: Rc<Link>,
    namespace: String,
}

/// The connection itself, which all namespaces share.
struct Link {
    client: Client,
    sign_in: RefCell<SignIn>,
    runtime: Runtime,
    server: String,
    origin: String,
    context: Option<String>,
    call_timeout: Duration,
    deadline: Cell<Option<Instant>>,
    stop: Arc<AtomicBool>,
    metrics_window: Duration,
    allowed_controllers: Vec<ControllerKind>,
    refuse_local_storage: bool,
    requests: AtomicU64,
    clock: ServerClock,
}

/// What a stop does to a request that waits for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtStop {
    /// The request is abandoned: its answer is no longer needed.
    GiveUp,
    /// The request gets [`LAST_LOOK`] more time, because it may have changed something.
    WaitOn,
}

/// A failed request to the API server.
#[derive(Debug, Error)]
#[error("{doing} at {server} ({origin}): {failure}")]
pub struct ClusterError {
    /// What was being done, such as `listing the pods app=orders of namespace shop`.
    pub doing: String,
    /// URL of the API server.
    pub server: String,
    /// The kubeconfig and context, or the service account.
    pub origin: String,
    /// The failure.
    pub failure: ApiFailure,
}

impl Cluster {
    /// Reads the configuration and prepares a client; sends nothing to the server yet.
    ///
    /// # Errors
    /// A missing or unusable kubeconfig, service account or credential.
    pub fn connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(ConnectError::Runtime)?;
        let Located { mut config, origin, context } = locate(options)?;
        let wrong = |problem: String| ConnectError::Credentials { origin: origin.clone(), problem };
        let sign_in =
            SignIn::new(&mut config.auth_info, options.call_timeout, &options.stop).map_err(wrong)?;
        let namespace = config.default_namespace.clone();
        let server = without_credential(config.cluster_url.to_string());
        let entered = runtime.enter();
        let client = client(config).map_err(wrong)?;
        drop(entered);
        let link = Link {
            client,
            sign_in: RefCell::new(sign_in),
            server,
            origin,
            context,
            call_timeout: options.call_timeout,
            deadline: Cell::new(options.deadline),
            stop: Arc::clone(&options.stop),
            metrics_window: options.metrics_window,
            allowed_controllers: options.allowed_controllers.clone(),
            refuse_local_storage: options.refuse_local_storage,
            requests: AtomicU64::new(0),
            clock: ServerClock::default(),
            runtime,
        };
        Ok(Self { link: Rc::new(link), namespace })
    }

    /// The same connection for another namespace. Requests, clock and deadline are shared.
    #[must_use]
    pub fn in_namespace(&self, namespace: impl Into<String>) -> Self {
        Self { link: Rc::clone(&self.link), namespace: namespace.into() }
    }

    /// The namespace of the workload.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// URL of the API server.
    pub fn server(&self) -> &str {
        &self.link.server
    }

    /// The context of the kubeconfig; `None` for the service account of a pod.
    pub fn context(&self) -> Option<&str> {
        self.link.context.as_deref()
    }

    /// How many requests have been sent so far; each page of a list is one.
    pub fn requests(&self) -> u64 {
        self.link.requests.load(Ordering::Relaxed)
    }

    /// What the answers so far show about the server's clock.
    pub fn clock(&self) -> &ServerClock {
        &self.link.clock
    }

    /// How far back a change of the workload's size matters.
    pub(super) fn metrics_window(&self) -> Duration {
        self.link.metrics_window
    }

    /// Whether pods of this controller may be evicted because the user named its kind.
    pub(super) fn allows(&self, controller: &Controller) -> bool {
        self.link.allowed_controllers.iter().any(|kind| kind.is_of(controller))
    }

    /// Whether pods with data on their node are to be left alone.
    pub(super) fn refuses_local_storage(&self) -> bool {
        self.link.refuse_local_storage
    }

    /// Adds to `failure` what was being done.
    pub(super) fn error(&self, doing: String, failure: ApiFailure) -> ClusterError {
        ClusterError { doing, server: self.link.server.clone(), origin: self.link.origin.clone(), failure }
    }

    /// Extends the deadline, for example by the time that a person took to answer.
    pub fn put_off_deadline(&self, by: Duration) {
        self.link.deadline.set(self.link.deadline.get().and_then(|deadline| deadline.checked_add(by)));
    }

    /// Sends a request once and waits for its whole answer, or for a stop.
    pub(super) fn exchange(&self, request: Request<Vec<u8>>) -> Result<Reply, ApiFailure> {
        self.send(request, AtStop::GiveUp)
    }

    /// The same for a request that changes something: after a stop it still gets [`LAST_LOOK`].
    pub(super) fn exchange_to_the_end(&self, request: Request<Vec<u8>>) -> Result<Reply, ApiFailure> {
        self.send(request, AtStop::WaitOn)
    }

    fn send(&self, mut request: Request<Vec<u8>>, at_stop: AtStop) -> Result<Reply, ApiFailure> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let mut sign_in = self.link.sign_in.borrow_mut();
        let signed = sign_in.header(self.time_limit(Instant::now()), &self.link.stop);
        let signed = signed.map_err(|problem| ApiFailure::new(FailureKind::Unauthorized, problem))?;
        request.headers_mut().extend(signed.map(|header| (AUTHORIZATION, header)));
        self.link.requests.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let asked = answer(&self.link.client, &self.link.clock, request);
        let mut reply = self.link.runtime.block_on(self.awaited(asked, begun, at_stop));
        if let Ok(reply) = &mut reply {
            // Masked before anyone can read it, because answers may be quoted. No object name is a token.
            sign_in.mask(&mut reply.body);
        }
        let status = reply.as_ref().map_or_else(|failure| failure.http_status, |reply| Some(reply.status));
        let failure = reply.as_ref().err();
        tracing::debug!(
            event = "kubernetes.asked",
            http.request.method = %method,
            http.response.status_code = status,
            url.path = path,
            server.address = self.link.server,
            error.type = failure.map(|failure| failure.kind.code()),
            duration_seconds = begun.elapsed().as_secs_f64(),
            reason = failure.map(tracing::field::display),
            "asked the API server"
        );
        reply
    }

    /// The answer, unless the time is up or a stop comes first. Requests made after a stop, such as whether
    /// an eviction happened, get [`LAST_LOOK`].
    async fn awaited(
        &self,
        asked: impl Future<Output = Result<Reply, ApiFailure>>,
        begun: Instant,
        at_stop: AtStop,
    ) -> Result<Reply, ApiFailure> {
        let mut limit = self.time_limit(begun);
        let mut stop_seen = self.is_stopped();
        if stop_seen {
            limit = limit.min(LAST_LOOK);
        }
        let mut asked = pin!(asked);
        loop {
            let left = limit.saturating_sub(begun.elapsed());
            if let Ok(reply) = timeout(left.min(STOP_POLL), &mut asked).await {
                return reply;
            }
            if begun.elapsed() >= limit {
                let message = format!("none within {:.1} s", limit.as_secs_f64());
                return Err(ApiFailure::new(FailureKind::NoAnswer, message));
            }
            if stop_seen || !self.is_stopped() {
                continue;
            }
            stop_seen = true;
            if at_stop == AtStop::GiveUp {
                let message = "a stop was asked for while it was waited for";
                return Err(ApiFailure::new(FailureKind::NoAnswer, message));
            }
            limit = limit.min(begun.elapsed().saturating_add(LAST_LOOK));
        }
    }

    fn is_stopped(&self) -> bool {
        self.link.stop.load(Ordering::Relaxed)
    }

    fn time_limit(&self, now: Instant) -> Duration {
        let left =
            self.link.deadline.get().map(|deadline| deadline.saturating_duration_since(now).max(LAST_LOOK));
        left.map_or(self.link.call_timeout, |left| left.min(self.link.call_timeout))
    }
}

/// The address without a user name and password.
fn without_credential(url: String) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url };
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url,
    }
}

async fn answer(
    client: &Client,
    clock: &ServerClock,
    request: Request<Vec<u8>>,
) -> Result<Reply, ApiFailure> {
    let sent = Timestamp::now();
    let response = client.send(request.map(Body::from)).await.map_err(|error| transport_failure(&error))?;
    clock.note(response.headers(), sent);
    let (retry_after, date) = (retry_after(&response), date(response.headers()));
    let (head, body) = response.into_parts();
    let status = head.status.as_u16();
    let body = whole(body).await.map_err(|failure| ApiFailure {
        http_status: (failure.kind == FailureKind::UnreadableAnswer).then_some(status),
        ..failure
    })?;
    Ok(Reply { status, retry_after, date, body })
}

/// The body of an answer, held in memory once.
async fn whole(mut body: Body) -> Result<Vec<u8>, ApiFailure> {
    let mut bytes: Vec<u8> = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ApiFailure::new(FailureKind::NoAnswer, words(&error)))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > MAX_ANSWER_BYTES {
            let message = format!("it is larger than {} MiB", MAX_ANSWER_BYTES >> 20);
            return Err(ApiFailure::new(FailureKind::UnreadableAnswer, message));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let value = response.headers().get(http::header::RETRY_AFTER)?;
    let seconds: u32 = value.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

/// Says whether a request without an answer can have been sent.
fn transport_failure(error: &kube::Error) -> ApiFailure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut kind = FailureKind::NoAnswer;
    while let Some(inner) = cause {
        if inner.downcast_ref().is_some_and(HttpError::is_connect) {
            kind = FailureKind::Unreachable;
        }
        cause = inner.source();
    }
    ApiFailure::new(kind, words(error))
}

/// The messages of an error and its sources, each once: some quote their source themselves, and the wrappers
/// around a transport error tell a reader nothing.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut words = String::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = tls_error(error) {
            return tls_words(tls);
        }
        let more = error.to_string();
        cause = error.source();
        let wraps = cause.is_some() && WRAPPERS.iter().any(|wrapper| more.starts_with(wrapper));
        if !wraps && !words.contains(&more) {
            words = if words.is_empty() { more } else { format!("{words}: {more}") };
        }
    }
    words
}

/// How the messages of mere wrapper errors begin.
const WRAPPERS: [&str; 3] = ["ServiceError: ", "HyperError: ", "client error ("];
