//! The assignors that assign by rank and ignore previous owners: range and round-robin.

use alloc::vec::Vec;

use crate::kafka::table::Table;

/// Each topic in contiguous blocks; the first `partitions % members` members get one more.
pub(super) fn range(table: &Table, by_rank: &[usize], owned: &mut [Vec<usize>]) {
    clear(owned);
    for topic in 0..table.topics() {
        let mut places = table.of_topic(topic);
        let (least, extra) = (places.len() / by_rank.len(), places.len() % by_rank.len());
        for (rank, member) in by_rank.iter().enumerate() {
            owned[*member].extend(places.by_ref().take(least + usize::from(rank < extra)));
        }
    }
}

/// All partitions of all topics in turn.
pub(super) fn round_robin(table: &Table, by_rank: &[usize], owned: &mut [Vec<usize>]) {
    clear(owned);
    for place in 0..table.len() {
        owned[by_rank[place % by_rank.len()]].push(place);
    }
}

fn clear(owned: &mut [Vec<usize>]) {
    for places in owned {
        places.clear();
    }
}
