//! All errors of a query: what failed, where, the server's words, and what to do.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::service::ServiceProblem;
use super::words::{shortened, tls_error, tls_words, words};

/// Longest quotation of a query, in characters: enough to recognise it.
const MAX_QUERY: usize = 120;

/// A query without a usable answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    /// Name of the query, for instance `cpu`.
    pub name: String,
    /// The endpoint without credentials, or the file.
    pub place: String,
    /// The query.
    pub query: String,
    /// What happened.
    pub kind: Box<ErrorKind>,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, place, query, kind } = self;
        write!(f, "{name}: {place}: {kind}")?;
        if !query.is_empty() {
            write!(f, "; query: {}", shortened(query, MAX_QUERY))?;
        }
        write!(f, "; {}", self.advice())
    }
}

impl Error for QueryError {}

impl QueryError {
    fn advice(&self) -> &'static str {
        match &*self.kind {
            ErrorKind::Api { error, .. } if is_of_target_info(error, &self.query) => {
                "several pods have one job and instance in target_info, so nothing tells whose a series is: give \
                 every process a service.instance.id of its own (OTEL_RESOURCE_ATTRIBUTES)"
            }
            kind => kind.advice(),
        }
    }

    /// Whether the server answered the query and only the shape of the answer is unusable.
    pub fn was_answered(&self) -> bool {
        matches!(
            *self.kind,
            ErrorKind::WrongType { .. }
                | ErrorKind::Histogram { .. }
                | ErrorKind::NoPodLabel { .. }
                | ErrorKind::DuplicatePod { .. }
        )
    }

    /// Whether a smaller query may succeed: the server was too slow or overloaded, or the answer too large.
    pub fn may_be_split(&self) -> bool {
        const LIMITS: [&str; 6] = [
            "timed out",
            "timeout",
            "deadline exceeded",
            "too many samples",
            "too many points",
            "exceeded maximum",
        ];

        match &*self.kind {
            ErrorKind::Transport(TransportError::Timeout(_) | TransportError::Closed)
            | ErrorKind::TooLarge { .. }
            | ErrorKind::TooMuch { .. }
            | ErrorKind::Truncated { .. } => true,
            ErrorKind::Http { status, .. } => matches!(status, 408 | 502..=504),
            ErrorKind::Api { status, error_type, error } => {
                let error = error.to_lowercase();
                matches!(status, 408 | 502..=504)
                    || error_type == "timeout"
                    || LIMITS.iter().any(|limit| error.contains(limit))
            }
            _ => false,
        }
    }

    /// The error for programs: the HTTP status if it is not a success, else a stable word.
    pub fn code(&self) -> Cow<'static, str> {
        self.kind.code()
    }
}

