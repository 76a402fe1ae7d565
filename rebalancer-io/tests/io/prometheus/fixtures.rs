//! Every recorded answer, served again with its status and headers, ends as the snapshot says; the
//! good ones hold what an independent, naive reading of the JSON finds.

use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::time::Duration;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use rebalancer_io::metrics::{MetricQuery, MetricsSource as _};
use rebalancer_io::prometheus::Endpoint;
use rebalancer_io::prometheus::{
    ErrorKind, Point, PrometheusClient, PrometheusConfig, QueryError, Samples, Series, TimeRange,
};
use serde::Deserialize;
use serde_json::Value;

use super::stub::{Piece, Stub, reply, testdata};

#[derive(Deserialize)]
struct Fixture {
    file: String,
    path: String,
    status: u16,
    stored_gzip: bool,
    headers: Vec<(String, String)>,
}

impl Fixture {
    fn is_range(&self) -> bool {
        self.path.ends_with("/query_range")
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as it was on the wire.
    fn body(&self) -> Vec<u8> {
        let bytes = fs::read(testdata("prometheus").join(&self.file)).expect(&self.file);
        if self.stored_gzip && self.header("Content-Encoding").is_none() { gunzip(&bytes) } else { bytes }
    }

    /// The text of the body.
    fn text(&self) -> Vec<u8> {
        let bytes = self.body();
        if self.header("Content-Encoding").is_some() { gunzip(&bytes) } else { bytes }
    }

    fn answer(&self) -> Vec<Piece> {
        let headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        reply(&format!("{} Recorded", self.status), &headers, &self.body())
    }
}

fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain: Vec<u8> = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).expect("a gzip file");
    plain
}

fn fixtures() -> Vec<Fixture> {
    let text = fs::read_to_string(testdata("prometheus/index.json")).expect("the index");
    serde_json::from_str(&text).expect("the index is JSON")
}

/// Serves all fixtures, each under its own path.
fn serve() -> Stub {
    let fixtures = fixtures();
    Stub::start(move |request| {
        let path = request.line.split(' ').nth(1).expect("a path");
        let index: usize = path.split('/').nth(1).and_then(|text| text.parse().ok()).expect("an index");
        fixtures[index].answer()
    })
}

fn client(stub: &Stub, index: usize) -> PrometheusClient {
    let endpoint = Endpoint::parse(&format!("{}/{index}", stub.address)).expect("an address");
    PrometheusClient::new(&PrometheusConfig::new(endpoint)).expect("a client")
}

fn ask_instant(client: &PrometheusClient) -> Result<Samples, QueryError> {
    client.instant(&MetricQuery::new("cpu", "q"), Timestamp::UNIX_EPOCH)
}

fn ask_range(client: &PrometheusClient) -> Result<Vec<Series>, QueryError> {
    let (start, end) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    client.range(&MetricQuery::new("cpu", "q"), TimeRange { start, end, step: Duration::from_secs(60) })
}

#[test]
fn every_recorded_answer_ends_as_written_down() {
    let stub = serve();
    let mut outcomes = String::new();
    for (index, fixture) in fixtures().iter().enumerate() {
        let client = client(&stub, index);
        let outcome = if fixture.is_range() {
            ask_range(&client).map(|series| format!("{} series", series.len()))
        } else {
            ask_instant(&client).map(|samples| format!("{} samples", samples.len()))
        };
        let text = match outcome {
            Ok(text) => text,
            Err(error) => error.to_string().replace(&format!("{}/{index}", stub.address), "ENDPOINT"),
        };
        writeln!(outcomes, "{}\n    {text}", fixture.file).expect("a String accepts every write");
    }
    insta::assert_snapshot!(outcomes);
}

#[test]
fn good_answers_hold_what_a_naive_reading_finds() {
    let stub = serve();
    let (mut vectors, mut matrices) = (0, 0);
    for (index, fixture) in fixtures().iter().enumerate() {
        let client = client(&stub, index);
        if fixture.is_range() {
            let Ok(series) = ask_range(&client) else { continue };
            assert_eq!(printed(&series), printed(&naive_range(&fixture.text())), "{}", fixture.file);
            matrices += 1;
        } else {
            let Ok(samples) = ask_instant(&client) else { continue };
            assert_eq!(printed(&samples), printed(&naive_instant(&fixture.text())), "{}", fixture.file);
            vectors += 1;
        }
    }
    assert!(vectors > 40 && matrices > 10, "{vectors} vectors and {matrices} matrices");
}

