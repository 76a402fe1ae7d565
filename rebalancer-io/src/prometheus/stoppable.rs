//! Calls that a stop interrupts: each runs in its own thread, which is then abandoned.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::error::TransportError;
use super::transport::{ApiRequest, ApiResponse, Transport};

/// Longest time for which a stop goes unnoticed.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Bytes of a body that are passed on at once, and how many such pieces may be queued.
const PIECE_BYTES: usize = 64 << 10;
const PIECES: usize = 4;

/// Calls that end when a stop is asked for. The connection is left to its own time limit.
pub struct StoppableTransport {
    inner: Arc<dyn Transport>,
    stop: Arc<AtomicBool>,
}

impl StoppableTransport {
    /// The same calls, until `stop` is true.
    pub fn new(inner: impl Transport + 'static, stop: Arc<AtomicBool>) -> Self {
        Self { inner: Arc::new(inner), stop }
    }
}

impl Transport for StoppableTransport {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        let (answer, answered) = sync_channel(1);
        let (pieces, body) = sync_channel(PIECES);
        let inner = Arc::clone(&self.inner);
        let (name, query, when) = (request.name.to_owned(), request.query.to_owned(), request.when);
        thread::spawn(move || {
            match inner.send(&ApiRequest { name: &name, query: &query, when }) {
                // Nobody is listening after a stop.
                Err(error) => drop(answer.send(Err(error))),
                Ok(ApiResponse { status, content_type, location, body }) => {
                    drop(answer.send(Ok((status, content_type, location))));
                    drop(answer);
                    hand_over(body, &pieces);
                }
            }
        });
        let (status, content_type, location) = match wait(&answered, &self.stop) {
            Ok(answer) => answer?,
            Err(error) => return Err(error),
        };
        let body = Body { pieces: body, stop: Arc::clone(&self.stop), piece: Vec::new(), read: 0 };
        Ok(ApiResponse { status, content_type, location, body: Box::new(body) })
    }

    fn place(&self) -> &str {
        self.inner.place()
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.inner.masked(said)
    }
}

/// The next item; an error after a stop, or if the other thread is gone.
fn wait<T>(receiver: &Receiver<T>, stop: &AtomicBool) -> Result<T, TransportError> {
    loop {
        match receiver.recv_timeout(STOP_POLL) {
            Ok(sent) => return Ok(sent),
            Err(RecvTimeoutError::Disconnected) => return Err(TransportError::Closed),
            Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => {
                return Err(TransportError::Stopped);
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

type Piece = io::Result<Vec<u8>>;

/// Reads the body to its end, which is an empty piece, or until the receiver is gone.
fn hand_over(mut body: Box<dyn Read + Send>, pieces: &SyncSender<Piece>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let read = body.read(&mut piece).map(|length| {
            piece.truncate(length);
            piece
        });
        let is_end = !matches!(&read, Ok(piece) if !piece.is_empty());
        if pieces.send(read).is_err() || is_end {
            return;
        }
    }
}

/// A body that another thread reads.
struct Body {
    pieces: Receiver<Piece>,
    stop: Arc<AtomicBool>,
    piece: Vec<u8>,
    read: usize,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read == self.piece.len() {
            self.piece = wait(&self.pieces, &self.stop).map_err(io::Error::other)??;
            self.read = 0;
        }
        let length = buffer.len().min(self.piece.len() - self.read);
        buffer[..length].copy_from_slice(&self.piece[self.read..self.read + length]);
        self.read += length;
        Ok(length)
    }
}
