//! Queries a range in pieces if a server does not answer it as a whole.

use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_io::prometheus::{QueryError, Series, TimeRange};

/// Maximum number of times a piece is halved: down to a 64th.
const HALVINGS: u32 = 6;

/// The query fails after this many of the smallest pieces in a row without an answer.
const MOST_MISSES: usize = 3;

/// Moments that the server did not return, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The first of them.
    pub from: Timestamp,
    /// The last of them.
    pub to: Timestamp,
    /// The server's error.
    pub why: String,
}

impl Gap {
    /// What of `what` is missing, in words.
    pub fn of(&self, what: impl Display) -> String {
        format!("{what} from {} to {}: {}", self.from, self.to, self.why)
    }
}

/// The answers to the pieces of a range, and the pieces without an answer.
pub type Answered = (Vec<Vec<Series>>, Vec<Gap>);

/// Queries the moments of a range, in as few pieces as the server allows.
pub struct Pieces {
    /// Moments in one piece. A size that worked is kept for the next range.
    size: AtomicUsize,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { size: AtomicUsize::new(usize::MAX) }
    }
}

impl Pieces {
    /// The points of all of `times`, which are sorted, and the gaps. `ask` queries the range from a first to
    /// a last moment. A piece that is too large for the server is halved, so that only a few requests fail.
    ///
    /// # Errors
    /// An error that a shorter range would not avoid, or a server that answers none of the smallest pieces.
    pub fn ask(
        &self,
        times: &[Timestamp],
        step: Duration,
        ask: impl Fn(TimeRange) -> Result<Vec<Series>, QueryError>,
    ) -> Result<Answered, QueryError> {
        let smallest = times.len().div_ceil(1 << HALVINGS).max(1);
        let (mut answers, mut gaps): (Vec<Vec<Series>>, Vec<Gap>) = (Vec::new(), Vec::new());
        let (mut rest, mut misses, mut last) = (times, 0, None);
        while !rest.is_empty() {
            let size =
                self.size.load(Ordering::Relaxed).clamp(smallest, rest.len().max(smallest)).min(rest.len());
            let (piece, later) = rest.split_at(size);
            let (from, to) = (piece[0], piece[size - 1]);
            match ask(TimeRange { start: from, end: to, step }) {
                Ok(answer) => {
                    answers.push(answer);
                    misses = 0;
                }
                Err(error) if !error.may_be_split() => return Err(error),
                Err(_) if size > smallest => {
                    self.size.store((size / 2).max(smallest), Ordering::Relaxed);
                    continue;
                }
                Err(error) => {
                    misses += 1;
                    if misses == MOST_MISSES {
                        return Err(error);
                    }
                    gaps.push(Gap { from, to, why: error.to_string() });
                    last = Some(error);
                }
            }
            rest = later;
        }
        match last {
            Some(error) if answers.is_empty() => Err(error),
            _ => Ok((answers, gaps)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rebalancer_io::prometheus::{ErrorKind, TransportError};

    use super::*;

    fn times(count: i64) -> Vec<Timestamp> {
        (0..count).map(|index| Timestamp::from_second(900 * index).expect("a time")).collect()
    }

    fn error(kind: ErrorKind) -> QueryError {
        QueryError { name: "cpu".into(), place: "test".into(), query: "up".into(), kind: Box::new(kind) }
    }

    fn timeout() -> QueryError {
        error(TransportError::Timeout(Duration::from_secs(60)).into())
    }

    /// The first and last moment of each request.
    type Asked = Vec<(i64, i64)>;

    /// A server that answers up to `most` moments of 900 s, and none that holds moment `bad`.
    fn asked(count: i64, most: i64, bad: Option<i64>) -> (Asked, Result<(usize, Vec<Gap>), QueryError>) {
        let asked: RefCell<Asked> = RefCell::default();
        let pieces = Pieces::default();
        let found = pieces.ask(&times(count), Duration::from_secs(900), |range| {
            let (from, to) = (range.start.as_second() / 900, range.end.as_second() / 900);
            asked.borrow_mut().push((from, to));
            let fails = to - from + 1 > most || bad.is_some_and(|bad| (from..=to).contains(&bad));
            if fails { Err(timeout()) } else { Ok(Vec::new()) }
        });
        (asked.into_inner(), found.map(|(answers, gaps)| (answers.len(), gaps)))
    }

    #[test]
    fn a_range_that_is_answered_is_asked_once() {
        let (asked, found) = asked(673, 673, None);
        assert_eq!((asked, found), (vec![(0, 672)], Ok((1, Vec::new()))));
    }

    #[test]
    fn what_times_out_is_halved_and_every_moment_is_asked_for_once() {
        let (asked, found) = asked(673, 100, None);
        assert_eq!(found, Ok((9, Vec::new())));
        let answered: Vec<(i64, i64)> = asked.iter().copied().filter(|(from, to)| to - from < 100).collect();
        assert_eq!(asked.len() - answered.len(), 3, "673, 336 and 168 in vain: {asked:?}");
        let moments: Vec<i64> = answered.iter().flat_map(|(from, to)| *from..=*to).collect();
        assert_eq!(moments, (0..673).collect::<Vec<i64>>());
    }

    #[test]
    fn what_could_not_be_had_is_named_and_the_rest_is_there() {
        let (_, found) = asked(64, 64, Some(40));
        let (_, gaps) = found.expect("the rest is answered");
        let gaps: Vec<(i64, i64)> =
            gaps.iter().map(|gap| (gap.from.as_second() / 900, gap.to.as_second() / 900)).collect();
        assert_eq!(gaps, [(40, 40)]);
    }

    #[test]
    fn a_server_that_answers_nothing_is_given_up_soon() {
        let (seen, found) = asked(50_000, 0, None);
        assert_eq!(found.map(drop), Err(timeout()));
        assert_eq!(seen.len(), 6 + MOST_MISSES, "{seen:?}");
        let (seen, found) = asked(1, 0, None);
        assert_eq!((seen.len(), found.map(drop)), (1, Err(timeout())));
    }

    #[test]
    fn an_error_that_a_shorter_range_keeps_is_not_tried_again() {
        let asked: RefCell<usize> = RefCell::default();
        let refused = || error(ErrorKind::Http { status: 403, words: "no".into() });
        let found = Pieces::default().ask(&times(100), Duration::from_secs(900), |_| {
            *asked.borrow_mut() += 1;
            Err(refused())
        });
        assert_eq!((found.map(drop), asked.into_inner()), (Err(refused()), 1));
    }
}
