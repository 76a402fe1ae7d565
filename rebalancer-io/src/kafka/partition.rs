//! A partition of a group that is watched.

use std::time::Duration;

use super::group::Place;

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