/// Compares NaN as equal to itself and 0 as unlike -0; `Debug` of a float is exact.
fn printed(value: &impl std::fmt::Debug) -> String {
    format!("{value:#?}")
}

fn result(body: &[u8]) -> Vec<Value> {
    let value: Value = serde_json::from_slice(body).expect("JSON");
    value["data"]["result"].as_array().expect("a list").clone()
}

fn point(pair: &Value) -> Point {
    let seconds = pair[0].as_f64().expect("a time");
    #[expect(clippy::cast_possible_truncation)]
    let timestamp_ms = (seconds * 1e3).round() as i64;
    Point { timestamp_ms, value: pair[1].as_str().expect("a value").parse().expect("a number") }
}

fn pod(element: &Value) -> Option<String> {
    element["metric"]["pod"].as_str().filter(|pod| !pod.is_empty()).map(str::to_owned)
}

fn naive_instant(body: &[u8]) -> Samples {
    let mut samples = Samples::default();
    for element in result(body) {
        if let Some(pod) = pod(&element) {
            samples.push(&pod, point(&element["value"]));
        }
    }
    samples
}

fn naive_range(body: &[u8]) -> Vec<Series> {
    let series = |element: &Value| {
        let points = element["values"].as_array().expect("a list").iter().map(point).collect();
        Some(Series { pod: pod(element)?, points })
    };
    result(body).iter().filter_map(series).collect()
}

/// What a user must be able to tell apart has a variant of its own.
#[test]
fn every_kind_of_error_has_its_own_variant() {
    let stub = serve();
    let fixtures = fixtures();
    let kind = |file: &str| {
        let index = fixtures.iter().position(|fixture| fixture.file == file).expect(file);
        let client = client(&stub, index);
        let error =
            if fixtures[index].is_range() { ask_range(&client).err() } else { ask_instant(&client).err() };
        *error.unwrap_or_else(|| panic!("{file} is no error")).kind
    };
    let api = |file| match kind(file) {
        ErrorKind::Api { status, error_type, .. } => (status, error_type),
        other => panic!("{file}: {other:?}"),
    };
    assert_eq!(api("prom/err_empty_query.json"), (400, "bad_data".into()));
    assert_eq!(api("prom/err_timeout_503.json"), (503, "timeout".into()));
    assert_eq!(api("prom/gzip_error_parse.json.gz"), (400, "bad_data".into()));
    assert_eq!(api("vm/err_unknown_function.json"), (422, "422".into()));
    for (file, status) in [
        ("html_401.html", 401),
        ("html_403.html", 403),
        ("html_404.html", 404),
        ("html_413_entity_too_large.html", 413),
        ("html_414_uri_too_large.html", 414),
        ("html_502_bad_gateway.html", 502),
        ("html_503.html", 503),
        ("html_504_gateway_timeout.html", 504),
    ] {
        let kind = kind(&format!("nginx/{file}"));
        assert!(matches!(kind, ErrorKind::Http { status: found, .. } if found == status), "{file}: {kind:?}");
    }
    assert!(matches!(kind("prom-basic-auth/err_401_no_auth.json"), ErrorKind::Http { status: 401, .. }));
    assert!(matches!(kind("nginx/html_301_redirect.html"), ErrorKind::Redirect { status: 301, .. }));
    assert!(matches!(kind("nginx/html_200_login.html"), ErrorKind::NotJson { .. }));
    assert!(matches!(kind("nginx/truncated_upstream.json"), ErrorKind::Truncated { bytes: 104 }));
    assert!(matches!(kind("vm/edge_invalid_utf8.json"), ErrorKind::NotUtf8 { .. }));
    assert!(matches!(kind("prom/edge_native_histogram_mixed.json"), ErrorKind::Histogram { .. }));
    assert!(matches!(kind("prom/edge_native_histogram_range.json"), ErrorKind::Histogram { .. }));
    assert!(matches!(kind("prom/edge_scalar.json"), ErrorKind::WrongType { .. }));
    assert!(matches!(kind("vm/edge_scalar.json"), ErrorKind::NoPodLabel { .. }));
    assert!(matches!(kind("prom/edge_values_all.json"), ErrorKind::DuplicatePod { .. }));
    assert!(matches!(kind("prom-remote-read-dead/warnings_empty.json"), ErrorKind::PartialData { .. }));
    assert!(matches!(kind("pushgateway/api_v1_metrics.json"), ErrorKind::NotAnAnswer { .. }));
}
