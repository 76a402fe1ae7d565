//! Looks at a group twice, and a third time at the partitions that may stand.
//!
//! Kafka keeps no history of committed offsets. For how long records have waited (`waits.rs`) is the age of a backlog and
//! no proof of a stand: a slow consumer has one too. So a partition counts as standing only once it was watched for
//! [`STAND_WATCHES`] times the time between the first two looks.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::client::KafkaClient;
use super::error::{KafkaError, KafkaErrorKind};
use super::group::{Group, Place};
use super::waits::WatchedPartition;

/// Longest time for which a stop goes unnoticed.
const STOP_POLL: Duration = Duration::from_millis(100);

/// How many times the time between two looks a partition must be seen not to move: consumers commit more often than that.
pub(super) const STAND_WATCHES: u32 = 3;

/// Connections that are not used for so long are made anew: load balancers and brokers close idle ones.
const IDLE: Duration = Duration::from_secs(60);

/// Time that is left of a run for the decision and an eviction.
const RESERVE: Duration = Duration::from_secs(20);

/// Least time that a run must have: that of watching a partition that may stand, and of deciding afterwards.
pub fn least_run(apart: Duration) -> Duration {
    apart.saturating_mul(STAND_WATCHES).saturating_add(RESERVE)
}

/// A group to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToWatch {
    /// Its name.
    pub group: String,
    /// The age of the youngest pod of its members: whether a record has waited since before that is asked for. `None` if it
    /// is not known.
    pub youngest: Option<Duration>,
}

/// A group as two looks found it.
#[derive(Debug, Clone, PartialEq)]
pub struct Watched {
    /// The group at the end.
    pub group: Group,
    /// Whether its partitions were dealt anew meanwhile, or are being dealt.
    pub in_rebalance: bool,
    /// Time between the two answers about the committed offsets.
    pub apart: Duration,
    /// Time between the two answers about the ends.
    pub ends_apart: Duration,
    /// How long a partition must be seen not to move before it counts as standing.
    pub needed: Duration,
    /// Its partitions in order: those that a member owns, and those of its topics for which it has committed an offset.
    pub partitions: Vec<WatchedPartition>,
}

/// The offsets that one look finds.
struct Look {
    committed: BTreeMap<Place, i64>,
    committed_at: Instant,
    ends: BTreeMap<Place, i64>,
    ends_at: Instant,
}

/// What is told of each of several groups: what a broker refuses about one of them is no error of the others.
type OfEach<T> = Vec<Result<T, KafkaError>>;

impl KafkaClient {
    /// Looks at a group twice, `apart` from each other, and once more at the partitions that may stand.
    ///
    /// # Errors
    /// As [`KafkaClient::group`]; a partition whose leader does not answer; the end of the run.
    ///
    /// # Panics
    /// Never: one group is watched, and has one result.
    pub fn watch(&mut self, group: ToWatch, apart: Duration) -> Result<Watched, KafkaError> {
        self.watch_each(&[group], apart)?.pop().expect("one group is watched")
    }

    /// Looks at several groups in the same way, all within the same time. What a broker refuses about one of them is told in
    /// its place.
    ///
    /// # Errors
    /// A broker that does not answer, or an answer that is not one of Kafka; the end of the run.
    pub fn watch_each(&mut self, groups: &[ToWatch], apart: Duration) -> Result<OfEach<Watched>, KafkaError> {
        let firsts = self.each(groups.iter().map(Ok).collect(), Self::first)?;
        if !groups.is_empty() {
            self.wait(apart)?;
        }
        let mut watched = self.each(firsts, |client, first| client.second(first, apart))?;
        let more = apart.saturating_mul(STAND_WATCHES - 1);
        if watched.iter().flatten().any(may_stand) && self.has_time_for(more) {
            self.wait(more)?;
            watched = self.each(watched, Self::third)?;
        }
        self.each(watched, Self::close)
    }

    /// Goes on with each group of which nothing is wrong.
    fn each<T, U>(
        &mut self,
        groups: OfEach<T>,
        mut go_on: impl FnMut(&mut Self, T) -> Result<U, KafkaError>,
    ) -> Result<OfEach<U>, KafkaError> {
        let one = |group: Result<T, KafkaError>| match group.and_then(|group| go_on(self, group)) {
            // About this group alone.
            Err(error) if matches!(error.kind, KafkaErrorKind::Refused { .. } | KafkaErrorKind::Group(_)) => {
                Ok(Err(error))
            }
            told => told.map(Ok),
        };
        groups.into_iter().map(one).collect()
    }

