//! Kafka's consumer groups: who gets which partition when members come and go, and how a rotation changes the
//! loads.

pub(crate) mod assignor;
pub(crate) mod best;
mod by_rank;
mod deal;
pub(crate) mod forecast;
pub(crate) mod group;
mod java;
pub(crate) mod known_member;
mod model;
pub(crate) mod recognise;
mod seats;
mod sticky;
mod table;
mod topic_partition;
mod uniform;

pub use assignor::{Assignor, UnknownAssignor};
pub use group::{Group, InvalidGroup, Member, Shape};
pub use known_member::KnownMember;
pub use recognise::{Unmodelled, recognise};
pub use topic_partition::TopicPartition;
pub use uniform::UniformRule;
