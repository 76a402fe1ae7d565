//! A gate before a metrics server: no answer passes before as many requests have come as are
//! expected at once.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::metric_server::MetricServer;

/// How long the gate waits for the first requests before it lets those pass that have come.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running gate. It copies bytes and does not read them: a request is under way on a connection
/// from its first byte until the first byte of its answer.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    server: String,
    together: usize,
    tally: Mutex<Tally>,
    came: Condvar,
}

#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    answered: usize,
    most_at_once: usize,
}

impl Gate {
    /// Stands before `server`; the first `together` requests are to come at once, the others as they
    /// like.
    ///
    /// # Panics
    /// When the loopback interface cannot be used.
    pub fn before(server: &MetricServer, together: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let server = server.url().trim_start_matches("http://").to_owned();
        let shared = Arc::new(Shared { server, together, tally: Mutex::default(), came: Condvar::new() });
        let of_acceptor = Arc::clone(&shared);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // A client or server that has gone ends its connection only.
                drop(of_acceptor.connect(client));
            }
        });
        Self { address, shared }
    }

    /// Where it listens, for `PROMETHEUS_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Requests so far, and the most of them that were under way at once.
    pub fn requests(&self) -> (usize, usize) {
        let tally = self.shared.tally();
        (tally.asked, tally.most_at_once)
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let server = TcpStream::connect(&self.server)?;
        let under_way: Arc<AtomicBool> = Arc::default();
        let (asking, answering) = ((client.try_clone()?, server.try_clone()?), (server, client));
        let (shared, begun) = (Arc::clone(self), Arc::clone(&under_way));
        thread::spawn(move || {
            copy(asking, || {
                if !begun.swap(true, Ordering::Relaxed) {
                    shared.ask();
                }
            });
        });
        let shared = Arc::clone(self);
        thread::spawn(move || {
            copy(answering, || {
                if under_way.swap(false, Ordering::Relaxed) {
                    shared.answer();
                }
            });
        });
        Ok(())
    }

    fn ask(&self) {
        let mut tally = self.tally();
        tally.asked += 1;
        tally.most_at_once = tally.most_at_once.max(tally.asked - tally.answered);
        self.came.notify_all();
    }

    /// Waits until the first requests have come.
    fn answer(&self) {
        let few = |tally: &mut Tally| tally.asked < self.together;
        let waited = self.came.wait_timeout_while(self.tally(), PATIENCE, few);
        waited.unwrap_or_else(PoisonError::into_inner).0.answered += 1;
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

/// Copies all bytes; `before` is called with each piece still in hand.
fn copy((mut from, mut to): (TcpStream, TcpStream), mut before: impl FnMut()) {
    let mut piece = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut piece) {
        before();
        if to.write_all(&piece[..length]).is_err() {
            break;
        }
    }
    // The other side may have closed already.
    drop(to.shutdown(Shutdown::Write));
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
