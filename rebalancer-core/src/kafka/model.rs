//! A group whose owners are known: how a rotation changes its loads, for one order of the members' ids at a
//! time.

use alloc::vec::Vec;

use crate::input::live_pod::LiveIndex;
use crate::input::partitions::{Partition, Partitions};
use crate::kafka::assignor::Assignor;
use crate::kafka::deal::Dealer;
use crate::kafka::seats::{IdOrder, Seats, mix};
use crate::kafka::table::{Table, TopicOrder, TopicPartition};
use crate::kafka::uniform::UniformRule;
use crate::measure::spread::cv;

/// The group. The seats are those of [`Seats`].
pub(super) struct Model<'a> {
    table: Table,
    /// Load of each partition, by place.
    loads: Vec<f64>,
    /// The places that each seat owns.
    owned: Vec<Vec<usize>>,
    seats: Seats<'a>,
    pods: usize,
    assignor: Assignor,
}

/// One possible order of the ids of members and topics.
pub(super) struct Draw {
    dealer: Dealer,
    /// What each seat owns, in the order in which the group would hold it.
    owned: Vec<Vec<usize>>,
    ids: IdOrder,
}

impl<'a> Model<'a> {
    /// A group of `pods` pods whose consumers sit in `seats`.
    pub fn new(partitions: &Partitions, pods: usize, seats: Seats<'a>, assignor: Assignor) -> Self {
        let all = partitions.all();
        let order = places(partitions, seats.ids.is_some());
        let mut moved = alloc::vec![0; all.len()];
        for (place, old) in order.iter().enumerate() {
            moved[*old] = place;
        }
        let mut topics: Vec<usize> = order.iter().map(|old| all[*old].topic).collect();
        topics.dedup();
        let identity = order.iter().map(|old| {
            let Partition { topic, number, .. } = all[*old];
            let topic = topics.iter().position(|known| *known == topic).unwrap_or_default();
            TopicPartition { topic, number }
        });
        let owned = seats.owned.iter().map(|places| places.iter().map(|old| moved[*old]).collect());
        Self {
            table: Table { all: identity.collect() },
            loads: order.iter().map(|old| all[*old].load).collect(),
            owned: owned.collect(),
            seats,
            pods,
            assignor,
        }
    }

    /// Number of partitions plus members; the cost of a rebalance grows with it.
    pub fn size(&self) -> usize {
        self.table.len() + self.seats.len()
    }

    /// Whether the spread after rotating these pods is the same in all orders that are possible, given what is
    /// known of the ids.
    pub fn is_certain(&self, rotated: &[LiveIndex]) -> bool {
        let mut leaving = rotated.iter().flat_map(|pod| self.seats.of_pod(*pod));
        let is_placed = leaving.all(|seat| self.seats.is_placed(seat));
        match self.assignor {
            Assignor::Range | Assignor::RoundRobin => is_placed,
            // Replacements own nothing, so their hashes do not matter, and where they come among the others
            // does not either: they are filled first, in their own order. With one consumer in each pod,
            // another order exchanges their pods. Only where there is less than a partition a member do they
            // take turns with the others.
            Assignor::Sticky | Assignor::CooperativeSticky => {
                let is_alone = |pod: &LiveIndex| self.seats.of_pod(*pod).count() == 1;
                let are_filled = self.table.len() >= self.seats.len();
                is_placed || (self.seats.ids.is_some() && are_filled && rotated.iter().all(is_alone))
            }
            Assignor::Uniform => false,
        }
    }

    /// The order of ids that belongs to a number; different numbers give different draws of what is not known.
    pub fn draw(&self, number: u64) -> Draw {
        let code = |topic: u64| u32::try_from(mix(mix(number) ^ !topic) >> 32).unwrap_or(0);
        let codes: Vec<u32> = (0..self.table.topics() as u64).map(code).collect();
        let dealer = Dealer {
            assignor: self.assignor,
            rule: UniformRule::default(),
            topics: TopicOrder::of_ids(&codes),
        };
        let mut owned = self.owned.clone();
        for places in &mut owned {
            dealer.arrange(&self.table, places);
        }
        Draw { dealer, owned, ids: self.seats.order(number) }
    }

    /// The spread of the pods' loads after evicting the pods at these positions.
    pub fn after(&self, draw: &Draw, rotated: &[LiveIndex]) -> f64 {
        let leaving: Vec<usize> = rotated.iter().flat_map(|pod| self.seats.of_pod(*pod)).collect();
        let mut present: Vec<usize> = (0..self.seats.len()).filter(|seat| !leaving.contains(seat)).collect();
        let mut owned: Vec<Vec<usize>> = present.iter().map(|seat| draw.owned[*seat].clone()).collect();
        let deal = |present: &[usize], owned: &mut [Vec<usize>]| {
            draw.dealer.deal(&self.table, &draw.ids.of_present(present), owned);
        };
        deal(&present, &mut owned);
        // What evictions do, observed on Kafka 4.4: the new members join at once, those of KIP-848 one by one.
        let at_once = if self.assignor == Assignor::Uniform { 1 } else { leaving.len().max(1) };
        for joining in leaving.chunks(at_once) {
            present.extend(joining.iter().map(|seat| seat + self.seats.len()));
            owned.resize(present.len(), Vec::new());
            deal(&present, &mut owned);
        }
        let mut loads = alloc::vec![0.0; self.pods];
        for (seat, places) in present.into_iter().zip(owned) {
            loads[self.seats.pod(seat)] += places.into_iter().map(|place| self.loads[place]).sum::<f64>();
        }
        cv(&loads)
    }
}

/// The partitions in the order in which Kafka holds them: by topic, then by number. What names the members
/// also writes the topics as Kafka does; other names may have underscores for dots, and stay as they are.
fn places(partitions: &Partitions, are_names_true: bool) -> Vec<usize> {
    let all = partitions.all();
    let mut order: Vec<usize> = (0..all.len()).collect();
    if are_names_true {
        order.sort_by_key(|place| (&partitions.topics()[all[*place].topic], all[*place].number));
    }
    order
}
