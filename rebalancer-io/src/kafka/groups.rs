//! What is told of groups: of one, by its coordinator; and of all that there are. Each broker knows those that it
//! coordinates, so for all groups all brokers are asked.

use std::collections::BTreeSet;

use super::client::KafkaClient;
use super::config::BrokerAddress;
use super::error::{KafkaError, KafkaErrorKind, accepted, quoted};
use super::group::Group;
use super::messages::{ConsumerGroupDescribe, DescribeGroups, DescribedGroup, ListGroups, Request as _};
use super::wire::TOO_MANY;

/// Most groups in one request: with a thousand members and ten thousand partitions each, the answer is below the limit of
/// size. Fewer where it is not: each member tells all topics that it subscribes to.
const AT_ONCE: usize = 20;

/// Most names of groups or topics in a message.
const MOST_NAMES: usize = 10;

/// The types of groups whose members do not own partitions.
const SHARE: &str = "share";
const STREAMS: &str = "streams";

/// What the user may not see: a topic of the group, or the group.
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const GROUP_AUTHORIZATION_FAILED: i16 = 30;

/// The groups that a user may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    /// Those of consumers, by name.
    pub of_consumers: Vec<Group>,
    /// The names of share groups: each of their members reads from every partition.
    pub shared: Vec<String>,
    /// The names of streams groups (KIP-1071): the brokers deal tasks to their members, and not partitions.
    pub streams: Vec<String>,
    /// The names of those that the user may list and not describe.
    pub hidden: Vec<String>,
}

impl KafkaClient {
    /// Describes a group.
    ///
    /// # Errors
    /// A broker that does not answer or refuses; a group that does not exist, or is not one of consumers.
    pub fn group(&mut self, name: &str) -> Result<Group, KafkaError> {
        let broker = self.coordinator(name)?;
        let described = self.described(&broker, &[name])?.into_iter().next();
        let described = described
            .ok_or_else(|| KafkaErrorKind::Group("the answer has no group".to_owned()).at(&broker))?;
        let said = described.message.as_deref();
        let understood = match described.error {
            TOPIC_AUTHORIZATION_FAILED => Err(self.hidden_topic(name, said)),
            0 if described.group.state == "Dead" => Err(self.unknown(name, &broker)?),
            code => accepted(code, format_args!("group {name}"), said).and_then(|()| understood(described)),
        };
        understood.map_err(|kind| kind.at(&broker))
    }

    /// Describes every group that the user may see.
    ///
    /// # Errors
    /// A broker that does not answer, or one that cannot tell of a group now: the group may be the one that is looked for.
    pub fn groups(&mut self) -> Result<Groups, KafkaError> {
        let mut found = Groups::default();
        for broker in self.brokers()? {
            let (code, listed) = self.ask(&broker, &ListGroups)?;
            accepted(code, "its groups", None).map_err(|kind| kind.at(&broker))?;
            let mut names: Vec<&str> = Vec::new();
            for (name, kind) in &listed {
                match kind.as_str() {
                    "consumer" => names.push(name),
                    SHARE => found.shared.push(name.clone()),
                    STREAMS => found.streams.push(name.clone()),
                    _ => {}
                }
            }
            for names in names.chunks(AT_ONCE) {
                for DescribedGroup { error, message, group, .. } in self.described(&broker, names)? {
                    match error {
                        0 if group.state == "Dead" => {}
                        TOPIC_AUTHORIZATION_FAILED | GROUP_AUTHORIZATION_FAILED => {
                            found.hidden.push(group.name);
                        }
                        code => {
                            let about = format!("group {}", group.name);
                            accepted(code, about, message.as_deref()).map_err(|kind| kind.at(&broker))?;
                            self.coordinators.insert(group.name.clone(), broker.clone());
                            found.of_consumers.push(group);
                        }
                    }
                }
            }
        }
        found.of_consumers.sort_by(|a, b| a.name.cmp(&b.name));
        for names in [&mut found.shared, &mut found.streams, &mut found.hidden] {
            names.sort();
        }
        Ok(found)
    }

    /// Describes groups that this broker coordinates: by halves where the answer about all is too large.
    fn described(
        &mut self,
        broker: &BrokerAddress,
        names: &[&str],
    ) -> Result<Vec<DescribedGroup>, KafkaError> {
        match self.described_at_once(broker, names) {
            Err(error) if names.len() > 1 && is_too_large(&error.kind) => {
                // What was not read of the answer would be taken for the next one.
                self.disconnect();
                let (first, second) = names.split_at(names.len() / 2);
                let mut described = self.described(broker, first)?;
                described.extend(self.described(broker, second)?);
                Ok(described)
            }
            described => described,
        }
    }

