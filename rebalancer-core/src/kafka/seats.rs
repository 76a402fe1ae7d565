//! The consumers of a group, each in a seat, and the orders in which their ids may be.
//!
//! With `n` seats, the replacement of seat `i` has number `i + n`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::input::live_pod::LiveIndex;
use crate::input::partitions::Partitions;
use crate::kafka::java;
use crate::kafka::table::MemberOrders;

/// Marks an absent member, which has no position.
const ABSENT: usize = usize::MAX;

/// A member of a group, with what is needed to put it in the orders that assignors use. The id itself is not
/// needed: its rank and its hash say everything that a model asks of it.
///
/// ```
/// use rebalancer_core::LiveIndex;
/// use rebalancer_core::kafka::KnownMember;
///
/// let member = KnownMember {
///     pod: LiveIndex(0),
///     rank: 0,
///     alike: 0..=0,
///     hash: KnownMember::hash_of("orders-0-3f2a"),
///     owned: vec![("orders".into(), 7)],
/// };
/// assert_eq!(KnownMember::hash_of("ab"), 31 * 97 + 98);
/// assert_eq!(member.owned.len(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownMember {
    /// The live pod it runs in.
    pub pod: LiveIndex,
    /// Position of its id among the ids of all members, sorted.
    pub rank: usize,
    /// The ranks of all ids that begin as the id of its replacement will; its own is one of them. Brokers
    /// append a random part to `client.id`, so the replacement comes anywhere among these. Before and after
    /// which of the others it comes is certain.
    pub alike: RangeInclusive<usize>,
    /// The hash code of its id: see [`KnownMember::hash_of`].
    pub hash: u32,
    /// What it owns: topic and number.
    pub owned: Vec<(String, u32)>,
}

impl KnownMember {
    /// Java's `String.hashCode()` of a member's id, which orders the members in hash tables.
    pub fn hash_of(id: &str) -> u32 {
        id.encode_utf16().fold(0, |hash: u32, unit| hash.wrapping_mul(31).wrapping_add(u32::from(unit)))
    }
}

/// The seats of a group. If the ids are known, they are in the order in which the members were told.
pub(super) struct Seats<'a> {
    /// The pod of each seat.
    pods: Vec<usize>,
    /// The places that each seat owns.
    pub owned: Vec<Vec<usize>>,
    /// What is known of each id; `None` if nothing is known of any.
    pub ids: Option<&'a [KnownMember]>,
}

/// One order in which the ids of members and replacements may be.
pub(super) struct IdOrder {
    /// Seats and replacements, ordered by id.
    by_id: Vec<usize>,
    /// The same in the order of insertion into a hash table.
    inserted: Vec<usize>,
    /// The mixed hash of each id.
    hashes: Vec<usize>,
}

impl<'a> Seats<'a> {
    /// As many consumers in each pod. `None` unless the owner of every partition is known.
    pub fn of_unknown_ids(partitions: &Partitions, pods: usize, consumers_per_pod: usize) -> Option<Self> {
        let mut owned = alloc::vec![Vec::new(); pods * consumers_per_pod];
        let mut next = alloc::vec![0; pods];
        for (place, partition) in partitions.all().iter().enumerate() {
            let LiveIndex(pod) = partition.owner?;
            owned[pod * consumers_per_pod + next[pod] % consumers_per_pod].push(place);
            next[pod] += 1;
        }
        let pods = (0..owned.len()).map(|seat| seat / consumers_per_pod).collect();
        Some(Self { pods, owned, ids: None })
    }

    /// The members as Kafka tells them. `None` if they contradict themselves or the owners of the partitions,
    /// or if a pod has none.
    pub fn of_members(partitions: &Partitions, pods: usize, members: &'a [KnownMember]) -> Option<Self> {
        let mut ranks: Vec<usize> = members.iter().map(|member| member.rank).collect();
        ranks.sort_unstable();
        let of_each: Vec<usize> = members.iter().map(|member| member.pod.0).collect();
        let are_ranked = ranks.into_iter().eq(0..members.len());
        let are_alike = members
            .iter()
            .all(|member| member.alike.contains(&member.rank) && *member.alike.end() < members.len());
        let have_members = of_each.iter().copied().collect::<BTreeSet<usize>>().into_iter().eq(0..pods);
        if !are_ranked || !are_alike || !have_members {
            return None;
        }
        Some(Self { owned: owned(partitions, members)?, pods: of_each, ids: Some(members) })
    }

