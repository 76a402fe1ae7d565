//! The identity of a partition.

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// Position of the topic in name order.
    pub topic: usize,
    /// Number of the partition within the topic.
    pub number: u32,
}
