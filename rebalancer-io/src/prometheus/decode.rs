//! Reads an answer of the query API straight from its bytes, keeping pods, values and times only.
//!
//! [`instant`] and [`range`] are the whole boundary: bytes in, samples or an [`ErrorKind`] out.
//! Memory is bounded by [`Wanted::max_bytes`]; nesting by the parser's own limit.
//!
//! Visitors read every legal form. In front of them a scanner takes the series of a vector off in
//! the compact form that servers write; where it stops, they go on.

mod samples;
mod scan;
mod visit;
mod window;

use std::io::Read;

use serde::de::DeserializeSeed;

use self::samples::repeated;
pub use self::samples::{Sample, Samples};
use self::scan::Scanner;
use self::visit::{Data, Envelope, EnvelopeSeed};
use self::window::Window;
use super::error::{ErrorKind, cause, words};

/// What to take from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Name of the label that holds the pod.
    pub pod_label: &'a str,
    /// Namespace of the pods; series that name another one are counted and left out.
    pub namespace: Option<&'a str>,
    /// Largest answer read, in bytes.
    pub max_bytes: u64,
}

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970, the resolution of Prometheus.
    pub timestamp_ms: i64,
    /// The value as sent: it may be NaN, infinite or negative.
    pub value: f64,
}

/// The values of one pod over a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name of the pod.
    pub pod: String,
    /// Its values, in the order of the answer.
    pub points: Vec<Point>,
}

/// How many series an answer had, and how many of them were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Series in the answer.
    pub series: usize,
    /// Left out: they name no pod.
    pub without_pod: usize,
    /// Left out: they name another namespace than the one asked for.
    pub other_namespace: usize,
}

/// An instant vector by pod. No two samples have the same pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstantAnswer {
    /// One sample a pod, in the order of the answer.
    pub samples: Samples,
    /// Remarks of the server that leave the data whole.
    pub infos: Vec<String>,
    /// What was left out.
    pub counts: Counts,
}

/// A matrix by pod. No two series have the same pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RangeAnswer {
    /// One series a pod, in the order of the answer.
    pub series: Vec<Series>,
    /// Remarks of the server that leave the data whole.
    pub infos: Vec<String>,
    /// What was left out.
    pub counts: Counts,
}

/// Decodes the answer to an instant query.
///
/// ```
/// use rebalancer_io::prometheus::{Wanted, decode_instant};
///
/// let body = r#"{"status":"success","data":{"resultType":"vector","result":[
///     {"metric":{"pod":"orders-0"},"value":[1795410000,"0.5"]}]}}"#;
/// let wanted = Wanted { pod_label: "pod", namespace: None, max_bytes: 1 << 20 };
/// let answer = decode_instant(body.as_bytes(), &wanted)?;
/// let sample = answer.samples.get(0).expect("it has one");
/// assert_eq!((sample.pod, sample.value), ("orders-0", 0.5));
/// # Ok::<(), rebalancer_io::prometheus::ErrorKind>(())
/// ```
///
/// # Errors
/// Everything but a whole vector with at most one number a pod.
pub fn instant(body: impl Read, wanted: &Wanted<'_>) -> Result<InstantAnswer, ErrorKind> {
    let mut window = Window::new(body, wanted.max_bytes);
    expect_json(&mut window)?;
    let Scanner { head, samples, counts, .. } = Scanner::scan(&mut window, wanted);
    let mut envelope = visit::<visit::Instant>(head, window, wanted)?;
    put_in_front(&mut envelope.data, samples, counts);
    instant_answer(envelope, wanted)
}

/// The same by the visitors alone.
#[cfg(test)]
fn instant_visited(body: impl Read, wanted: &Wanted<'_>) -> Result<InstantAnswer, ErrorKind> {
    let mut window = Window::new(body, wanted.max_bytes);
    expect_json(&mut window)?;
    instant_answer(visit::<visit::Instant>("", window, wanted)?, wanted)
}

