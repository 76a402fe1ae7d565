//! Asks Kafka itself about consumer groups: their members and their partitions, committed and end offsets.
//!
//! [`KafkaClient`] asks; [`KafkaClient::watch`] looks twice or more, because rates and standing partitions show only over
//! time. [`KafkaClient::groups`] lists what there is, and [`groups_of_each`] tells which of it belongs to which pods.
//! [`KafkaAnswers`] puts what was found in the form of a metrics server's answers, and [`WithKafka`] hands them out beside
//! those of a real one. Only `Describe` on the group and its topics is needed; nothing is read from a topic or written.
//!
//! The protocol's library was not taken: it reserves memory for as many elements as an answer announces, so that a few
//! bytes from something that is not Kafka end the program. Nine kinds of request are needed, each in one or two versions.

mod answers;
mod client;
mod config;
mod connection;
mod error;
mod group;
mod groups;
mod ids;
mod meeting;
mod messages;
mod msk_iam;
mod sasl;
mod transport;
mod waits;
mod watch;
mod wire;

pub use answers::KafkaAnswers;
pub use client::KafkaClient;
pub use config::{BrokerAddress, KafkaConfig, KafkaTls, NoBroker, Sasl, ScramHash};
pub use connection::Patience;
pub use error::{KafkaError, KafkaErrorKind};
pub use group::{Group, Member, Place};
pub use groups::Groups;
pub use meeting::{groups_of_each, youngest};
pub use transport::{BesideKafka, NoServer, WithKafka};
pub use waits::WatchedPartition;
pub use watch::{ToWatch, Watched, least_run};
pub use wire::Malformed;
