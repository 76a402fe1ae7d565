//! The scanner: reads the series of a vector in the compact form that servers write, and stops at the first
//! byte that it does not expect.
//!
//! It takes a series only if another one or the end of the list follows. The rest of the list, with
//! [`Scanner::opening`] before it, is again a whole vector, which the visitors read. So the result is the
//! same as with the visitors alone.

use std::io::Read;
use std::ops::Range;

use super::answer::{Counts, Point, Wanted};
use super::quote::{Stop, string_end};
use super::template::Template;
use super::window::Window;

/// The text before the first series in Prometheus and VictoriaMetrics.
const OPENINGS: [&str; 2] = [
    r#"{"status":"success","data":{"resultType":"vector","result":["#,
    r#"{"status":"success","isPartial":false,"data":{"resultType":"vector","result":["#,
];

/// Most digits of a time in whole seconds: with these, an `f64` is exact to the millisecond.
const MAX_SECOND_DIGITS: usize = 10;

/// Memory of a sample besides its name, in bytes: the end of the name, the value, and a time.
pub(super) const SAMPLE_BYTES: usize = 32;

/// The text between the value of a series and the next series.
const BETWEEN_SERIES: &[u8; 4] = b"\"]},";

/// Reads series from a window.
pub(super) struct Scanner<'a> {
    /// The text read before the first series; empty if nothing was read.
    pub opening: &'static str,
    /// The series read.
    pub counts: Counts,
    /// Memory that the samples use if they are kept, in bytes.
    pub kept: usize,
    /// Receives the samples.
    pub each: &'a mut dyn FnMut(&str, Point),
    wanted: &'a Wanted<'a>,
    last: LastSeries,
}

/// The last series. The next one mostly differs only in label values.
#[derive(Default)]
struct LastSeries {
    /// The text before the pod's name; empty if there is no last series to compare with.
    before: Template,
    /// The text between the pod's name and the value.
    after: Template,
    /// The end of that text, after the last label: it contains the time.
    value_prefix: Vec<u8>,
    /// The time it contains.
    timestamp_ms: i64,
    /// Whether the labels name another namespace than the wanted one.
    other_namespace: bool,
}

impl<'a> Scanner<'a> {
    /// A scanner that has read nothing.
    pub(super) fn new(wanted: &'a Wanted<'a>, each: &'a mut dyn FnMut(&str, Point)) -> Self {
        Self { opening: "", counts: Counts::default(), kept: 0, each, wanted, last: LastSeries::default() }
    }

    /// Reads as much of `window` as it can.
    pub(super) fn scan(&mut self, window: &mut Window<impl Read>) {
        while self.opening.is_empty() {
            let text = window.text();
            if let Some(opening) = OPENINGS.into_iter().find(|opening| text.starts_with(opening)) {
                self.opening = opening;
                window.advance(opening.len());
            } else if !OPENINGS.into_iter().any(|opening| opening.starts_with(text)) || !window.fill() {
                return;
            }
        }
        loop {
            let (taken, stop) = self.take_all(window.text());
            window.advance(taken);
            if stop == Stop::Unexpected || self.kept > self.wanted.max_kept() || !window.fill() {
                return;
            }
        }
    }

    /// Takes all series at the start of `text`; returns their length, and why it stopped.
    fn take_all(&mut self, text: &str) -> (usize, Stop) {
        let mut at = 0;
        loop {
            at = self.take_alike(text, at);
            match self.take_one(text, at) {
                Ok(next) => at = next,
                Err(stop) => return (at, stop),
            }
        }
    }

    /// Takes series that look like the last one, starting at `start`. Returns where the first series begins
    /// that looks different, or that has no known successor.
    fn take_alike(&mut self, text: &str, start: usize) -> usize {
        let mut at = start;
        while let Some((pod, value, next)) = self.last.next_alike(text, at) {
            self.take(pod, value);
            at = next;
        }
        at
    }

    /// Takes the series at `start`, whatever its labels. Returns where the next one, or the end of the list,
    /// begins.
    fn take_one(&mut self, text: &str, start: usize) -> Result<usize, Stop> {
        let bytes = text.as_bytes();
        let (pod, value_start) = self.parts(text, start)?;
        let end = string_end(bytes, value_start)?;
        let value: f64 = text[value_start..end].parse().map_err(|_| Stop::Unexpected)?;
        let at = literal(bytes, end, b"\"]}")?;
        let next = match bytes.get(at) {
            Some(b']') => at,
            Some(b',') => literal(bytes, at, b",{")? - 1,
            other => return Err(other.map_or(Stop::Short, |_| Stop::Unexpected)),
        };
        self.take(pod, value);
        Ok(next)
    }

    fn take(&mut self, pod: &str, value: f64) {
        self.counts.series += 1;
        if pod.is_empty() {
            self.counts.without_pod += 1;
        } else if !self.last.other_namespace {
            self.kept += pod.len() + SAMPLE_BYTES;
            (self.each)(pod, Point { timestamp_ms: self.last.timestamp_ms, value });
        }
    }