/// Why a query failed. Texts from the other side are cut to 200 characters and escaped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// No complete HTTP answer arrived.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The server refused or failed the query, in the API's format.
    #[error("the server answered {error_type}{}: {error}", http(*status))]
    Api {
        /// HTTP status; 200 if the error came as a success or from a file.
        status: u16,
        /// `errorType`; VictoriaMetrics puts the HTTP status here.
        error_type: String,
        /// The server's words.
        error: String,
    },
    /// An HTTP error that does not come from the API, but from a proxy or another kind of server.
    #[error("HTTP {status}: {words}")]
    Http {
        /// HTTP status, never 2xx.
        status: u16,
        /// What the body says.
        words: String,
    },
    /// A redirect. Credentials are never sent to its target.
    #[error("HTTP {status} redirects to {location}")]
    Redirect {
        /// HTTP status, 3xx.
        status: u16,
        /// The target, without query.
        location: String,
    },
    /// A success whose body is not JSON, for example the login page of a proxy.
    #[error("the answer is not JSON but {content_type}: {words}")]
    #[strum(serialize = "malformed")]
    NotJson {
        /// Its declared content type.
        content_type: String,
        /// Its text.
        words: String,
    },
    /// The answer is incomplete.
    #[error("the answer is truncated: it ends after {bytes} bytes")]
    Truncated {
        /// How much arrived.
        bytes: u64,
    },
    /// The answer is not valid JSON.
    #[error("malformed JSON at byte {at}: {reason}, near `{excerpt}`")]
    Malformed {
        /// Offset of the error.
        at: u64,
        /// What is wrong.
        reason: String,
        /// The bytes around it.
        excerpt: String,
    },
    /// JSON, but not an answer of the query API.
    #[error("this is not an answer of the query API: {reason} at byte {at}")]
    NotAnAnswer {
        /// Offset where this shows.
        at: u64,
        /// What was found.
        reason: String,
    },
    /// The answer is not text.
    #[error("the answer is not valid UTF-8 at byte {at}")]
    #[strum(serialize = "malformed")]
    NotUtf8 {
        /// Offset of the first invalid byte.
        at: u64,
    },
    /// The answer is larger than the limit.
    #[error("the answer is larger than {max_bytes} bytes")]
    TooLarge {
        /// The limit, in bytes after decompression.
        max_bytes: u64,
    },
    /// The parts of the answer to keep exceed the memory limit.
    #[error("the answer holds too much: more than {max_bytes} bytes of it would be kept")]
    #[strum(serialize = "too_large")]
    TooMuch {
        /// The limit, in bytes of memory.
        max_bytes: usize,
    },
    /// A string of the answer is longer than any name.
    #[error("the answer holds a string of more than {max_bytes} bytes")]
    #[strum(serialize = "too_large")]
    LongString {
        /// The limit, in bytes.
        max_bytes: usize,
    },
    /// The server says that its answer is incomplete.
    #[error("the answer is partial: {words}")]
    PartialData {
        /// The server's warnings.
        words: String,
    },
    /// The server has doubts about what the query does, not about missing data.
    #[error("the server warns of the query: {words}")]
    #[strum(serialize = "warning")]
    Warned {
        /// The server's warnings.
        words: String,
    },
    /// A scalar, string, matrix or something unknown.
    #[error("the query returns a {found}, not a {wanted}")]
    WrongType {
        /// `resultType` of the answer.
        found: String,
        /// `resultType` that was needed.
        wanted: &'static str,
    },
    /// Native histograms instead of numbers.
    #[error("the query returns native histograms, for instance for pod {pod}")]
    #[strum(serialize = "wrong_type")]
    Histogram {
        /// One pod that has one.
        pod: String,
    },
    /// Series, but none of them names a pod.
    #[error("no pod label: none of the {series} series carries the label {label:?}")]
    NoPodLabel {
        /// How many series there are.
        series: usize,
        /// The label that was looked for.
        label: String,
    },
    /// More than one series for a pod.
    #[error("duplicate series for pod {pod}{}", more(*pods))]
    DuplicatePod {
        /// How many pods have several.
        pods: usize,
        /// The first of them.
        pod: String,
    },
}

impl ErrorKind {
    /// The texts in it that the other side may have written.
    pub(crate) fn said(&mut self) -> Vec<&mut String> {
        match self {
            Self::Transport(error) => error.said(),
            Self::Api { error_type, error, .. } => vec![error_type, error],
            Self::NotJson { content_type, words } => vec![content_type, words],
            Self::Malformed { reason, excerpt, .. } => vec![reason, excerpt],
            Self::Http { words: text, .. }
            | Self::PartialData { words: text }
            | Self::Warned { words: text }
            | Self::Redirect { location: text, .. }
            | Self::NotAnAnswer { reason: text, .. }
            | Self::WrongType { found: text, .. }
            | Self::Histogram { pod: text }
            | Self::DuplicatePod { pod: text, .. } => vec![text],
            Self::Truncated { .. }
            | Self::NotUtf8 { .. }
            | Self::TooLarge { .. }
            | Self::TooMuch { .. }
            | Self::LongString { .. }
            | Self::NoPodLabel { .. } => Vec::new(),
        }
    }

