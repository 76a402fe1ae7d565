//! The past of a group's partitions: their offsets and owners on a fixed time grid.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::input::history::Grid;
use crate::input::partitions::one_spelling;

/// Most partitions whose past is kept: an hour of two offsets a minute then takes 20 MB.
const MOST_PARTITIONS: usize = 20_000;

/// A kind of partition offset, in messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OffsetKind {
    /// The offset the group has committed: the next message it will read.
    Committed,
    /// The offset of the next message to be written, also called high watermark.
    End,
    /// The oldest offset still kept, also called low watermark.
    Start,
    /// How far the consumer is past the oldest offset: `records_lead`, reported by the client itself.
    Lead,
}

impl OffsetKind {
    const COUNT: usize = 4;

    /// The words used in a sentence.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Committed => "committed offset",
            Self::End => "end offset",
            Self::Start => "start offset",
            Self::Lead => "lead",
        }
    }
}

/// The past of all partitions of one group.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Grid, OffsetKind, Offsets};
///
/// let grid = Grid { start_s: 0.0, step: Duration::from_secs(60), steps: 3 };
/// let mut offsets = Offsets::new(grid);
/// offsets.add(OffsetKind::Committed, "orders", 4, [(0.0, 68.0), (60.0, 68.0), (120.0, 68.0)])?;
/// offsets.add(OffsetKind::End, "orders", 4, [(0.0, 68.0), (60.0, 368.0), (120.0, 668.0)])?;
/// offsets.add_owner("orders", 4, "orders-7f-x", None, [0.0, 60.0, 120.0])?;
///
/// let past = offsets.partitions().next().expect("it was added");
/// assert_eq!((past.topic(), past.number(), past.latest(OffsetKind::End)), ("orders", 4, Some(668.0)));
/// assert_eq!(past.owner().map(|tenure| tenure.pod.as_str()), Some("orders-7f-x"));
/// # Ok::<(), rebalancer_core::InvalidOffsets>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Offsets {
    grid: Grid,
    /// Whether the group is known to be in a rebalance now; if so, a lack of reads proves nothing.
    pub is_in_rebalance: bool,
    /// Whether the past before the last few moments is inferred from how long messages wait. Nothing then shows
    /// whether a partition was read, or stood, under an earlier owner.
    pub is_inferred: bool,
    /// For how long a partition must have been watched before it counts as standing; `None` where the history itself
    /// shows that.
    pub watch_needed: Option<Duration>,
    /// By topic (in [`one_spelling`]) and number.
    partitions: BTreeMap<(String, u32), PartitionPast>,
}

/// The past of one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionPast {
    topic: String,
    number: u32,
    /// An offset or NaN for each step; `None` if nothing was reported.
    columns: [Option<Box<[f64]>>; OffsetKind::COUNT],
    /// The last step for which two sources reported different offsets.
    disputed: [Option<usize>; OffsetKind::COUNT],
    owners: Vec<Tenure>,
    elsewhere: Vec<OtherGroup>,
    watched: Option<Duration>,
}

/// A pod that owned a partition, and the first and last step at which it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenure {
    /// Name of the pod, which may be gone.
    pub pod: String,
    /// Its UID, if known: a `StatefulSet` reuses names.
    pub uid: Option<String>,
    /// The first step.
    pub first: usize,
    /// The last step.
    pub last: usize,
}

/// What another group has committed for the same partition.
#[derive(Debug, Clone, PartialEq)]
pub struct OtherGroup {
    /// Name of the group.
    pub group: String,
    /// The offset it has committed, at the latest known step.
    pub offset: f64,
    /// The first step since which it has been this offset.
    pub since: usize,
}

/// Why answers do not form the past of partitions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOffsets {
    /// A sample between the instants that were asked for.
    #[error(
        "partition {partition} of topic {topic:?} has a sample at {timestamp_s}, which was not asked for"
    )]
    OffGrid {
        /// Topic.
        topic: String,
        /// Number.
        partition: u32,
        /// When, in seconds since the Unix epoch.
        timestamp_s: f64,
    },
    /// More partitions than are kept.
    #[error("the group has more than {MOST_PARTITIONS} partitions; the past of so many is not judged")]
    TooMany,
}

