//! Decodes whole answers: the scanner reads what it can, the visitors read the rest, then the envelope is
//! checked.

use std::collections::BTreeSet;
use std::io::Read;

use rebalancer_core::NameList;
use serde::de::Deserializer as _;

use super::super::error::ErrorKind;
use super::super::words::{MAX_WORDS, cause, shortened, words};
use super::answer::{ALLOCATION_BYTES, LabelledSample, Point, Samples, Series, Wanted};
use super::scan::{SAMPLE_BYTES, Scanner};
use super::visit::{Element, Envelope, EnvelopeVisitor, Instant, Range, Reading, Shape};
use super::window::{self, Window};

/// Decodes the answer to an instant query.
///
/// ```
/// use rebalancer_io::prometheus::{Wanted, decode_instant};
///
/// let body = r#"{"status":"success","data":{"resultType":"vector","result":[
///     {"metric":{"pod":"orders-0"},"value":[1795410000,"0.5"]}]}}"#;
/// let wanted = Wanted { pod_label: "pod", namespace: None, max_bytes: 1 << 20 };
/// let samples = decode_instant(body.as_bytes(), &wanted)?;
/// let sample = samples.get(0).expect("it has one");
/// assert_eq!((sample.pod, sample.value), ("orders-0", 0.5));
/// # Ok::<(), rebalancer_io::prometheus::ErrorKind>(())
/// ```
///
/// # Errors
/// Anything but a complete vector with at most one number per pod.
pub fn instant(body: impl Read, wanted: &Wanted<'_>) -> Result<Samples, ErrorKind> {
    let mut samples = Samples::default();
    instant_by_sample(body, wanted, &mut |pod, point| samples.push(pod, point))?;
    one_a_pod(&samples.repeated())?;
    Ok(samples)
}

/// Decodes the answer to an instant query and passes on one sample at a time. If this fails, or if
/// [`one_a_pod`] refuses what came, discard what `each` received.
///
/// # Errors
/// Anything but a complete vector of numbers.
pub(crate) fn instant_by_sample(
    body: impl Read,
    wanted: &Wanted<'_>,
    each: &mut dyn FnMut(&str, Point),
) -> Result<(), ErrorKind> {
    let mut window = opened(body, wanted)?;
    let mut scanner = Scanner::new(wanted, each);
    scanner.scan(&mut window);
    instant_from(scanner, window, wanted)
}

/// The same as [`instant`], using only the visitors.
#[cfg(test)]
pub(super) fn instant_visited(body: impl Read, wanted: &Wanted<'_>) -> Result<Samples, ErrorKind> {
    let mut samples = Samples::default();
    let mut each = |pod: &str, point| samples.push(pod, point);
    instant_from(Scanner::new(wanted, &mut each), opened(body, wanted)?, wanted)?;
    one_a_pod(&samples.repeated())?;
    Ok(samples)
}

/// Reads the rest after the scanner with the visitors.
fn instant_from(
    Scanner { opening, counts, kept, each, .. }: Scanner<'_>,
    window: Window<impl Read>,
    wanted: &Wanted<'_>,
) -> Result<(), ErrorKind> {
    if kept > wanted.max_kept() {
        return Err(ErrorKind::TooMuch { max_bytes: wanted.max_kept() });
    }
    let mut take = |Element { pod, points, .. }: Element<Instant>| {
        each(&pod, points);
        pod.len() + SAMPLE_BYTES
    };
    let mut reading = Reading::new(wanted, &[], &mut take);
    (reading.kept, reading.counts) = (kept, counts);
    visit(opening, window, reading)
}

/// Refuses an answer in which these pods are repeated, each named once for each further time.
///
/// # Errors
/// If there are any.
pub(crate) fn one_a_pod(again: &[&str]) -> Result<(), ErrorKind> {
    let Some(&first) = again.first() else { return Ok(()) };
    let different: BTreeSet<&&str> = again.iter().collect();
    Err(ErrorKind::DuplicatePod { pods: different.len(), pod: shortened(first, MAX_WORDS) })
}

/// Decodes the answer to a range query: one series per pod, in the order of the answer.
///
/// # Errors
/// Anything but a complete matrix with at most one series per pod.
pub fn range(body: impl Read, wanted: &Wanted<'_>) -> Result<Vec<Series>, ErrorKind> {
    let mut all: Vec<Series> = Vec::new();
    rows(body, wanted, &mut |series| {
        let kept = size_of::<Series>() + series.points.capacity() * size_of::<Point>();
        all.push(series);
        kept
    })?;
    Ok(all)
}

/// Decodes the answer to a range query and passes on one series at a time, keeping only the pod names. If
/// this fails, discard what `each` received.
///
/// # Errors
/// As for [`range`].
pub(crate) fn range_by_series(
    body: impl Read,
    wanted: &Wanted<'_>,
    each: &mut dyn FnMut(Series),
) -> Result<(), ErrorKind> {
    rows(body, wanted, &mut |series| {
        each(series);
        0
    })
}

/// Passes each series of a matrix to `take`, which returns the bytes of memory that it keeps.
fn rows(
    body: impl Read,
    wanted: &Wanted<'_>,
    take: &mut dyn FnMut(Series) -> usize,
) -> Result<(), ErrorKind> {
    let mut names = NameList::default();
    let mut take = |Element { pod, points, .. }: Element<Range>| {
        names.push(&pod);
        2 * (pod.len() + ALLOCATION_BYTES) + take(Series { pod, points: points.0 })
    };
    visit("", opened(body, wanted)?, Reading::new(wanted, &[], &mut take))?;
    one_a_pod(&names.repeated())
}

