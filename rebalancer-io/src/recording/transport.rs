//! Transports that record the calls through them, and that answer from a recording.

use std::io::{Cursor, Read as _};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::Value;

use super::exchange::{Exchange, Recording};
use crate::prometheus::{ApiRequest, ApiResponse, Transport, TransportError};
use crate::secrets::Ending;

/// A transport that records what passes through it.
pub struct Recorder<T> {
    inner: T,
    max_bytes: u64,
    exchanges: Mutex<Vec<Exchange>>,
}

impl<T: Transport> Recorder<T> {
    /// Records another transport, keeping at most `max_bytes` plus one byte of each body: as much as a client
    /// with that limit reads.
    pub fn new(inner: T, max_bytes: u64) -> Self {
        Self { inner, max_bytes, exchanges: Mutex::new(Vec::new()) }
    }

    /// The exchanges so far, ordered by name and time.
    pub fn exchanges(&self) -> Vec<Exchange> {
        let mut exchanges = self.lock().clone();
        exchanges
            .sort_by(|a, b| (&a.name, &a.query, a.when.start()).cmp(&(&b.name, &b.query, b.when.start())));
        exchanges
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.exchanges.lock().expect("no thread panics while it holds the lock")
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
        self.lock().push(exchange);
        let body = Cursor::new(body).chain(Ending(read.err()));
        Ok(ApiResponse { body: Box::new(body), ..response })
    }

    fn place(&self) -> &str {
        self.inner.place()
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.inner.masked(said)
    }
}

/// The body of an answer that repeats a credential: masked, except its data series, in which a name may equal
/// a tenant's.
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

    /// Nothing was sent, so nothing can be repeated.
    fn masked(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}