    fn code(&self) -> Cow<'static, str> {
        match self {
            Self::Transport(error) => error.code().into(),
            Self::Api { status, .. } | Self::Http { status, .. } | Self::Redirect { status, .. }
                if *status != 200 =>
            {
                status.to_string().into()
            }
            other => Cow::Borrowed(other.into()),
        }
    }

    /// What to do about it, as the end of a message.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.advice(),
            Self::Api { status, error_type, error } => {
                http_advice(*status, error).unwrap_or_else(|| api_advice(error_type, error))
            }
            Self::Http { status, words } => {
                http_advice(*status, words).unwrap_or_else(|| foreign_advice(*status, words))
            }
            Self::Redirect { .. } => {
                "give the final address as PROMETHEUS_ENDPOINT, or credentials if it is a login page"
            }
            Self::NotJson { .. } => {
                "check that PROMETHEUS_ENDPOINT is the query API and that no login proxy answers in its place"
            }
            Self::Truncated { .. } => {
                "look for a proxy or server that closed the connection early, then run again"
            }
            Self::Malformed { .. } | Self::NotAnAnswer { .. } | Self::LongString { .. } => {
                "check that PROMETHEUS_ENDPOINT is the base address of a Prometheus query API"
            }
            Self::NotUtf8 { .. } => {
                "find the label value that is not UTF-8 and aggregate it away: sum by (namespace, pod)"
            }
            Self::TooLarge { .. } | Self::TooMuch { .. } => {
                "aggregate by pod on the server (sum by (namespace, pod)) or raise PROMETHEUS_MAX_RESPONSE"
            }
            Self::PartialData { .. } => {
                "nothing is decided on partial data; repair the named source, then run again"
            }
            Self::Warned { .. } => {
                "nothing is decided on an answer that the server itself doubts; correct what the warning names"
            }
            Self::WrongType { .. } | Self::NoPodLabel { .. } => {
                "the query must return an instant vector with one series a pod: sum by (namespace, pod) (...)"
            }
            Self::Histogram { .. } => {
                "take a number from it: histogram_sum, histogram_count or histogram_quantile"
            }
            Self::DuplicatePod { .. } => {
                "aggregate the query by pod, and select one cluster if the server holds several"
            }
        }
    }
}

fn more(pods: usize) -> String {
    if pods > 1 { format!(" and {} more pods", pods - 1) } else { String::new() }
}

/// Whether a join with `target_info` matched several of them, recognised by the words of Prometheus or of
/// `VictoriaMetrics`.
fn is_of_target_info(error: &str, query: &str) -> bool {
    let words = ["found duplicate series", "on (job, instance) group_left", "on(job,instance) group_left"];
    query.contains("target_info") && words.iter().any(|words| error.contains(words))
}

/// The HTTP status, unless it is the success of an answer in a file or through a proxy.
fn http(status: u16) -> String {
    if status == 200 { String::new() } else { format!(" (HTTP {status})") }
}

fn api_advice(error_type: &str, error: &str) -> &'static str {
    let timed_out = ["timed out", "timeout", "deadline exceeded"].iter().any(|words| error.contains(words));
    match error_type {
        _ if timed_out => "raise PROMETHEUS_TIMEOUT or make the query cheaper",
        "bad_data" => "correct the query",
        "execution" | "422" => "correct the query or raise the server's limit that it names",
        _ => "see the server's log, then run again",
    }
}

/// What to do about an HTTP error that does not come from the API.
fn foreign_advice(status: u16, words: &str) -> &'static str {
    match status {
        // VictoriaMetrics answers 400 where others answer 404.
        400 if !words.contains("unsupported path") => {
            "check the path of PROMETHEUS_ENDPOINT: the base address in front of /api/v1; else set \
             PROMETHEUS_METHOD=get if parameters are read from the address alone, or \
             PROMETHEUS_STRICT_PARAMS=false if unknown ones are refused"
        }
        400 | 404 => "check the path of PROMETHEUS_ENDPOINT: the base address in front of /api/v1",
        502..=504 => {
            "the server behind the proxy is down or slow; run again when it is up, or raise PROMETHEUS_TIMEOUT"
        }
        _ => "see the log of the server or of the proxy in front of it",
    }
}

