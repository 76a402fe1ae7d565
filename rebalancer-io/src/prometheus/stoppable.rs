//! Calls that a stop interrupts: each runs in its own thread, which is then abandoned.

use std::io::{self, Cursor, Read};
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
                Ok(mut response) => {
                    let body = std::mem::replace(&mut response.body, Box::new(io::empty()));
                    drop(answer.send(Ok(response)));
                    hand_over(body, &pieces);
                }
            }
        });
        let head = wait(&answered, &self.stop)??;
        let body = Body { pieces: body, stop: Arc::clone(&self.stop), piece: Cursor::default() };
        Ok(ApiResponse { body: Box::new(body), ..head })
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
    while !stop.load(Ordering::Relaxed) {
        match receiver.recv_timeout(STOP_POLL) {
            Ok(sent) => return Ok(sent),
            Err(RecvTimeoutError::Disconnected) => return Err(TransportError::Closed),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    Err(TransportError::Stopped)
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
    piece: Cursor<Vec<u8>>,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.piece.read(buffer)? {
            0 => {
                self.piece = Cursor::new(wait(&self.pieces, &self.stop).map_err(io::Error::other)??);
                self.piece.read(buffer)
            }
            length => Ok(length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prometheus::When;

    /// A server that sends a byte every ten milliseconds, for two seconds.
    struct Slow;

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            thread::sleep(Duration::from_millis(10));
            buffer[0] = b' ';
            Ok(1)
        }
    }

    impl Transport for Slow {
        fn send(&self, _: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
            Ok(ApiResponse {
                status: 200,
                content_type: None,
                location: None,
                body: Box::new(Slow.take(200)),
            })
        }

        fn place(&self) -> &'static str {
            "a slow server"
        }

        fn masked(&self, _: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }

    #[test]
    fn a_stop_ends_an_answer_that_keeps_trickling() {
        let stop = Arc::new(AtomicBool::new(false));
        let transport = StoppableTransport::new(Slow, Arc::clone(&stop));
        let when = When::Instant(jiff::Timestamp::UNIX_EPOCH);
        let answer = transport.send(&ApiRequest { name: "cpu", query: "up", when });
        let mut body = answer.expect("it answers").body;
        body.read_exact(&mut [0]).expect("its first byte");
        stop.store(true, Ordering::Relaxed);
        let error = body.read_to_end(&mut Vec::new()).expect_err("a stop");
        assert_eq!(TransportError::from_body(error), TransportError::Stopped);
    }
}
