//! Kafka's consumer groups: who gets which partition when members come and go, and what a rotation
//! would make of the loads.

pub(crate) mod assignor;
mod by_rank;
pub(crate) mod forecast;
pub(crate) mod group;
pub(crate) mod recognise;
mod sticky;
mod topic_partition;

pub use assignor::{Assignor, UnknownAssignor};
pub use group::{Group, InvalidGroup, Member, Shape};
pub use recognise::recognise;
pub use topic_partition::TopicPartition;
