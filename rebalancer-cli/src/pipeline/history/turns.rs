//! When each pod of a workload came, went and was started again, and what of that belongs together: a rotation, a rollout, a
//! resize.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{BORN_TOGETHER, LivePod};

use super::sightings::Sightings;
use crate::pipeline::clocks::ago;

/// Two sources give the time of one creation a few seconds apart.
const SAME: Duration = Duration::from_secs(10);

/// Something that happened to a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// When, or up to `slack` after it.
    pub at: Timestamp,
    /// Name of the pod.
    pub pod: String,
    /// What happened.
    pub what: What,
    /// How much earlier it may have been; zero for a time that is known.
    pub slack: Duration,
}

/// What happened to a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was created.
    Came,
    /// It ended.
    Went,
    /// Its containers were started again; whether in the same pod or in a new one of its name is not known.
    Restarted,
}

/// The pods of a workload now, and as they are remembered.
#[derive(Debug, Clone, Copy)]
pub struct Pods<'a> {
    /// The pods that are there now.
    pub live: &'a [LivePod],
    /// When they were listed.
    pub listed_at: Timestamp,
    /// What the metrics server remembers.
    pub sightings: &'a Sightings,
    /// Whether the past that was read reaches to now: who is not live then has gone.
    pub is_until_now: bool,
}

impl Pods<'_> {
    /// All that happened to them, by time.
    pub fn turns(&self) -> Vec<Turn> {
        let live: BTreeMap<&str, &LivePod> = self.live.iter().map(|pod| (pod.name.as_str(), pod)).collect();
        let names: BTreeSet<&str> =
            live.keys().copied().chain(self.sightings.seen.keys().map(String::as_str)).collect();
        let mut turns: Vec<Turn> =
            names.into_iter().flat_map(|name| self.of_pod(name, live.get(name).copied())).collect();
        turns.sort_by(|one, other| (one.at, &one.pod).cmp(&(other.at, &other.pod)));
        turns
    }

    fn of_pod(&self, name: &str, live: Option<&LivePod>) -> Vec<Turn> {
        let slack = self.sightings.slack();
        let mut turns: Vec<Turn> = Vec::new();
        let mut add = |at: Timestamp, what: What, slack: Duration| {
            turns.push(Turn { at, pod: name.to_owned(), what, slack });
        };
        let seen = self.sightings.seen.get(name).copied();
        let births = self.births(name, live);
        let mut was_there = false;
        if let Some((first, _)) = seen
            && births.first().is_none_or(|birth| ago(first, *birth) > slack)
        {
            was_there = true;
            if self.sightings.first().is_some_and(|memory| ago(memory, first) > slack) {
                add(first, What::Came, slack);
            }
        }
        for birth in &births {
            if was_there {
                add(*birth, What::Went, Duration::ZERO);
            }
            add(*birth, What::Came, Duration::ZERO);
            was_there = true;
        }
        if let (None, Some((_, last))) = (live, seen) {
            let is_over = self.sightings.last().is_some_and(|memory| ago(last, memory) > slack);
            if self.is_until_now || is_over {
                add(last, What::Went, slack);
            }
        }
        for start in self.restarts(name, live, seen, &births) {
            add(start, What::Restarted, Duration::ZERO);
        }
        turns
    }

    /// When pods of this name were created, as far as that is known exactly.
    fn births(&self, name: &str, live: Option<&LivePod>) -> Vec<Timestamp> {
        let of_live = live.and_then(|pod| Some(self.listed_at - pod.age?));
        let births = apart(self.sightings.created.get(name), of_live, |_| true);
        if births.is_empty() { Vec::from_iter(self.start_at_first_sight(name)) } else { births }
    }

    /// The start of the container of a pod that came while it was looked for: soon after its creation.
    fn start_at_first_sight(&self, name: &str) -> Option<Timestamp> {
        let (slack, (first, _)) = (self.sightings.slack(), self.sightings.seen.get(name)?);
        let is_new = ago(self.sightings.first()?, *first) > slack;
        let is_near = |start: &&Timestamp| ago(**start, *first).max(ago(*first, **start)) <= slack;
        self.sightings.started.get(name)?.iter().find(is_near).copied().filter(|_| is_new)
    }

    /// When containers were started long after the creation of their pod.
    fn restarts(
        &self,
        name: &str,
        live: Option<&LivePod>,
        seen: Option<(Timestamp, Timestamp)>,
        births: &[Timestamp],
    ) -> Vec<Timestamp> {
        let since = births.first().copied().into_iter().chain(seen.map(|(first, _)| first)).min();
        let is_late = |start: &Timestamp| {
            since.is_some_and(|since| ago(since, *start) > BORN_TOGETHER)
                && births.iter().all(|birth| *birth > *start || ago(*birth, *start) > BORN_TOGETHER)
        };
        let of_live = live.and_then(|pod| Some(self.listed_at - pod.uptime?));
        apart(self.sightings.started.get(name), of_live, is_late)
    }
}

