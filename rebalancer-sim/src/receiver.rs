//! A loopback server that takes whatever is pushed to it, keeps it, and gives one answer to all.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::http;
use crate::http::SimRequest;
use crate::transcript::Transcript;

/// A running server on a free port of the loopback interface; dropping it stops it.
pub struct Receiver {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    answer: Option<Transcript>,
    delay: Duration,
    requests: Mutex<Vec<SimRequest>>,
    stopped: AtomicBool,
}

impl Receiver {
    /// A server that answers everything with this status and body.
    pub fn answering(code: u16, body: &str) -> Self {
        Self::answering_after(Duration::ZERO, code, body)
    }

    /// The same, each time after this long.
    pub fn answering_after(delay: Duration, code: u16, body: &str) -> Self {
        let headers = vec![("Content-Type".to_owned(), "text/plain".to_owned())];
        Self::start(Some(Transcript { code, headers, body: body.into() }), delay)
    }

    /// A server that never answers.
    pub fn silent() -> Self {
        Self::start(None, Duration::ZERO)
    }

    fn start(answer: Option<Transcript>, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared =
            Arc::new(Shared { answer, delay, requests: Mutex::default(), stopped: AtomicBool::new(false) });
        let of_acceptor = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if of_acceptor.stopped.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&of_acceptor);
                thread::spawn(move || serve(connection, &shared));
            }
        });
        Self { shared, address }
    }

    /// URL of the server.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything pushed so far, in order of arrival.
    pub fn requests(&self) -> Vec<SimRequest> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        // Wakes the acceptor, which then closes the port.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut connection: TcpStream, shared: &Shared) {
    let mut unread: Vec<u8> = Vec::new();
    while let Some(request) = http::read(&mut connection, &mut unread) {
        shared.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        thread::sleep(shared.delay);
        // Without an answer the next read waits until the other side has had enough.
        if let Some(answer) = &shared.answer
            && http::write(&mut connection, answer).is_err()
        {
            return;
        }
    }
}
