//! A loopback metrics server: it answers each metric with what was recorded, as of the moment that
//! is asked for, and keeps what it is asked.

mod loads;

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

use crate::fleet::TELLTALES;
use crate::http;
use crate::http::SimRequest;
use crate::transcript::Transcript;

pub use loads::PodLoads;

/// The moment of all recorded answers, in seconds since 1970, as it stands in their bodies.
const RECORDED_AT: &str = "1795410000";

/// Parts of queries that ask for the consumer group: its partitions and their past, clients and assignor.
const OF_THE_GROUP: [&str; 6] = [
    "topic, partition)",
    "\"place\"",
    "client_id)",
    "background_event_queue_size",
    "kminion_kafka_consumer_group_info",
    "max(count by",
];

/// Metrics that nobody exports here.
const NOT_EXPORTED: [&str; 3] =
    ["kube_pod_created", "container_start_time_seconds", "pod_rebalancer_last_run_evictions"];

/// What the question for known series is told by.
const OF_KNOWN_SERIES: &str = "count by (series)";

/// The clients in the pods write as Micrometer names it.
const KNOWN_SERIES: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"series":"kafka_consumer_fetch_manager_records_lag"},"value":[1795410000,"12"]}]}}"#;

/// An answer without series.
const NOTHING: &str = r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#;

/// A running server on a free port of the loopback interface; dropping it stops it.
pub struct MetricsServer {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    answers: Mutex<PerMetric<Transcript>>,
    others: Mutex<Vec<(String, Transcript)>>,
    loads: Mutex<Option<Vec<PodLoads>>>,
    ranges: Mutex<Option<Transcript>>,
    manners: Mutex<Manners>,
    requests: Mutex<Vec<SimRequest>>,
    held: Mutex<bool>,
    released: Condvar,
    stopped: AtomicBool,
}

/// What a server does beside answering.
#[derive(Debug, Clone, Default)]
struct Manners {
    clock_ahead_s: Option<i64>,
    aligns_ranges: bool,
    /// Most moments of a range that it answers in time.
    most_moments: Option<f64>,
    /// Answers to paths that are no queries.
    paths: Vec<(String, Transcript)>,
}

