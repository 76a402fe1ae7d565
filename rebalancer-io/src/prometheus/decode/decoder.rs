//! Decodes whole answers: the scanner reads what it can, the visitors read the rest, then the envelope is
//! checked.

use std::collections::BTreeSet;
use std::io::Read;

use rebalancer_core::NameList;
use serde::de::DeserializeSeed;

use super::super::error::ErrorKind;
use super::super::words::{cause, words};
use super::answer::{
    ALLOCATION_BYTES, InstantAnswer, LabelledAnswer, LabelledSample, RangeAnswer, Remarks, Series, Wanted,
};
use super::pick::Pick;
use super::samples::Samples;
use super::scan::{SAMPLE_BYTES, Scanner};
use super::sink::{Point, Sink};
use super::visit::{self, Element, Envelope, EnvelopeSeed, Take};
use super::window::{self, Window};

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
/// Anything but a complete vector with at most one number per pod.
pub fn instant(body: impl Read, wanted: &Wanted<'_>) -> Result<InstantAnswer, ErrorKind> {
    let (samples, Remarks { infos, counts }) = instant_into(body, wanted, Samples::default())?;
    Ok(InstantAnswer { samples, infos, counts })
}

/// The same, using only the visitors.
#[cfg(test)]
pub(super) fn instant_visited(body: impl Read, wanted: &Wanted<'_>) -> Result<InstantAnswer, ErrorKind> {
    let window = opened(body, wanted)?;
    let (samples, Remarks { infos, counts }) =
        instant_from(Scanner::new(wanted, Samples::default()), window, wanted)?;
    Ok(InstantAnswer { samples, infos, counts })
}

/// Decodes the answer to an instant query into `sink`.
///
/// # Errors
/// Anything but a complete vector with at most one number per pod.
pub(crate) fn instant_into<S: Sink>(
    body: impl Read,
    wanted: &Wanted<'_>,
    sink: S,
) -> Result<(S, Remarks), ErrorKind> {
    let mut window = opened(body, wanted)?;
    let scanner = Scanner::scan(&mut window, wanted, sink);
    instant_from(scanner, window, wanted)
}

/// Reads the rest after the scanner with the visitors.
fn instant_from<S: Sink>(
    Scanner { opening, mut sink, counts, kept, .. }: Scanner<'_, S>,
    window: Window<impl Read>,
    wanted: &Wanted<'_>,
) -> Result<(S, Remarks), ErrorKind> {
    if kept > wanted.max_kept() {
        return Err(ErrorKind::TooMuch { max_bytes: wanted.max_kept() });
    }
    let pick = Pick::new(wanted, &[]);
    pick.kept.set(kept);
    let mut take = |Element { pod, points, .. }: Element<visit::Instant>| {
        sink.take(&pod, points);
        pod.len() + SAMPLE_BYTES
    };
    let mut envelope = visited(opening, window, &pick, &mut take)?;
    envelope.data.counts += counts;
    let remarks = check::<visit::Instant>(envelope, wanted)?;
    one_a_pod(&sink.repeated())?;
    Ok((sink, remarks))
}

/// Refuses an answer in which these pods are repeated.
fn one_a_pod(again: &[&str]) -> Result<(), ErrorKind> {
    let Some(&first) = again.first() else { return Ok(()) };
    let different: BTreeSet<&&str> = again.iter().collect();
    Err(ErrorKind::DuplicatePod { pods: different.len(), pod: first.to_owned() })
}

/// Decodes the answer to a range query.
///
/// # Errors
/// Anything but a complete matrix with at most one series per pod.
pub fn range(body: impl Read, wanted: &Wanted<'_>) -> Result<RangeAnswer, ErrorKind> {
    let mut all: Vec<Series> = Vec::new();
    let Remarks { infos, counts } = rows(body, wanted, &mut |series| {
        let kept = size_of::<Series>() + series.points.capacity() * size_of::<Point>();
        all.push(series);
        kept
    })?;
    Ok(RangeAnswer { series: all, infos, counts })
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
) -> Result<Remarks, ErrorKind> {
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
) -> Result<Remarks, ErrorKind> {
    let mut names = NameList::default();
    let remarks =
        decode::<visit::Range>(body, &Pick::new(wanted, &[]), &mut |Element { pod, points, .. }| {
            names.push(&pod);
            2 * (pod.len() + ALLOCATION_BYTES) + take(Series { pod, points: points.0 })
        })?;
    one_a_pod(&names.repeated())?;
    Ok(remarks)
}

