//! The past of the group's partitions: offsets and owners, by which standing partitions are found.

use rebalancer_core::{Fact, LivePod, Offsets};

use super::finder::FactFinder;

impl FactFinder<'_> {
    /// The offsets and owners of the partitions of the group that the `live` pods are in, over the last hour.
    ///
    /// Asked whether or not a threshold is passed: a partition that stands still may not move any spread.
    pub fn offsets(&self, _live: &[LivePod]) -> Fact<Offsets> {
        Fact::Absent
    }

    /// The same over the last day, of the partitions that stood still for all of that hour.
    pub fn offsets_of_day(&self, _live: &[LivePod], _hour: &Offsets) -> Fact<Offsets> {
        Fact::Absent
    }
}