impl MetricsServer {
    /// Starts a server with the answers of a folder in `testdata/snapshots`.
    ///
    /// # Panics
    /// When the folder lacks an answer, or the loopback interface cannot be used.
    pub fn start(snapshot: &str) -> Self {
        let folder = testdata().join("snapshots").join(snapshot);
        let answers = PerMetric::from_fn(|metric| {
            let path = folder.join(format!("{metric}.json"));
            ok(fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers),
            others: Mutex::default(),
            loads: Mutex::default(),
            ranges: Mutex::default(),
            manners: Mutex::new(Manners { clock_ahead_s: Some(0), ..Manners::default() }),
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

    /// Answers every query that contains `part`, such as `timestamp(` or the name of a metric, with
    /// this body from now on. Of several that match, the newest answers.
    pub fn answer_queries_with(&self, part: &str, body: impl Into<Vec<u8>>) {
        lock(&self.shared.others).insert(0, (part.to_owned(), ok(body.into())));
    }

    /// Answers every query of loads from these from now on, with the pods that it selects.
    pub fn hold_loads(&self, loads: Vec<PodLoads>) {
        *lock(&self.shared.loads) = Some(loads);
    }

    /// Answers every range query with this body from now on, in place of a steady past.
    pub fn answer_ranges_with(&self, body: impl Into<Vec<u8>>) {
        *lock(&self.shared.ranges) = Some(ok(body.into()));
    }

    /// Dates answers by a clock so many seconds ahead from now on; `None` dates none.
    pub fn set_clock(&self, ahead_s: Option<i64>) {
        lock(&self.shared.manners).clock_ahead_s = ahead_s;
    }

    /// Moves both ends of a range back to whole steps from now on, as the front ends of Thanos and Mimir do.
    pub fn align_ranges(&self) {
        lock(&self.shared.manners).aligns_ranges = true;
    }

    /// Is too slow for ranges of more moments than these from now on.
    pub fn slow_beyond(&self, most_moments: u32) {
        lock(&self.shared.manners).most_moments = Some(most_moments.into());
    }

    /// Answers this path, which is no query, with this body from now on.
    pub fn answer_path_with(&self, path: &str, body: impl Into<Vec<u8>>) {
        lock(&self.shared.manners).paths.push((path.to_owned(), ok(body.into())));
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
        let manners = lock(&self.manners).clone();
        let known = manners.paths.iter().find(|(path, _)| path == request.path());
        let is_slow = span(request)
            .zip(manners.most_moments)
            .is_some_and(|((start, end, step), most)| (end - start) / step + 1.0 > most + 1e-6);
        let mut answer = match known {
            Some((_, answer)) => answer.clone(),
            None if is_slow => {
                Transcript { code: 503, headers: Vec::new(), body: b"upstream timed out\n".to_vec() }
            }
            None => self.answer_to_query(request, manners.aligns_ranges),
        };
        answer.headers.push(("Connection".to_owned(), "close".to_owned()));
        http::date(&mut answer, manners.clock_ahead_s);
        answer
    }

    fn answer_to_query(&self, request: &SimRequest, aligns_ranges: bool) -> Transcript {
        let query = request.parameter("query").unwrap_or_default();
        if let (true, Some(range)) = (request.path().ends_with("/query_range"), &*lock(&self.ranges)) {
            return range.clone();
        }
        let mut answer = self.recorded(&query);
        if let (Some(at), Ok(body)) = (request.parameter("time"), std::str::from_utf8(&answer.body)) {
            // The length changes with the text, so a declared one is declared anew.
            if body.contains(RECORDED_AT) {
                answer.body = body.replace(&format!("[{RECORDED_AT},"), &format!("[{at},")).into_bytes();
                answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
            }
        }
        if let Some(body) = steady(request, &answer.body, aligns_ranges) {
            answer.body = body;
            answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-length"));
        }
        answer
    }

    fn recorded(&self, query: &str) -> Transcript {
        let others = lock(&self.others);
        if let Some((_, answer)) = others.iter().find(|(part, _)| query.contains(part)) {
            return answer.clone();
        }
        if query.contains(OF_KNOWN_SERIES) {
            return ok(KNOWN_SERIES.into());
        }
        let is_of_partitions =
            |text: &str| OF_THE_GROUP.iter().any(|part| *part != "\"place\"" && text.contains(part));
        let metric_of = |text: &str| asked_metric(text).filter(|_| !is_of_partitions(text));
        if let Some(table) = &*lock(&self.loads) {
            if query.contains(loads::PART_LABEL) {
                return ok(loads::answer_parts(table, metric_of, query, RECORDED_AT));
            }
            if let Some(metric) = metric_of(query) {
                return ok(loads::answer(table, metric, query, RECORDED_AT));
            }
        }
        // Nothing is there twice, and nothing is exported of the group, unless a test says so.
        if OF_THE_GROUP.iter().chain(&NOT_EXPORTED).any(|part| query.contains(part)) {
            return ok(NOTHING.into());
        }
        match asked_metric(query) {
            Some(metric) => lock(&self.answers)[metric].clone(),
            None => Transcript { code: 400, headers: Vec::new(), body: b"no such metric here\n".to_vec() },
        }
    }
}

/// The metric that a query asks for.
fn asked_metric(query: &str) -> Option<Metric> {
    Metric::ALL.into_iter().find(|metric| query.contains(TELLTALES[*metric]))
}

/// Start, end and step of a range query in seconds; `None` where it is none.
fn span(request: &SimRequest) -> Option<(f64, f64, f64)> {
    let parameter = |name: &str| request.parameter(name)?.parse().ok();
    Some((parameter("start")?, parameter("end")?, parameter("step")?))
}

/// The recorded vector as the answer to a range query: every pod has always had the load it has.
/// `None` where it is no range query, or the answer no vector.
fn steady(request: &SimRequest, body: &[u8], aligns: bool) -> Option<Vec<u8>> {
    let (mut start, mut end, step) = span(request)?;
    if aligns {
        (start, end) = (start - start % step, end - end % step);
    }
    let mut answer: Value = serde_json::from_slice(body).ok()?;
    if answer["data"]["resultType"] != "vector" {
        return None;
    }
    answer["data"]["resultType"] = "matrix".into();
    for series in answer["data"]["result"].as_array_mut()? {
        let value = series["value"][1].clone();
        let moments = (0..).map(|index| start + f64::from(index) * step).take_while(|at| *at <= end + 1e-6);
        let rounded = |at: f64| (at * 1000.0).round() / 1000.0;
        let values: Vec<Value> = moments.map(|at| serde_json::json!([rounded(at), value])).collect();
        let series = series.as_object_mut()?;
        series.remove("value");
        series.insert("values".to_owned(), values.into());
    }
    serde_json::to_vec(&answer).ok()
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
