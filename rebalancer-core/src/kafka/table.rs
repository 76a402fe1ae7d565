//! All partitions of a group, each known by its place, and the orders that assignors go by.

use alloc::vec::Vec;

use crate::kafka::java;
use crate::kafka::topic_partition::TopicPartition;

/// The partitions of a group. A partition is named by its place among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Sorted by topic and number.
    all: Vec<TopicPartition>,
    /// Of each place, its position in the order by number and topic.
    by_number: Vec<usize>,
}

impl Table {
    /// `all` must be sorted.
    pub fn new(all: Vec<TopicPartition>) -> Self {
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by_key(|place| (all[*place].number, all[*place].topic));
        let mut by_number = alloc::vec![0; all.len()];
        for (position, place) in order.into_iter().enumerate() {
            by_number[place] = position;
        }
        Self { all, by_number }
    }

    pub fn all(&self) -> &[TopicPartition] {
        &self.all
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn topic(&self, place: usize) -> usize {
        self.all[place].topic
    }

    pub fn number(&self, place: usize) -> usize {
        self.all[place].number as usize
    }

    /// Position of a place in the order by number and topic.
    pub fn by_number(&self, place: usize) -> usize {
        self.by_number[place]
    }

    /// The places of a partition that may not be there.
    pub fn place(&self, partition: TopicPartition) -> Option<usize> {
        self.all.binary_search(&partition).ok()
    }

    /// Number of topics: one more than the last position of a topic.
    pub fn topics(&self) -> usize {
        self.all.last().map_or(0, |last| last.topic + 1)
    }

    /// The places of one topic.
    pub fn of_topic(&self, topic: usize) -> core::ops::Range<usize> {
        let first = self.all.partition_point(|partition| partition.topic < topic);
        first..self.all.partition_point(|partition| partition.topic <= topic)
    }

    /// For each place, whether no member owns it.
    pub fn unowned(&self, owned: &[Vec<usize>]) -> Vec<bool> {
        let mut free = alloc::vec![true; self.all.len()];
        for place in owned.iter().flatten() {
            free[*place] = false;
        }
        free
    }
}

/// The topics as the broker's hash tables walk them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TopicOrder {
    /// What the hash table makes of the id of each topic.
    hashes: Vec<usize>,
    /// The order in which `uniform` walks the topics.
    walk: Vec<usize>,
}

impl TopicOrder {
    /// `codes` are the hash codes of the topics' ids, in the order of their names.
    pub fn of_ids(codes: &[u32]) -> Self {
        let hashes: Vec<usize> = codes.iter().map(|code| java::spread(*code)).collect();
        let mut walk: Vec<usize> = (0..hashes.len()).collect();
        // The subscribed topics are collected in one set, which the assignor copies.
        for buckets in [java::filled(walk.len()), java::copied(walk.len())] {
            java::walk(&mut walk, buckets, |topic| hashes[*topic]);
        }
        Self { hashes, walk }
    }

    /// In the order of their names, where their ids are not known.
    pub fn by_name(topics: usize) -> Self {
        Self { hashes: (0..topics).collect(), walk: (0..topics).collect() }
    }

    pub fn walk(&self) -> &[usize] {
        &self.walk
    }

    pub fn hash(&self, topic: usize) -> usize {
        self.hashes[topic]
    }
}

/// The members, as positions, in the orders that assignors go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MemberOrders {
    /// Static members by their static id, then the others by id.
    pub by_rank: Vec<usize>,
    /// By id.
    pub by_id: Vec<usize>,
    /// As a hash table of their ids walks them.
    pub walk: Vec<usize>,
}