    /// Asks in the newer way first: a broker that has it answers for a group of the classic protocol that there is none.
    fn described_at_once(
        &mut self,
        broker: &BrokerAddress,
        names: &[&str],
    ) -> Result<Vec<DescribedGroup>, KafkaError> {
        let (mut classic, mut newer): (Vec<&str>, Vec<&str>) =
            names.iter().copied().partition(|name| self.classic.contains(*name));
        let mut described: Vec<DescribedGroup> = Vec::new();
        if !newer.is_empty() && self.to(broker)?.has(ConsumerGroupDescribe::API) {
            described = self.ask(broker, &ConsumerGroupDescribe(&newer))?;
            described.retain(|of| !of.is_of_another_protocol());
            newer.retain(|name| !described.iter().any(|of| of.group.name == *name));
        }
        classic.append(&mut newer);
        if !classic.is_empty() {
            described.extend(self.ask(broker, &DescribeGroups(&classic))?);
            self.classic.extend(classic.into_iter().map(str::to_owned));
        }
        Ok(described)
    }

    /// That the user may not see a topic of the group. The broker does not say which one: those that the user may see
    /// narrow it down.
    fn hidden_topic(&mut self, group: &str, said: Option<&str>) -> KafkaErrorKind {
        let mut about = format!("a topic of group {group}");
        // A further refusal tells no more than the first.
        if let Ok(seen) = self.committed(group, None) {
            let seen: BTreeSet<&str> = seen.keys().map(|(topic, _)| topic.as_str()).collect();
            let seen = listed_names(seen.into_iter().collect());
            about = format!("{about} (the user may see {seen} of those with a committed offset)");
        }
        KafkaErrorKind::refused(TOPIC_AUTHORIZATION_FAILED, about, said)
    }

    /// Why there is no group of consumers of this name.
    fn unknown(&mut self, name: &str, broker: &BrokerAddress) -> Result<KafkaErrorKind, KafkaError> {
        let (code, groups) = self.ask(broker, &ListGroups)?;
        accepted(code, "the list of groups", None).map_err(|kind| kind.at(broker))?;
        let of_this_name = groups.iter().find(|(group, _)| group == name);
        if let Some((_, kind)) = of_this_name.filter(|(_, kind)| !matches!(kind.as_str(), "consumer" | "")) {
            return Ok(other_type(name, kind));
        }
        let known = listed_names(groups.iter().map(|(group, _)| group.as_str()).collect());
        Ok(KafkaErrorKind::Group(format!(
            "there is no group {name}, or the user may not see it; of the groups that this broker coordinates the user \
             sees {known}; is KAFKA_GROUP right?"
        )))
    }
}

/// The group, if it is one of consumers whose partitions have one owner each.
fn understood(described: DescribedGroup) -> Result<Group, KafkaErrorKind> {
    let DescribedGroup { protocol_type, unread, group, .. } = described;
    if !matches!(protocol_type.as_str(), "consumer" | "") {
        return Err(other_type(&group.name, &protocol_type));
    }
    if let Some(client_id) = unread {
        return Err(KafkaErrorKind::Group(format!(
            "member {} of group {} writes what it subscribes to, or owns, in a form of its own, which this program does not read",
            quoted(&client_id),
            group.name
        )));
    }
    if let Some((topic, number)) = group.owned_twice().filter(|_| !group.is_dealing()) {
        return Err(KafkaErrorKind::Group(format!(
            "partition {number} of topic {topic} is owned twice in group {}, as under an assignor of its own that deals one to \
             several members: what each of them reads is not known",
            group.name
        )));
    }
    Ok(group)
}

/// Why a group of this type is none of consumers.
fn other_type(name: &str, kind: &str) -> KafkaErrorKind {
    KafkaErrorKind::Group(match kind {
        SHARE => format!(
            "group {name} is a share group: each of its members reads from every partition, so none has a load of its own"
        ),
        STREAMS => format!(
            "group {name} is a streams group (KIP-1071): the brokers deal tasks to its members, and this program does not \
             read those; it reads groups of Kafka Streams with group.protocol=classic"
        ),
        _ => format!("group {name} is of type {}, not of consumers", quoted(kind)),
    })
}

/// Names in a message, in order.
fn listed_names(mut names: Vec<&str>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names.sort_unstable();
    let more = names.len().saturating_sub(MOST_NAMES);
    names.truncate(MOST_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", quoted(&names.join(", ")))
}

fn is_too_large(error: &KafkaErrorKind) -> bool {
    match error {
        KafkaErrorKind::TooLarge(_) => true,
        KafkaErrorKind::Malformed(malformed) => *malformed == TOO_MANY,
        _ => false,
    }
}
