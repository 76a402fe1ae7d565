//! What Kafka tells of a group's members, as far as it decides who is assigned what.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::RangeInclusive;

use crate::input::live_pod::LiveIndex;
use crate::kafka::java;

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
        java::string_hash(id)
    }
}
