//! Compares a server's clock with this machine's, using the `Date` of its answers.

use std::sync::{Mutex, MutexGuard};

use http::HeaderMap;
use http::header::{AGE, DATE};
use jiff::Timestamp;
use jiff::fmt::rfc2822;

/// A `Date` has whole seconds, and so does the `Age` of an answer from a cache.
const RESOLUTION_MS: i64 = 1000;

/// What one server's answers show about its clock.
///
/// A server writes its `Date` after the request was sent and before the answer arrives. So each answer gives
/// a lower and an upper bound of the difference between the clocks. The fastest answer has the closest
/// bounds, and only it counts.
#[derive(Debug, Default)]
pub struct ServerClock {
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    answers: usize,
    best: Option<Bounds>,
}

/// Bounds of the server's time minus this machine's time, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bounds {
    least: i64,
    most: i64,
}

/// How far a server's clock is from this machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skew {
    /// It has not answered yet.
    Unheard,
    /// None of its answers has a `Date`.
    Undated,
    /// At least this many milliseconds ahead of this machine; negative means behind. 0 if the answers show no
    /// difference.
    Ahead(i64),
}

impl ServerClock {
    /// Records an answer that has just arrived, to a request sent at `sent`.
    pub fn note(&self, headers: &HeaderMap, sent: Timestamp) {
        self.note_arrived(headers, sent, Timestamp::now());
    }

    fn note_arrived(&self, headers: &HeaderMap, sent: Timestamp, arrived: Timestamp) {
        let mut heard = self.heard();
        heard.answers += 1;
        let Some(bounds) = bounds(headers, sent, arrived) else { return };
        if heard.best.is_none_or(|best| bounds.width() < best.width()) {
            heard.best = Some(bounds);
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().expect("nothing panics while it holds this lock")
    }

    /// The difference known so far.
    pub fn skew(&self) -> Skew {
        let heard = self.heard();
        match heard.best {
            Some(bounds) => Skew::Ahead(bounds.least.max(0) + bounds.most.min(0)),
            None if heard.answers > 0 => Skew::Undated,
            None => Skew::Unheard,
        }
    }
}

impl Bounds {
    const fn width(self) -> i64 {
        self.most - self.least
    }
}

/// `None` without a `Date`, or if this machine's clock was set back in between.
fn bounds(headers: &HeaderMap, sent: Timestamp, arrived: Timestamp) -> Option<Bounds> {
    let (sent, arrived) = (sent.as_millisecond(), arrived.as_millisecond());
    let date_ms = date(headers)?.as_millisecond();
    // An answer from a cache is older than the request; `Age` says by how much.
    let age_ms = headers.get(AGE).map_or(Some(0), |age| {
        let seconds: u32 = age.to_str().ok()?.trim().parse().ok()?;
        Some(i64::from(seconds) * 1000)
    })?;
    let unsure_ms = if age_ms > 0 { 2 * RESOLUTION_MS } else { RESOLUTION_MS };
    let at_ms = date_ms.saturating_add(age_ms);
    (sent <= arrived).then(|| Bounds { least: at_ms - arrived, most: at_ms + unsure_ms - sent })
}

/// The `Date` of an answer.
pub(crate) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let value = headers.get(DATE)?;
    rfc2822::DateTimeParser::new().parse_timestamp(value.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds since 1970 of `Sat, 28 Nov 2026 12:00:00 GMT`.
    const NOON: i64 = 1_795_867_200_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millisecond(NOON + ms).expect("a time")
    }

    type Headers<'a> = &'a [(&'static str, &'a str)];

    fn answer(headers: Headers<'_>) -> HeaderMap {
        headers.iter().map(|(name, value)| (name.parse().expect(name), value.parse().expect(value))).collect()
    }

    /// The skew after answers to requests sent and answered at these milliseconds after our noon.
    fn skew(answers: &[(Headers<'_>, i64, i64)]) -> Skew {
        let clock = ServerClock::default();
        for (headers, sent, arrived) in answers {
            clock.note_arrived(&answer(headers), at(*sent), at(*arrived));
        }
        clock.skew()
    }

    const AT_NOON: &[(&str, &str)] = &[("date", "Sat, 28 Nov 2026 12:00:00 GMT")];

    #[test]
    fn a_date_bounds_the_difference_by_the_time_of_the_request() {
        assert_eq!(skew(&[]), Skew::Unheard);
        assert_eq!(skew(&[(&[], 0, 10)]), Skew::Undated);
        assert_eq!(skew(&[(&[("date", "yesterday")], 0, 10)]), Skew::Undated);
        assert_eq!(skew(&[(AT_NOON, 100, 120)]), Skew::Ahead(0), "a Date has no fractions");
        assert_eq!(skew(&[(AT_NOON, -70, -20)]), Skew::Ahead(20));
        assert_eq!(skew(&[(AT_NOON, 9_000_000, 9_000_040)]), Skew::Ahead(-8_999_000), "150 minutes behind");
        assert_eq!(skew(&[(AT_NOON, -9_000_000, -8_999_900)]), Skew::Ahead(8_999_900));
        // An answer that took 25 s was dated somewhere in them.
        assert_eq!(skew(&[(AT_NOON, -25_000, 0)]), Skew::Ahead(0));
        assert_eq!(skew(&[(AT_NOON, -60_000, -35_000)]), Skew::Ahead(35_000));
    }

    #[test]
    fn the_quickest_answer_counts() {
        let slow = (AT_NOON, -40_000, 0);
        assert_eq!(skew(&[slow, (AT_NOON, -40_000, -39_990)]), Skew::Ahead(39_990));
        assert_eq!(skew(&[(AT_NOON, -40_000, -39_990), slow]), Skew::Ahead(39_990));
        assert_eq!(skew(&[(AT_NOON, 50, 60), (&[], 0, 1)]), Skew::Ahead(0));
    }

    #[test]
    fn what_a_cache_kept_is_as_old_as_it_says() {
        let kept = |age: &'static str| [("date", "Sat, 28 Nov 2026 12:00:00 GMT"), ("age", age)];
        assert_eq!(skew(&[(&kept("300"), 300_500, 300_510)]), Skew::Ahead(0));
        assert_eq!(skew(&[(&kept("300"), 400_000, 400_010)]), Skew::Ahead(-98_000));
        assert_eq!(skew(&[(&kept("soon"), 400_000, 400_010)]), Skew::Undated);
    }

    #[test]
    fn a_clock_set_back_meanwhile_measures_nothing() {
        assert_eq!(skew(&[(AT_NOON, 10, 0)]), Skew::Undated);
    }
}
