//! One run's raw answers in one file, and the same answers given again.
//!
//! A recording is JSON lines, compressed where its name ends in `.gz`: a header, one line for each
//! exchange with the metrics server, the workload as it was seen, and a last line that tells a whole
//! file from a cut one. Bodies are kept verbatim, so that a replay runs the same decoder on the same
//! bytes. A page holds the same lines, perhaps with fewer digits of the past. Headers of requests, credentials and added parameters are never part of it.

mod format;
mod matrix;
mod page;
mod redact;

use std::fmt;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::Value;

use crate::prometheus::{ApiRequest, ApiResponse, Transport, TransportError, When};

pub use format::RecordingError;
pub use redact::{InvalidKey, RedactionKey};

/// What was asked and answered in one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Version of the program that recorded.
    pub tool_version: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The one moment all queries were asked for.
    pub evaluation_time: Timestamp,
    /// The settings of the run, without secrets.
    pub config: Value,
    /// The exchanges.
    pub exchanges: Vec<Exchange>,
    /// The workload as it was seen; what it holds is for the Kubernetes side to know.
    pub workload: Option<Value>,
}

impl Recording {
    /// Reads a file, compressed or not, or an HTML page that holds a recording.
    ///
    /// # Errors
    /// When it cannot be read, or is malformed, cut, too large or of an unknown version.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        format::read(path)
    }

    /// Writes a file, replacing one that is there, all or nothing.
    ///
    /// # Errors
    /// When it cannot be written; what was there is unchanged then.
    pub fn write(&self, path: &Path) -> Result<(), RecordingError> {
        format::write(self, path)
    }

    /// The query of a name, as it was asked.
    pub fn promql(&self, name: &str) -> Option<&str> {
        self.exchanges.iter().find(|exchange| exchange.name == name).map(|exchange| exchange.query.as_str())
    }
}

/// One call of the query API and its answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Name of the query, for instance `cpu`.
    pub name: String,
    /// The query.
    pub query: String,
    /// The moments asked for.
    pub when: When,
    /// HTTP status.
    pub status: u16,
    /// Declared content type.
    pub content_type: Option<String>,
    /// Where a redirect leads.
    pub location: Option<String>,
    /// The body, decompressed; as much of it as was read.
    pub body: Arc<[u8]>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, when, status, body, .. } = self;
        write!(f, "Exchange({name}, {when:?}, HTTP {status}, {} bytes)", body.len())
    }
}

/// A transport that keeps what passes through it.
pub struct Recorder<T> {
    inner: T,
    max_bytes: u64,
    exchanges: Mutex<Vec<Exchange>>,
}

impl<T: Transport> Recorder<T> {
    /// Records another transport, keeping at most `max_bytes` and one of each body: as much as a
    /// client with that limit reads.
    pub fn new(inner: T, max_bytes: u64) -> Self {
        Self { inner, max_bytes, exchanges: Mutex::new(Vec::new()) }
    }

    /// What was recorded so far, in the order of names and times.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).clone();
        exchanges
            .sort_by(|a, b| (&a.name, &a.query, a.when.start()).cmp(&(&b.name, &b.query, b.when.start())));
        exchanges
    }
}

impl<T: Transport> Transport for Recorder<T> {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        let response = self.inner.send(request)?;
        let mut bytes: Vec<u8> = Vec::new();
        let read = response.body.take(self.max_bytes.saturating_add(1)).read_to_end(&mut bytes);
        let kept = self.inner.masked(&bytes).map(|masked| with_data_of(&bytes, masked));
        let body: Arc<[u8]> = bytes.into();
        let exchange = Exchange {
            name: request.name.to_owned(),
            query: request.query.to_owned(),
            when: request.when,
            status: response.status,
            content_type: response.content_type.clone(),
            location: response.location.clone(),
            body: kept.map_or_else(|| Arc::clone(&body), Arc::from),
        };
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        let body: Box<dyn Read + Send> = match read {
            Ok(_) => Box::new(Cursor::new(body)),
            Err(error) => Box::new(Cursor::new(body).chain(Failing(Some(error)))),
        };
        Ok(ApiResponse { body, ..response })
    }

    fn place(&self) -> &str {
        self.inner.place()
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.inner.masked(said)
    }
}

/// The body of an answer that repeats a credential: masked, but for the series of its data, in which
/// a name may be the same as that of a tenant.
fn with_data_of(body: &[u8], masked: Vec<u8>) -> Vec<u8> {
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    let (Some(body), Some(mut kept)) = (parsed(body), parsed(&masked)) else { return masked };
    let Some(series) = body.pointer("/data/result").filter(|series| series.is_array()) else { return masked };
    match kept.pointer_mut("/data/result") {
        Some(kept_series) if kept_series != series => series.clone_into(kept_series),
        _ => return masked,
    }
    serde_json::to_vec(&kept).unwrap_or(masked)
}

/// The rest of a body that broke off.
struct Failing(Option<io::Error>);

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// A transport that answers from a recording: the same name, query and time get the same bytes.
#[derive(Debug, Clone)]
pub struct Replay {
    place: String,
    exchanges: Vec<Exchange>,
}

impl Replay {
    /// Replays the exchanges of a recording; `place` names it in messages.
    pub fn new(recording: &Recording, place: impl Into<String>) -> Self {
        Self { place: place.into(), exchanges: recording.exchanges.clone() }
    }
}

impl Transport for Replay {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        let asked = (request.name, request.query, request.when);
        let found = self
            .exchanges
            .iter()
            .find(|exchange| (exchange.name.as_str(), exchange.query.as_str(), exchange.when) == asked)
            .ok_or_else(|| TransportError::NotRecorded(request.when.to_string()))?;
        Ok(ApiResponse {
            status: found.status,
            content_type: found.content_type.clone(),
            location: found.location.clone(),
            body: Box::new(Cursor::new(Arc::clone(&found.body))),
        })
    }

    fn place(&self) -> &str {
        &self.place
    }

    /// Nothing was sent, so nothing is repeated.
    fn masked(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
