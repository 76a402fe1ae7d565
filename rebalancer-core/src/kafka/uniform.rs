//! The server's `uniform` (KIP-848) with equal subscriptions (`UniformHomogeneousAssignmentBuilder`): members
//! keep what they have, up to an equal count; the rest fills one member after the other. It ignores load.
//!
//! What a member keeps depends on the iteration order of the broker's hash tables, so a member's places are
//! always kept in that order: topic by topic, and the numbers within each.

use alloc::vec::Vec;

use crate::kafka::java;
use crate::kafka::table::{Table, TopicOrder};

/// Which members get one partition more than the others under `uniform`. Broker versions differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UniformRule {
    /// A member with an extra partition keeps it; the other extras go to the last members. Kafka later than
    /// 4.0, since KAFKA-18688.
    #[default]
    Keep,
    /// The first members get the extras, whatever they have. Kafka 4.0.
    First,
}

/// A copy of a member's assignment, which the assignor changes.
struct Copy {
    /// Topics in the table's iteration order, each with its partitions.
    topics: Vec<Numbers>,
    /// Number of buckets of the table of topics.
    buckets: usize,
}

/// The set of the numbers of one topic.
struct Numbers {
    topic: usize,
    /// In the order of insertion into their set.
    places: Vec<usize>,
    /// Number of buckets of that set when it was created.
    buckets: usize,
}

/// One rebalance.
pub(super) fn deal(
    table: &Table,
    topics: &TopicOrder,
    walk: &[usize],
    rule: UniformRule,
    owned: &mut [Vec<usize>],
) {
    let free = table.unowned(owned);
    let in_walk = topics.walk().iter().flat_map(|topic| table.of_topic(*topic));
    let mut unassigned: Vec<usize> = in_walk.filter(|place| free[*place]).collect();
    let mut copies: Vec<Option<Copy>> = (0..owned.len()).map(|_| None).collect();
    let mut unfilled: Vec<(usize, usize)> = Vec::new();
    let mut quotas = Quotas { least: table.len() / walk.len(), extras: table.len() % walk.len(), rule };
    for (position, &member) in walk.iter().enumerate() {
        let wanted = quotas.ask();
        let (kept, revoked) = keep(table, &owned[member], wanted);
        if !revoked.is_empty() {
            let mut copy = Copy::of(table, topics, &owned[member]);
            copy.retain(table, &kept);
            copies[member] = Some(copy);
            unassigned.extend(revoked);
        }
        let room = quotas.settle(wanted - kept.len(), walk.len() - position);
        if room > 0 {
            unfilled.push((member, room));
        }
    }
    let mut unassigned = unassigned.into_iter();
    for (member, room) in unfilled {
        let copy = copies[member].get_or_insert_with(|| Copy::of(table, topics, &owned[member]));
        for place in unassigned.by_ref().take(room) {
            copy.add(table, topics, place);
        }
    }
    for (owned, copy) in owned.iter_mut().zip(copies) {
        if let Some(copy) = copy {
            *owned = copy.finish(table, topics);
        }
    }
}

/// Sorts a member's places into the iteration order of a broker that has just read them.
pub(super) fn arrange(table: &Table, topics: &TopicOrder, owned: &mut Vec<usize>) {
    *owned = Copy::of(table, topics, owned).finish(table, topics);
}

/// How many partitions the members get, one after the other.
struct Quotas {
    least: usize,
    extras: usize,
    rule: UniformRule,
}

impl Quotas {
    /// The most that the next member may have.
    const fn ask(&self) -> usize {
        if self.extras > 0 { self.least + 1 } else { self.least }
    }

    /// Decides whether that member uses an extra: it has `room` up to that maximum, and `members` are left,
    /// itself included. Returns how many more partitions it gets.
    const fn settle(&mut self, room: usize, members: usize) -> usize {
        if self.extras == 0 {
            return room;
        }
        let passes_on = match self.rule {
            UniformRule::First => false,
            UniformRule::Keep => room > 0 && members > self.extras,
        };
        if passes_on {
            return room - 1;
        }
        self.extras -= 1;
        room
    }
}

/// Splits a member's partitions into those it keeps and gives up under `quota`: whole topics while they fit.
fn keep(table: &Table, owned: &[usize], mut quota: usize) -> (Vec<usize>, Vec<usize>) {
    let (mut kept, mut revoked) = (Vec::new(), Vec::new());
    for topic in owned.chunk_by(|a, b| table.topic(*a) == table.topic(*b)) {
        let (stays, goes) = topic.split_at(topic.len().min(quota));
        quota -= stays.len();
        kept.extend_from_slice(stays);
        revoked.extend_from_slice(goes);
    }
    (kept, revoked)
}

impl Copy {
    /// A copy of what a member owns; its table is sized for the number of topics.
    fn of(table: &Table, topics: &TopicOrder, owned: &[usize]) -> Self {
        let copied = owned.chunk_by(|a, b| table.topic(*a) == table.topic(*b)).map(|places| Numbers {
            topic: table.topic(places[0]),
            places: places.to_vec(),
            buckets: java::copied(places.len()),
        });
        let mut copied: Vec<Numbers> = copied.collect();
        let buckets = java::grown(copied.len().next_power_of_two(), copied.len());
        java::walk(&mut copied, buckets, |topic| topics.hash(topic.topic));
        Self { topics: copied, buckets }
    }

    /// Removes all but `kept`, the first of each topic; a topic with nothing left is removed too.
    fn retain(&mut self, table: &Table, kept: &[usize]) {
        for Numbers { topic, places, .. } in &mut self.topics {
            places.truncate(kept.iter().filter(|place| table.topic(**place) == *topic).count());
        }
        self.topics.retain(|topic| !topic.places.is_empty());
    }

    /// Adds a partition. `computeIfAbsent` grows the table before it inserts a new topic, and puts it first
    /// in its bucket.
    fn add(&mut self, table: &Table, topics: &TopicOrder, place: usize) {
        let wanted = table.topic(place);
        if let Some(topic) = self.topics.iter_mut().find(|topic| topic.topic == wanted) {
            topic.places.push(place);
            return;
        }
        if self.topics.len() > self.buckets * 3 / 4 {
            self.buckets *= 2;
        }
        let (places, buckets) = (alloc::vec![place], java::copied(0));
        self.topics.insert(0, Numbers { topic: wanted, places, buckets });
        java::walk(&mut self.topics, self.buckets, |topic| topics.hash(topic.topic));
    }

    /// The places in the broker's iteration order after it has written and read them back.
    fn finish(mut self, table: &Table, topics: &TopicOrder) -> Vec<usize> {
        let number = |place: &usize| table.number(*place);
        for Numbers { places, buckets, .. } in &mut self.topics {
            let count = places.len();
            java::walk(places, java::grown(*buckets, count), number);
            java::walk(places, java::copied(count), number);
        }
        let buckets = java::filled(self.topics.len());
        java::walk(&mut self.topics, buckets, |topic| topics.hash(topic.topic));
        self.topics.into_iter().flat_map(|topic| topic.places).collect()
    }
}