/// What to do about an HTTP status whose meaning does not depend on the sender; `words` are the other side's.
fn http_advice(status: u16, words: &str) -> Option<&'static str> {
    const OF_OUR_OWN: [&str; 2] = ["partial_response", "nocache"];

    Some(match status {
        400 | 403 | 404 | 422 if OF_OUR_OWN.iter().any(|parameter| words.contains(parameter)) => {
            "set PROMETHEUS_STRICT_PARAMS=false: the server refuses parameters that it does not know"
        }
        401 => {
            "give credentials: PROMETHEUS_BEARER_TOKEN_FILE, PROMETHEUS_USERNAME, or a tenant in PROMETHEUS_HEADERS"
        }
        403 => {
            "give these credentials the right to query, or others; set PROMETHEUS_METHOD=get if only POST is forbidden"
        }
        405 | 501 => "set PROMETHEUS_METHOD=get: the server, or a proxy in front of it, does not take POST",
        413 => "shorten the query or raise the proxy's request size limit",
        414 => "set PROMETHEUS_METHOD=POST or shorten the query",
        429 => "the server sheds load; run again later or raise its limit",
        _ => return None,
    })
}

/// Why no complete HTTP answer arrived.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum TransportError {
    /// The time limit of the request passed.
    #[error("no answer within {:?}", .0)]
    Timeout(Duration),
    /// The host name is unknown.
    #[error("the host name is not known")]
    HostNotFound,
    /// No connection: refused, unreachable, no route.
    #[error("cannot connect: {0}")]
    #[strum(serialize = "unreachable")]
    Connect(String),
    /// The connection was closed before the answer was complete.
    #[error("the connection was closed before the answer was complete")]
    Closed,
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// The proxy from the environment did not connect.
    #[error("the proxy did not connect: {0}")]
    Proxy(String),
    /// The answer's compression is damaged.
    #[error("the answer cannot be decompressed: {0}")]
    Decompress(String),
    /// A credential could not be read.
    #[error("cannot read the credential in {path}: {reason}", path = .path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A cloud gave no identity to prove to the server who asks.
    #[error("no identity from {whose}: {words}")]
    Identity {
        /// The cloud.
        whose: &'static str,
        /// Where it was asked for, and what was said.
        words: String,
    },
    /// The answer is not HTTP, or some other transport failure.
    #[error("{0}")]
    #[strum(serialize = "_OTHER")]
    Other(String),
    /// The API server did not hand the request on to the Service.
    #[error("{problem}: {words}")]
    Service {
        /// What is in the way.
        problem: ServiceProblem,
        /// The API server's words.
        words: String,
    },
    /// A stop was requested while waiting.
    #[error("a stop was asked for while the answer was waited for")]
    Stopped,
    /// A replay without this exchange.
    #[error("the recording has no answer to this query at {0}")]
    NotRecorded(String),
}

impl TransportError {
    fn said(&mut self) -> Vec<&mut String> {
        match self {
            Self::Connect(text)
            | Self::Tls(text)
            | Self::Proxy(text)
            | Self::Decompress(text)
            | Self::Service { words: text, .. }
            | Self::Identity { words: text, .. }
            | Self::Other(text) => vec![text],
            Self::Timeout(_)
            | Self::HostNotFound
            | Self::Stopped
            | Self::Closed
            | Self::Credentials { .. }
            | Self::NotRecorded(_) => Vec::new(),
        }
    }

