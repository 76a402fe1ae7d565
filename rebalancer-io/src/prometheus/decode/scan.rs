//! The fast road: reads the series of a vector in the compact form in which servers write them, and
//! leaves at the first surprise.
//!
//! It takes whole series only, and one only when it is known to be followed by another one or by
//! the end of the list. What it leaves is a vector of the remaining series, which the visitors read
//! with [`Scanner::head`] put back in front. So every other form, every error and whatever stands
//! around the series is theirs, and the result is the one they would have come to alone.

use std::io::Read;
use std::ops::Range;

use super::answer::{Counts, Wanted};
use super::quote::{Stop, string_end};
use super::sink::{Point, Sink};
use super::template::Template;
use super::window::Window;

/// What stands before the first series: as Prometheus writes it, and as VictoriaMetrics does.
const HEADS: [&str; 2] = [
    r#"{"status":"success","data":{"resultType":"vector","result":["#,
    r#"{"status":"success","isPartial":false,"data":{"resultType":"vector","result":["#,
];

/// Most digits of the seconds of a time: their milliseconds are whole numbers in an `f64`.
const MAX_SECOND_DIGITS: usize = 10;

/// Memory that a sample takes beside its name, in bytes: where the name ends, the value, and a moment.
pub(super) const SAMPLE_BYTES: usize = 32;

/// What stands between the value of a series and the next one.
const SEAM: &[u8; 4] = b"\"]},";

/// Reads series off a window.
pub(super) struct Scanner<'a, S> {
    /// What was taken in front of the series; empty when nothing was.
    pub head: &'static str,
    /// What took the samples.
    pub sink: S,
    /// What was left out of the series taken.
    pub counts: Counts,
    /// Memory that the samples taken take, in bytes.
    pub kept: usize,
    wanted: &'a Wanted<'a>,
    last: Pattern,
}

/// What the last series looked like: the next one mostly differs in the values of labels alone.
#[derive(Default)]
struct Pattern {
    /// What stood before the name of the pod; empty when there is nothing to go by.
    before: Template,
    /// What stood between the name and the value.
    after: Template,
    /// The end of that: what stood between the labels and the value.
    link: Vec<u8>,
    /// The time in it.
    timestamp_ms: i64,
    /// Whether the labels name another namespace than the wanted one.
    other_namespace: bool,
}

/// Where a series has its pod and its value.
struct Parts<'t> {
    pod: &'t str,
    value_start: usize,
}

impl<'a, S: Sink> Scanner<'a, S> {
    /// A scanner that has taken nothing.
    pub(super) fn new(wanted: &'a Wanted<'a>, sink: S) -> Self {
        Self { head: "", sink, counts: Counts::default(), kept: 0, wanted, last: Pattern::default() }
    }

    /// Takes what there is to take off `window`.
    pub(super) fn scan(window: &mut Window<impl Read>, wanted: &'a Wanted<'a>, sink: S) -> Self {
        let mut scanner = Self::new(wanted, sink);
        while scanner.head.is_empty() {
            let text = window.text();
            if let Some(head) = HEADS.into_iter().find(|head| text.starts_with(head)) {
                scanner.head = head;
                window.advance(head.len());
            } else if !HEADS.into_iter().any(|head| head.starts_with(text)) || !window.fill() {
                return scanner;
            }
        }
        loop {
            let (taken, stop) = scanner.series(window.text());
            window.advance(taken);
            if stop == Stop::Surprise || scanner.kept > wanted.max_kept() || !window.fill() {
                return scanner;
            }
        }
    }

    /// Takes the series at the beginning of `text`; returns their length, and what ended it.
    fn series(&mut self, text: &str) -> (usize, Stop) {
        let mut at = 0;
        loop {
            at = self.alike(text, at);
            match self.one(text, at) {
                Ok(next) => at = next,
                Err(stop) => return (at, stop),
            }
        }
    }

    /// Takes series that look as the last one did, from the one at `start` on; returns where the
    /// first other one stands, or the last one there is.
    fn alike(&mut self, text: &str, start: usize) -> usize {
        let mut at = start;
        while let Some((pod, value, next)) = self.last.again(text, at) {
            self.take(pod, value);
            at = next;
        }
        at
    }

    /// Takes the series at `start`; returns where the next one, or the end of the list, stands.
    fn one(&mut self, text: &str, start: usize) -> Result<usize, Stop> {
        let bytes = text.as_bytes();
        let Parts { pod, value_start } = self.parts(text, start)?;
        let end = string_end(bytes, value_start)?;
        let value: f64 = text[value_start..end].parse().map_err(|_| Stop::Surprise)?;
        let at = literal(bytes, end, b"\"]}")?;
        let next = match bytes.get(at) {
            Some(b']') => at,
            Some(b',') => literal(bytes, at, b",{")? - 1,
            other => return Err(other.map_or(Stop::Short, |_| Stop::Surprise)),
        };
        self.take(pod, value);
        Ok(next)
    }

