//! Reads an answer of the query API from its bytes, and keeps only pods, values and times.
//!
//! How it works:
//!
//! 1. A [window](window) of 64 KiB reads the body, checks that it is UTF-8, and counts its bytes, so memory does not
//!    grow with the answer.
//! 2. Two parsers read from the window: first the [scanner](scan), then the [visitors](visit).
//! 3. The scanner is fast and reads one form only: a vector of series in the compact JSON that Prometheus and
//!    `VictoriaMetrics` write.
//! 4. It takes a series only when it has seen the whole of it and what follows it.
//! 5. At the first byte that it does not expect, it stops: an escape, a space, another key, an error.
//! 6. The visitors then read the rest as if it were the whole answer: the text in front of the first series is
//!    put back before it.
//! 7. The visitors are serde's and `serde_json`'s, so they read every legal form, and every error is theirs.
//! 8. The scanner is fast because neighbouring series look alike: it keeps the last one as a
//!    [template](template), compares the text between the values of labels sixteen bytes at a time, and parses
//!    only the name of the pod and the number.
//! 9. Both parsers count the memory of what they keep: half of [`Wanted::max_bytes`] at most. Long strings and long
//!    series have limits of their own.
//! 10. The tests hold both parsers to the same result for every answer, wherever it is cut (`twins.rs`).
//!
//! A typed serde structure alone takes 2.5 times as long, and memory that grows with the answer.

mod answer;
mod decoder;
mod quote;
mod raw;
mod scan;
mod template;
mod visit;
mod window;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;

pub(crate) use self::answer::seconds;
pub use self::answer::{LabelledSample, Point, Sample, Samples, Series, Wanted};
pub use self::decoder::{instant, labelled, range};
pub(crate) use self::decoder::{instant_by_sample, labelled_by_sample, one_a_pod, range_by_series};
pub use self::raw::{RawSample, raw};
