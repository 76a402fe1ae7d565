//! Whether answers are of now. Compares the servers' clocks with this machine's: with a slow clock, a run would decide about a
//! past whose pods may be gone; with a fast one, about a moment that no server knows yet. Says also of which samples the age
//! cannot be known.

use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::Metric;
use rebalancer_io::clock::Skew;
use rebalancer_io::metrics::{UnknownAge, query_variable};
use rebalancer_io::podstate::Answers;

use crate::cli::args::GuardMode;
use crate::settings::decision::DecisionSettings;

/// A larger difference is a warning: it exceeds the time of a request, and any error of a clock set by NTP.
const TOLD: Duration = Duration::from_secs(5);

/// With a larger difference no decision is made: loads change within a scrape interval.
const REFUSED: Duration = Duration::from_secs(30);

/// What is known about a server's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It agrees, in these words.
    Agrees(String),
    /// It differs a little, or is unknown: a warning.
    Told(String),
    /// It differs too much for a decision.
    Refused(String),
}

/// The current time in whole milliseconds, which is what the query API takes.
pub fn now() -> Timestamp {
    Timestamp::from_millisecond(Timestamp::now().as_millisecond())
        .expect("a time with fewer digits is still a time")
}

/// The time from `earlier` to `later`; zero if they are the other way round.
pub fn ago(earlier: Timestamp, later: Timestamp) -> Duration {
    let ms = later.as_millisecond().saturating_sub(earlier.as_millisecond());
    Duration::from_millis(u64::try_from(ms).unwrap_or_default())
}

/// A server's name, and how far its clock is from this machine's.
pub type Clock = (String, Skew);

/// The findings about the clocks of these servers, as far as they have answered.
pub fn findings(clocks: &[Clock]) -> Vec<Finding> {
    clocks.iter().filter_map(|(server, skew)| finding(server, *skew)).collect()
}

/// The warnings for a report.
///
/// # Errors
/// A clock that differs too much for a decision.
pub fn held_against(clocks: &[Clock]) -> anyhow::Result<Vec<String>> {
    let (mut told, mut refused) = (Vec::new(), Vec::new());
    for finding in findings(clocks) {
        match finding {
            Finding::Agrees(_) => {}
            Finding::Told(words) => told.push(words),
            Finding::Refused(words) => refused.push(words),
        }
    }
    anyhow::ensure!(refused.is_empty(), "{}; {ADVICE}", refused.join("; "));
    Ok(told)
}

/// What to do about a wrong clock.
pub const ADVICE: &str = "nothing is decided for another moment than now: set the clocks of both machines by NTP, \
     or look for a cache in front of the server";

fn finding(server: &str, skew: Skew) -> Option<Finding> {
    let ahead_ms = match skew {
        Skew::Unheard => return None,
        Skew::Undated => {
            return Some(Finding::Told(format!(
                "{server} sends no Date: its clock cannot be held against this machine's"
            )));
        }
        Skew::Ahead(ahead_ms) => ahead_ms,
    };
    let apart = Duration::from_millis(ahead_ms.unsigned_abs());
    let direction = if ahead_ms > 0 { "ahead of" } else { "behind" };
    let words = format!("the clock of {server} is {} {direction} this machine's", length(apart));
    Some(if apart > REFUSED {
        Finding::Refused(words)
    } else if apart > TOLD {
        Finding::Told(words)
    } else {
        Finding::Agrees(format!("the clock of {server} agrees with this machine's"))
    })
}

/// A duration in the largest unit with a count of at least two.
fn length(apart: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];

    let seconds = apart.as_secs();
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or_else(
        || format!("{seconds} s"),
        |(length, name)| format!("{} {name} ({seconds} s)", seconds / length),
    )
}

/// Warnings about samples that may be of any age.
///
/// # Errors
/// With guards on, there being any.
pub fn of_known_age(answers: &Answers, decision: &DecisionSettings) -> anyhow::Result<Vec<String>> {
    let mut told: Vec<String> = Vec::new();
    for (metric, why) in answers.unknown_ages.iter() {
        let Some(why) = why else { continue };
        let words = unknown_age(metric, why);
        if decision.mode == GuardMode::Standard {
            anyhow::bail!("{words}; {UNKNOWN_AGE_ADVICE}");
        }
        told.push(words);
    }
    Ok(told)
}

/// The message that the age of an own query's samples is unknown.
pub fn unknown_age(metric: Metric, why: &UnknownAge) -> String {
    format!("{metric}: it cannot be known how old the samples of {} are: {why}", query_variable(metric))
}

/// What to do about an unknown age.
pub const UNKNOWN_AGE_ADVICE: &str = "MAX_SAMPLE_AGE is held against the series that a query reads: write it with \
     plain selectors that the server has samples of, or turn the guards off by GUARDS=off";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_seconds_are_told_and_thirty_refuse() {
        let found = |ahead_ms| finding("S", Skew::Ahead(ahead_ms)).expect("it has answered");
        for ahead_ms in [0, 5_000, -5_000] {
            assert!(matches!(found(ahead_ms), Finding::Agrees(_)), "{ahead_ms}");
        }
        for (ahead_ms, words) in
            [(5_001, "5 s ahead of"), (30_000, "30 s ahead of"), (-30_000, "30 s behind")]
        {
            let expected = format!("the clock of S is {words} this machine's");
            assert_eq!(found(ahead_ms), Finding::Told(expected));
        }
        for (ahead_ms, words) in
            [(30_001, "30 s ahead of"), (-9_000_000, "2 hours (9000 s) behind"), (i64::MIN, "behind")]
        {
            let Finding::Refused(said) = found(ahead_ms) else { panic!("{ahead_ms} is not refused") };
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_server_without_a_date_is_told_and_one_not_asked_is_not() {
        assert_eq!(finding("S", Skew::Unheard), None);
        assert!(
            matches!(finding("S", Skew::Undated), Some(Finding::Told(words)) if words.contains("no Date"))
        );
    }
}
