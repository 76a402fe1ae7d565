//! Recognises the assignor by who owns which partition, where only one assignor deals like that.

use alloc::vec::Vec;

use crate::input::live_pod::LiveIndex;
use crate::input::partitions::{Partition, Partitions};
use crate::kafka::assignor::Assignor;

/// Fewest partitions a member must have on average: with fewer, every deal looks alike.
const LEAST_PER_MEMBER: usize = 2;

/// The rank-invariant assignor whose deal this is, one member a pod; `None` when it is neither
/// `range` nor `roundrobin`, or cannot be told.
///
/// A sticky or uniform group that has just formed deals in the same pattern and is taken for one
/// of these two until a member comes or goes. That errs to the safe side: a rotation is withheld.
pub fn recognise(partitions: &Partitions) -> Option<Assignor> {
    if !partitions.owners_known() {
        return None;
    }
    let mut owners: Vec<LiveIndex> =
        partitions.all().iter().filter_map(|partition| partition.owner).collect();
    let sequence = owners.clone();
    owners.sort_unstable();
    owners.dedup();
    let members = owners.len();
    if members < 2 || sequence.len() < LEAST_PER_MEMBER * members {
        return None;
    }
    if is_in_turn(&sequence, members) {
        return Some(Assignor::RoundRobin);
    }
    is_in_blocks(partitions.all(), members).then_some(Assignor::Range)
}

/// Whether the owners repeat with the period of all of them.
fn is_in_turn(sequence: &[LiveIndex], members: usize) -> bool {
    let mut first: Vec<LiveIndex> = sequence[..members].to_vec();
    first.sort_unstable();
    first.dedup();
    first.len() == members && sequence.iter().zip(&sequence[members..]).all(|(owner, next)| owner == next)
}

/// Whether each topic is dealt in contiguous blocks, the larger ones first, in one order of owners.
fn is_in_blocks(all: &[Partition], members: usize) -> bool {
    let mut order: Vec<LiveIndex> = Vec::new();
    for topic in all.chunk_by(|a, b| a.topic == b.topic) {
        let blocks: Vec<&[Partition]> = topic.chunk_by(|a, b| a.owner == b.owner).collect();
        let (least, extra) = (topic.len() / members, topic.len() % members);
        let sizes = (0..members).map(|rank| least + usize::from(rank < extra)).filter(|size| *size > 0);
        if !blocks.iter().map(|block| block.len()).eq(sizes) {
            return false;
        }
        let owners: Vec<LiveIndex> = blocks.iter().filter_map(|block| block[0].owner).collect();
        let shared = order.len().min(owners.len());
        if order[..shared] != owners[..shared] {
            return false;
        }
        if owners.len() > order.len() {
            order = owners;
        }
    }
    true
}
