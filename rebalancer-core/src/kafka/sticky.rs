//! The assignors that let members keep what they have, up to an equal count: the client's sticky
//! ones and the server's uniform one. Both are blind to topics and to load.

use alloc::vec::Vec;

use crate::kafka::topic_partition::TopicPartition;

/// Client side, `sticky` and `cooperative-sticky` (`AbstractStickyAssignor` with equal
/// subscriptions): what is left is dealt in turn to the members below the common count, by rank,
/// and then one each to those that may have one more.
pub(super) fn in_turn(partitions: &[TopicPartition], owned: &mut [Vec<TopicPartition>]) {
    let least = partitions.len() / owned.len();
    let mut extras = keep(partitions.len(), owned);
    let mut left = unowned(partitions, owned).into_iter();
    let mut below: Vec<usize> = (0..owned.len()).filter(|rank| owned[*rank].len() < least).collect();
    while !below.is_empty() {
        for rank in &below {
            owned[*rank].extend(left.next());
        }
        below.retain(|rank| owned[*rank].len() < least);
    }
    for owned in owned.iter_mut().filter(|owned| owned.len() == least) {
        if extras == 0 {
            break;
        }
        owned.extend(left.next());
        extras -= 1;
    }
    sort(owned);
}

/// Server side, `uniform`: what is left is poured into the members one after another, by rank.
pub(super) fn one_by_one(partitions: &[TopicPartition], owned: &mut [Vec<TopicPartition>]) {
    let least = partitions.len() / owned.len();
    let mut extras = keep(partitions.len(), owned);
    let mut left = unowned(partitions, owned).into_iter();
    for owned in owned.iter_mut() {
        let has_extra = owned.len() > least;
        let takes_extra = !has_extra && extras > 0;
        extras -= usize::from(takes_extra);
        let quota = least + usize::from(has_extra || takes_extra);
        while owned.len() < quota {
            let Some(partition) = left.next() else { break };
            owned.push(partition);
        }
    }
    sort(owned);
}

/// Lets every member keep its lowest partitions, one more than the common count as long as such
/// extras are left. Returns how many extras are.
fn keep(partitions: usize, owned: &mut [Vec<TopicPartition>]) -> usize {
    let least = partitions / owned.len();
    let mut extras = partitions % owned.len();
    for owned in owned {
        let takes_extra = owned.len() > least && extras > 0;
        extras -= usize::from(takes_extra);
        owned.truncate(least + usize::from(takes_extra));
    }
    extras
}

/// The partitions nobody owns, sorted.
fn unowned(partitions: &[TopicPartition], owned: &[Vec<TopicPartition>]) -> Vec<TopicPartition> {
    let mut taken: Vec<TopicPartition> = owned.iter().flatten().copied().collect();
    taken.sort_unstable();
    partitions.iter().copied().filter(|partition| taken.binary_search(partition).is_err()).collect()
}

fn sort(owned: &mut [Vec<TopicPartition>]) {
    for partitions in owned {
        partitions.sort_unstable();
    }
}
