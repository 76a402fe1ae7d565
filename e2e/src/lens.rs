//! A lens that makes minutes look like hours.
//!
//! A group is watched for a few real minutes. When a test wants a decision, the lens stretches what was
//! seen: a moment that is one second before the decision looks as if it were [`SPEED`] seconds before it.
//! The decision itself is made now, so the clocks of all servers and of the program are the real ones.
//! Counters and lags are multiplied likewise, so that rates stay what they are.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::control_plane::Api;
use crate::kafka::Kafka;
use crate::sandbox::Sandbox;
use crate::series::Series;

/// How many times longer ago everything looks.
pub const SPEED: i32 = 30;

/// Series that grow, or lie back, by so many messages or seconds.
const STRETCHED: [&str; 7] = [
    "container_cpu_usage_seconds_total",
    "kafka_consumer_fetch_manager_records_consumed_total",
    "kafka_consumer_fetch_manager_records_lag",
    "kafka_consumer_fetch_manager_records_lead",
    "kafka_consumergroup_current_offset",
    "kafka_consumergroup_lag",
    "kafka_topic_partition_current_offset",
];

/// A moment of decision, from which the past is stretched.
#[derive(Debug, Clone, Copy)]
pub struct Lens {
    now: Timestamp,
}

impl Lens {
    /// For a decision now.
    pub fn now() -> Self {
        Self { now: Timestamp::now() }
    }

    /// How a moment looks. One that came after the decision began looks as it is.
    fn seen(self, real: Timestamp) -> Timestamp {
        let ago = self.now.duration_since(real);
        if ago <= SignedDuration::ZERO { real } else { self.now - ago * SPEED }
    }
}

/// Text of a namespace's scrapes, one every two seconds, which looks like a minute. Ends with its value.
#[derive(Debug)]
pub struct Scrapes {
    stopped: Arc<AtomicBool>,
    taken: Arc<Mutex<Vec<(Timestamp, String)>>>,
}

impl Scrapes {
    /// Begins to scrape.
    pub fn of(kafka: &'static Kafka, namespace: &str) -> Self {
        let (stopped, taken) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (until, scrapes, namespace) = (Arc::clone(&stopped), Arc::clone(&taken), namespace.to_owned());
        thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                let scrape = (Timestamp::now(), kafka.scrape(&namespace));
                scrapes.lock().unwrap_or_else(PoisonError::into_inner).push(scrape);
                thread::sleep(Duration::from_secs(2));
            }
        });
        Self { stopped, taken }
    }

    /// All series so far, as they look through the lens.
    ///
    /// # Panics
    /// When a line of a scrape is no sample.
    pub fn through(&self, lens: Lens) -> Vec<Series> {
        let mut series: BTreeMap<String, Vec<(i64, f64)>> = BTreeMap::new();
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for (time, text) in taken.iter().filter(|(time, _)| *time <= lens.now) {
            for line in text.lines() {
                let (named, value) = line.rsplit_once(' ').expect("a sample ends with its value");
                let value: f64 = value.parse().expect("a sample has a number");
                let name = named.split('{').next().unwrap_or_default();
                let times = if STRETCHED.contains(&name) { f64::from(SPEED) } else { 1.0 };
                let sample = (lens.seen(*time).as_millisecond(), times * value);
                series.entry(named.to_owned()).or_default().push(sample);
            }
        }
        series.into_iter().map(|(named, samples)| read(&named, samples)).collect()
    }
}

impl Scrapes {
    /// Scrapes no longer.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Drop for Scrapes {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The series of `name{label="value",...}`; no label of a test holds a comma or a quote.
fn read(named: &str, samples: Vec<(i64, f64)>) -> Series {
    let (name, labels) = named.trim_end_matches('}').split_once('{').expect("a series has labels");
    let label = |pair: &str| {
        let (name, value) = pair.split_once('=').expect("a label has a value");
        (name.to_owned(), value.trim_matches('"').to_owned())
    };
    Series { name: name.to_owned(), labels: labels.split(',').map(label).collect(), samples }
}

/// The API server seen through a lens: every time in an answer is stretched. Its thread ends with the test
/// process.
#[derive(Debug)]
pub struct KubeLens {
    sandbox: Arc<Sandbox>,
    url: String,
}

impl KubeLens {
    /// Stands before the API server for who signs in with `api`.
    ///
    /// # Panics
    /// When no port is free.
    pub fn before(api: &Api, lens: Lens) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let api = api.clone();
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let api = api.clone();
                // A client that has gone ends its connection only.
                thread::spawn(move || drop(serve(&connection, &api, lens)));
            }
        });
        Self { sandbox: Sandbox::new(), url: format!("http://127.0.0.1:{port}") }
    }

    /// A kubeconfig for it with this namespace.
    pub fn kubeconfig(&self, namespace: &str) -> PathBuf {
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "lens",
            "clusters": [{ "name": "lens", "cluster": { "server": self.url } }],
            "contexts": [{ "name": "lens", "context": {
                "cluster": "lens", "user": "lens", "namespace": namespace,
            } }],
            "users": [{ "name": "lens", "user": {} }],
        });
        self.sandbox.write("kubeconfig", config.to_string())
    }
}

/// Answers the requests of a connection.
fn serve(connection: &TcpStream, api: &Api, lens: Lens) -> io::Result<()> {
    let mut requests = BufReader::new(connection);
    let mut answers = connection;
    loop {
        let mut first = String::new();
        if requests.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut words = first.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let body = request_body(&mut requests)?;
        let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
        let answer = match method {
            "GET" => api.get(path),
            "POST" => api.post(path, &sent),
            "DELETE" => api.delete(path, &sent),
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        let mut body = answer.body;
        stretch(&mut body, lens);
        let body = body.to_string();
        write!(
            answers,
            "HTTP/1.1 {} seen\r\nContent-Type: application/json\r\nContent-Length: {}\r\nDate: {}\r\n\r\n{body}",
            answer.status,
            body.len(),
            Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT"),
        )?;
    }
}

/// The body of a request, whose first line may have been read.
pub(crate) fn request_body(request: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        request.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body)?;
    Ok(body)
}

/// Stretches every text that is a time.
fn stretch(value: &mut Value, lens: Lens) {
    match value {
        Value::String(text) => {
            let is_time = text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T');
            if let Some(time) = is_time.then(|| text.parse().ok()).flatten() {
                let precision = if text.contains('.') { 6 } else { 0 };
                *text = format!("{:.*}", precision, lens.seen(time));
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| stretch(value, lens)),
        Value::Object(fields) => fields.values_mut().for_each(|value| stretch(value, lens)),
        _ => {}
    }
}
