//! A consumer group and its members, as its coordinator tells of them.

use std::collections::{BTreeMap, BTreeSet};

use super::messages::DescribedGroup;

/// Topic and number of a partition.
pub type Place = (String, i32);

/// A consumer group at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Its state in Kafka's words, such as `Stable`.
    pub state: String,
    /// Whether the brokers deal its partitions (the protocol of KIP-848) and not one of its members.
    pub is_dealt_by_brokers: bool,
    /// The name of the assignor; empty if it has none now.
    pub assignor: String,
    /// Its members, in the order in which the broker tells them: that of its table of them, by which assignors walk.
    pub members: Vec<Member>,
}

/// A member of a consumer group: one consumer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The id that the group gives it.
    pub id: String,
    /// `group.instance.id`, if it keeps its identity over restarts.
    pub instance_id: Option<String>,
    /// `client.id`.
    pub client_id: String,
    /// The address it connects from, such as `/10.0.0.5`.
    pub host: String,
    /// `client.rack`, if it tells one.
    pub rack: Option<String>,
    /// The topics it subscribes to.
    pub topics: Vec<String>,
    /// The partitions it owns.
    pub owned: Vec<Place>,
}

impl Group {
    /// What was told of a group.
    pub(super) fn told(described: DescribedGroup, is_dealt_by_brokers: bool) -> Self {
        let DescribedGroup { name, state, assignor, members, .. } = described;
        let members = members.into_iter().map(|member| Member {
            id: member.id,
            instance_id: member.instance_id,
            client_id: member.client_id,
            host: member.host,
            rack: member.rack,
            topics: member.topics,
            owned: member.owned,
        });
        Self { name, state, is_dealt_by_brokers, assignor, members: members.collect() }
    }

    /// Whether every partition has the owner it is to have.
    pub fn is_stable(&self) -> bool {
        self.state == "Stable"
    }

    /// Whether its partitions are being dealt. A group without members deals none: nobody reads.
    pub fn is_dealing(&self) -> bool {
        !matches!(self.state.as_str(), "Stable" | "Empty")
    }

    /// Whether members subscribe to different topics.
    pub fn has_unequal_subscriptions(&self) -> bool {
        let topics: BTreeSet<BTreeSet<&str>> =
            self.members.iter().map(|member| member.topics.iter().map(String::as_str).collect()).collect();
        topics.len() > 1
    }

    /// Who owns what.
    pub(super) fn owners(&self) -> BTreeMap<&Place, &str> {
        self.members
            .iter()
            .flat_map(|member| member.owned.iter().map(|place| (place, member.id.as_str())))
            .collect()
    }
}