    /// Reads a series label by label up to its value, and remembers its text. Gives its pod, and where its value begins.
    fn parts<'t>(&mut self, text: &'t str, start: usize) -> Result<(&'t str, usize), Stop> {
        let bytes = text.as_bytes();
        let label = self.wanted.pod_label.as_bytes();
        let mut pod: Option<Range<usize>> = None;
        let mut namespace: Option<Range<usize>> = None;
        let mut others: Vec<Range<usize>> = Vec::new();
        let mut at = literal(bytes, start, br#"{"metric":{"#)?;
        loop {
            let key = literal(bytes, at, b"\"")?;
            let key_end = string_end(bytes, key)?;
            let value = literal(bytes, key_end, br#"":""#)?;
            let value_end = string_end(bytes, value)?;
            let slot = match &bytes[key..key_end] {
                key if key == label => Some(&mut pod),
                b"namespace" if self.wanted.namespace.is_some() => Some(&mut namespace),
                _ => None,
            };
            match slot.map(|slot| slot.replace(value..value_end)) {
                None => others.push(value..value_end),
                Some(None) => {}
                // The visitors refuse a duplicate label.
                Some(Some(_)) => return Err(Stop::Unexpected),
            }
            at = value_end + 2;
            match bytes.get(value_end + 1) {
                Some(b',') => {}
                Some(b'}') => break,
                other => return Err(other.map_or(Stop::Short, |_| Stop::Unexpected)),
            }
        }
        let value_start = self.last.value_start(bytes, at)?;
        self.last.other_namespace = namespace.is_some_and(|found| {
            !found.is_empty() && self.wanted.namespace.is_some_and(|wanted| *wanted != text[found])
        });
        let Some(pod) = pod else {
            self.last.before = Template::default();
            return Ok(("", value_start));
        };
        self.last.before = Template::new(bytes, start..pod.start, &others);
        self.last.after = Template::new(bytes, pod.end..value_start, &others);
        Ok((&text[pod], value_start))
    }
}

impl LastSeries {
    /// The pod and the value of the series at `start`, and where the next one begins; `None` if it does not
    /// look like the last one, or no other follows.
    #[inline]
    fn next_alike<'t>(&mut self, text: &'t str, start: usize) -> Option<(&'t str, f64, usize)> {
        let bytes = text.as_bytes();
        if self.before.is_empty() {
            return None;
        }
        let pod = self.before.end(bytes, start)?;
        let pod_end = string_end(bytes, pod).ok()?;
        let value_start = self.after.end(bytes, pod_end)?;
        let rest = &bytes[value_start..];
        // The string must end where the number ends.
        let (value, length) = fast_float2::parse_partial(rest).ok()?;
        let next = value_start + length + BETWEEN_SERIES.len();
        let goes_on = rest[length..].starts_with(BETWEEN_SERIES) && bytes.get(next) == Some(&b'{');
        goes_on.then(|| (&text[pod..pod_end], value, next))
    }

    /// Where the value begins, if `at` is the end of the labels; remembers the time in between.
    fn value_start(&mut self, bytes: &[u8], at: usize) -> Result<usize, Stop> {
        if !self.value_prefix.is_empty() && bytes[at..].starts_with(&self.value_prefix) {
            return Ok(at + self.value_prefix.len());
        }
        let time = literal(bytes, at, br#","value":["#)?;
        let (timestamp_ms, end) = milliseconds(bytes, time)?;
        let end = literal(bytes, end, b",\"")?;
        // The templates contain the earlier time.
        self.before = Template::default();
        self.timestamp_ms = timestamp_ms;
        self.value_prefix.clear();
        self.value_prefix.extend_from_slice(&bytes[at..end]);
        Ok(end)
    }
}

/// The end of `expected`, which must be the text at `at`.
fn literal(bytes: &[u8], at: usize, expected: &[u8]) -> Result<usize, Stop> {
    let rest = &bytes[at..];
    if rest.starts_with(expected) {
        return Ok(at + expected.len());
    }
    Err(if expected.starts_with(rest) { Stop::Short } else { Stop::Unexpected })
}

/// Reads a time with at most three decimals exactly; any other is unexpected.
fn milliseconds(bytes: &[u8], at: usize) -> Result<(i64, usize), Stop> {
    let (seconds, mut end) = digits(bytes, at)?;
    if end == at || end - at > MAX_SECOND_DIGITS || (bytes[at] == b'0' && end - at > 1) {
        return Err(Stop::Unexpected);
    }
    let mut fraction_ms = 0;
    if bytes[end] == b'.' {
        let start = end + 1;
        (fraction_ms, end) = digits(bytes, start)?;
        fraction_ms *= match end - start {
            1 => 100,
            2 => 10,
            3 => 1,
            _ => return Err(Stop::Unexpected),
        };
    }
    Ok((seconds * 1000 + fraction_ms, end))
}

/// The number formed by the digits at `at`, and their end, which must come before the end of the text.
fn digits(bytes: &[u8], at: usize) -> Result<(i64, usize), Stop> {
    let mut number: i64 = 0;
    for (end, byte) in bytes.iter().enumerate().skip(at) {
        if !byte.is_ascii_digit() {
            return Ok((number, end));
        }
        if end - at > MAX_SECOND_DIGITS {
            return Err(Stop::Unexpected);
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Err(Stop::Short)
}
