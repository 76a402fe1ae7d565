//! Kafka's consumer groups: who gets which partition when members come and go, and what a rotation
//! would make of the loads.

pub mod assignor;
mod by_rank;
pub mod forecast;
pub mod group;
pub mod recognise;
mod sticky;

pub use assignor::{Assignor, UnknownAssignor};
pub use group::{Group, InvalidGroup, Member, Shape, TopicPartition};
pub use recognise::recognise;
