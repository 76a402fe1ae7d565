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
/// A server writes its `Date` after the request was sent and before the answer arrives, so each answer proves that the
/// clocks differ by at least so much. The largest difference counts: one address may have several servers behind
/// it, each with a clock of its own.
#[derive(Debug, Default)]
pub struct ServerClock {
    skew: Mutex<Skew>,
}

/// How far a server's clock is from this machine's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Skew {
    /// It has not answered yet.
    #[default]
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
        let mut skew = self.lock();
        *skew = match (*skew, ahead_ms(headers, sent, arrived)) {
            (Skew::Ahead(known), Some(found)) if known.abs() >= found.abs() => Skew::Ahead(known),
            (_, Some(found)) => Skew::Ahead(found),
            (Skew::Unheard, None) => Skew::Undated,
            (known, None) => known,
        };
    }

    /// The difference known so far.
    pub fn skew(&self) -> Skew {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Skew> {
        self.skew.lock().expect("nothing panics while it holds this lock")
    }
}

/// By how many milliseconds the server's clock is at least ahead, negative if it is behind; `None` without a `Date`,
/// or if this machine's clock was set back in between.
fn ahead_ms(headers: &HeaderMap, sent: Timestamp, arrived: Timestamp) -> Option<i64> {
    let (sent, arrived) = (sent.as_millisecond(), arrived.as_millisecond());
    // An answer from a cache is older than the request; `Age` says by how much.
    let age_ms = headers.get(AGE).map_or(Some(0), |age| {
        let seconds: u32 = age.to_str().ok()?.trim().parse().ok()?;
        Some(i64::from(seconds) * 1000)
    })?;
    let unsure_ms = if age_ms > 0 { 2 * RESOLUTION_MS } else { RESOLUTION_MS };
    let at_ms = date(headers)?.as_millisecond() + age_ms;
    (sent <= arrived).then(|| (at_ms - arrived).max(0) + (at_ms + unsure_ms - sent).min(0))
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
    fn the_largest_difference_counts() {
        let slow = (AT_NOON, -40_000, 0);
        assert_eq!(skew(&[slow, (AT_NOON, -40_000, -39_990)]), Skew::Ahead(39_990));
        assert_eq!(skew(&[(AT_NOON, -40_000, -39_990), slow]), Skew::Ahead(39_990));
        assert_eq!(skew(&[(AT_NOON, 50, 60), (&[], 0, 1)]), Skew::Ahead(0));
        // Two servers behind one address, of which the one with the wrong clock is the slower.
        let [right, wrong] = [(AT_NOON, 50, 60), (AT_NOON, 3_600_000, 3_600_500)];
        assert_eq!(skew(&[right, wrong]), Skew::Ahead(-3_599_000));
        assert_eq!(skew(&[wrong, right]), Skew::Ahead(-3_599_000));
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