    /// The problem, without the file or the server.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Credentials { reason, .. } => reason.clone(),
            other => other.to_string(),
        }
    }

    /// The kind of error, as a stable word.
    pub fn code(&self) -> &'static str {
        self.into()
    }

    /// What to do about it, as the end of a message.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Timeout(_) => "raise PROMETHEUS_TIMEOUT or see why the server is slow",
            Self::HostNotFound | Self::Connect(_) => {
                "check PROMETHEUS_ENDPOINT, that the server runs, and network policies between"
            }
            Self::Closed => "see the log of the server or of the proxy in front of it, then run again",
            Self::Tls(_) => "check PROMETHEUS_CA_FILE, the client certificate and PROMETHEUS_TLS_SERVER_NAME",
            Self::Proxy(_) => "check HTTPS_PROXY and NO_PROXY",
            Self::Decompress(_) => "look for a proxy that changes answers",
            Self::Credentials { .. } => "mount the file or correct its path",
            Self::Other(_) => "check that PROMETHEUS_ENDPOINT is an HTTP server",
            Self::Service { problem, .. } => problem.advice(),
            Self::Identity { .. } => {
                "give this program an identity of the cloud, or unset PROMETHEUS_AUTH; docs/metrics-servers.md says how"
            }
            Self::Stopped => "nothing was evicted; run again",
            Self::NotRecorded(_) => "replay with the queries of the recording, or record again",
        }
    }

    /// The meaning of a ureq error for a request with the limit `timeout`.
    pub(crate) fn from_ureq(error: ureq::Error, timeout: Duration) -> Self {
        match error {
            ureq::Error::Timeout(_) => Self::Timeout(timeout),
            ureq::Error::HostNotFound => Self::HostNotFound,
            ureq::Error::ConnectionFailed => Self::Connect("connection failed".into()),
            ureq::Error::ConnectProxyFailed(reason) => Self::Proxy(words(&reason)),
            ureq::Error::InvalidProxyUrl => Self::Proxy("its address is not valid".into()),
            ureq::Error::Rustls(error) => Self::Tls(tls_words(&error)),
            ureq::Error::Tls(reason) => Self::Tls(reason.to_owned()),
            ureq::Error::Decompress(_, error) if error.kind() == io::ErrorKind::UnexpectedEof => Self::Closed,
            ureq::Error::Decompress(_, error) => Self::Decompress(error.to_string()),
            ureq::Error::Io(error) => Self::from_io(error, timeout),
            other => Self::Other(words(&other.to_string())),
        }
    }

    /// The meaning of a failed read of a body, from a socket, a file or a decompressor.
    pub(crate) fn from_body(error: io::Error) -> Self {
        match error.downcast() {
            Ok(known) => known,
            Err(error) => Self::from_io(error, Duration::ZERO),
        }
    }

    fn from_io(error: io::Error, timeout: Duration) -> Self {
        let error = match error.downcast() {
            Ok(error) => return Self::from_ureq(error, timeout),
            Err(error) => error,
        };
        if let Some(error) = tls_error(&error) {
            return Self::Tls(tls_words(error));
        }
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Timeout(timeout),
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::AddrNotAvailable => Self::Connect(error.to_string()),
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe => Self::Closed,
            // Errors of the C library's resolver have no kind of their own.
            _ if error.to_string().contains("failed to lookup address") => Self::HostNotFound,
            _ => Self::Other(words(&error.to_string())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::cause;
    use super::{ErrorKind, QueryError};

    #[test]
    fn pods_that_share_an_instance_are_told_the_cure() {
        let told = format!(
            "found duplicate series for the match group {{instance=\"collector:8889\", job=\"orders\"}} on the right \
             hand-side of the operation: [{{{0}}}, {{{0}}}];many-to-many matching not allowed: matching labels \
             must be unique on one side",
            "x".repeat(200)
        );
        let said = |query: &str| {
            let kind = ErrorKind::Api { status: 422, error_type: "execution".into(), error: cause(&told) };
            let [name, place, query] = ["lag", "http://server", query].map(str::to_owned);
            QueryError { name, place, query, kind: Box::new(kind) }.to_string()
        };
        assert!(said("a + on (job, instance) target_info").contains("service.instance.id"));
        assert!(!said("a * on (job) b").contains("service.instance.id"), "of other joins nothing is known");
    }
}
