//! Forecast: the spread after a rotation, and the best spread that any deal of the partitions can reach.

use alloc::string::String;
use alloc::vec::Vec;

use crate::input::live_pod::LiveIndex;
use crate::input::partitions::{Partition, Partitions};
use crate::kafka::assignor::Assignor;
use crate::kafka::group::{Group, Member, Shape};
use crate::kafka::topic_partition::TopicPartition;
use crate::measure::spread::cv;

/// A pair is rotated by plan only when the spread is expected to fall by this share of itself.
/// Below it the error of the rates is larger than the gain.
pub const LEAST_GAIN: f64 = 0.05;

/// Maximum number of pairs tried: each takes a model of four rebalances.
const MOST_PAIRS: usize = 66;

/// Ranks of members are random and not known, so a prediction is the mean over this many orders.
const RANK_ORDERS: u64 = 4;

/// Spread of the load of the partitions over the pods: now, after a rotation, at best. All three
/// are population coefficients of variation of the same partition loads.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Forecast {
    /// As the partitions are dealt now.
    pub now: f64,
    /// After rotating the asked pods; `None` where the assignor is not known. Exactly
    /// [`Forecast::now`] under a rank-invariant assignor, else an expectation.
    pub after: Option<f64>,
    /// Best possible with equal counts: longest processing time first.
    pub best: f64,
}

/// A group as far as metrics tell it: who owns what, and how partitions are dealt.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupFacts<'a> {
    partitions: &'a Partitions,
    pods: usize,
    consumers_per_pod: usize,
    assignor: Option<Assignor>,
}

/// Two pods whose rotation is expected to gain enough.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PlannedPair {
    /// Positions of the two among the live pods, the busier one first.
    pub pods: [LiveIndex; 2],
    /// The spread now, after, and at best.
    pub forecast: Forecast,
}

/// Why no pair is planned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPair {
    /// Nothing is known of who owns which partition, or a partition has two owners.
    #[error("who owns each partition is not known, so no rotation can be planned")]
    OwnersUnknown,
    /// The assignor is not known.
    #[error("the assignor of the group is not known, so no rotation can be planned; set KAFKA_ASSIGNOR")]
    AssignorUnknown,
    /// No pair gains enough.
    #[error(
        "the best pair is expected to lower the spread from {now:.2} to {after:.2}, less than the {percent} % asked for",
        percent = LEAST_GAIN * 100.0
    )]
    TooLittle {
        /// The spread now.
        now: f64,
        /// The spread after the best pair.
        after: f64,
    },
}

/// A place for one consumer: those of the first live pod come first. Replacements sit behind all of them.
#[derive(Clone, Copy)]
struct Seat(usize);

impl<'a> GroupFacts<'a> {
    /// A group of `pods` live pods; `None` unless the owner of every partition is known.
    ///
    /// `consumers_per_pod` of 0 counts as 1.
    pub fn new(
        partitions: &'a Partitions,
        pods: usize,
        consumers_per_pod: usize,
        assignor: Option<Assignor>,
    ) -> Option<Self> {
        let known = pods > 0 && partitions.owners_known();
        known.then_some(Self { partitions, pods, consumers_per_pod: consumers_per_pod.max(1), assignor })
    }

    /// The spread now, after the pods at these positions among the live ones are replaced by
    /// evictions, and at best.
    pub fn forecast(&self, rotated: &[LiveIndex]) -> Forecast {
        let loads: Vec<f64> = self.partitions.all().iter().map(|partition| partition.load).collect();
        Forecast {
            now: self.now(),
            after: self.assignor.map(|assignor| self.after(&self.models(assignor), rotated)),
            best: best_spread(&loads, self.pods),
        }
    }

    /// The pair whose rotation is expected to lower the spread most. Pairs are taken among the six
    /// busiest and six least busy pods.
    ///
    /// # Errors
    /// The assignor is not known, or no pair gains [`LEAST_GAIN`].
    pub fn planned_pair(&self) -> Result<PlannedPair, NoPair> {
        let assignor = self.assignor.ok_or(NoPair::AssignorUnknown)?;
        let now = self.now();
        let models = self.models(assignor);
        let mut best: Option<(f64, [LiveIndex; 2])> = None;
        for pair in self.pairs() {
            let after = self.after(&models, &pair);
            if best.is_none_or(|(least, _)| after < least) {
                best = Some((after, pair));
            }
        }
        let (after, pods) = best.unwrap_or((now, [LiveIndex(0); 2]));
        if after > (1.0 - LEAST_GAIN) * now || now == 0.0 {
            return Err(NoPair::TooLittle { now, after });
        }
        Ok(PlannedPair { pods, forecast: self.forecast(&pods) })
    }

    fn now(&self) -> f64 {
        cv(&self.partitions.pod_loads(self.pods))
    }

