//! Looks at a group twice, finds out for how long records wait where nothing moved in between, and looks further at the
//! partitions that may stand.
//!
//! Kafka keeps no history of committed offsets. What it tells is the end that a partition had at an earlier time, by the
//! times of its records. If that end was already past the offset that is committed now, the record at this offset has
//! waited since then. That is the age of a backlog and no proof of a stand: a slow consumer has one too. So a partition
//! counts as standing only once it was watched for [`STAND_WATCHES`] times the time between two looks.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::client::{Group, KafkaClient, Place};
use super::error::{KafkaError, KafkaErrorKind};

/// Minutes ago at which an end is asked for, three of them for each partition. The past of partitions has 60 minutes.
const MINUTES: [u32; 7] = [1, 3, 5, 10, 15, 30, 59];

/// Longest time for which a stop goes unnoticed.
const STOP_POLL: Duration = Duration::from_millis(100);

/// How many times the time between two looks a partition must be seen not to move: consumers commit more often than that.
pub(super) const STAND_WATCHES: u32 = 3;

/// Records that have waited for less show no stand yet, whatever is watched.
const LEAST_STAND_MINUTES: u32 = 5;

/// Connections that are not used for so long are made anew: load balancers and brokers close idle ones.
const IDLE: Duration = Duration::from_secs(60);

/// Time that is left of a run for the decision and an eviction.
const RESERVE: Duration = Duration::from_secs(20);

/// Least time that a run must have: that of watching a partition that may stand, and of deciding afterwards.
pub fn least_run(apart: Duration) -> Duration {
    apart.saturating_mul(STAND_WATCHES).saturating_add(RESERVE)
}

/// A group as two looks found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The group at the second look.
    pub group: Group,
    /// Whether its partitions were dealt anew between the looks, or are being dealt.
    pub in_rebalance: bool,
    /// Time between the two questions for the committed offsets.
    pub apart: Duration,
    /// Time between the two questions for the ends.
    pub ends_apart: Duration,
    /// How long a partition must be seen not to move before it counts as standing.
    pub needed: Duration,
    /// Its partitions in order: those that a member owns, and those of its topics for which it has committed an offset.
    pub partitions: Vec<WatchedPartition>,
}

/// A partition as the looks found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedPartition {
    /// Topic and number.
    pub place: Place,
    /// Position of its owner among the members.
    pub owner: Option<usize>,
    /// The committed offset at the first two looks; `None` if there is none.
    pub committed: [Option<i64>; 2],
    /// The committed offset at the last look.
    pub last: Option<i64>,
    /// How long it was watched at least, from the first look to the last.
    pub watched: Duration,
    /// The offset of the next record at each of the first two looks.
    pub end: [Option<i64>; 2],
    /// The offset of the first record that is kept, if it was asked for.
    pub start: Option<i64>,
    /// The end for those who read committed records only, if it was asked for.
    pub committed_end: Option<i64>,
    /// The end at earlier times, in minutes before the second look, as far as it was asked for.
    pub earlier: Vec<(u32, i64)>,
}

impl WatchedPartition {
    /// Whether the committed offset was the same at all looks although records waited.
    pub fn stood(&self) -> bool {
        self.committed[0] == self.committed[1] && self.committed[1] == self.last && self.waits_since_first()
    }

    /// Whether it did not move although its records have waited for long enough to show a stand.
    pub fn may_stand(&self) -> bool {
        self.stood() && self.waits_minutes() >= LEAST_STAND_MINUTES && !self.waits_for_transaction()
    }

    /// Whether an open transaction keeps those from reading on who read committed records only: no restart helps them.
    pub fn waits_for_transaction(&self) -> bool {
        match (self.committed_end, self.committed[1], self.end[1]) {
            (Some(readable), Some(committed), Some(end)) => {
                self.stood() && readable <= committed && readable < end
            }
            _ => false,
        }
    }

    /// Whether the committed offset changed between two looks.
    pub fn moved(&self) -> bool {
        let [first, second] = self.committed;
        [(first, second), (second, self.last)]
            .iter()
            .any(|(before, after)| matches!((before, after), (Some(before), Some(after)) if before != after))
    }

    /// Whether no record is kept; `false` if that is not known.
    pub fn is_empty(&self) -> bool {
        self.end[1].is_some_and(|end| end == 0 || self.start == Some(end))
    }

    fn waits_since_first(&self) -> bool {
        matches!((self.committed[0], self.end[0]), (Some(committed), Some(end)) if end > committed)
    }

    /// For how many minutes the record at the offset of the first look has waited at least.
    pub fn waits_minutes(&self) -> u32 {
        let Some(committed) = self.committed[0] else { return 0 };
        let waited = self.earlier.iter().filter(|(_, end)| *end > committed);
        waited.map(|(minutes, _)| *minutes).max().unwrap_or_default()
    }
}

/// What one look finds.
struct Look {
    group: Group,
    committed: BTreeMap<Place, i64>,
    committed_at: Instant,
    ends: BTreeMap<Place, i64>,
    ends_at: Instant,
}