    fn take(&mut self, pod: &str, value: f64) {
        self.counts.series += 1;
        if pod.is_empty() {
            self.counts.without_pod += 1;
        } else if self.last.other_namespace {
            self.counts.other_namespace += 1;
        } else {
            self.kept += pod.len() + SAMPLE_BYTES;
            self.sink.take(pod, Point { timestamp_ms: self.last.timestamp_ms, value });
        }
    }

    /// Reads a series up to its value, label by label.
    fn parts<'t>(&mut self, text: &'t str, start: usize) -> Result<Parts<'t>, Stop> {
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
                // A label that stands there twice is for the visitors to refuse.
                Some(Some(_)) => return Err(Stop::Surprise),
            }
            at = value_end + 2;
            match bytes.get(value_end + 1) {
                Some(b',') => {}
                Some(b'}') => break,
                other => return Err(other.map_or(Stop::Short, |_| Stop::Surprise)),
            }
        }
        let value_start = self.last.link(bytes, at)?;
        self.last.other_namespace = namespace.is_some_and(|found| {
            !found.is_empty() && self.wanted.namespace.is_some_and(|wanted| *wanted != text[found])
        });
        let Some(pod) = pod else {
            self.last.before = Template::default();
            return Ok(Parts { pod: "", value_start });
        };
        self.last.before = Template::new(bytes, start..pod.start, &others);
        self.last.after = Template::new(bytes, pod.end..value_start, &others);
        Ok(Parts { pod: &text[pod], value_start })
    }
}

impl Pattern {
    /// Pod and value of the series at `start` and where the next one stands, if it looks as the last
    /// one did and is followed by another.
    #[inline]
    fn again<'t>(&mut self, text: &'t str, start: usize) -> Option<(&'t str, f64, usize)> {
        let bytes = text.as_bytes();
        if self.before.is_empty() {
            return None;
        }
        let pod = self.before.end(bytes, start)?;
        let pod_end = string_end(bytes, pod).ok()?;
        let value_start = self.after.end(bytes, pod_end)?;
        let rest = &bytes[value_start..];
        // Where the number ends its string does, or the seam is not there.
        let (value, length) = fast_float2::parse_partial(rest).ok()?;
        let next = value_start + length + SEAM.len();
        let goes_on = rest[length..].starts_with(SEAM) && bytes.get(next) == Some(&b'{');
        goes_on.then(|| (&text[pod..pod_end], value, next))
    }

    /// Reads what stands between labels and value, and keeps the time in it.
    fn link(&mut self, bytes: &[u8], at: usize) -> Result<usize, Stop> {
        if !self.link.is_empty() && bytes[at..].starts_with(&self.link) {
            return Ok(at + self.link.len());
        }
        let time = literal(bytes, at, br#","value":["#)?;
        let (timestamp_ms, end) = milliseconds(bytes, time)?;
        let end = literal(bytes, end, b",\"")?;
        // A pattern holds a time.
        self.before = Template::default();
        self.timestamp_ms = timestamp_ms;
        self.link.clear();
        self.link.extend_from_slice(&bytes[at..end]);
        Ok(end)
    }
}

/// Where `expected`, which must stand at `at`, ends.
fn literal(bytes: &[u8], at: usize, expected: &[u8]) -> Result<usize, Stop> {
    let rest = &bytes[at..];
    if rest.starts_with(expected) {
        return Ok(at + expected.len());
    }
    Err(if expected.starts_with(rest) { Stop::Short } else { Stop::Surprise })
}

/// Reads a time of at most three decimals, exactly; any other is a surprise.
fn milliseconds(bytes: &[u8], at: usize) -> Result<(i64, usize), Stop> {
    let (seconds, mut end) = digits(bytes, at)?;
    if end == at || end - at > MAX_SECOND_DIGITS || (bytes[at] == b'0' && end - at > 1) {
        return Err(Stop::Surprise);
    }
    let mut fraction_ms = 0;
    if bytes[end] == b'.' {
        let start = end + 1;
        (fraction_ms, end) = digits(bytes, start)?;
        fraction_ms *= match end - start {
            1 => 100,
            2 => 10,
            3 => 1,
            _ => return Err(Stop::Surprise),
        };
    }
    Ok((seconds * 1000 + fraction_ms, end))
}

/// The number that the digits from `at` on make, and where they end: before the end of the text.
fn digits(bytes: &[u8], at: usize) -> Result<(i64, usize), Stop> {
    let mut number: i64 = 0;
    for (end, byte) in bytes.iter().enumerate().skip(at) {
        if !byte.is_ascii_digit() {
            return Ok((number, end));
        }
        if end - at > MAX_SECOND_DIGITS {
            return Err(Stop::Surprise);
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Err(Stop::Short)
}
