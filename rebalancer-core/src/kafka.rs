//! Kafka's consumer groups: who gets which partition when members come and go, and how a rotation changes the
//! loads.

pub(crate) mod assignor;
mod deal;
pub(crate) mod forecast;
mod java;
mod model;
pub(crate) mod recognise;
pub(crate) mod seats;
mod sticky;
mod table;
mod uniform;

pub use assignor::{Assignor, UnknownAssignor};
pub use deal::Dealer;
pub use recognise::{Unmodelled, recognise};
pub use seats::KnownMember;
pub use table::{MemberOrders, Table, TopicOrder, TopicPartition};
pub use uniform::UniformRule;
