//! A loopback metrics server: it answers each metric with what was recorded, as of the moment that
//! is asked for, and keeps what it is asked. Of what was not recorded it has no series.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use flate2::read::GzDecoder;
use rebalancer_core::{Metric, PerMetric};
use serde::Deserialize;
use serde_json::Value;

use crate::http;
use crate::http::SimRequest;
use crate::transcript::Transcript;

/// The moment of all recorded answers, in seconds since 1970.
const RECORDED_AT_S: u32 = 1_795_410_000;

/// Names in a query that tell which metric it asks for.
const TELLTALES: [(&str, Metric); 4] = [
    ("container_cpu_usage_seconds_total", Metric::Cpu),
    ("container_memory_working_set_bytes", Metric::Memory),
    ("records_lag", Metric::Lag),
    ("records_consumed_total", Metric::Rate),
];

/// A running server on a free port of the loopback interface; dropping it stops it.
pub struct MetricsServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    answers: Mutex<PerMetric<Transcript>>,
    histories: PerMetric<Value>,
    requests: Mutex<Vec<SimRequest>>,
    held: Mutex<bool>,
    released: Condvar,
    stopped: AtomicBool,
}

impl MetricsServer {
    /// Starts a server with the answers of a folder in `testdata/snapshots`, and the hour before
    /// them of the twelve pods.
    ///
    /// # Panics
    /// When an answer is missing, or the loopback interface cannot be used.
    pub fn start(snapshot: &str) -> Self {
        let folder = testdata().join("snapshots").join(snapshot);
        let answers = PerMetric::from_fn(|metric| {
            let path = folder.join(format!("{metric}.json"));
            ok(fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        });
        let histories = PerMetric::from_fn(|metric| {
            let path = testdata().join(format!("prometheus/prom/range_{metric}_12_1h_60s.json"));
            let text = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            serde_json::from_slice(&text).expect("a recorded answer is JSON")
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers),
            histories,
            requests: Mutex::default(),
            held: Mutex::default(),
            released: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
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

    /// Answers the queries of one metric otherwise from now on.
    pub fn answer(&self, metric: Metric, answer: Transcript) {
        lock(&self.shared.answers)[metric] = answer;
    }

    /// Answers the queries of one metric with this body from now on.
    pub fn answer_body(&self, metric: Metric, body: impl Into<Vec<u8>>) {
        self.answer(metric, ok(body.into()));
    }

    /// Holds every answer back from now on, until [`MetricsServer::release`].
    pub fn hold(&self) {
        *lock(&self.shared.held) = true;
    }

    /// Lets the answers go that are held back, and all that follow.
    pub fn release(&self) {
        *lock(&self.shared.held) = false;
        self.shared.released.notify_all();
    }

    /// Everything asked so far, in order of arrival.
    pub fn requests(&self) -> Vec<SimRequest> {
        lock(&self.shared.requests).clone()
    }
}

impl Drop for MetricsServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.release();
        // Wakes the acceptor, which then closes the port.
        drop(TcpStream::connect(self.address));
    }
}

/// One recorded exchange with a real server.
#[derive(Debug, Clone)]
pub struct RecordedAnswer {
    /// Where its body lies below `testdata/prometheus`.
    pub file: String,
    /// The path that was asked for.
    pub path: String,
    /// What was answered.
    pub answer: Transcript,
}

/// Every recorded answer of `testdata/prometheus`.
///
/// # Panics
/// When the index or a body cannot be read: a broken checkout.
pub fn recorded_answers() -> Vec<RecordedAnswer> {
    let index = fs::read(testdata().join("prometheus/index.json")).expect("the index of the answers");
    let entries: Vec<IndexEntry> = serde_json::from_slice(&index).expect("the index is JSON");
    entries.into_iter().map(IndexEntry::read).collect()
}

#[derive(Deserialize)]
struct IndexEntry {
    file: String,
    path: String,
    status: u16,
    stored_gzip: bool,
    headers: Vec<(String, String)>,
}

impl IndexEntry {
    fn read(self) -> RecordedAnswer {
        let stored = fs::read(testdata().join("prometheus").join(&self.file)).expect(&self.file);
        let mut body: Vec<u8> = Vec::new();
        if self.stored_gzip {
            GzDecoder::new(stored.as_slice()).read_to_end(&mut body).expect(&self.file);
        } else {
            body = stored;
        }
        let answer = Transcript { code: self.status, headers: self.headers, body };
        RecordedAnswer { file: self.file, path: self.path, answer }
    }
}

/// Answers one request and closes: a body may be shorter than its declared length.
fn serve(mut connection: TcpStream, shared: &Shared) {
    let Some(request) = http::read(&mut connection, &mut Vec::new()) else { return };
    let answer = shared.answer_to(&request);
    lock(&shared.requests).push(request);
    let held = shared.released.wait_while(lock(&shared.held), |held| *held);
    drop(held.unwrap_or_else(PoisonError::into_inner));
    // A client that has gone is none of the server's concern.
    drop(http::write(&mut connection, &answer));
}

impl Shared {
    fn answer_to(&self, request: &SimRequest) -> Transcript {
        let metric = asked(&request.parameter("query").unwrap_or_default());
        let time = |name: &str| request.parameter(name);
        let mut answer = match (time("time"), time("start").zip(time("end"))) {
            (Some(time), _) => metric.map_or_else(|| nothing("vector"), |metric| self.instant(metric, &time)),
            (None, Some((start, end))) => {
                metric.map_or_else(|| nothing("matrix"), |metric| self.history(metric, &start, &end))
            }
            (None, None) => Transcript { code: 400, headers: Vec::new(), body: b"no time\n".to_vec() },
        };
        answer.headers.push(("Connection".to_owned(), "close".to_owned()));
        answer
    }