/// Decodes the answer to an instant query whose samples are also distinguished by `labels` (at least one), in the
/// order of the answer. The pod may be absent, and a pod may have many samples.
///
/// # Errors
/// Anything but a complete vector of numbers.
pub fn labelled(
    body: impl Read,
    wanted: &Wanted<'_>,
    labels: &[&str],
) -> Result<Vec<LabelledSample>, ErrorKind> {
    let mut samples: Vec<LabelledSample> = Vec::new();
    labelled_rows(body, wanted, labels, &mut |sample| {
        let text = |text: &String| size_of::<String>() + text.capacity() + ALLOCATION_BYTES;
        let pod = sample.pod.as_ref().map_or(0, text);
        let kept = size_of::<LabelledSample>() + pod + sample.labels.iter().map(text).sum::<usize>();
        samples.push(sample);
        kept
    })?;
    Ok(samples)
}

/// Decodes the answer to such a query and passes on one sample at a time, keeping none. If this fails, discard what `each`
/// received.
///
/// # Errors
/// As for [`labelled`].
pub(crate) fn labelled_by_sample(
    body: impl Read,
    wanted: &Wanted<'_>,
    labels: &[&str],
    each: &mut dyn FnMut(LabelledSample),
) -> Result<(), ErrorKind> {
    labelled_rows(body, wanted, labels, &mut |sample| {
        each(sample);
        0
    })
}

/// Passes each sample of a vector to `take`, which returns the bytes of memory that it keeps.
fn labelled_rows(
    body: impl Read,
    wanted: &Wanted<'_>,
    labels: &[&str],
    take: &mut dyn FnMut(LabelledSample) -> usize,
) -> Result<(), ErrorKind> {
    let mut take = |Element { pod, labels, points }: Element<Instant>| {
        take(LabelledSample { pod: (!pod.is_empty()).then_some(pod), labels, value: points.value })
    };
    visit("", opened(body, wanted)?, Reading::new(wanted, labels, &mut take))
}

/// A window on a body that starts like an answer.
fn opened<R: Read>(body: R, wanted: &Wanted<'_>) -> Result<Window<R>, ErrorKind> {
    let mut window = Window::new(body, wanted.max_bytes);
    if window.first_byte().map_err(window::failure)? == Some(b'{') {
        return Ok(window);
    }
    Err(ErrorKind::NotJson { content_type: String::new(), words: words(&window.excerpt_ahead()) })
}

/// Reads `opening` and then the window with the visitors.
///
/// # Errors
/// Anything but a complete answer of this shape.
fn visit<S: Shape>(
    opening: &str,
    mut window: Window<impl Read>,
    mut reading: Reading<'_, S>,
) -> Result<(), ErrorKind> {
    let parsed = {
        let mut parser = serde_json::Deserializer::from_reader(opening.as_bytes().chain(&mut window));
        let envelope = parser.deserialize_any(EnvelopeVisitor(&mut reading));
        envelope.and_then(|envelope| parser.end().map(|()| envelope))
    };
    match parsed {
        Ok(envelope) => check(envelope, reading),
        Err(error) => Err(reading.refused.unwrap_or_else(|| window.explain(error))),
    }
}

/// Whether a well-formed answer is complete and of its shape.
fn check<S: Shape>(envelope: Envelope, reading: Reading<'_, S>) -> Result<(), ErrorKind> {
    if envelope.status != "success" {
        return Err(ErrorKind::Api {
            status: 200,
            error_type: words(&envelope.error_type.unwrap_or(envelope.status)),
            error: cause(&envelope.error.unwrap_or_default()),
        });
    }
    if let Some(kind) = doubt(envelope.partial, envelope.warnings) {
        return Err(kind);
    }
    let Reading { wanted, result_type, counts, histogram, .. } = reading;
    if result_type != S::RESULT_TYPE {
        return Err(ErrorKind::WrongType { found: words(&result_type), wanted: S::RESULT_TYPE });
    }
    if let Some(pod) = histogram {
        return Err(ErrorKind::Histogram { pod: shortened(&pod, MAX_WORDS) });
    }
    if counts.series > 0 && counts.without_pod == counts.series {
        return Err(ErrorKind::NoPodLabel { series: counts.series, label: wanted.pod_label.to_owned() });
    }
    Ok(())
}

/// Prefix of notes about a query, which do not concern its data. Prometheus before 3.0 and Thanos put them among the
/// warnings.
const INFO: &str = "PromQL info:";

/// Prefix of warnings about a query; all other warnings are about missing data.
const WARNING: &str = "PromQL warning:";

/// The error that `warnings` imply; `None` if there are none and the answer is complete.
fn doubt(partial: bool, mut warnings: Vec<String>) -> Option<ErrorKind> {
    warnings.retain(|said| !said.starts_with(INFO));
    if !partial && warnings.is_empty() {
        return None;
    }
    let said = words(&if warnings.is_empty() { "isPartial".to_owned() } else { warnings.join("; ") });
    let of_the_query = !partial && warnings.iter().all(|warning| warning.starts_with(WARNING));
    Some(if of_the_query {
        ErrorKind::Warned { words: said }
    } else {
        ErrorKind::PartialData { words: said }
    })
}
