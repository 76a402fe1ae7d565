//! Which groups of consumers there are. Each broker knows those that it coordinates, so all of them are asked.

use super::client::{KafkaClient, Known, SHARE, STREAMS};
use super::config::BrokerAddress;
use super::error::{KafkaError, KafkaErrorKind};
use super::group::Group;
use super::messages::{ConsumerGroupDescribe, DescribeGroups, DescribedGroup, ListGroups, Request as _};
use super::wire::TOO_MANY;

/// Most groups in one request: with a thousand members and ten thousand partitions each, the answer is below the limit of
/// size. Fewer where it is not: each member tells all topics that it subscribes to.
const AT_ONCE: usize = 20;

/// What the user may not see: the group, or a topic of it.
const NOT_AUTHORISED: [i16; 2] = [30, 29];

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
    /// Describes every group that the user may see.
    ///
    /// # Errors
    /// A broker that does not answer, or one that cannot tell of a group now: the group may be the one that is looked for.
    pub fn groups(&mut self) -> Result<Groups, KafkaError> {
        let mut found = Groups::default();
        for broker in self.brokers()? {
            let (code, listed) = self.ask(&broker, &ListGroups)?;
            if code != 0 {
                return Err(KafkaErrorKind::refused(code, "its groups", None).at(&broker.to_string()));
            }
            let (consumers, others): (Vec<_>, Vec<_>) =
                listed.into_iter().partition(|(_, kind)| kind == "consumer");
            for (name, kind) in others {
                match kind.as_str() {
                    SHARE => found.shared.push(name),
                    STREAMS => found.streams.push(name),
                    _ => {}
                }
            }
            let names: Vec<&str> = consumers.iter().map(|(name, _)| name.as_str()).collect();
            for names in names.chunks(AT_ONCE) {
                self.describe_in_parts(&broker, names, &mut found)?;
            }
        }
        found.of_consumers.sort_by(|a, b| a.name.cmp(&b.name));
        found.shared.sort();
        found.streams.sort();
        found.hidden.sort();
        Ok(found)
    }

    /// Describes groups that this broker coordinates: by halves where the answer about all is too large.
    fn describe_in_parts(
        &mut self,
        broker: &BrokerAddress,
        names: &[&str],
        found: &mut Groups,
    ) -> Result<(), KafkaError> {
        match self.describe_by(broker, names, found) {
            Err(error) if names.len() > 1 && is_too_large(&error.kind) => {
                // What was not read of the answer would be taken for the next one.
                self.disconnect();
                let (first, second) = names.split_at(names.len() / 2);
                self.describe_in_parts(broker, first, found)?;
                self.describe_in_parts(broker, second, found)
            }
            described => described,
        }
    }

    /// Describes groups that this broker coordinates.
    fn describe_by(
        &mut self,
        broker: &BrokerAddress,
        names: &[&str],
        found: &mut Groups,
    ) -> Result<(), KafkaError> {
        let (mut described, mut classic): (Vec<(DescribedGroup, bool)>, Vec<&str>) = Default::default();
        if self.to(broker)?.has(ConsumerGroupDescribe::API) {
            for group in self.ask(broker, &ConsumerGroupDescribe(names))? {
                if group.is_of_another_protocol() {
                    classic.extend(names.iter().find(|name| **name == group.name));
                } else {
                    described.push((group, true));
                }
            }
        } else {
            classic.extend(names);
        }
        if !classic.is_empty() {
            let groups = self.ask(broker, &DescribeGroups(&classic))?;
            described.extend(groups.into_iter().map(|group| (group, false)));
        }
        for (group, is_dealt_by_brokers) in described {
            match group.error {
                0 if group.state == "Dead" => continue,
                0 => {}
                code if NOT_AUTHORISED.contains(&code) => {
                    found.hidden.push(group.name);
                    continue;
                }
                code => {
                    let (about, said) = (format!("group {}", group.name), group.message.as_deref());
                    return Err(KafkaErrorKind::refused(code, about, said).at(&broker.to_string()));
                }
            }
            let known = Known { coordinator: broker.clone(), is_dealt_by_brokers: Some(is_dealt_by_brokers) };
            self.know(&group.name, known);
            found.of_consumers.push(Group::told(group, is_dealt_by_brokers));
        }
        Ok(())
    }
}

fn is_too_large(error: &KafkaErrorKind) -> bool {
    match error {
        KafkaErrorKind::TooLarge(_) => true,
        KafkaErrorKind::Malformed(malformed) => *malformed == TOO_MANY,
        _ => false,
    }
}
