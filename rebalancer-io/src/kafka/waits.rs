//! Finds out for how long records wait where nothing moved between two looks.
//!
//! What Kafka tells is the end that a partition had at an earlier time, by the times of its records. If that end was
//! already past the offset that is committed now, the record at this offset has waited since then.
//!
//! It is asked for as those see it who read committed records only, because an end past the committed offset then also
//! says that no open transaction keeps them from the record there.

use std::collections::{BTreeMap, BTreeSet};

use super::client::KafkaClient;
use super::error::KafkaError;
use super::group::Place;
use super::messages::ListOffsets;
use super::partition::{LEAST_STAND_MINUTES, WatchedPartition};

/// A moment at which an end is asked for.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// So many minutes ago. The past of partitions has 60 minutes.
    Minutes(u32),
    /// Where the log begins: a partition whose next record was deleted stands for that reason.
    Start,
}

/// The moments for a partition that did not move, of which three are asked for.
const OF_STOOD: [Moment; 6] = [
    Moment::Minutes(LEAST_STAND_MINUTES),
    Moment::Minutes(10),
    Moment::Minutes(15),
    Moment::Minutes(30),
    Moment::Minutes(59),
    Moment::Start,
];

/// The moments for one that moved, of which three are asked for: how long records usually wait.
const OF_MOVED: [Moment; 7] = [
    Moment::Minutes(1),
    Moment::Minutes(3),
    Moment::Minutes(5),
    Moment::Minutes(10),
    Moment::Minutes(15),
    Moment::Minutes(30),
    Moment::Minutes(59),
];

impl Moment {
    /// The time in milliseconds by which it is asked for.
    fn timestamp(self, now_ms: i64) -> i64 {
        match self {
            Self::Minutes(minutes) => now_ms - i64::from(minutes) * 60_000,
            Self::Start => ListOffsets::START,
        }
    }
}

/// What is known of the wait in one partition.
struct Search {
    /// Its position among the partitions.
    position: usize,
    moments: &'static [Moment],
    /// At how many of the moments the record waited, and at how many it may have.
    least: usize,
    most: usize,
    /// The minutes without an answer: no record is newer, or none of those before an open transaction.
    unanswered: Vec<u32>,
}

impl Search {
    fn new(position: usize, of: &WatchedPartition) -> Self {
        let moments: &[Moment] = if of.stood() { &OF_STOOD } else { &OF_MOVED };
        Self { position, moments, least: 0, most: moments.len(), unanswered: Vec::new() }
    }

    const fn is_open(&self) -> bool {
        self.least < self.most
    }

    /// The middle of the moments that are left, the earlier in the list of two: where the log begins is asked last.
    const fn middle(&self) -> usize {
        usize::midpoint(self.least, self.most - 1)
    }

    fn moment(&self) -> Moment {
        self.moments[self.middle()]
    }

    /// Takes the answer about the middle moment; `None` if the partition is gone.
    fn learn(&mut self, answer: Option<&Option<i64>>, of: &mut WatchedPartition) {
        let waited = match (self.moment(), answer) {
            (_, None) => false,
            (Moment::Minutes(minutes), Some(Some(end))) => {
                of.earlier.push((minutes, *end));
                of.committed[0].is_some_and(|committed| *end > committed)
            }
            (Moment::Minutes(minutes), Some(None)) => {
                self.unanswered.push(minutes);
                true
            }
            (Moment::Start, Some(start)) => {
                of.start = *start;
                *start > of.committed[0]
            }
        };
        if waited {
            self.least = self.middle() + 1;
        } else {
            self.most = self.middle();
        }
    }
}

impl KafkaClient {
    /// Asks how far back records wait as long as that is open for a partition that did not move, and where the partitions
    /// without a commit begin, which tells whether anything waits in them.
    pub(super) fn find_waits(
        &mut self,
        partitions: &mut [WatchedPartition],
        now_ms: i64,
    ) -> Result<(), KafkaError> {
        let waiting = partitions.iter().enumerate().filter(|(_, of)| of.waits_since_first());
        let mut searches: Vec<Search> = waiting.map(|(position, of)| Search::new(position, of)).collect();
        let uncommitted = partitions.iter().filter(|of| of.committed[1].is_none());
        let mut starts: BTreeSet<Place> = uncommitted.map(|of| of.place.clone()).collect();
        loop {
            let is_open = |search: &Search| search.is_open() && partitions[search.position].stood();
            let goes_on = searches.iter().any(is_open);
            let open = searches.iter_mut().filter(|search| goes_on && search.is_open());
            let mut open: Vec<&mut Search> = open.collect();
            let times = open
                .iter()
                .map(|search| (partitions[search.position].place.clone(), search.moment().timestamp(now_ms)));
            let mut asked: BTreeMap<Place, i64> = times.collect();
            asked.extend(starts.iter().map(|place| (place.clone(), ListOffsets::START)));
            if asked.is_empty() {
                break;
            }
            let answers = self.readable_at(&asked)?;
            for search in &mut open {
                let of = &mut partitions[search.position];
                search.learn(answers.get(&of.place), of);
            }
            for of in partitions.iter_mut().filter(|of| starts.contains(&of.place)) {
                of.start = answers.get(&of.place).copied().flatten();
            }
            starts.clear();
        }
        searches.retain(|search| !search.unanswered.is_empty());
        self.find_unanswered(partitions, &searches, now_ms)
    }

    /// Asks how far the partitions can be read of which an end at an earlier time is not known. Without an open transaction
    /// nothing was written since then. With one, either the partition waits for it, or more is to be asked.
    fn find_unanswered(
        &mut self,
        partitions: &mut [WatchedPartition],
        searches: &[Search],
        now_ms: i64,
    ) -> Result<(), KafkaError> {
        if searches.is_empty() {
            return Ok(());
        }
        let places: BTreeSet<Place> =
            searches.iter().map(|search| partitions[search.position].place.clone()).collect();
        let readable = self.readable_ends(&places)?;
        let mut hidden: Vec<&Search> = Vec::new();
        for search in searches {
            let of = &mut partitions[search.position];
            of.committed_end = readable.get(&of.place).copied();
            let (Some(readable), Some(end)) = (of.committed_end, of.end[1]) else { continue };
            if readable >= end {
                of.earlier.extend(search.unanswered.iter().map(|minutes| (*minutes, end)));
            } else if of.committed[0].is_some_and(|committed| readable > committed) {
                hidden.push(search);
            }
        }
        self.find_hidden(partitions, &hidden, now_ms)
    }

    /// Asks for the ends that an open transaction hides, which is not what these partitions wait for.
    fn find_hidden(
        &mut self,
        partitions: &mut [WatchedPartition],
        hidden: &[&Search],
        now_ms: i64,
    ) -> Result<(), KafkaError> {
        let questions = hidden.iter().map(|search| search.unanswered.len()).max().unwrap_or_default();
        for question in 0..questions {
            let asked =
                hidden.iter().filter_map(|search| Some((search.position, *search.unanswered.get(question)?)));
            let asked: Vec<(usize, u32)> = asked.collect();
            let time = |(position, minutes): &(usize, u32)| {
                (partitions[*position].place.clone(), Moment::Minutes(*minutes).timestamp(now_ms))
            };
            let ends = self.ends_at(&asked.iter().map(time).collect())?;
            for (position, minutes) in asked {
                let of = &mut partitions[position];
                // Without a newer record the end was the same then.
                let then = ends.get(&of.place).and_then(|end| end.or(of.end[1]));
                of.earlier.extend(then.map(|end| (minutes, end)));
            }
        }
        Ok(())
    }
}
