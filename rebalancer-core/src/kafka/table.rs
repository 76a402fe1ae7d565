//! All partitions of a group, each identified by its place, and the orders that assignors use.

use alloc::vec::Vec;

use crate::kafka::java;

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Position of the topic in name order.
    pub topic: usize,
    /// Number of the partition within the topic.
    pub number: u32,
}

/// The partitions of a group, each identified by its place (index).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Sorted by topic and number.
    pub all: Vec<TopicPartition>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn topic(&self, place: usize) -> usize {
        self.all[place].topic
    }

    pub(super) fn number(&self, place: usize) -> usize {
        self.all[place].number as usize
    }

    /// Number of topics: the largest topic position plus one.
    pub fn topics(&self) -> usize {
        self.all.last().map_or(0, |last| last.topic + 1)
    }

    /// The places of one topic.
    pub(super) fn of_topic(&self, topic: usize) -> core::ops::Range<usize> {
        let first = self.all.partition_point(|partition| partition.topic < topic);
        first..self.all.partition_point(|partition| partition.topic <= topic)
    }

    /// For each place, whether no member owns it.
    pub(super) fn unowned(&self, owned: &[Vec<usize>]) -> Vec<bool> {
        let mut free = alloc::vec![true; self.all.len()];
        for place in owned.iter().flatten() {
            free[*place] = false;
        }
        free
    }
}

/// The topics in the iteration order of the broker's hash tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicOrder {
    /// The mixed hash of each topic's id.
    hashes: Vec<usize>,
    /// The order in which `uniform` iterates over the topics.
    walk: Vec<usize>,
}

impl TopicOrder {
    /// Orders them by the hash codes of their ids, given in the order of their names.
    pub fn of_ids(codes: &[u32]) -> Self {
        let hashes: Vec<usize> = codes.iter().map(|code| java::spread(*code)).collect();
        let mut walk: Vec<usize> = (0..hashes.len()).collect();
        // The subscribed topics are collected in a set, which the assignor then copies.
        for buckets in [java::filled(walk.len()), java::copied(walk.len())] {
            java::walk(&mut walk, buckets, |topic| hashes[*topic]);
        }
        Self { hashes, walk }
    }

    /// Orders them by name, for when the topic ids are unknown.
    pub fn by_name(topics: usize) -> Self {
        Self { hashes: (0..topics).collect(), walk: (0..topics).collect() }
    }

    pub(super) fn walk(&self) -> &[usize] {
        &self.walk
    }

    pub(super) fn hash(&self, topic: usize) -> usize {
        self.hashes[topic]
    }
}

/// The members, as positions, in the orders that assignors use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberOrders {
    /// By id; under `range` and `roundrobin` the static members come first, by their static id.
    pub by_id: Vec<usize>,
    /// In the iteration order of a hash table of their ids.
    pub walk: Vec<usize>,
}
