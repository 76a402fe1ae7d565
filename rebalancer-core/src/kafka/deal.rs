//! One rebalance of a group: all its partitions are assigned to its members. Sticky and uniform assignors have a file
//! each; range and round-robin, which ignore previous owners, are here.

use alloc::vec::Vec;

use crate::kafka::assignor::Assignor;
use crate::kafka::table::{MemberOrders, Table, TopicOrder};
use crate::kafka::uniform::UniformRule;
use crate::kafka::{sticky, uniform};

/// How a group assigns: its assignor, and the further inputs of `uniform`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dealer {
    /// The assignor.
    pub assignor: Assignor,
    /// Who gets one more than the others under `uniform`.
    pub rule: UniformRule,
    /// The order of the topics under `uniform`.
    pub topics: TopicOrder,
}

impl Dealer {
    /// Assigns all partitions. `owned` are the places of each member, before and after; an empty group owns
    /// nothing.
    pub fn deal(&self, table: &Table, orders: &MemberOrders, owned: &mut [Vec<usize>]) {
        if owned.is_empty() {
            return;
        }
        match self.assignor {
            Assignor::Range => range(table, &orders.by_id, owned),
            Assignor::RoundRobin => round_robin(table, &orders.by_id, owned),
            Assignor::Sticky => sticky::deal(table, orders, owned),
            Assignor::CooperativeSticky => sticky::deal_cooperatively(table, orders, owned),
            Assignor::Uniform => uniform::deal(table, &self.topics, &orders.walk, self.rule, owned),
        }
    }

    /// Sorts what one member owns into the order in which the group would hold it.
    pub fn arrange(&self, table: &Table, owned: &mut Vec<usize>) {
        owned.sort_unstable();
        if self.assignor == Assignor::Uniform {
            uniform::arrange(table, &self.topics, owned);
        }
    }
}

/// Each topic in contiguous blocks; the first `partitions % members` members get one more.
fn range(table: &Table, by_rank: &[usize], owned: &mut [Vec<usize>]) {
    owned.fill_with(Vec::new);
    for topic in 0..table.topics() {
        let mut places = table.of_topic(topic);
        let (least, extra) = (places.len() / by_rank.len(), places.len() % by_rank.len());
        for (rank, member) in by_rank.iter().enumerate() {
            owned[*member].extend(places.by_ref().take(least + usize::from(rank < extra)));
        }
    }
}

/// All partitions of all topics in turn.
fn round_robin(table: &Table, by_rank: &[usize], owned: &mut [Vec<usize>]) {
    owned.fill_with(Vec::new);
    for place in 0..table.len() {
        owned[by_rank[place % by_rank.len()]].push(place);
    }
}