/// Decodes the answer to an instant query whose samples are also distinguished by `labels` (at least one);
/// the pod may be absent.
///
/// # Errors
/// Anything but a complete vector of numbers.
pub fn labelled(body: impl Read, wanted: &Wanted<'_>, labels: &[&str]) -> Result<LabelledAnswer, ErrorKind> {
    let mut samples: Vec<LabelledSample> = Vec::new();
    let mut take = |Element { pod, labels, points }: Element<visit::Instant>| {
        let text = |text: &String| size_of::<String>() + text.capacity() + ALLOCATION_BYTES;
        let kept = size_of::<LabelledSample>() + text(&pod) + labels.iter().map(text).sum::<usize>();
        samples.push(LabelledSample { pod: (!pod.is_empty()).then_some(pod), labels, value: points.value });
        kept
    };
    let Remarks { counts, .. } = decode(body, &Pick::new(wanted, labels), &mut take)?;
    Ok(LabelledAnswer { samples, counts })
}

/// Reads a whole answer with the visitors.
fn decode<S: visit::Shape>(
    body: impl Read,
    pick: &Pick<'_>,
    take: &mut Take<'_, S>,
) -> Result<Remarks, ErrorKind> {
    let window = opened(body, pick.wanted)?;
    check::<S>(visited("", window, pick, take)?, pick.wanted)
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
fn visited<S: visit::Shape>(
    opening: &str,
    mut window: Window<impl Read>,
    pick: &Pick<'_>,
    take: &mut Take<'_, S>,
) -> Result<Envelope, ErrorKind> {
    let parsed = {
        let mut parser = serde_json::Deserializer::from_reader(opening.as_bytes().chain(&mut window));
        EnvelopeSeed { pick, take }.deserialize(&mut parser).and_then(|envelope| {
            parser.end()?;
            Ok(envelope)
        })
    };
    parsed.map_err(|error| pick.refused.take().unwrap_or_else(|| window.explain(error)))
}

/// Turns a well-formed envelope into its remarks, or into an error.
fn check<S: visit::Shape>(envelope: Envelope, wanted: &Wanted<'_>) -> Result<Remarks, ErrorKind> {
    if envelope.status != "success" {
        return Err(ErrorKind::Api {
            status: 200,
            error_type: words(&envelope.error_type.unwrap_or(envelope.status)),
            error: cause(&envelope.error.unwrap_or_default()),
        });
    }
    // Prometheus before 3.0 and Thanos put notes among the warnings.
    let (notes, warnings): (Vec<String>, Vec<String>) =
        envelope.warnings.into_iter().partition(|said| said.starts_with(INFO));
    if let Some(kind) = doubt(envelope.partial, &warnings) {
        return Err(kind);
    }
    let data = envelope.data;
    if data.result_type != S::RESULT_TYPE {
        return Err(ErrorKind::WrongType { found: words(&data.result_type), wanted: S::RESULT_TYPE });
    }
    if let Some(pod) = data.histogram {
        return Err(ErrorKind::Histogram { pod });
    }
    if data.counts.series > 0 && data.counts.without_pod == data.counts.series {
        return Err(ErrorKind::NoPodLabel { series: data.counts.series, label: wanted.pod_label.to_owned() });
    }
    let infos = envelope.infos.iter().chain(&notes).map(|info| words(info)).collect();
    Ok(Remarks { infos, counts: data.counts })
}

/// Prefix of notes about a query, which do not concern its data.
const INFO: &str = "PromQL info:";

/// Prefix of warnings about a query; all other warnings are about missing data.
const WARNING: &str = "PromQL warning:";

/// The error that `warnings` imply; `None` if there are none and the answer is complete.
fn doubt(partial: bool, warnings: &[String]) -> Option<ErrorKind> {
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
