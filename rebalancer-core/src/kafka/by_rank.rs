//! The assignors that deal by rank and forget who had what: range and round-robin.

use alloc::vec::Vec;

use crate::kafka::topic_partition::TopicPartition;

/// Each topic in contiguous blocks; the first `partitions % members` members get one more.
pub(super) fn range(partitions: &[TopicPartition], owned: &mut [Vec<TopicPartition>]) {
    clear(owned);
    for topic in partitions.chunk_by(|a, b| a.topic == b.topic) {
        let (least, extra) = (topic.len() / owned.len(), topic.len() % owned.len());
        let mut rest = topic;
        for (rank, owned) in owned.iter_mut().enumerate() {
            let (block, after) = rest.split_at(least + usize::from(rank < extra));
            owned.extend_from_slice(block);
            rest = after;
        }
    }
}

/// All partitions of all topics in turn.
pub(super) fn round_robin(partitions: &[TopicPartition], owned: &mut [Vec<TopicPartition>]) {
    clear(owned);
    let members = owned.len();
    for (place, partition) in partitions.iter().enumerate() {
        owned[place % members].push(*partition);
    }
}

fn clear(owned: &mut [Vec<TopicPartition>]) {
    for partitions in owned {
        partitions.clear();
    }
}