    /// Number of seats.
    pub const fn len(&self) -> usize {
        self.owned.len()
    }

    /// The pod of a seat or of its replacement.
    pub fn pod(&self, seat: usize) -> usize {
        self.pods[seat % self.len()]
    }

    /// The seats of a pod.
    pub fn of_pod(&self, pod: LiveIndex) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(move |seat| self.pods[*seat] == pod.0)
    }

    /// Whether the place of the replacement of a seat among all other ids is certain.
    pub fn is_placed(&self, seat: usize) -> bool {
        self.ids.is_some_and(|ids| ids[seat].alike.start() == ids[seat].alike.end())
    }

    /// The order of ids that belongs to a number; different numbers give different orders of what is not known.
    pub fn order(&self, number: u64) -> IdOrder {
        let random = |salt: u64, seat: usize| mix(mix(2 * number + salt) ^ seat as u64);
        let all = || (0..2 * self.len()).collect::<Vec<usize>>();
        let (mut by_id, mut inserted) = (all(), all());
        let Some(ids) = self.ids else {
            by_id.sort_by_cached_key(|seat| random(0, *seat));
            inserted.sort_by_cached_key(|seat| random(1, *seat));
            return IdOrder { by_id, inserted, hashes: alloc::vec![0; 2 * self.len()] };
        };
        by_id.sort_by_cached_key(|seat| {
            if let Some(id) = ids.get(*seat) {
                return (2 * id.rank + 1, 0, 0);
            }
            let KnownMember { alike, .. } = &ids[*seat - self.len()];
            // One more gap than ids; each is as likely as any other.
            let gaps = (alike.end() - alike.start() + 2) as u64;
            let gap = usize::try_from(random(0, *seat) % gaps).unwrap_or_default();
            (2 * (alike.start() + gap), *alike.start(), mix(random(0, *seat)))
        });
        let known = ids.iter().map(|id| java::spread(id.hash));
        let drawn = (self.len()..2 * self.len()).map(|seat| usize::try_from(random(1, seat) >> 32));
        let hashes = known.chain(drawn.map(Result::unwrap_or_default)).collect();
        IdOrder { by_id, inserted, hashes }
    }
}

impl IdOrder {
    /// The orders of the members that are present, as positions in `present`.
    pub fn of_present(&self, present: &[usize]) -> MemberOrders {
        let mut positions = alloc::vec![ABSENT; self.hashes.len()];
        for (position, seat) in present.iter().enumerate() {
            positions[*seat] = position;
        }
        let of_present =
            |order: &[usize]| order.iter().copied().filter(|seat| positions[*seat] != ABSENT).collect();
        let mut walk: Vec<usize> = of_present(&self.inserted);
        java::walk(&mut walk, java::filled(present.len()), |seat| self.hashes[*seat]);
        let placed =
            |order: Vec<usize>| order.into_iter().map(|seat| positions[seat]).collect::<Vec<usize>>();
        MemberOrders { by_id: placed(of_present(&self.by_id)), walk: placed(walk) }
    }
}

/// The places that each member owns; `None` unless each partition has one owner, in the pod that is known to own it.
fn owned(partitions: &Partitions, members: &[KnownMember]) -> Option<Vec<Vec<usize>>> {
    let all = partitions.all();
    let topics = partitions.topics().iter().enumerate();
    let topics: BTreeMap<&str, usize> = topics.map(|(place, name)| (name.as_str(), place)).collect();
    let mut is_owned = alloc::vec![false; all.len()];
    let mut owned = Vec::with_capacity(members.len());
    for member in members {
        let mut places = Vec::with_capacity(member.owned.len());
        for (topic, number) in &member.owned {
            let identity = (*topics.get(topic.as_str())?, *number);
            let place = all.binary_search_by_key(&identity, |of| (of.topic, of.number)).ok()?;
            if is_owned[place] || all[place].owner != Some(member.pod) {
                return None;
            }
            is_owned[place] = true;
            places.push(place);
        }
        owned.push(places);
    }
    is_owned.into_iter().all(|is_owned| is_owned).then_some(owned)
}

/// `SplitMix64`: spreads neighbouring numbers over the whole range.
pub(super) const fn mix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
