//! A group whose owners are known but whose member ids are not: how a rotation changes its loads, for one
//! order of the ids at a time.

use alloc::vec::Vec;

use crate::input::live_pod::LiveIndex;
use crate::input::partitions::Partitions;
use crate::kafka::assignor::Assignor;
use crate::kafka::deal::Dealer;
use crate::kafka::group::Shape;
use crate::kafka::table::{MemberOrders, Table, TopicOrder};
use crate::kafka::topic_partition::TopicPartition;
use crate::kafka::uniform::UniformRule;
use crate::measure::spread::cv;

/// Marks an absent member, which has no position.
const ABSENT: usize = usize::MAX;

/// The group. A seat is a place for one consumer; the seats of the first live pod come first. With `n` seats,
/// the replacement of seat `i` has number `i + n`.
pub(super) struct Model {
    table: Table,
    /// Load of each partition, by place.
    loads: Vec<f64>,
    /// The places that each seat owns.
    owned: Vec<Vec<usize>>,
    pods: usize,
    consumers_per_pod: usize,
    assignor: Assignor,
}

/// One possible order of the ids of members and topics.
pub(super) struct Draw {
    dealer: Dealer,
    /// What each seat owns, in the order in which the group would hold it.
    owned: Vec<Vec<usize>>,
    /// Seats and replacements, ordered by id.
    by_id: Vec<usize>,
    /// The same in the iteration order of a hash table of the ids.
    walk: Vec<usize>,
}

impl Model {
    /// `None` unless the owner of every partition is known.
    pub fn new(
        partitions: &Partitions,
        pods: usize,
        consumers_per_pod: usize,
        assignor: Assignor,
    ) -> Option<Self> {
        let all = partitions.all();
        let mut owned = alloc::vec![Vec::new(); pods * consumers_per_pod];
        let mut next = alloc::vec![0; pods];
        for (place, partition) in all.iter().enumerate() {
            let LiveIndex(pod) = partition.owner?;
            owned[pod * consumers_per_pod + next[pod] % consumers_per_pod].push(place);
            next[pod] += 1;
        }
        let identity =
            all.iter().map(|partition| TopicPartition { topic: partition.topic, number: partition.number });
        Some(Self {
            table: Table::new(identity.collect()),
            loads: all.iter().map(|partition| partition.load).collect(),
            owned,
            pods,
            consumers_per_pod,
            assignor,
        })
    }

    /// Number of partitions plus members; the cost of a rebalance grows with it.
    pub fn size(&self) -> usize {
        self.table.len() + self.owned.len()
    }

    /// The order of ids that belongs to a number; different numbers give different draws.
    pub fn draw(&self, number: u64) -> Draw {
        let seats = 2 * self.owned.len();
        let sorted = |salt: u64| {
            let mut order: Vec<usize> = (0..seats).collect();
            order.sort_by_cached_key(|seat| mix(mix(2 * number + salt) ^ *seat as u64));
            order
        };
        let topics = self.table.topics();
        let order = if self.assignor == Assignor::Uniform && topics > 1 {
            let code = |topic: u64| u32::try_from(mix(mix(number) ^ !topic) >> 32).unwrap_or(0);
            TopicOrder::of_ids(&(0..topics as u64).map(code).collect::<Vec<u32>>())
        } else {
            TopicOrder::by_name(topics)
        };
        let dealer = Dealer { assignor: self.assignor, rule: UniformRule::default(), topics: order };
        let mut owned = self.owned.clone();
        for places in &mut owned {
            dealer.arrange(&self.table, places);
        }
        Draw { dealer, owned, by_id: sorted(0), walk: sorted(1) }
    }

    /// The spread of the pods' loads after evicting the pods at these positions.
    pub fn after(&self, draw: &Draw, rotated: &[LiveIndex]) -> f64 {
        let each = self.consumers_per_pod;
        let leaving: Vec<usize> =
            rotated.iter().flat_map(|LiveIndex(pod)| pod * each..(pod + 1) * each).collect();
        let joining: Vec<usize> = leaving.iter().map(|seat| seat + self.owned.len()).collect();
        let mut present: Vec<usize> = (0..self.owned.len()).collect();
        let mut owned = draw.owned.clone();
        for (leaving, joining) in Shape::of_evictions(self.assignor).phases(leaving, joining) {
            if !leaving.is_empty() {
                let mut stays = present.iter().map(|seat| !leaving.contains(seat));
                owned.retain(|_| stays.next().unwrap_or(true));
                present.retain(|seat| !leaving.contains(seat));
            }
            owned.extend(joining.iter().map(|_| Vec::new()));
            present.extend(joining);
            draw.dealer.deal(&self.table, &self.orders(draw, &present), &mut owned);
        }
        let mut loads = alloc::vec![0.0; self.pods];
        for (seat, places) in present.into_iter().zip(owned) {
            let pod = seat % self.owned.len() / each;
            loads[pod] += places.into_iter().map(|place| self.loads[place]).sum::<f64>();
        }
        cv(&loads)
    }

    fn orders(&self, draw: &Draw, present: &[usize]) -> MemberOrders {
        let mut positions = alloc::vec![ABSENT; 2 * self.owned.len()];
        for (position, seat) in present.iter().enumerate() {
            positions[*seat] = position;
        }
        let of_present = |order: &[usize]| -> Vec<usize> {
            order.iter().map(|seat| positions[*seat]).filter(|position| *position != ABSENT).collect()
        };
        let by_id = of_present(&draw.by_id);
        MemberOrders { by_rank: by_id.clone(), by_id, walk: of_present(&draw.walk) }
    }
}

/// `SplitMix64`: spreads neighbouring numbers over the whole range.
const fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
