//! A partition of a group that is watched; and for how long its records wait where nothing moved between two looks.
//!
//! What Kafka tells is the end that a partition had at an earlier time, by the times of its records. If that end was
//! already past the offset that is committed now, the record at this offset has waited since then.
//!
//! It is asked for as those see it who read committed records only, because an end past the committed offset then also
//! says that no open transaction keeps them from the record there. Where there is no such end, one may.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::client::KafkaClient;
use super::error::KafkaError;
use super::group::Place;
use super::messages::ListOffsets;

/// Records that have waited for less show no stand yet, whatever is watched.
pub(super) const LEAST_STAND_MINUTES: u32 = 5;

/// A partition as the looks found it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// The offset of the first record that is kept, if it was asked for. It is not after the committed offset where an end
    /// at an earlier time is not.
    pub start: Option<i64>,
    /// The end for those who read committed records only, if it was asked for: where nothing that they may read is newer
    /// than one of the moments that were asked about.
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
        self.stood() && self.waits_minutes() >= LEAST_STAND_MINUTES && !self.may_wait_for_transaction()
    }

    /// Whether it did not move and an open transaction may be the reason, which keeps those from reading on who read
    /// committed records only: no restart helps them. That it begins some records after the offset proves nothing, because
    /// these may be aborted, or markers of transactions that ended: a consumer skips them and commits no offset past them.
    pub fn may_wait_for_transaction(&self) -> bool {
        self.stood() && self.committed_end.zip(self.end[1]).is_some_and(|(readable, end)| readable < end)
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

    /// Whether records waited at the first look.
    pub(super) fn waits_since_first(&self) -> bool {
        matches!((self.committed[0], self.end[0]), (Some(committed), Some(end)) if end > committed)
    }

    /// For how many minutes the record at the offset of the first look has waited at least.
    pub fn waits_minutes(&self) -> u32 {
        let Some(committed) = self.committed[0] else { return 0 };
        let waited = self.earlier.iter().filter(|(_, end)| *end > committed);
        waited.map(|(minutes, _)| *minutes).max().unwrap_or_default()
    }
}

/// A moment at which an end is asked for, by the minutes since then; or where the log begins: a partition whose next record
/// was deleted stands for that reason.
type Moment = Option<u32>;

/// The minutes of the moments for a partition that did not move. With the start of the log and one more they are seven, of
/// which three are asked for.
const OF_STOOD: [u32; 5] = [LEAST_STAND_MINUTES, 10, 15, 30, 59];

/// The same for one that moved, of which three are asked for: how long records usually wait.
const OF_MOVED: [u32; 7] = [1, 3, 5, 10, 15, 30, 59];

/// The pods that have been there for so long are not told from older ones.
const OLDEST_MINUTES: u32 = 365 * 24 * 60;

/// The moments for a partition that did not move. If all pods are as old as the youngest, one is before it came: what waited
/// then already, another pod may have stood at.
fn of_stood(youngest: Option<Duration>) -> Vec<Moment> {
    let before = youngest.map(minutes_before).filter(|minutes| *minutes <= OLDEST_MINUTES);
    let minutes: BTreeSet<u32> = OF_STOOD.into_iter().chain(before).collect();
    minutes.into_iter().map(Some).chain([None]).collect()
}

/// The minutes since a moment that is clearly before the youngest pod came.
pub(super) fn minutes_before(youngest: Duration) -> u32 {
    let minutes = youngest.as_secs().div_ceil(60).saturating_add(LEAST_STAND_MINUTES.into());
    u32::try_from(minutes).unwrap_or(u32::MAX)
}

/// What is known of the wait in one partition.
struct Search<'m> {
    /// Its position among the partitions.
    position: usize,
    moments: &'m [Moment],
    /// At how many of the moments the record waited, and at how many it may have.
    least: usize,
    most: usize,
    /// The minutes without an answer: no record is newer, or none of those before an open transaction.
    unanswered: Vec<u32>,
}

impl<'m> Search<'m> {
    fn new(position: usize, of: &WatchedPartition, [of_stood, of_moved]: [&'m [Moment]; 2]) -> Self {
        let moments = if of.stood() { of_stood } else { of_moved };
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
            (Some(minutes), Some(Some(end))) => {
                of.earlier.push((minutes, *end));
                of.committed[0].is_some_and(|committed| *end > committed)
            }
            (Some(minutes), Some(None)) => {
                self.unanswered.push(minutes);
                true
            }
            (None, Some(start)) => {
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
    /// without a commit begin, which tells whether anything waits in them. `youngest` is the age of the youngest pod.
    pub(super) fn find_waits(
        &mut self,
        partitions: &mut [WatchedPartition],
        youngest: Option<Duration>,
        now_ms: i64,
    ) -> Result<(), KafkaError> {
        let (of_stood, of_moved) = (of_stood(youngest), OF_MOVED.map(Some));
        let waiting = partitions.iter().enumerate().filter(|(_, of)| of.waits_since_first());
        let mut searches: Vec<Search<'_>> =
            waiting.map(|(position, of)| Search::new(position, of, [&of_stood, &of_moved])).collect();
        let uncommitted = partitions.iter().filter(|of| of.committed[1].is_none());
        let mut starts: BTreeSet<Place> = uncommitted.map(|of| of.place.clone()).collect();
        loop {
            let is_open = |search: &Search<'_>| search.is_open() && partitions[search.position].stood();
            let goes_on = searches.iter().any(is_open);
            let open = searches.iter_mut().filter(|search| goes_on && search.is_open());
            let mut open: Vec<&mut Search<'_>> = open.collect();
            let at = |minutes: u32| now_ms - i64::from(minutes) * 60_000;
            let time = |search: &&mut Search<'_>| {
                let place = partitions[search.position].place.clone();
                (place, search.moment().map_or(ListOffsets::START, at))
            };
            let mut asked: BTreeMap<Place, i64> = open.iter().map(time).collect();
            asked.extend(starts.iter().map(|place| (place.clone(), ListOffsets::START)));
            if asked.is_empty() {
                break;
            }
            let answers = self.offsets(&asked, true)?;
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
        self.find_unanswered(partitions, &searches)
    }

    /// Asks how far the partitions can be read of which nothing that can be read is newer than a moment. Then it was there
    /// at that moment already.
    fn find_unanswered(
        &mut self,
        partitions: &mut [WatchedPartition],
        searches: &[Search<'_>],
    ) -> Result<(), KafkaError> {
        if searches.is_empty() {
            return Ok(());
        }
        let places: BTreeSet<Place> =
            searches.iter().map(|search| partitions[search.position].place.clone()).collect();
        let readable = self.ends(&places, true)?;
        for search in searches {
            let of = &mut partitions[search.position];
            of.committed_end = readable.get(&of.place).copied();
            let (Some(readable), Some(end)) = (of.committed_end, of.end[1]) else { continue };
            let then = readable.min(end);
            of.earlier.extend(search.unanswered.iter().map(|minutes| (*minutes, then)));
        }
        Ok(())
    }
}
