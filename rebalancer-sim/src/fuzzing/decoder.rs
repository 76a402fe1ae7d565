//! Arbitrary bytes as an answer of a metrics server: no panic, the same result however the bytes
//! arrive, and what a naive reader finds.

use std::collections::BTreeSet;
use std::io::{Cursor, Read};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_io::metrics::{MetricQuery, MetricsSource as _};
use rebalancer_io::prometheus::{
    ApiRequest, ApiResponse, Point, PrometheusClient, QueryError, Samples, Series, TimeRange, Transport,
    TransportError,
};
use serde::de::IgnoredAny;
use serde_json::Value;

/// More than any input of a fuzzer.
const MAX_BYTES: u64 = 1 << 20;

/// Decodes `data` as an instant answer and as a range, whole and in pieces.
///
/// # Panics
/// When two ways of reading disagree, or a decoded answer is not what the bytes say.
pub fn decoder(data: &[u8]) {
    let instant = query(data, data.len());
    let range = query_range(data, data.len());
    for piece in [1, 7] {
        same(&instant, &query(data, piece));
        same(&range, &query_range(data, piece));
    }
    if instant.is_ok() || range.is_ok() {
        assert!(serde_json::from_slice::<IgnoredAny>(data).is_ok(), "what is decoded is JSON");
    }
    // What is skipped may be too deep or too large for a tree.
    let Ok(naive) = serde_json::from_slice::<Value>(data) else { return };
    if let Ok(answer) = instant {
        unique(answer.pods());
        let expected = naive_series(&naive, "vector");
        assert_eq!(answer.len(), expected.len());
        for (sample, series) in answer.iter().zip(expected) {
            same_point(&naive_point(&series["value"]), sample.timestamp_ms, sample.value);
            assert_eq!(series["metric"]["pod"], sample.pod);
        }
    }
    if let Ok(answer) = range {
        unique(answer.iter().map(|series| series.pod.as_str()));
        let expected = naive_series(&naive, "matrix");
        assert_eq!(answer.len(), expected.len());
        for (Series { pod, points }, series) in answer.iter().zip(expected) {
            assert_eq!(series["metric"]["pod"], **pod);
            let values = series["values"].as_array().map_or(&[][..], Vec::as_slice);
            assert_eq!(points.len(), values.len());
            for (Point { timestamp_ms, value }, naive) in points.iter().zip(values) {
                same_point(&naive_point(naive), *timestamp_ms, *value);
            }
        }
    }
}

/// The series that name a pod, in order.
fn naive_series<'a>(answer: &'a Value, result_type: &str) -> Vec<&'a Value> {
    assert_eq!(answer["status"], "success");
    assert_eq!(answer["data"]["resultType"], result_type);
    let result = answer["data"]["result"].as_array().map_or(&[][..], Vec::as_slice);
    let names_pod = |series: &&Value| series["metric"]["pod"].as_str().is_some_and(|pod| !pod.is_empty());
    result.iter().filter(names_pod).collect()
}

fn naive_point(pair: &Value) -> Point {
    let value = pair[1].as_str().and_then(|text| text.parse().ok()).expect("a number in a string");
    let seconds = pair[0].as_f64().expect("a time in seconds");
    #[expect(clippy::cast_possible_truncation, reason = "a time too large saturates")]
    let timestamp_ms = (seconds * 1_000.0).round() as i64;
    Point { timestamp_ms, value }
}

fn same_point(naive: &Point, timestamp_ms: i64, value: f64) {
    assert!(naive.timestamp_ms.abs_diff(timestamp_ms) <= 1, "{} is not {timestamp_ms}", naive.timestamp_ms);
    assert!(
        naive.value == value || (naive.value.is_nan() && value.is_nan()),
        "{} is not {value}",
        naive.value
    );
}

fn unique<'a>(mut pods: impl Iterator<Item = &'a str>) {
    let mut seen = BTreeSet::new();
    assert!(pods.all(|pod| seen.insert(pod)), "a pod has two samples");
}

/// The same answer, NaN being itself, or the same words about the failure.
fn same<A: std::fmt::Debug>(one: &Result<A, QueryError>, other: &Result<A, QueryError>) {
    let told = |result: &Result<A, QueryError>| match result {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => {
            let words = format!("{error}");
            assert!(!words.is_empty(), "an error says something");
            words
        }
    };
    assert_eq!(told(one), told(other), "the pieces in which bytes arrive do not matter");
}

fn query(data: &[u8], piece: usize) -> Result<Samples, QueryError> {
    let client = PrometheusClient::over(Canned { data, piece }, MAX_BYTES);
    client.instant(&MetricQuery::new("cpu", "up"), Timestamp::UNIX_EPOCH)
}

fn query_range(data: &[u8], piece: usize) -> Result<Vec<Series>, QueryError> {
    let client = PrometheusClient::over(Canned { data, piece }, MAX_BYTES);
    let (start, end) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    client.range(&MetricQuery::new("cpu", "up"), TimeRange { start, end, step: Duration::from_secs(60) })
}

/// Answers every call with the same bytes, at most `piece` of them a read.
struct Canned<'a> {
    data: &'a [u8],
    piece: usize,
}

impl Transport for Canned<'_> {
    fn send(&self, _: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        let body = Pieces { bytes: Cursor::new(self.data.to_vec()), piece: self.piece.max(1) };
        Ok(ApiResponse {
            status: 200,
            content_type: Some("application/json".to_owned()),
            location: None,
            body: Box::new(body),
        })
    }

    fn place(&self) -> &'static str {
        "the fuzzer"
    }

    fn masked(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }
}

struct Pieces {
    bytes: Cursor<Vec<u8>>,
    piece: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(self.piece);
        self.bytes.read(&mut buffer[..length])
    }
}