    fn instant(&self, metric: Metric, time: &str) -> Transcript {
        let mut answer = lock(&self.answers)[metric].clone();
        let recorded_at = format!("[{RECORDED_AT_S},");
        if let Ok(body) = std::str::from_utf8(&answer.body)
            && body.contains(&recorded_at)
        {
            answer.body = body.replace(&recorded_at, &format!("[{time},")).into_bytes();
            // The length changes with the text, so a declared one is declared anew.
            answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        }
        answer
    }

    /// The recorded hour, moved so that it ends when it is asked to, from the start that is asked for.
    fn history(&self, metric: Metric, start: &str, end: &str) -> Transcript {
        let seconds = |text: &str| text.parse().unwrap_or(f64::from(RECORDED_AT_S));
        let (start_s, end_s): (f64, f64) = (seconds(start), seconds(end));
        let moved = |time_s: f64| ((time_s + end_s - f64::from(RECORDED_AT_S)) * 1e3).round() / 1e3;
        let mut history = self.histories[metric].clone();
        for series in history["data"]["result"].as_array_mut().into_iter().flatten() {
            let points = series["values"].as_array_mut().expect("a series of a matrix has values");
            for point in points.iter_mut() {
                point[0] = moved(point[0].as_f64().expect("a point has a time")).into();
            }
            points.retain(|point| point[0].as_f64() >= Some(start_s));
        }
        ok(history.to_string().into_bytes())
    }
}

/// The metric a query asks for by pod; `None` where nothing was recorded for it.
fn asked(query: &str) -> Option<Metric> {
    let by_partition = query.contains("topic, partition");
    let told = TELLTALES.iter().find(|(name, _)| query.contains(name) && !by_partition);
    told.map(|(_, metric)| *metric)
}

fn nothing(result_type: &str) -> Transcript {
    let body = format!(r#"{{"status":"success","data":{{"resultType":"{result_type}","result":[]}}}}"#);
    ok(body.into_bytes())
}

fn ok(body: Vec<u8>) -> Transcript {
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Transcript { code: 200, headers, body }
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that failed while it held the lock has said why already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
