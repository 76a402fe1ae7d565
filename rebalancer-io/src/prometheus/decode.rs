//! Reads an answer of the query API straight from its bytes, keeping pods, values and times only.
//!
//! [`instant`] and [`range`] are the whole boundary: bytes in, samples or an [`ErrorKind`] out.
//! Memory is bounded by [`Wanted::max_bytes`], half of which may be kept; a string and the samples of a
//! series by limits of their own, while they are read; nesting by the parser's own limit.
//!
//! Visitors read every legal form. In front of them a scanner takes the series of a vector off in
//! the compact form that servers write; where it stops, they go on.

mod answer;
mod decoder;
mod pick;
mod quote;
mod raw;
mod samples;
mod scan;
mod sink;
mod template;
mod visit;
mod window;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod twins;

pub use self::answer::{Counts, InstantAnswer, LabelledAnswer, LabelledSample, RangeAnswer, Series, Wanted};
pub use self::decoder::{instant, labelled, range};
pub use self::raw::{RawSample, raw};
pub use self::samples::{Sample, Samples};
pub use self::sink::Point;

pub(crate) use self::answer::Remarks;
pub(crate) use self::decoder::{instant_into, range_by_series};
pub(crate) use self::sink::Sink;
