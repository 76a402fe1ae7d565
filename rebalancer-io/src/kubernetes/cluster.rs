//! The connection to a cluster. Every request goes through here: it is signed, counted, and sent once.

use core::time::Duration;
use std::error::Error;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
use super::sign_in::{SignIn, client};
use crate::clock::{ServerClock, date};
use crate::prometheus::{tls_error, tls_words};
use crate::secrets::Secrets;

/// Largest answer that is read, in bytes: a page of 500 pods of 130 kB each.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Longest time for which waiting for an answer does not notice a stop.
const STOP_POLL: Duration = Duration::from_millis(100);

/// A connection to the API server of one cluster, for one namespace.
///
/// Its calls block: it contains an asynchronous runtime, and a call from within another runtime panics. No
/// request is ever repeated.
pub struct Cluster {
    link: Arc<Link>,
    namespace: String,
}

/// The connection itself, which all namespaces share.
struct Link {
    client: Client,
    sign_in: Mutex<SignIn>,
    runtime: Runtime,
    server: String,
    origin: String,
    context: Option<String>,
    options: ConnectOptions,
    deadline: Mutex<Option<Instant>>,
    requests: AtomicU64,
    clock: ServerClock,
}

/// What a stop does to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtStop {
    /// It is abandoned, or not sent: its answer is no longer needed.
    GiveUp,
    /// It gets [`LAST_LOOK`] more time.
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
        let wrong = |problem| ConnectError::Unusable { origin: format!("credentials of {origin}"), problem };
        let sign_in =
            SignIn::new(&mut config.auth_info, options.call_timeout, &options.stop).map_err(wrong)?;
        let namespace = config.default_namespace.clone();
        let server = without_credential(config.cluster_url.to_string());
        let entered = runtime.enter();
        let client = client(config).map_err(wrong)?;
        drop(entered);
        let link = Link {
            client,
            sign_in: Mutex::new(sign_in),
            server,
            origin,
            context,
            options: options.clone(),
            deadline: Mutex::new(options.deadline),
            requests: AtomicU64::new(0),
            clock: ServerClock::default(),
            runtime,
        };
        Ok(Self { link: Arc::new(link), namespace })
    }

    /// The same connection for another namespace. Requests, clock and deadline are shared.
    #[must_use]
    pub fn in_namespace(&self, namespace: impl Into<String>) -> Self {
        Self { link: Arc::clone(&self.link), namespace: namespace.into() }
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

    /// Whether this is a pod of the cluster that uses its service account, so that the cluster's DNS is there.
    pub fn is_inside(&self) -> bool {
        self.link.context.is_none()
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
        self.link.options.metrics_window
    }

    /// Whether pods of this controller may be evicted because the user named its kind.
    pub(super) fn allows(&self, controller: &Controller) -> bool {
        self.link.options.allowed_controllers.iter().any(|kind| kind.is_of(controller))
    }

    /// Whether pods with data on their node are to be left alone.
    pub(super) fn refuses_local_storage(&self) -> bool {
        self.link.options.refuse_local_storage
    }

    /// Adds to `failure` what was being done.
    pub(super) fn error(&self, doing: String, failure: ApiFailure) -> ClusterError {
        ClusterError { doing, server: self.link.server.clone(), origin: self.link.origin.clone(), failure }
    }

    /// The end of the run, if it has one.
    pub fn deadline(&self) -> Option<Instant> {
        *locked(&self.link.deadline)
    }

    /// Extends the deadline, for example by the time that a person took to answer.
    pub fn put_off_deadline(&self, by: Duration) {
        let mut deadline = locked(&self.link.deadline);
        *deadline = deadline.and_then(|deadline| deadline.checked_add(by));
    }

    /// Sends a request once and waits for its whole answer, or for a stop; sends nothing after one.
    pub(super) fn exchange(&self, request: Request<Vec<u8>>) -> Result<Reply, ApiFailure> {
        self.send(request, AtStop::GiveUp)
    }

    /// The same for a request that changes something, or tells what became of that: it still gets [`LAST_LOOK`] from
    /// a stop, or from its own beginning if that is later.
    pub(super) fn exchange_to_the_end(&self, request: Request<Vec<u8>>) -> Result<Reply, ApiFailure> {
        self.send(request, AtStop::WaitOn)
    }

    fn send(&self, request: Request<Vec<u8>>, at_stop: AtStop) -> Result<Reply, ApiFailure> {
        if at_stop == AtStop::GiveUp && self.is_stopped() {
            return Err(stopped());
        }
        let mut reply = self.ask(
            request,
            |request, begun| {
                let answer = answer(&self.link.client, &self.link.clock, request);
                self.link.runtime.block_on(self.awaited(answer, begun, at_stop))
            },
            |reply| reply.status,
        )?;
        // Masked before anyone can read it, because answers may be quoted. No object name is a token.
        self.sent().mask(&mut reply.body);
        Ok(reply)
    }

    /// Sends a request once and hands out the answer as soon as it begins, if that is before `ends`.
    pub(super) fn open(
        &self,
        request: Request<Vec<u8>>,
        ends: Instant,
    ) -> Result<Response<Body>, ApiFailure> {
        let answered = |request: Request<Vec<u8>>, begun| {
            self.link.runtime.block_on(async {
                let sent = self.link.client.send(request.map(Body::from));
                match timeout(ends.saturating_duration_since(begun), sent).await {
                    Ok(answer) => answer.map_err(|error| transport_failure(&error)),
                    Err(_) => Err(ApiFailure::new(FailureKind::NoAnswer, "none in time")),
                }
            })
        };
        self.ask(request, answered, |answer| answer.status().as_u16())
    }

    /// Adds to a request what proves who asks, counts it, and logs how it is `answered`.
    fn ask<A>(
        &self,
        mut request: Request<Vec<u8>>,
        answered: impl FnOnce(Request<Vec<u8>>, Instant) -> Result<A, ApiFailure>,
        code: fn(&A) -> u16,
    ) -> Result<A, ApiFailure> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let limit = self.time_limit(Instant::now());
        let signed = locked(&self.link.sign_in).header(limit, &self.link.options.stop);
        let signed = signed.map_err(|problem| ApiFailure::new(FailureKind::Unauthorized, problem))?;
        request.headers_mut().extend(signed.map(|header| (AUTHORIZATION, header)));
        self.link.requests.fetch_add(1, Ordering::Relaxed);
        let begun = Instant::now();
        let answer = answered(request, begun);
        let failure = answer.as_ref().err();
        tracing::debug!(
            event = "kubernetes.asked",
            http.request.method = %method,
            http.response.status_code =
                answer.as_ref().map_or_else(|failure| failure.http_status, |answer| Some(code(answer))),
            url.path = path,
            server.address = self.link.server,
            error.type = failure.map(|failure| failure.kind.code()),
            duration_seconds = begun.elapsed().as_secs_f64(),
            reason = failure.map(tracing::field::display),
            "asked the API server"
        );
        answer
    }

    /// The next piece of a body, if it comes before `ends`; `None` at its end.
    pub(super) fn next_piece(&self, body: &mut Body, ends: Instant) -> Result<Option<Vec<u8>>, ApiFailure> {
        let no_answer = |message: String| ApiFailure::new(FailureKind::NoAnswer, message);
        self.link.runtime.block_on(async {
            let left = ends.saturating_duration_since(Instant::now());
            let frame =
                timeout(left, body.frame()).await.map_err(|_| no_answer("none in time".to_owned()))?;
            let frame = frame.transpose().map_err(|error| no_answer(words(&error)))?;
            Ok(frame.map(|frame| frame.into_data().map(|data| data.to_vec()).unwrap_or_default()))
        })
    }

    /// The credentials that have been sent so far.
    pub(super) fn sent(&self) -> Secrets {
        locked(&self.link.sign_in).sent.clone()
    }

    /// The answer, unless the time is up or a stop comes first.
    async fn awaited(
        &self,
        asked: impl Future<Output = Result<Reply, ApiFailure>>,
        begun: Instant,
        at_stop: AtStop,
    ) -> Result<Reply, ApiFailure> {
        let mut limit = self.time_limit(begun);
        let mut stop_seen = false;
        let mut asked = pin!(asked);
        loop {
            if !stop_seen && self.is_stopped() {
                if at_stop == AtStop::GiveUp {
                    return Err(stopped());
                }
                stop_seen = true;
                limit = limit.min(begun.elapsed().saturating_add(LAST_LOOK));
            }
            let left = limit.saturating_sub(begun.elapsed());
            if let Ok(reply) = timeout(left.min(STOP_POLL), &mut asked).await {
                return reply;
            }
            if begun.elapsed() >= limit {
                let message = format!("none within {:.1} s", limit.as_secs_f64());
                return Err(ApiFailure::new(FailureKind::NoAnswer, message));
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.link.options.stop.load(Ordering::Relaxed)
    }

    fn time_limit(&self, now: Instant) -> Duration {
        let left = self.deadline().map(|deadline| deadline.saturating_duration_since(now).max(LAST_LOOK));
        left.map_or(self.link.options.call_timeout, |left| left.min(self.link.options.call_timeout))
    }
}

fn stopped() -> ApiFailure {
    ApiFailure::new(FailureKind::NoAnswer, "a stop was asked for")
}

/// What the lock guards, also after a panic elsewhere: each value is replaced as a whole.
fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
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
