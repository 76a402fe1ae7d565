//! The client assignors that let members keep what they have, up to an equal count: `sticky` and
//! `cooperative-sticky` with equal subscriptions (`AbstractStickyAssignor`, its constrained assignment). They
//! ignore topics and load.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::cmp::Ordering;

use crate::kafka::table::{MemberOrders, Table};

/// Rebalances in a row after which a cooperative group counts as settled; it needs only two.
const MOST_ROUNDS: usize = 6;

/// One rebalance of `sticky`: members keep what they have, the rest is assigned in turn.
pub(super) fn deal(table: &Table, orders: &MemberOrders, owned: &mut [Vec<usize>]) {
    let least = table.len() / owned.len();
    let mut extras = keep(table, orders, owned);
    let with = |count: Ordering| -> Vec<usize> {
        orders.by_id.iter().copied().filter(|member| owned[*member].len().cmp(&least) == count).collect()
    };
    let mut below = with(Ordering::Less);
    let mut common = VecDeque::from(with(Ordering::Equal));
    let free = table.unowned(owned);
    let mut left = (0..table.len()).filter(|place| free[*place]);
    while !below.is_empty() {
        below.retain(|&member| {
            owned[member].extend(left.next());
            let is_below = owned[member].len() < least;
            if !is_below {
                common.push_back(member);
            }
            is_below
        });
    }
    while let (1.., Some(member)) = (extras, common.pop_front()) {
        owned[member].extend(left.next());
        extras -= 1;
    }
}

/// The rebalances of `cooperative-sticky`: a partition that moves is first given up, and assigned in the next
/// round.
pub(super) fn deal_cooperatively(table: &Table, orders: &MemberOrders, owned: &mut [Vec<usize>]) {
    for _ in 0..MOST_ROUNDS {
        let mut owners = alloc::vec![None; table.len()];
        for (member, places) in owned.iter().enumerate() {
            for place in places {
                owners[*place] = Some(member);
            }
        }
        deal(table, orders, owned);
        let mut moves = false;
        for (member, places) in owned.iter_mut().enumerate() {
            places.retain(|place| {
                let stays = owners[*place].is_none_or(|owner| owner == member);
                moves |= !stays;
                stays
            });
        }
        if !moves {
            return;
        }
    }
}

/// Lets every member keep its lowest-numbered partitions up to the common count, and one extra while extras
/// are left, in the order of the walk. Returns how many extras are left.
fn keep(table: &Table, orders: &MemberOrders, owned: &mut [Vec<usize>]) -> usize {
    let least = table.len() / owned.len();
    let mut extras = table.len() % owned.len();
    for &member in &orders.walk {
        let places = &mut owned[member];
        places.sort_unstable_by_key(|place| (table.number(*place), table.topic(*place)));
        let takes_extra = places.len() > least && extras > 0;
        extras -= usize::from(takes_extra);
        places.truncate(least + usize::from(takes_extra));
    }
    extras
}