impl Offsets {
    /// A past without partitions.
    pub const fn new(grid: Grid) -> Self {
        let partitions = BTreeMap::new();
        Self { grid, is_in_rebalance: false, is_inferred: false, watch_needed: None, partitions }
    }

    /// Adds for how long a partition was watched without a move.
    ///
    /// # Errors
    /// Too many partitions. The past is then unchanged.
    pub fn add_watched(
        &mut self,
        topic: &str,
        partition: u32,
        watched: Duration,
    ) -> Result<(), InvalidOffsets> {
        self.past(topic, partition)?.watched = Some(watched);
        Ok(())
    }

    /// Adds a series of one partition as `(seconds since the Unix epoch, offset)`. Values that are no offset
    /// (NaN, infinite, negative) become gaps. If two series give different numbers, the larger counts and
    /// [`PartitionPast::disputed_at`] reports it.
    ///
    /// # Errors
    /// A sample off the grid, or too many partitions. The past is then unchanged.
    pub fn add(
        &mut self,
        kind: OffsetKind,
        topic: &str,
        partition: u32,
        samples: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<(), InvalidOffsets> {
        let column = self.column(topic, partition, samples)?;
        let past = self.past(topic, partition)?;
        let place = kind as usize;
        match &mut past.columns[place] {
            None => past.columns[place] = Some(column),
            Some(known) => {
                for (step, (known, new)) in known.iter_mut().zip(column).enumerate() {
                    if !known.is_nan() && !new.is_nan() && *known != new {
                        past.disputed[place] = past.disputed[place].max(Some(step));
                    }
                    *known = known.max(new);
                }
            }
        }
        Ok(())
    }

    /// Adds that `pod` owned a partition at these seconds since the Unix epoch. The pod may be gone; its
    /// `uid`, if known, distinguishes two pods of one name.
    ///
    /// # Errors
    /// A sample off the grid, or too many partitions. The past is then unchanged.
    pub fn add_owner(
        &mut self,
        topic: &str,
        partition: u32,
        pod: &str,
        uid: Option<&str>,
        timestamps_s: impl IntoIterator<Item = f64>,
    ) -> Result<(), InvalidOffsets> {
        let samples = timestamps_s.into_iter().map(|timestamp_s| (timestamp_s, 1.0));
        let column = self.column(topic, partition, samples)?;
        let past = self.past(topic, partition)?;
        let owned = |owned: &f64| !owned.is_nan();
        let (Some(first), Some(last)) = (column.iter().position(owned), column.iter().rposition(owned))
        else {
            return Ok(());
        };
        let same = |tenure: &&mut Tenure| tenure.pod == pod && tenure.uid.as_deref() == uid;
        if let Some(known) = past.owners.iter_mut().find(same) {
            known.first = known.first.min(first);
            known.last = known.last.max(last);
        } else {
            past.owners.push(Tenure { pod: pod.to_string(), uid: uid.map(str::to_string), first, last });
        }
        past.owners.sort_by(|a, b| (a.last, a.first, &a.pod, &a.uid).cmp(&(b.last, b.first, &b.pod, &b.uid)));
        Ok(())
    }

    /// Adds what another group has committed for a partition, in the form of [`Offsets::add`]. A group
    /// without any offset is left out.
    ///
    /// # Errors
    /// A sample off the grid, or too many partitions. The past is then unchanged.
    pub fn add_other_group(
        &mut self,
        topic: &str,
        partition: u32,
        group: &str,
        samples: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<(), InvalidOffsets> {
        let column = self.column(topic, partition, samples)?;
        let past = self.past(topic, partition)?;
        let Some(offset) = column.iter().rev().copied().find(|offset| !offset.is_nan()) else {
            return Ok(());
        };
        let moved = column.iter().rposition(|other| !other.is_nan() && *other != offset);
        let since = moved.map_or(0, |step| step + 1);
        past.elsewhere.push(OtherGroup { group: group.to_string(), offset, since });
        past.elsewhere.sort_by(|a, b| a.group.cmp(&b.group).then(a.offset.total_cmp(&b.offset)));
        Ok(())
    }

    fn column(
        &self,
        topic: &str,
        partition: u32,
        samples: impl IntoIterator<Item = (f64, f64)>,
    ) -> Result<Box<[f64]>, InvalidOffsets> {
        let mut column: Box<[f64]> = alloc::vec![f64::NAN; self.grid.steps].into();
        for (timestamp_s, value) in samples {
            let Some(step) = self.grid.index(timestamp_s) else {
                return Err(InvalidOffsets::OffGrid { topic: topic.to_string(), partition, timestamp_s });
            };
            if value.is_finite() && value >= 0.0 {
                column[step] = value;
            }
        }
        Ok(column)
    }

    /// The past of a partition, created if it is new. Both spellings of a dotted topic are the same topic.
    fn past(&mut self, topic: &str, number: u32) -> Result<&mut PartitionPast, InvalidOffsets> {
        let key = (one_spelling(topic), number);
        if self.partitions.len() >= MOST_PARTITIONS && !self.partitions.contains_key(&key) {
            return Err(InvalidOffsets::TooMany);
        }
        let past = self.partitions.entry(key).or_insert_with(|| PartitionPast {
            topic: topic.to_string(),
            number,
            columns: Default::default(),
            disputed: [None; OffsetKind::COUNT],
            owners: Vec::new(),
            elsewhere: Vec::new(),
            watched: None,
        });
        if topic.contains('.') && !past.topic.contains('.') {
            past.topic = topic.to_string();
        }
        Ok(past)
    }

    /// The instants of the steps.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The partitions, by topic and number.
    pub fn partitions(&self) -> impl ExactSizeIterator<Item = &PartitionPast> {
        self.partitions.values()
    }

    /// The partition at this [`PartitionPast::place`].
    pub fn partition(&self, place: &(String, u32)) -> Option<&PartitionPast> {
        self.partitions.get(place)
    }
}

impl PartitionPast {
    /// Its topic; the dotted spelling if both were reported.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Its number within the topic.
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// Its topic in [`one_spelling`] and its number: equal for equal partitions, whatever the source.
    pub fn place(&self) -> (String, u32) {
        (one_spelling(&self.topic), self.number)
    }

    /// An offset for each step, NaN for a gap; empty if nothing was reported.
    pub fn column(&self, kind: OffsetKind) -> &[f64] {
        self.columns[kind as usize].as_deref().unwrap_or_default()
    }

    /// The offset at the newest step; `None` if that is a gap.
    pub fn latest(&self, kind: OffsetKind) -> Option<f64> {
        self.column(kind).last().copied().filter(|offset| !offset.is_nan())
    }

    /// The last step for which two sources reported different offsets.
    pub const fn disputed_at(&self, kind: OffsetKind) -> Option<usize> {
        self.disputed[kind as usize]
    }

    /// The pods that owned it, ordered by their last step, the latest last.
    pub fn owners(&self) -> &[Tenure] {
        &self.owners
    }

    /// The pod that owns it at the latest known step; `None` if there is none or more than one.
    pub fn owner(&self) -> Option<&Tenure> {
        match self.owners.as_slice() {
            [.., before, owner] if before.last == owner.last => None,
            [.., owner] => Some(owner),
            [] => None,
        }
    }

    /// For how long it was watched without a move, where the group itself was asked.
    pub const fn watched(&self) -> Option<Duration> {
        self.watched
    }

    /// What other groups have committed for it, by group name.
    pub fn other_groups(&self) -> &[OtherGroup] {
        &self.elsewhere
    }
}
