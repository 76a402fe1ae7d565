//! Groups what happened to pods together: a rotation, a rollout, a resize.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::BORN_TOGETHER;

use super::sightings::Sightings;
use super::turns::{Turn, What};
use crate::pipeline::clocks::ago;

/// What happened together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When it began, or up to `slack` after it.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How much earlier it may have begun; zero if the times are known.
    pub slack: Duration,
    /// The pods that were created.
    pub came: BTreeSet<String>,
    /// The pods that ended.
    pub gone: BTreeSet<String>,
    /// The pods whose containers were started again.
    pub restarted: BTreeSet<String>,
}

impl Change {
    fn of(turns: &[Turn]) -> Option<Self> {
        let (first, last) = (turns.first()?, turns.last()?);
        let pods = |what: What| {
            let pods = turns.iter().filter(|turn| turn.what == what);
            pods.map(|turn| turn.pod.clone()).collect::<BTreeSet<String>>()
        };
        let came = pods(What::Came);
        let mut restarted = pods(What::Restarted);
        restarted.retain(|pod| !came.contains(pod));
        let slack = turns.iter().map(|turn| turn.slack).max().unwrap_or_default();
        Some(Self { began: first.at, ended: last.at, slack, came, gone: pods(What::Went), restarted })
    }
}

/// The changes of a workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Those of which is known what was there before, by time.
    pub all: Vec<Change>,
    /// When the workload was created, if that was seen.
    pub created: Option<Timestamp>,
    /// Pods that came when the server remembers no pod yet: what they replaced is not known.
    pub forgotten: usize,
}

impl Changes {
    /// Groups these turns, which are sorted by time. Those less than a quarter of an hour after another belong
    /// together. `oldest` is the time of the oldest pod that is there now, if known.
    pub fn of(turns: &[Turn], sightings: &Sightings, oldest: Option<Timestamp>) -> Self {
        let together = BORN_TOGETHER.max(2 * sightings.step);
        let groups = turns.chunk_by(|one, next| ago(one.at, next.at) <= together);
        let mut changes = Self::default();
        for change in groups.filter_map(Change::of) {
            let before = changes.all.is_empty() && !is_remembered(&change, sightings);
            let is_first = oldest.is_none_or(|oldest| oldest >= change.began);
            let follows = sightings.first().map(|first| ago(change.began, first));
            if !before {
                changes.all.push(change);
            } else if is_first && follows.is_some_and(|time| time <= sightings.slack() + BORN_TOGETHER) {
                changes.created = Some(change.began);
            } else {
                changes.forgotten += change.came.len();
            }
        }
        changes
    }
}

/// Whether a pod was seen before the change, or ended in it.
fn is_remembered(change: &Change, sightings: &Sightings) -> bool {
    let is_seen = sightings.first().is_some_and(|first| ago(first, change.began) > sightings.slack());
    is_seen || !change.gone.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_410_000 + 60 * minute).expect("a time")
    }

    fn turn(minute: i64, pod: &str, what: What) -> Turn {
        Turn { at: at(minute), pod: pod.to_owned(), what, slack: Duration::ZERO }
    }

    fn since(minute: i64) -> Sightings {
        let seen = [("a".to_owned(), (at(minute), at(1_000)))].into();
        Sightings { seen, step: Duration::from_secs(60), ..Sightings::default() }
    }

    #[test]
    fn what_follows_within_a_quarter_of_an_hour_is_one_change() {
        let turns = [
            turn(100, "b", What::Went),
            turn(100, "c", What::Came),
            turn(112, "d", What::Came),
            turn(113, "d", What::Restarted),
            turn(140, "e", What::Restarted),
        ];
        let changes = Changes::of(&turns, &since(0), Some(at(-5_000)));
        assert_eq!(changes.created, None);
        let [one, other] = &changes.all[..] else { panic!("{changes:?}") };
        assert_eq!((one.began, one.ended), (at(100), at(113)));
        assert_eq!((one.came.len(), one.gone.len(), one.restarted.len()), (2, 1, 0), "d is new");
        assert_eq!((other.began, other.restarted.len()), (at(140), 1));
    }

    #[test]
    fn the_creation_of_the_workload_is_no_replacement() {
        let turns = [turn(100, "a", What::Came), turn(101, "b", What::Came)];
        let of = |memory: i64, oldest: i64| {
            let changes = Changes::of(&turns, &since(memory), Some(at(oldest)));
            (changes.created, changes.all.len(), changes.forgotten)
        };
        assert_eq!(of(102, 100), (Some(at(100)), 0, 0));
        assert_eq!(of(0, -5_000), (None, 1, 0), "two more");
        assert_eq!(of(500, 100), (None, 0, 2), "what was before is not known");
        assert_eq!(of(102, -5_000), (None, 0, 2), "the memory begins by chance when two came");
    }
}