impl KafkaClient {
    /// Looks at a group twice, `apart` from each other, and further at the partitions that may stand.
    ///
    /// # Errors
    /// As [`KafkaClient::group`]; a partition whose leader does not answer; the end of the run.
    ///
    /// # Panics
    /// Never: one group is watched, and has one result.
    pub fn watch(&mut self, group: &str, apart: Duration) -> Result<Watched, KafkaError> {
        self.watch_each(&[group.to_owned()], apart)?.pop().expect("one group is watched")
    }

    /// Looks at several groups in the same way, all within the same time. What a broker refuses about one of them is told in its place.
    ///
    /// # Errors
    /// A broker that does not answer, or an answer that is not one of Kafka; the end of the run.
    pub fn watch_each(
        &mut self,
        groups: &[String],
        apart: Duration,
    ) -> Result<Vec<Result<Watched, KafkaError>>, KafkaError> {
        let mut firsts: Vec<Result<Look, KafkaError>> = Vec::with_capacity(groups.len());
        for group in groups {
            firsts.push(of_one(self.look(group, None))?);
        }
        if !groups.is_empty() {
            self.wait(apart)?;
        }
        let mut watched: Vec<Result<Watched, KafkaError>> = Vec::with_capacity(groups.len());
        for first in firsts {
            watched.push(match first {
                Ok(first) => of_one(self.watched(&first, apart))?,
                Err(error) => Err(error),
            });
        }
        self.watch_on(&mut watched, apart)?;
        Ok(watched)
    }

    /// Looks the second time.
    fn watched(&mut self, first: &Look, apart: Duration) -> Result<Watched, KafkaError> {
        let second = self.look(&first.group.name, Some(first))?;
        let now_ms = Timestamp::now().as_millisecond();
        let in_rebalance = first.group.is_dealing()
            || second.group.is_dealing()
            || first.group.owners() != second.group.owners();
        let mut partitions = joined(first, &second, apart);
        if !in_rebalance {
            self.find_waits(&mut partitions, now_ms)?;
            self.find_starts(&mut partitions)?;
        }
        Ok(Watched {
            group: second.group,
            in_rebalance,
            apart: second.committed_at.duration_since(first.committed_at),
            ends_apart: second.ends_at.duration_since(first.ends_at),
            needed: apart.saturating_mul(STAND_WATCHES),
            partitions,
        })
    }

    /// Asks for the committed offsets before the ends, so that no end is older than what was read.
    fn look(&mut self, group: &str, before: Option<&Look>) -> Result<Look, KafkaError> {
        let group = self.group(group)?;
        let committed_at = Instant::now();
        let mut committed = self.committed(&group.name, None)?;
        let mut topics: BTreeSet<String> =
            group.members.iter().flat_map(|member| member.topics.iter().cloned()).collect();
        topics.extend(group.owners().keys().map(|place| place.0.clone()));
        committed.retain(|place, _| topics.contains(&place.0));
        let mut wanted: BTreeSet<Place> = committed.keys().cloned().collect();
        wanted.extend(group.owners().into_keys().cloned());
        // A change of the group changes what is asked for, and so may the brokers that lead it.
        if before.is_none_or(|before| before.group.owners() != group.owners()) && !wanted.is_empty() {
            self.find_leaders(&topics)?;
        }
        self.connect_leaders(&wanted)?;
        let ends_at = Instant::now();
        let ends = self.ends(&wanted)?;
        Ok(Look { group, committed, committed_at, ends, ends_at })
    }

    /// Asks where the log begins: of the partitions without a commit, which tells whether anything waits in them, and of those
    /// that may stand, because one whose next record was deleted stands for that reason.
    fn find_starts(&mut self, partitions: &mut [WatchedPartition]) -> Result<(), KafkaError> {
        let is_asked = |of: &&WatchedPartition| of.committed[1].is_none() || of.may_stand();
        let asked: BTreeSet<Place> = partitions.iter().filter(is_asked).map(|of| of.place.clone()).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let starts = self.starts(&asked)?;
        for of in partitions.iter_mut().filter(|of| asked.contains(&of.place)) {
            of.start = starts.get(&of.place).copied();
        }
        self.find_transactions(partitions)
    }

    /// Asks whether those that may stand wait for an open transaction.
    fn find_transactions(&mut self, partitions: &mut [WatchedPartition]) -> Result<(), KafkaError> {
        let asked: BTreeSet<Place> =
            partitions.iter().filter(|of| of.may_stand()).map(|of| of.place.clone()).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let ends = self.committed_ends(&asked)?;
        for of in partitions.iter_mut().filter(|of| asked.contains(&of.place)) {
            of.committed_end = ends.get(&of.place).copied();
        }
        Ok(())
    }