/// The wanted ones among known moments and that of the live pod, each once.
fn apart(
    known: Option<&BTreeSet<Timestamp>>,
    of_live: Option<Timestamp>,
    is_wanted: impl Fn(&Timestamp) -> bool,
) -> Vec<Timestamp> {
    let all: BTreeSet<Timestamp> = known.into_iter().flatten().copied().chain(of_live).collect();
    let mut all: Vec<Timestamp> = all.into_iter().filter(is_wanted).collect();
    all.dedup_by(|later, earlier| ago(*earlier, *later) <= SAME);
    all
}

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
            let first = sightings.first();
            // A pod was seen before the change, or ended in it.
            let is_remembered = !change.gone.is_empty()
                || first.is_some_and(|first| ago(first, change.began) > sightings.slack());
            let is_first = oldest.is_none_or(|oldest| oldest >= change.began);
            let is_seen_soon =
                first.is_some_and(|first| ago(change.began, first) <= sightings.slack() + BORN_TOGETHER);
            if is_remembered || !changes.all.is_empty() {
                changes.all.push(change);
            } else if is_first && is_seen_soon {
                changes.created = Some(change.began);
            } else {
                changes.forgotten += change.came.len();
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_410_000 + 60 * minute).expect("a time")
    }

    /// A pod that is listed at minute 1000, created at minute `born`.
    fn live(name: &str, born: u64) -> LivePod {
        let age = Some(Duration::from_secs(60 * (1_000 - born)));
        LivePod { age, uptime: age, ..LivePod::assumed(name) }
    }

    fn seen(pods: &[(&str, i64, i64)]) -> Sightings {
        let seen = pods.iter().map(|(name, first, last)| ((*name).to_owned(), (at(*first), at(*last))));
        Sightings { seen: seen.collect(), step: Duration::from_secs(60), ..Sightings::default() }
    }

    fn turns(live: &[LivePod], sightings: &Sightings, is_until_now: bool) -> Vec<(i64, String, What)> {
        let turns = Pods { live, listed_at: at(1_000), sightings, is_until_now }.turns();
        let minute = |time: Timestamp| (time.as_second() - at(0).as_second()) / 60;
        turns.into_iter().map(|turn| (minute(turn.at), turn.pod, turn.what)).collect()
    }

    #[test]
    fn one_pod_goes_and_another_comes() {
        let sightings = seen(&[("a", 0, 1_000), ("b", 0, 503), ("c", 502, 1_000)]);
        let all = [live("a", 0), live("c", 500)];
        let found = turns(&all, &sightings, true);
        let [a, b, c] = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(found, [(0, a, What::Came), (500, c, What::Came), (503, b, What::Went)]);
    }

    #[test]
    fn pods_that_keep_their_name_are_told_by_their_creation() {
        let mut sightings = seen(&[("db-0", 0, 1_000)]);
        let one = turns(&[live("db-0", 700)], &sightings, true);
        let name = || "db-0".to_owned();
        assert_eq!(one, [(700, name(), What::Went), (700, name(), What::Came)]);
        sightings.created.insert(name(), [at(-60), at(300), at(700)].into());
        let several = turns(&[live("db-0", 700)], &sightings, true);
        let expected = [
            (-60, name(), What::Came),
            (300, name(), What::Went),
            (300, name(), What::Came),
            (700, name(), What::Went),
            (700, name(), What::Came),
        ];
        assert_eq!(several, expected);
    }

    #[test]
    fn a_container_that_is_started_again_is_no_new_pod() {
        let mut pod = live("a", 100);
        pod.uptime = Some(Duration::from_secs(60 * 200));
        let found = turns(&[pod], &seen(&[("a", 101, 1_000)]), true);
        assert_eq!(found, [(100, "a".to_owned(), What::Came), (800, "a".to_owned(), What::Restarted)]);
        // An image that takes five minutes to fetch is no restart.
        let mut slow = live("a", 100);
        slow.uptime = Some(Duration::from_secs(60 * 895));
        assert_eq!(turns(&[slow], &seen(&[]), true).len(), 1);
        // A start that is no restart takes no other one with it, however near.
        let late = at(100) + BORN_TOGETHER + Duration::from_secs(5);
        let mut sightings = seen(&[]);
        sightings.started.insert("a".to_owned(), [at(100) + BORN_TOGETHER, late].into());
        let found =
            Pods { live: &[live("a", 100)], listed_at: at(1_000), sightings: &sightings, is_until_now: true };
        let found = found.turns();
        assert!(found.iter().any(|turn| (turn.at, turn.what) == (late, What::Restarted)), "{found:?}");
    }

    #[test]
    fn of_pods_that_are_gone_the_start_of_their_container_tells_when_they_came() {
        let mut sightings = seen(&[("a", 0, 1_000), ("b", 303, 600)]);
        sightings.started.insert("b".to_owned(), [at(301), at(500)].into());
        let found = turns(&[live("a", 0)], &sightings, true);
        let b = || "b".to_owned();
        assert_eq!(found[1..], [(301, b(), What::Came), (500, b(), What::Restarted), (600, b(), What::Went)]);
    }

    #[test]
    fn where_the_past_ends_before_now_the_last_ones_have_not_gone() {
        let sightings = seen(&[("a", 0, 600), ("b", 0, 600), ("c", 0, 300)]);
        assert_eq!(turns(&[], &sightings, false), [(300, "c".to_owned(), What::Went)]);
        assert_eq!(turns(&[], &sightings, true).len(), 3);
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