fn instant_answer(
    envelope: Envelope<visit::Instant>,
    wanted: &Wanted<'_>,
) -> Result<InstantAnswer, ErrorKind> {
    let (data, infos) = check(envelope, wanted)?;
    refuse_repeated(data.series.pods())?;
    Ok(InstantAnswer { samples: data.series, infos, counts: data.counts })
}

/// Decodes the answer to a range query.
///
/// # Errors
/// Everything but a whole matrix with at most one series a pod.
pub fn range(body: impl Read, wanted: &Wanted<'_>) -> Result<RangeAnswer, ErrorKind> {
    let mut window = Window::new(body, wanted.max_bytes);
    expect_json(&mut window)?;
    let (data, infos) = check(visit::<visit::Range>("", window, wanted)?, wanted)?;
    refuse_repeated(data.series.iter().map(|series| series.pod.as_str()))?;
    Ok(RangeAnswer { series: data.series, infos, counts: data.counts })
}

fn expect_json(window: &mut Window<impl Read>) -> Result<(), ErrorKind> {
    if window.first_byte().map_err(window::failure)? == Some(b'{') {
        return Ok(());
    }
    Err(ErrorKind::NotJson { content_type: String::new(), words: words(&window.excerpt_ahead()) })
}

/// Reads `head` and then the rest of the window.
fn visit<S: visit::Shape>(
    head: &str,
    mut window: Window<impl Read>,
    wanted: &Wanted<'_>,
) -> Result<Envelope<S>, ErrorKind> {
    let parsed = {
        let mut parser = serde_json::Deserializer::from_reader(head.as_bytes().chain(&mut window));
        EnvelopeSeed::<S>::new(wanted).deserialize(&mut parser).and_then(|envelope| {
            parser.end()?;
            Ok(envelope)
        })
    };
    parsed.map_err(|error| window.explain(error))
}

/// Puts what the scanner took in front of what the visitors read.
fn put_in_front(data: &mut Data<visit::Instant>, mut samples: Samples, counts: Counts) {
    samples.append(&data.series);
    data.series = samples;
    data.counts.series += counts.series;
    data.counts.without_pod += counts.without_pod;
    data.counts.other_namespace += counts.other_namespace;
}

/// Turns a well-formed envelope into its data and remarks, or into what it says is wrong.
fn check<S: visit::Shape>(
    envelope: Envelope<S>,
    wanted: &Wanted<'_>,
) -> Result<(Data<S>, Vec<String>), ErrorKind> {
    if envelope.status != "success" {
        return Err(ErrorKind::Api {
            status: 200,
            error_type: words(&envelope.error_type.unwrap_or(envelope.status)),
            error: cause(&envelope.error.unwrap_or_default()),
        });
    }
    if envelope.partial || !envelope.warnings.is_empty() {
        let said =
            if envelope.warnings.is_empty() { "isPartial".into() } else { envelope.warnings.join("; ") };
        return Err(ErrorKind::PartialData { words: words(&said) });
    }
    let data = envelope.data;
    if data.result_type != S::RESULT_TYPE {
        return Err(ErrorKind::WrongType { found: words(&data.result_type), wanted: S::RESULT_TYPE });
    }
    if let Some(pod) = data.histogram {
        return Err(ErrorKind::Histogram { pod });
    }
    let Counts { series, without_pod, .. } = data.counts;
    if series > 0 && without_pod == series {
        return Err(ErrorKind::NoPodLabel { series, label: wanted.pod_label.to_owned() });
    }
    Ok((data, envelope.infos.iter().map(|info| words(info)).collect()))
}

fn refuse_repeated<'a>(pods: impl Iterator<Item = &'a str> + Clone) -> Result<(), ErrorKind> {
    match repeated(pods) {
        None => Ok(()),
        Some((pods, pod)) => Err(ErrorKind::DuplicatePod { pods, pod: pod.to_owned() }),
    }
}

#[cfg(test)]
#[path = "decode/tests.rs"]
mod tests;

#[cfg(test)]
#[path = "decode/twins.rs"]
mod twins;
