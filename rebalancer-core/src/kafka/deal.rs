//! One rebalance of a group: all its partitions are assigned to its members.

use alloc::vec::Vec;

use crate::kafka::assignor::Assignor;
use crate::kafka::table::{MemberOrders, Table, TopicOrder};
use crate::kafka::uniform::UniformRule;
use crate::kafka::{by_rank, sticky, uniform};

/// How a group assigns: its assignor, and the further inputs of `uniform`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dealer {
    pub assignor: Assignor,
    pub rule: UniformRule,
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
            Assignor::Range => by_rank::range(table, &orders.by_rank, owned),
            Assignor::RoundRobin => by_rank::round_robin(table, &orders.by_rank, owned),
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