    /// Looks the first time.
    fn first<'w>(&mut self, wanted: &'w ToWatch) -> Result<(&'w ToWatch, Group, Look), KafkaError> {
        let group = self.group(&wanted.group)?;
        let look = self.look(&group, true)?;
        Ok((wanted, group, look))
    }

    /// Looks the second time. What changed of the group meanwhile is asked at the end.
    fn second(
        &mut self,
        (wanted, group, first): (&ToWatch, Group, Look),
        apart: Duration,
    ) -> Result<Watched, KafkaError> {
        let second = self.look(&group, false)?;
        let in_rebalance = group.is_dealing();
        let mut partitions = joined(&group, [&first, &second], apart);
        if !in_rebalance {
            self.find_waits(&mut partitions, wanted.youngest, Timestamp::now().as_millisecond())?;
        }
        Ok(Watched {
            group,
            in_rebalance,
            apart: second.committed_at.duration_since(first.committed_at),
            ends_apart: second.ends_at.duration_since(first.ends_at),
            needed: apart.saturating_mul(STAND_WATCHES),
            partitions,
        })
    }

    /// Looks at the partitions that may stand, which have then been watched for as long as is needed.
    fn third(&mut self, mut watched: Watched) -> Result<Watched, KafkaError> {
        let suspects = watched.partitions.iter().filter(|of| of.may_stand());
        let asked: BTreeSet<Place> = suspects.map(|of| of.place.clone()).collect();
        if asked.is_empty() {
            return Ok(watched);
        }
        let committed = self.committed(&watched.group.name, Some(&asked))?;
        for of in watched.partitions.iter_mut().filter(|of| asked.contains(&of.place)) {
            of.last = committed.get(&of.place).copied();
            of.watched = watched.needed;
        }
        Ok(watched)
    }

    /// Asks what became of the group while it was watched.
    fn close(&mut self, mut watched: Watched) -> Result<Watched, KafkaError> {
        let now = self.group(&watched.group.name)?;
        watched.in_rebalance |= now.is_dealing() || now.owners() != watched.group.owners();
        let owners = positions(&now);
        for of in &mut watched.partitions {
            of.owner = owners.get(&of.place).copied();
        }
        watched.group = now;
        Ok(watched)
    }

    /// Asks for the committed offsets before the ends, so that no end is older than what was read.
    fn look(&mut self, group: &Group, is_first: bool) -> Result<Look, KafkaError> {
        let mut committed = self.committed(&group.name, None)?;
        let committed_at = Instant::now();
        let mut topics: BTreeSet<String> =
            group.members.iter().flat_map(|member| member.topics.iter().cloned()).collect();
        topics.extend(group.owners().keys().map(|place| place.0.clone()));
        committed.retain(|place, _| topics.contains(&place.0));
        let mut wanted: BTreeSet<Place> = committed.keys().cloned().collect();
        wanted.extend(group.owners().into_keys().cloned());
        if is_first && !wanted.is_empty() {
            self.find_leaders(&topics)?;
        }
        let ends = self.ends(&wanted, false)?;
        Ok(Look { committed, committed_at, ends, ends_at: Instant::now() })
    }

    fn has_time_for(&self, wait: Duration) -> bool {
        let needed = Instant::now().checked_add(wait.saturating_add(RESERVE));
        self.patience.deadline.is_none_or(|deadline| needed.is_some_and(|needed| needed <= deadline))
    }

    fn wait(&mut self, time: Duration) -> Result<(), KafkaError> {
        if time > IDLE {
            self.disconnect();
        }
        let until = Instant::now() + time;
        while Instant::now() < until {
            if self.patience.is_over() {
                return Err(KafkaErrorKind::Stopped.at("the cluster"));
            }
            thread::sleep(STOP_POLL.min(until.saturating_duration_since(Instant::now())));
        }
        Ok(())
    }
}

fn may_stand(watched: &Watched) -> bool {
    watched.partitions.iter().any(WatchedPartition::may_stand)
}

/// The position of the owner of each partition among the members.
fn positions(group: &Group) -> BTreeMap<Place, usize> {
    let members = group.members.iter().enumerate();
    members
        .flat_map(|(position, member)| member.owned.iter().map(move |place| (place.clone(), position)))
        .collect()
}

/// The partitions of both looks, which were at least `apart` from each other.
fn joined(group: &Group, looks: [&Look; 2], apart: Duration) -> Vec<WatchedPartition> {
    let owners = positions(group);
    let places: BTreeSet<&Place> = looks[1].committed.keys().chain(owners.keys()).collect();
    let of = |place: &Place| {
        let committed = looks.map(|look| look.committed.get(place).copied());
        WatchedPartition {
            place: place.clone(),
            owner: owners.get(place).copied(),
            committed,
            last: committed[1],
            watched: apart,
            end: looks.map(|look| look.ends.get(place).copied()),
            ..WatchedPartition::default()
        }
    };
    places.into_iter().map(of).collect()
}
