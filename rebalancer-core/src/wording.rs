//! Numbers, durations and lists in sentences.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// `value > limit` or `value <= limit`, with enough digits to make the comparison look true.
pub(crate) fn against(value: f64, limit: f64) -> String {
    let sign = if value > limit { ">" } else { "<=" };
    for digits in 2..=6 {
        let short = format!("{value:.digits$}");
        let reads: f64 = short.parse().unwrap_or(value);
        if (reads > limit) == (value > limit) {
            return format!("{short} {sign} {limit}");
        }
    }
    format!("{value} {sign} {limit}")
}

/// A duration in the largest unit that has a count of at least two: `90 min`, `2 d`.
pub(crate) fn lasting(duration: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let seconds = duration.as_secs();
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= 2 * length);
    let (length, name) = unit.unwrap_or((1, "s"));
    format!("{} {name}", seconds / length)
}

/// Maximum number of reasons in one message; a rollout of a thousand pods has thousands.
const SPELLED_OUT: usize = 8;

/// Joins reasons into one line, `a; b; c`, and says how many are left out.
pub(crate) fn joined<T: fmt::Display>(reasons: &[T]) -> String {
    let mut words: Vec<String> = reasons.iter().take(SPELLED_OUT).map(ToString::to_string).collect();
    if reasons.len() > SPELLED_OUT {
        words.push(format!("and {} more", reasons.len() - SPELLED_OUT));
    }
    words.join("; ")
}
