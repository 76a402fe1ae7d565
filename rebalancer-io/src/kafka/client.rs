//! Asks the brokers of a cluster about one consumer group. Each question goes to the broker that knows the answer: the
//! group's coordinator, and the leaders of its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use rustls::ClientConfig;

use super::config::{BrokerAddress, KafkaConfig};
use super::connection::{Connection, Patience};
use super::error::{KafkaError, KafkaErrorKind};
use super::messages::{
    ConsumerGroupDescribe, DescribeGroups, DescribedGroup, FindCoordinator, ListGroups, ListOffsets,
    Metadata, Node, OffsetFetch, Request, TimesOfTopic,
};
use crate::pem::PemError;

/// Topic and number of a partition.
pub type Place = (String, i32);

/// Most names of groups in a message.
const MOST_GROUPS: usize = 10;

const GROUP_ID_NOT_FOUND: i16 = 69;
const UNSUPPORTED_VERSION: i16 = 35;
const UNKNOWN_TOPIC: i16 = 3;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

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
    /// Its members, by their ids.
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
    /// The topics it subscribes to.
    pub topics: Vec<String>,
    /// The partitions it owns.
    pub owned: Vec<Place>,
}

impl Group {
    /// Whether every partition has the owner it is to have.
    pub fn is_stable(&self) -> bool {
        self.state == "Stable"
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

/// Connections to the brokers of one cluster.
pub struct KafkaClient {
    config: KafkaConfig,
    tls: Option<Arc<ClientConfig>>,
    patience: Patience,
    connections: BTreeMap<BrokerAddress, Connection>,
    /// The coordinator of the group that was asked about.
    coordinator: Option<BrokerAddress>,
    /// Whether the brokers deal the partitions of that group, once it is known.
    is_dealt_by_brokers: Option<bool>,
    /// The partitions of each leader, by topic.
    leaders: BTreeMap<BrokerAddress, BTreeMap<String, Vec<i32>>>,
    requests: usize,
}

impl KafkaClient {
    /// Prepares connections: reads the certificate files, connects to nobody.
    ///
    /// # Errors
    /// A file that cannot be read or used.
    pub fn new(config: KafkaConfig, patience: Patience) -> Result<Self, PemError> {
        let tls = config.tls.as_ref().map(super::config::KafkaTls::client_config).transpose()?;
        Ok(Self {
            config,
            tls,
            patience,
            connections: BTreeMap::new(),
            coordinator: None,
            is_dealt_by_brokers: None,
            leaders: BTreeMap::new(),
            requests: 0,
        })
    }

    /// Requests about the group so far.
    pub const fn requests(&self) -> usize {
        self.requests
    }

    /// When waiting ends.
    pub(super) const fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Describes a group.
    ///
    /// # Errors
    /// A broker that does not answer or refuses; a group that does not exist, or is not one of consumers.
    pub fn group(&mut self, name: &str) -> Result<Group, KafkaError> {
        let described = match self.is_dealt_by_brokers {
            Some(true) => self.described(&ConsumerGroupDescribe(name))?,
            Some(false) => self.described(&DescribeGroups(name))?,
            None => self.described_either_way(name)?,
        };
        let is_dealt_by_brokers = self.is_dealt_by_brokers == Some(true);
        let broker = self.coordinator(name)?.broker().to_owned();
        let described = described
            .ok_or_else(|| KafkaErrorKind::Group("the answer has no group".to_owned()).at(&broker))?;
        if described.error != 0 {
            // The broker does not say which topic it is.
            let of = if described.error == TOPIC_AUTHORIZATION_FAILED { "a topic of " } else { "" };
            let said = described.message.as_deref();
            let kind = KafkaErrorKind::refused(described.error, format!("{of}group {name}"), said);
            return Err(kind.at(&broker));
        }
        if described.state == "Dead" {
            return Err(self.unknown(name)?.at(&broker));
        }
        if !matches!(described.protocol_type.as_str(), "consumer" | "") {
            let of_type = format!("group {name} is of type {}, not of consumers", described.protocol_type);
            return Err(KafkaErrorKind::Group(of_type).at(&broker));
        }
        let members = described.members.into_iter().map(|member| Member {
            id: member.id,
            instance_id: member.instance_id,
            client_id: member.client_id,
            host: member.host,
            topics: member.topics,
            owned: member.owned,
        });
        let mut members: Vec<Member> = members.collect();
        members.sort();
        let DescribedGroup { state, assignor, .. } = described;
        Ok(Group { name: name.to_owned(), state, is_dealt_by_brokers, assignor, members })
    }

    /// Asks in the newer way first: a broker that has it answers for a group of the classic protocol that there is none.
    fn described_either_way(&mut self, name: &str) -> Result<Option<DescribedGroup>, KafkaError> {
        if self.coordinator(name)?.has(ConsumerGroupDescribe::API) {
            let described = self.described(&ConsumerGroupDescribe(name))?;
            let is_other = |code: i16| matches!(code, GROUP_ID_NOT_FOUND | UNSUPPORTED_VERSION);
            if !described.as_ref().is_some_and(|group| is_other(group.error)) {
                self.is_dealt_by_brokers = Some(true);
                return Ok(described);
            }
        }
        self.is_dealt_by_brokers = Some(false);
        self.described(&DescribeGroups(name))
    }

    fn described<R: Request<Answer = Vec<DescribedGroup>>>(
        &mut self,
        request: &R,
    ) -> Result<Option<DescribedGroup>, KafkaError> {
        Ok(self.ask_coordinator(request)?.into_iter().next())
    }

    /// Why there is no group of consumers of this name.
    fn unknown(&mut self, name: &str) -> Result<KafkaErrorKind, KafkaError> {
        let (_, groups) = self.ask_coordinator(&ListGroups)?;
        let of_this_name = groups.iter().find(|(group, _)| group == name);
        if let Some((_, kind)) = of_this_name.filter(|(_, kind)| kind == "share") {
            return Ok(KafkaErrorKind::Group(format!(
                "group {name} is a {kind} group: each of its members reads from every partition, so none has a load of \
                 its own"
            )));
        }
        let mut known: Vec<&str> = groups.iter().map(|(group, _)| group.as_str()).collect();
        known.sort_unstable();
        let more = known.len().saturating_sub(MOST_GROUPS);
        known.truncate(MOST_GROUPS);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Ok(KafkaErrorKind::Group(format!(
            "there is no group {name}, or the user may not see it; of the groups that this broker coordinates the user \
             sees {known}{more}; is KAFKA_GROUP right?"
        )))
    }

    /// Every offset that the group has committed.
    pub(super) fn committed(&mut self, group: &str) -> Result<BTreeMap<Place, i64>, KafkaError> {
        let (code, all) = self.ask_coordinator(&OffsetFetch(group))?;
        let broker = self.coordinator(group)?.broker().to_owned();
        let refused = |code, about| Err(KafkaErrorKind::refused(code, about, None).at(&broker));
        if code != 0 {
            return refused(code, format!("group {group}"));
        }
        let mut committed = BTreeMap::new();
        for of in all {
            if of.error != 0 {
                return refused(
                    of.error,
                    format!("the offset of partition {} of topic {}", of.partition, of.topic),
                );
            }
            // Negative: none.
            if of.offset >= 0 {
                committed.insert((of.topic, of.partition), of.offset);
            }
        }
        Ok(committed)
    }

    /// Finds the leaders of all partitions of these topics. Topics that are gone are left out.
    pub(super) fn find_leaders(&mut self, topics: &BTreeSet<String>) -> Result<BTreeSet<Place>, KafkaError> {
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let (answer, broker) = {
            self.requests += 1;
            let connection = self.any()?;
            let broker = connection.broker().to_owned();
            let answer = connection.ask(&Metadata(&names)).map_err(|kind| kind.at(&broker))?;
            (answer, broker)
        };
        let nodes: BTreeMap<i32, &Node> = answer.brokers.iter().map(|node| (node.id, node)).collect();
        let (mut leaders, mut found) =
            (BTreeMap::<BrokerAddress, BTreeMap<String, Vec<i32>>>::new(), BTreeSet::new());
        for topic in answer.topics {
            match topic.error {
                0 => {}
                UNKNOWN_TOPIC => continue,
                code => {
                    return Err(
                        KafkaErrorKind::refused(code, format!("topic {}", topic.name), None).at(&broker)
                    );
                }
            }
            for of in topic.partitions {
                let Some(node) = nodes.get(&of.node) else {
                    let about =
                        format!("partition {} of topic {} has no leader now", of.partition, topic.name);
                    return Err(KafkaErrorKind::Group(about).at(&broker));
                };
                let places = leaders.entry(address(node)).or_default();
                places.entry(topic.name.clone()).or_default().push(of.partition);
                found.insert((topic.name.clone(), of.partition));
            }
        }
        self.leaders = leaders;
        Ok(found)
    }

    /// The offset of the next record of each of `places` whose leader was found.
    pub(super) fn ends(&mut self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, KafkaError> {
        self.ends_at(&places.iter().map(|place| (place.clone(), ListOffsets::END)).collect())
    }

    /// The end that each partition had at a time in milliseconds, as far as the times of its records tell; nothing for
    /// those without a newer record. Asks all leaders at once.
    pub(super) fn ends_at(
        &mut self,
        places: &BTreeMap<Place, i64>,
    ) -> Result<BTreeMap<Place, i64>, KafkaError> {
        let of_leaders = self.leaders.clone();
        for address in of_leaders.keys() {
            self.to(address)?;
        }
        let asked = self.connections.iter_mut().filter_map(|(address, connection)| {
            let wanted = wanted(of_leaders.get(address)?, places);
            (!wanted.is_empty()).then_some((connection, wanted))
        });
        let asked: Vec<_> = asked.collect();
        self.requests += asked.len();
        let answers: Vec<Result<BTreeMap<Place, i64>, KafkaError>> = thread::scope(|scope| {
            let ask = |(connection, topics): (&'_ mut Connection, Vec<TimesOfTopic<'_>>)| {
                let request = ListOffsets { topics: &topics };
                let answer = connection.ask(&request).and_then(listed);
                answer.map_err(|kind| kind.at(connection.broker()))
            };
            let threads: Vec<_> = asked.into_iter().map(|of| scope.spawn(move || ask(of))).collect();
            threads
                .into_iter()
                .map(|thread| thread.join().expect("a thread that panics aborts the program"))
                .collect()
        });
        let mut offsets = BTreeMap::new();
        for answer in answers {
            offsets.extend(answer?);
        }
        Ok(offsets)
    }

    fn ask_coordinator<R: Request>(&mut self, request: &R) -> Result<R::Answer, KafkaError> {
        self.requests += 1;
        let coordinator = self.coordinator.clone();
        let connection = match coordinator {
            Some(address) => self.to(&address)?,
            None => self.any()?,
        };
        connection.ask(request).map_err(|kind| kind.at(connection.broker()))
    }

    /// The connection to the coordinator of the group.
    fn coordinator(&mut self, group: &str) -> Result<&mut Connection, KafkaError> {
        if self.coordinator.is_none() {
            let answer = self.ask_coordinator(&FindCoordinator(group))?;
            if answer.error != 0 {
                let said = answer.message.as_deref();
                let kind =
                    KafkaErrorKind::refused(answer.error, format!("the coordinator of group {group}"), said);
                return Err(kind.at(self.any()?.broker()));
            }
            self.coordinator = Some(address(&answer.node));
        }
        let address = self.coordinator.clone().expect("it was found");
        self.to(&address)
    }

    /// A connection to any broker: the first of those to begin with that answers.
    fn any(&mut self) -> Result<&mut Connection, KafkaError> {
        if self.connections.is_empty() {
            let mut failed: Option<KafkaError> = None;
            for server in self.config.servers.clone() {
                match self.to(&server) {
                    Ok(_) => break,
                    Err(error) if may_differ(&error.kind) => failed = failed.or(Some(error)),
                    Err(error) => return Err(error),
                }
            }
            if let Some(error) = failed.filter(|_| self.connections.is_empty()) {
                return Err(error);
            }
        }
        let connection = self.connections.values_mut().next();
        connection.ok_or_else(|| {
            KafkaErrorKind::Connect("no address is given".to_owned()).at("KAFKA_BOOTSTRAP_SERVERS")
        })
    }

    /// The connection to one broker.
    fn to(&mut self, address: &BrokerAddress) -> Result<&mut Connection, KafkaError> {
        if !self.connections.contains_key(address) {
            let connection =
                Connection::open(address, self.tls.as_ref(), self.config.sasl.as_ref(), &self.patience)?;
            self.connections.insert(address.clone(), connection);
        }
        Ok(self.connections.get_mut(address).expect("it was inserted"))
    }
}

/// Whether another broker of the cluster may answer where this one failed so.
const fn may_differ(kind: &KafkaErrorKind) -> bool {
    matches!(
        kind,
        KafkaErrorKind::Connect(_)
            | KafkaErrorKind::Timeout(_)
            | KafkaErrorKind::Closed(_)
            | KafkaErrorKind::Broken(_)
    )
}

fn address(node: &Node) -> BrokerAddress {
    // A port that is none fails to connect.
    BrokerAddress { host: node.host.clone(), port: u16::try_from(node.port).unwrap_or_default() }
}

/// The partitions of a leader that are wanted, and the times.
fn wanted<'l>(led: &'l BTreeMap<String, Vec<i32>>, places: &BTreeMap<Place, i64>) -> Vec<TimesOfTopic<'l>> {
    let of_topic = |(topic, partitions): (&'l String, &Vec<i32>)| {
        let time = |partition: &i32| Some((*partition, *places.get(&(topic.clone(), *partition))?));
        let wanted: Vec<(i32, i64)> = partitions.iter().filter_map(time).collect();
        (!wanted.is_empty()).then_some((topic.as_str(), wanted))
    };
    led.iter().filter_map(of_topic).collect()
}

fn listed(answer: Vec<super::messages::Listed>) -> Result<BTreeMap<Place, i64>, KafkaErrorKind> {
    let mut offsets = BTreeMap::new();
    for of in answer {
        if of.error != 0 {
            let about = format!("partition {} of topic {}", of.partition, of.topic);
            return Err(KafkaErrorKind::refused(of.error, about, None));
        }
        if of.offset >= 0 {
            offsets.insert((of.topic, of.partition), of.offset);
        }
    }
    Ok(offsets)
}