    /// At most [`MOST_PAIRS`] pairs of the most extreme pods, the busier pod of each first.
    fn pairs(&self) -> Vec<[LiveIndex; 2]> {
        let loads = self.partitions.pod_loads(self.pods);
        let mut by_load: Vec<LiveIndex> = (0..self.pods).map(LiveIndex).collect();
        by_load.sort_by(|a, b| loads[b.0].total_cmp(&loads[a.0]).then(a.cmp(b)));
        let busy = by_load.len().div_ceil(2).min(6);
        let idle = (by_load.len() - busy).min(6);
        let extremes = [&by_load[..busy], &by_load[by_load.len() - idle..]].concat();
        let pairs = extremes
            .iter()
            .enumerate()
            .flat_map(|(place, &busier)| extremes[place + 1..].iter().map(move |&other| [busier, other]));
        pairs.take(MOST_PAIRS).collect()
    }

    /// The group as each order of ranks would have it; empty where ranks do not matter: to a
    /// rank-invariant assignor with one member a pod, the loads are the same whoever is replaced.
    fn models(&self, assignor: Assignor) -> Vec<Group> {
        if assignor.is_rank_invariant() && self.consumers_per_pod == 1 {
            return Vec::new();
        }
        (0..RANK_ORDERS).filter_map(|order| self.model(assignor, order)).collect()
    }

    fn model(&self, assignor: Assignor, order: u64) -> Option<Group> {
        let seats = self.pods * self.consumers_per_pod;
        let mut members: Vec<(Member, Vec<TopicPartition>)> =
            (0..seats).map(|seat| (self.member(order, Seat(seat)), Vec::new())).collect();
        let mut next = alloc::vec![0; self.pods];
        for partition in self.partitions.all() {
            let LiveIndex(pod) = partition.owner?;
            let seat = pod * self.consumers_per_pod + next[pod] % self.consumers_per_pod;
            next[pod] += 1;
            members[seat].1.push(TopicPartition { topic: partition.topic, number: partition.number });
        }
        Group::found(assignor, members).ok()
    }

    /// The expected spread after a rotation: the mean over the models, exactly what it is now
    /// without any.
    fn after(&self, models: &[Group], rotated: &[LiveIndex]) -> f64 {
        let spreads: Vec<f64> = models
            .iter()
            .zip(0..)
            .filter_map(|(model, order)| self.after_in(model.clone(), rotated, order))
            .collect();
        if spreads.is_empty() {
            return self.now();
        }
        spreads.iter().sum::<f64>() / spreads.len() as f64
    }

    /// The spread after a rotation of one model; `None` when nobody would be left.
    fn after_in(&self, mut group: Group, rotated: &[LiveIndex], order: u64) -> Option<f64> {
        let seats = self.pods * self.consumers_per_pod;
        let replacements = rotated
            .iter()
            .flat_map(|pod| (0..self.consumers_per_pod).map(move |consumer| (pod.0, consumer)))
            .map(|(pod, consumer)| {
                let newcomer = Seat(seats + pod * self.consumers_per_pod + consumer);
                Member { pod, ..self.member(order, newcomer) }
            })
            .collect();
        let rotated: Vec<usize> = rotated.iter().map(|pod| pod.0).collect();
        group.rotate(&rotated, replacements, Shape::Graceful).ok()?;
        let all = self.partitions.all();
        let load = |wanted: TopicPartition| {
            let key = |partition: &Partition| (partition.topic, partition.number);
            all.binary_search_by(|partition| key(partition).cmp(&(wanted.topic, wanted.number)))
                .map_or(0.0, |place| all[place].load)
        };
        Some(cv(&group.pod_loads(self.pods, load)))
    }

    /// The member in a seat, with an id that ranks it at random in each order.
    fn member(&self, order: u64, Seat(seat): Seat) -> Member {
        let rank = mix(order.wrapping_mul(0x1_0000_0001).wrapping_add(seat as u64 + 1));
        let id: String = alloc::format!("{rank:016x}");
        Member::new(id, seat / self.consumers_per_pod)
    }
}

/// The smallest spread of `loads` over `pods` pods with equal counts, found by giving the next
/// largest load to the least loaded pod that may take one more. 0 without loads or pods.
///
/// ```
/// use rebalancer_core::best_spread;
///
/// assert_eq!(best_spread(&[3.0, 1.0, 2.0, 2.0], 2), 0.0);
/// assert_eq!(best_spread(&[8.0, 1.0, 1.0, 2.0], 2), 0.5, "nothing splits a hot partition");
/// ```
pub fn best_spread(loads: &[f64], pods: usize) -> f64 {
    if pods == 0 {
        return 0.0;
    }
    let mut falling = loads.to_vec();
    falling.sort_by(|a, b| b.total_cmp(a));
    let least = falling.len() / pods;
    let mut extras = falling.len() % pods;
    let mut dealt = alloc::vec![(0.0_f64, 0_usize); pods];
    for load in falling {
        let open = |count: usize| count < least || (count == least && extras > 0);
        let taker = dealt.iter_mut().filter(|(_, count)| open(*count)).min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((sum, count)) = taker else { break };
        extras -= usize::from(*count == least);
        *sum += load;
        *count += 1;
    }
    let sums: Vec<f64> = dealt.into_iter().map(|(sum, _)| sum).collect();
    cv(&sums)
}

/// `SplitMix64`: spreads neighbouring numbers over all of them.
const fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
