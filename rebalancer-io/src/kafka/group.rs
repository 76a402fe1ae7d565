//! A consumer group and its members, as its coordinator tells of them.

use std::collections::{BTreeMap, BTreeSet};

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
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Whether it is known that the group's partitions are dealt as the models have it, should this member deal them.
    pub deals_as_modelled: bool,
}

impl Group {
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

    /// A partition that is owned twice, as under an assignor that deals one to several members.
    pub(super) fn owned_twice(&self) -> Option<&Place> {
        let mut owned: Vec<&Place> = self.members.iter().flat_map(|member| &member.owned).collect();
        owned.sort_unstable();
        owned.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    /// Who owns what.
    pub(super) fn owners(&self) -> BTreeMap<&Place, &str> {
        self.members
            .iter()
            .flat_map(|member| member.owned.iter().map(|place| (place, member.id.as_str())))
            .collect()
    }
}

/// Whether a member that wrote its subscription in this version is known to deal as the Java client does, which the models
/// follow. Other clients have sticky assignors of the same names that deal otherwise, and some write all else as the Java
/// client does: only the `client.id` tells it that it makes up itself.
pub(super) fn deals_as_java(version: i16, client_id: &str, group: &Group) -> bool {
    /// The version of subscriptions since Kafka 3.5.
    const VERSION: i16 = 3;
    let is_sticky = matches!(group.assignor.as_str(), "sticky" | "cooperative-sticky");
    version >= VERSION && (!is_sticky || is_made_up(client_id, &group.name))
}

/// Whether the Java client made up this `client.id`: of the group and a number.
fn is_made_up(client_id: &str, group: &str) -> bool {
    let number =
        client_id.strip_prefix("consumer-").and_then(|rest| rest.strip_prefix(group)?.strip_prefix('-'));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_java_client_alone_writes_tells_that_it_deals() {
        for (assignor, client_id, version, expected) in [
            ("cooperative-sticky", "consumer-orders-1", 3, true),
            ("sticky", "consumer-orders-12", 3, true),
            // Any client may call itself so.
            ("cooperative-sticky", "orders-7d9f-bb2cd", 3, false),
            ("sticky", "orders-7d9f-bb2cd", 3, false),
            ("cooperative-sticky", "rdkafka", 3, false),
            ("sticky", "sarama", 0, false),
            ("sticky", "consumer-orders-", 3, false),
            ("sticky", "consumer-payments-1", 3, false),
            // Older Java clients.
            ("cooperative-sticky", "consumer-orders-1", 1, false),
            // All deal these alike, but for those that write an older version.
            ("range", "orders-7d9f-bb2cd", 3, true),
            ("roundrobin", "sarama", 0, false),
        ] {
            let group = group(assignor, Vec::new());
            assert_eq!(deals_as_java(version, client_id, &group), expected, "{assignor} {client_id}");
        }
    }

    fn group(assignor: &str, members: Vec<Member>) -> Group {
        Group {
            name: "orders".to_owned(),
            state: "Stable".to_owned(),
            is_dealt_by_brokers: false,
            assignor: assignor.to_owned(),
            members,
        }
    }

    #[test]
    fn a_partition_of_two_members_is_found() {
        let member = |owned: &[i32]| Member {
            owned: owned.iter().map(|number| ("orders".to_owned(), *number)).collect(),
            ..Member::default()
        };
        let twice =
            |members: [&[i32]; 2]| group("everything", members.map(member).into()).owned_twice().cloned();
        assert_eq!(twice([&[1, 0], &[2]]), None);
        assert_eq!(twice([&[0, 1], &[2, 1]]), Some(("orders".to_owned(), 1)));
        assert_eq!(twice([&[0, 0], &[]]), Some(("orders".to_owned(), 0)));
    }
}