    /// Asks how far back records wait, each time for the middle of what is left of [`MINUTES`], as long as it is open for a
    /// partition that did not move.
    fn find_waits(&mut self, partitions: &mut [WatchedPartition], now_ms: i64) -> Result<(), KafkaError> {
        // How many of the times are known to be waits, and how many may be.
        let mut waits = vec![(0, MINUTES.len()); partitions.len()];
        loop {
            let open = partitions.iter().zip(&waits).enumerate();
            let open: Vec<usize> = open
                .filter(|(_, (of, (least, most)))| of.waits_since_first() && least < most)
                .map(|(position, _)| position)
                .collect();
            if !open.iter().any(|position| partitions[*position].stood()) {
                return Ok(());
            }
            let middle = |position: usize| usize::midpoint(waits[position].0, waits[position].1);
            let time = |position: usize| now_ms - i64::from(MINUTES[middle(position)]) * 60_000;
            let asked = open.iter().map(|at| (partitions[*at].place.clone(), time(*at))).collect();
            let ends = self.ends_at(&asked)?;
            for position in open {
                let (of, at) =
                    (&mut partitions[position], usize::midpoint(waits[position].0, waits[position].1));
                // Without a newer record the end was the same then.
                let then = ends.get(&of.place).and_then(|end| end.or(of.end[1]));
                of.earlier.extend(then.map(|end| (MINUTES[at], end)));
                if of.waits_minutes() == MINUTES[at] {
                    waits[position].0 = at + 1;
                } else {
                    waits[position].1 = at;
                }
            }
        }
    }

    /// Looks further at the partitions that may stand, until all have moved or were watched for long enough, or the run
    /// has no more time; and at last whether their groups have dealt their partitions anew meanwhile.
    fn watch_on(
        &mut self,
        groups: &mut [Result<Watched, KafkaError>],
        apart: Duration,
    ) -> Result<(), KafkaError> {
        let mut suspected: Vec<&mut Result<Watched, KafkaError>> =
            groups.iter_mut().filter(|group| may_stand(group)).collect();
        for watches in 2..=STAND_WATCHES {
            if !suspected.iter().any(|group| may_stand(group)) || !self.has_time_for(apart) {
                break;
            }
            self.wait(apart)?;
            for group in &mut suspected {
                let Ok(watched) = group else { continue };
                let looked = of_one(self.look_on(watched, apart.saturating_mul(watches)))?;
                if let Err(error) = looked {
                    **group = Err(error);
                }
            }
        }
        for group in suspected {
            let Ok(watched) = group else { continue };
            match of_one(self.group(&watched.group.name))? {
                Ok(now) => {
                    watched.in_rebalance |= now.is_dealing() || now.owners() != watched.group.owners();
                }
                Err(error) => *group = Err(error),
            }
        }
        Ok(())
    }

    /// Looks at the partitions of one group that may stand, which have then been watched for so long.
    fn look_on(&mut self, watched: &mut Watched, time: Duration) -> Result<(), KafkaError> {
        let suspects = watched.partitions.iter().filter(|of| of.may_stand());
        let asked: BTreeSet<Place> = suspects.map(|of| of.place.clone()).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let committed = self.committed(&watched.group.name, Some(&asked))?;
        for of in watched.partitions.iter_mut().filter(|of| asked.contains(&of.place)) {
            of.last = committed.get(&of.place).copied();
            of.watched = time;
        }
        Ok(())
    }

    fn has_time_for(&self, wait: Duration) -> bool {
        let needed = Instant::now().checked_add(wait.saturating_add(RESERVE));
        self.patience().deadline.is_none_or(|deadline| needed.is_some_and(|needed| needed <= deadline))
    }

    fn wait(&mut self, time: Duration) -> Result<(), KafkaError> {
        if time > IDLE {
            self.disconnect();
        }
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.patience().is_over() {
                return Err(KafkaErrorKind::Stopped.at("the cluster"));
            }
            thread::sleep(STOP_POLL.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

fn may_stand(group: &Result<Watched, KafkaError>) -> bool {
    group.as_ref().is_ok_and(|watched| watched.partitions.iter().any(WatchedPartition::may_stand))
}

/// An answer about one group: an error that is about this group alone is not one of the connection.
fn of_one<T>(answer: Result<T, KafkaError>) -> Result<Result<T, KafkaError>, KafkaError> {
    match answer {
        Err(error) if !matches!(error.kind, KafkaErrorKind::Refused { .. } | KafkaErrorKind::Group(_)) => {
            Err(error)
        }
        answer => Ok(answer),
    }
}

/// The partitions of both looks, which were at least `apart` from each other.
fn joined(first: &Look, second: &Look, apart: Duration) -> Vec<WatchedPartition> {
    let mut places: BTreeMap<Place, Option<usize>> =
        second.committed.keys().map(|place| (place.clone(), None)).collect();
    for (position, member) in second.group.members.iter().enumerate() {
        places.extend(member.owned.iter().map(|place| (place.clone(), Some(position))));
    }
    let of = |(place, owner): (Place, Option<usize>)| {
        let committed = [&first.committed, &second.committed].map(|known| known.get(&place).copied());
        let end = [&first.ends, &second.ends].map(|known| known.get(&place).copied());
        WatchedPartition {
            place,
            owner,
            committed,
            last: committed[1],
            watched: apart,
            end,
            start: None,
            committed_end: None,
            earlier: Vec::new(),
        }
    };
    places.into_iter().map(of).collect()
}
