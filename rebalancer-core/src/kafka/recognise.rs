//! What the owners of the partitions reveal: an assignor that assigns in this pattern, or a group that no
//! model fits.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::input::live_pod::LiveIndex;
use crate::input::partitions::{Partition, Partitions};
use crate::kafka::assignor::Assignor;

/// Fewest partitions per member on average: with fewer, all assignments look alike.
const LEAST_PER_MEMBER: usize = 2;

/// Topics tried as the next one while searching for their order. A round-robin group needs a few for each
/// topic.
const MOST_TRIES: usize = 10_000;

/// The rank-invariant assignor that this assignment looks like, with one member per pod; `None` if it looks
/// like neither `range` nor `roundrobin`, or cannot be told. The order of the topics is ignored, because
/// exporters that write underscores for dots hide it.
///
/// It is a guess. A sticky or uniform group shows the same pattern when it has just formed, and sometimes
/// later. The error is on the safe side: a rotation is withheld.
pub fn recognise(partitions: &Partitions) -> Option<Assignor> {
    if !partitions.owners_known() {
        return None;
    }
    let members = owners(partitions);
    if members < 2 || partitions.all().len() < LEAST_PER_MEMBER * members {
        return None;
    }
    if is_in_turn(partitions.all(), members) {
        return Some(Assignor::RoundRobin);
    }
    is_in_blocks(partitions.all(), members).then_some(Assignor::Range)
}

/// Why the models, which assume equal subscriptions and no racks, do not fit a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Unmodelled {
    /// The partitions are not shared as they would be among members with the same subscriptions.
    #[error(
        "the pods do not share the partitions as {assignor} deals them to members that all subscribe to the same topics, so nothing can be forecast"
    )]
    DifferentSubscriptions {
        /// The assignor of the group.
        assignor: Assignor,
    },
    /// Every pod has its share of each topic, but not in adjacent blocks: racks (`client.rack`).
    #[error(
        "the pods share each topic evenly, but not in the blocks that range deals without client.rack, so nothing can be forecast"
    )]
    Racks,
}

/// Why a group with this assignor cannot have equal subscriptions without racks; `None` if it can, or if an
/// owner is unknown. Other groups that happen to share evenly are not noticed.
pub(super) fn unmodelled(
    partitions: &Partitions,
    pods: usize,
    consumers_per_pod: usize,
    assignor: Assignor,
) -> Option<Unmodelled> {
    if !partitions.owners_known() || pods == 0 {
        return None;
    }
    let all = partitions.all();
    let different = Some(Unmodelled::DifferentSubscriptions { assignor });
    // A pod that owns nothing may not be a member of the group.
    let members = [pods, owners(partitions)];
    match assignor {
        Assignor::Range
            if consumers_per_pod == 1 && members.iter().any(|members| is_in_blocks(all, *members)) =>
        {
            None
        }
        Assignor::Range => {
            let mut topics = all.chunk_by(|a, b| a.topic == b.topic);
            if !topics.all(|topic| is_even(topic, members[1], consumers_per_pod)) {
                return different;
            }
            (consumers_per_pod == 1).then_some(Unmodelled::Racks)
        }
        Assignor::RoundRobin if consumers_per_pod == 1 => {
            if members.iter().any(|members| is_in_turn(all, *members)) { None } else { different }
        }
        Assignor::Sticky | Assignor::CooperativeSticky if is_divided(all, pods) => different,
        _ if !is_even(all, pods, consumers_per_pod) => different,
        _ => None,
    }
}

/// Whether `pods` pods own equally many of these partitions, give or take one per consumer.
fn is_even(partitions: &[Partition], pods: usize, consumers_per_pod: usize) -> bool {
    let mut counts: BTreeMap<LiveIndex, usize> = BTreeMap::new();
    for owner in partitions.iter().filter_map(|partition| partition.owner) {
        *counts.entry(owner).or_default() += 1;
    }
    let least = if counts.len() < pods { 0 } else { counts.values().copied().min().unwrap_or(0) };
    counts.values().max().is_none_or(|most| most - least <= consumers_per_pod)
}

/// Whether the pods form groups that share no topic, although each topic has two partitions for every pod.
/// Sticky assignors mix the topics, because they assign by number first.
fn is_divided(all: &[Partition], pods: usize) -> bool {
    let topics: Vec<&[Partition]> = all.chunk_by(|a, b| a.topic == b.topic).collect();
    if topics.iter().any(|topic| topic.len() < 2 * pods) {
        return false;
    }
    let mut reached: Vec<bool> = alloc::vec![false; topics.len()];
    let mut owners: BTreeSet<Option<LiveIndex>> = BTreeSet::new();
    while let Some(next) = (0..topics.len()).find(|topic| {
        let touches = |partition: &Partition| owners.is_empty() || owners.contains(&partition.owner);
        !reached[*topic] && topics[*topic].iter().any(touches)
    }) {
        reached[next] = true;
        owners.extend(topics[next].iter().map(|partition| partition.owner));
    }
    reached.contains(&false)
}

/// Number of pods that own a partition.
fn owners(partitions: &Partitions) -> usize {
    let owners = partitions.all().iter().filter_map(|partition| partition.owner);
    owners.collect::<BTreeSet<LiveIndex>>().len()
}

/// Whether some order of the topics makes the owners repeat with a period of all members.
fn is_in_turn(all: &[Partition], members: usize) -> bool {
    let owners = |topic: &[Partition]| topic.iter().filter_map(|partition| partition.owner).collect();
    let topics: Vec<Vec<LiveIndex>> = all.chunk_by(|a, b| a.topic == b.topic).map(owners).collect();
    let mut sequence: Vec<LiveIndex> = Vec::new();
    let mut places: BTreeMap<LiveIndex, usize> = BTreeMap::new();
    let mut used = alloc::vec![false; topics.len()];
    // The topics used so far, in order; the first one to try next; the tries left.
    let (mut order, mut from, mut tries) = (Vec::new(), 0, MOST_TRIES);
    while order.len() < topics.len() {
        let next = (from..topics.len()).filter(|topic| !used[*topic]).find(|topic| {
            tries = tries.saturating_sub(1);
            tries > 0 && go_on_in_turn(&mut sequence, &mut places, &topics[*topic], members)
        });
        if let Some(topic) = next {
            used[topic] = true;
            order.push(topic);
            from = 0;
        } else {
            let Some(topic) = order.pop() else { return false };
            sequence.truncate(sequence.len() - topics[topic].len());
            used[topic] = false;
            from = topic + 1;
        }
    }
    true
}

/// Adds a topic's owners to those of the topics before if each repeats the one a period of all members before, or is new
/// within the first period. `places` tells where an owner stood last; if the sequence is shorter now, another stands there.
fn go_on_in_turn(
    sequence: &mut Vec<LiveIndex>,
    places: &mut BTreeMap<LiveIndex, usize>,
    topic: &[LiveIndex],
    members: usize,
) -> bool {
    let before = sequence.len();
    for owner in topic {
        let fits = if let Some(earlier) = sequence.len().checked_sub(members) {
            sequence[earlier] == *owner
        } else {
            let is_new = places.get(owner).is_none_or(|place| sequence.get(*place) != Some(owner));
            if is_new {
                places.insert(*owner, sequence.len());
            }
            is_new
        };
        if !fits {
            sequence.truncate(before);
            return false;
        }
        sequence.push(*owner);
    }
    true
}

/// Whether each topic is assigned in contiguous blocks, larger ones first, in the same order of owners.
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
