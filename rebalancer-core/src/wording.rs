//! Numbers in sentences: short, and never rounded across the limit they are held against.

use alloc::format;
use alloc::string::String;

/// `value > limit` or `value <= limit`, with as many digits as the comparison needs to look true.
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
