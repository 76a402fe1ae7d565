//! Models of Kafka's partition assignors: who gets which partition when members come and go.
//!
//! They answer *what if*: what would the loads be after a rotation? They assume equal subscriptions and no
//! racks, as in nearly every group.

use alloc::string::{String, ToString};
use core::str::FromStr;

/// How a group assigns its partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
pub enum Assignor {
    /// Contiguous blocks of each topic, by rank of the member: the default of most clients, and
    /// the server's `range`.
    Range,
    /// All partitions in turn, by rank of the member.
    #[cfg_attr(feature = "serde", serde(rename = "roundrobin"))]
    #[strum(serialize = "roundrobin")]
    RoundRobin,
    /// Members keep what they have, up to an equal count; every rebalance stops all members.
    Sticky,
    /// The same assignment as [`Assignor::Sticky`]; only the partitions that move stop.
    CooperativeSticky,
    /// The server's `uniform` (KIP-848): members keep what they have; the remaining partitions fill one
    /// member after the other.
    Uniform,
}

impl Assignor {
    /// All assignors.
    pub const ALL: [Self; 5] =
        [Self::Range, Self::RoundRobin, Self::Sticky, Self::CooperativeSticky, Self::Uniform];

    /// The name Kafka's configuration and exporters use.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// Whether the loads depend only on ranks: whichever pods are replaced, the same set of loads is assigned
    /// again. Exact if each pod is one member.
    pub const fn is_rank_invariant(self) -> bool {
        matches!(self, Self::Range | Self::RoundRobin)
    }
}

impl FromStr for Assignor {
    type Err = UnknownAssignor;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|assignor| assignor.name() == name);
        found.ok_or_else(|| UnknownAssignor { name: name.to_string() })
    }
}

/// A name that is no assignor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{name:?} is no assignor that is modelled; known are range, roundrobin, sticky, cooperative-sticky and uniform"
)]
pub struct UnknownAssignor {
    /// The name.
    pub name: String,
}
