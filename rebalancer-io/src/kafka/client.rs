//! Asks the brokers of a cluster about consumer groups. Each question goes to the broker that knows the answer: the
//! group's coordinator, and the leaders of its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use rustls::ClientConfig;

use super::config::{BrokerAddress, KafkaConfig};
use super::connection::{Connection, Patience};
use super::error::{KafkaError, KafkaErrorKind, quoted};
use super::group::{Group, Place};
use super::messages::{
    ConsumerGroupDescribe, DescribeGroups, DescribedGroup, FindCoordinator, Leader, ListCommittedOffsets,
    ListGroups, ListOffsets, Metadata, Node, OffsetFetch, Request, TimesOfTopic, TopicLeaders,
};
use crate::pem::PemError;

/// Most leaders that are asked at the same time: each takes a thread.
const MOST_AT_ONCE: usize = 8;

/// Most names of groups or topics in a message.
const MOST_NAMES: usize = 10;

/// The types of groups whose members do not own partitions.
pub(super) const SHARE: &str = "share";
pub(super) const STREAMS: &str = "streams";

const UNKNOWN_TOPIC: i16 = 3;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;

/// Connections to the brokers of one cluster.
pub struct KafkaClient {
    config: KafkaConfig,
    tls: Option<Arc<ClientConfig>>,
    patience: Patience,
    connections: BTreeMap<BrokerAddress, Connection>,
    /// What is known of the groups that were asked about.
    known: BTreeMap<String, Known>,
    /// The addresses of all brokers, once they were asked for. An only one coordinates every group and leads every
    /// partition.
    brokers: Vec<BrokerAddress>,
    /// The leader of each partition, by topic.
    leaders: BTreeMap<String, BTreeMap<i32, BrokerAddress>>,
    requests: usize,
}

/// How a group is asked about.
pub(super) struct Known {
    pub coordinator: BrokerAddress,
    /// Whether the brokers deal its partitions, once it is known.
    pub is_dealt_by_brokers: Option<bool>,
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
            known: BTreeMap::new(),
            brokers: Vec::new(),
            leaders: BTreeMap::new(),
            requests: 0,
        })
    }

    /// Requests about the group so far.
    pub const fn requests(&self) -> usize {
        self.requests
    }

    /// Whether a password is proved over a connection that is not encrypted.
    pub fn proves_in_the_open(&self) -> bool {
        self.config.proves_in_the_open()
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
        let is_known = self.known.get(name).and_then(|known| known.is_dealt_by_brokers);
        let (described, is_dealt_by_brokers) = match is_known {
            Some(true) => (self.described(name, &ConsumerGroupDescribe(&[name]))?, true),
            Some(false) => (self.described(name, &DescribeGroups(&[name]))?, false),
            None => self.described_either_way(name)?,
        };
        if let Some(known) = self.known.get_mut(name) {
            known.is_dealt_by_brokers = Some(is_dealt_by_brokers);
        }
        let broker = self.coordinator(name)?.broker().to_owned();
        let described = described
            .ok_or_else(|| KafkaErrorKind::Group("the answer has no group".to_owned()).at(&broker))?;
        if described.error == TOPIC_AUTHORIZATION_FAILED {
            return Err(self.hidden_topic(name, described.message.as_deref()).at(&broker));
        }
        if described.error != 0 {
            let said = described.message.as_deref();
            let kind = KafkaErrorKind::refused(described.error, format!("group {name}"), said);
            return Err(kind.at(&broker));
        }
        if described.state == "Dead" {
            return Err(self.unknown(name)?.at(&broker));
        }
        understood(described, is_dealt_by_brokers).map_err(|kind| kind.at(&broker))
    }

    /// Asks in the newer way first: a broker that has it answers for a group of the classic protocol that there is none.
    fn described_either_way(&mut self, name: &str) -> Result<(Option<DescribedGroup>, bool), KafkaError> {
        if self.coordinator(name)?.has(ConsumerGroupDescribe::API) {
            let described = self.described(name, &ConsumerGroupDescribe(&[name]))?;
            if !described.as_ref().is_some_and(DescribedGroup::is_of_another_protocol) {
                return Ok((described, true));
            }
        }
        Ok((self.described(name, &DescribeGroups(&[name]))?, false))
    }

    fn described<R: Request<Answer = Vec<DescribedGroup>>>(
        &mut self,
        name: &str,
        request: &R,
    ) -> Result<Option<DescribedGroup>, KafkaError> {
        Ok(self.ask_coordinator(name, request)?.into_iter().next())
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
    fn unknown(&mut self, name: &str) -> Result<KafkaErrorKind, KafkaError> {
        let (code, groups) = self.ask_coordinator(name, &ListGroups)?;
        if code != 0 {
            return Ok(KafkaErrorKind::refused(code, "the list of groups", None));
        }
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

    /// The offsets that the group has committed, of these partitions or of all.
    pub(super) fn committed(
        &mut self,
        group: &str,
        places: Option<&BTreeSet<Place>>,
    ) -> Result<BTreeMap<Place, i64>, KafkaError> {
        let topics = places.map(by_topic);
        let request = OffsetFetch { group, topics: topics.as_deref() };
        let (code, all) = self.ask_coordinator(group, &request)?;
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
    pub(super) fn find_leaders(&mut self, topics: &BTreeSet<String>) -> Result<(), KafkaError> {
        if self.only().is_some() {
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let (answer, broker) = self.ask_any(&Metadata(&names))?;
        let nodes: BTreeMap<i32, &Node> = answer.brokers.iter().map(|node| (node.id, node)).collect();
        for topic in answer.topics {
            let leaders = leaders(&topic, &nodes).map_err(|kind| kind.at(&broker))?;
            self.leaders.insert(topic.name, leaders);
        }
        Ok(())
    }

    /// The addresses of all brokers.
    pub(super) fn brokers(&mut self) -> Result<Vec<BrokerAddress>, KafkaError> {
        let (answer, _) = self.ask_any(&Metadata(&[]))?;
        self.brokers = answer.brokers.iter().map(address).collect();
        Ok(self.brokers.clone())
    }

    fn only(&self) -> Option<&BrokerAddress> {
        self.brokers.first().filter(|_| self.brokers.len() == 1)
    }

    /// Asks one broker.
    pub(super) fn ask<R: Request>(
        &mut self,
        broker: &BrokerAddress,
        request: &R,
    ) -> Result<R::Answer, KafkaError> {
        self.requests += 1;
        let connection = self.to(broker)?;
        connection.ask(request).map_err(|kind| kind.at(connection.broker()))
    }

    /// Asks any broker, and says which one.
    fn ask_any<R: Request>(&mut self, request: &R) -> Result<(R::Answer, String), KafkaError> {
        self.requests += 1;
        let connection = self.any()?;
        let broker = connection.broker().to_owned();
        let answer = connection.ask(request).map_err(|kind| kind.at(&broker))?;
        Ok((answer, broker))
    }

    /// Notes how a group is asked about.
    pub(super) fn know(&mut self, group: &str, known: Known) {
        self.known.insert(group.to_owned(), known);
    }

    /// Closes all connections. Who coordinates and who leads stays known, and the next question connects again.
    pub(super) fn disconnect(&mut self) {
        self.connections.clear();
    }

    /// Connects to the leaders of these partitions, so that answers need not wait for it.
    pub(super) fn connect_leaders(&mut self, places: &BTreeSet<Place>) -> Result<(), KafkaError> {
        let leaders = places.iter().filter_map(|(topic, partition)| self.leader(topic, *partition).cloned());
        let addresses: BTreeSet<BrokerAddress> = leaders.collect();
        addresses.iter().try_for_each(|address| self.to(address).map(drop))
    }

    /// The offset of the next record of each of `places` whose leader was found.
    pub(super) fn ends(&mut self, places: &BTreeSet<Place>) -> Result<BTreeMap<Place, i64>, KafkaError> {
        Ok(known(self.offsets(&all_at(places, ListOffsets::END), false)?))
    }

    /// The end of each of `places` for those who read committed records only: the first record of an open transaction, or
    /// the end.
    pub(super) fn readable_ends(
        &mut self,
        places: &BTreeSet<Place>,
    ) -> Result<BTreeMap<Place, i64>, KafkaError> {
        Ok(known(self.offsets(&all_at(places, ListOffsets::END), true)?))
    }

    /// The end for those who read committed records only that each partition had at a time in milliseconds, as far as the
    /// times of its records tell. `None` for those without a newer record before an open transaction.
    /// [`ListOffsets::START`] asks where the log begins.
    pub(super) fn readable_at(
        &mut self,
        places: &BTreeMap<Place, i64>,
    ) -> Result<BTreeMap<Place, Option<i64>>, KafkaError> {
        self.offsets(places, true)
    }

    /// Asks several leaders at once.
    fn offsets(
        &mut self,
        places: &BTreeMap<Place, i64>,
        are_committed: bool,
    ) -> Result<BTreeMap<Place, Option<i64>>, KafkaError> {
        // Where there are several brokers, they were asked for the leaders of the topics that there are.
        let may_lack = self.only().is_some();
        let mut of_leaders = self.by_leader(places);
        for address in of_leaders.keys() {
            self.to(address)?;
        }
        let asked = self
            .connections
            .iter_mut()
            .filter_map(|(address, connection)| Some((connection, of_leaders.remove(address)?)));
        let mut asked: Vec<_> = asked.collect();
        self.requests += asked.len();
        let ask = |(connection, topics): &mut (&mut Connection, Vec<TimesOfTopic<'_>>)| {
            let request = ListOffsets { topics };
            let answer = if are_committed {
                connection.ask(&ListCommittedOffsets(request))
            } else {
                connection.ask(&request)
            };
            let answer = answer.and_then(|answer| listed(answer, may_lack));
            answer.map_err(|kind| kind.at(connection.broker()))
        };
        let mut offsets = BTreeMap::new();
        for at_once in asked.chunks_mut(MOST_AT_ONCE) {
            let answers: Vec<Result<BTreeMap<Place, Option<i64>>, KafkaError>> = thread::scope(|scope| {
                let threads: Vec<_> = at_once.iter_mut().map(|of| scope.spawn(move || ask(of))).collect();
                let finished = threads.into_iter().map(thread::ScopedJoinHandle::join);
                finished.map(|answer| answer.expect("a thread that panics aborts the program")).collect()
            });
            for answer in answers {
                offsets.extend(answer?);
            }
        }
        Ok(offsets)
    }

    /// The partitions whose leader was found, with their times, by leader and topic.
    fn by_leader<'p>(
        &self,
        places: &'p BTreeMap<Place, i64>,
    ) -> BTreeMap<BrokerAddress, Vec<TimesOfTopic<'p>>> {
        let mut of_leaders: BTreeMap<BrokerAddress, Vec<TimesOfTopic<'_>>> = BTreeMap::new();
        for ((topic, partition), timestamp_ms) in places {
            let Some(leader) = self.leader(topic, *partition) else { continue };
            let topics = of_leaders.entry(leader.clone()).or_default();
            match topics.last_mut().filter(|(last, _)| *last == topic.as_str()) {
                Some((_, partitions)) => partitions.push((*partition, *timestamp_ms)),
                None => topics.push((topic, vec![(*partition, *timestamp_ms)])),
            }
        }
        of_leaders
    }

    fn leader(&self, topic: &str, partition: i32) -> Option<&BrokerAddress> {
        self.only().or_else(|| self.leaders.get(topic)?.get(&partition))
    }

    fn ask_coordinator<R: Request>(&mut self, group: &str, request: &R) -> Result<R::Answer, KafkaError> {
        let address = self.coordinator_address(group)?;
        self.ask(&address, request)
    }

    /// The connection to the coordinator of the group.
    fn coordinator(&mut self, group: &str) -> Result<&mut Connection, KafkaError> {
        let address = self.coordinator_address(group)?;
        self.to(&address)
    }

    fn coordinator_address(&mut self, group: &str) -> Result<BrokerAddress, KafkaError> {
        if let Some(known) = self.known.get(group) {
            return Ok(known.coordinator.clone());
        }
        let coordinator = self.find_coordinator(group)?;
        self.know(group, Known { coordinator: coordinator.clone(), is_dealt_by_brokers: None });
        Ok(coordinator)
    }

    fn find_coordinator(&mut self, group: &str) -> Result<BrokerAddress, KafkaError> {
        if self.brokers.is_empty() {
            self.brokers()?;
        }
        if let Some(only) = self.only() {
            return Ok(only.clone());
        }
        let (answer, broker) = self.ask_any(&FindCoordinator(group))?;
        if answer.error != 0 {
            let said = answer.message.as_deref();
            let about = format!("the coordinator of group {group}");
            return Err(KafkaErrorKind::refused(answer.error, about, said).at(&broker));
        }
        Ok(address(&answer.node))
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
    pub(super) fn to(&mut self, address: &BrokerAddress) -> Result<&mut Connection, KafkaError> {
        if !self.connections.contains_key(address) {
            if let Some(sasl) = self.config.sasl.as_ref().filter(|_| !self.config.is_safe(address)) {
                let reason = "it would be sent unencrypted: set KAFKA_TLS=true".to_owned();
                let kind = KafkaErrorKind::SignIn { mechanism: sasl.mechanism(), reason };
                return Err(kind.at(&address.to_string()));
            }
            let connection =
                Connection::open(address, self.tls.as_ref(), self.config.sasl.as_ref(), &self.patience)?;
            self.connections.insert(address.clone(), connection);
        }
        Ok(self.connections.get_mut(address).expect("it was inserted"))
    }
}

/// The group, if it is one of consumers whose partitions have one owner each.
fn understood(described: DescribedGroup, is_dealt_by_brokers: bool) -> Result<Group, KafkaErrorKind> {
    if !matches!(described.protocol_type.as_str(), "consumer" | "") {
        return Err(other_type(&described.name, &described.protocol_type));
    }
    if let Some(member) = described.members.iter().find(|member| member.is_unread) {
        return Err(KafkaErrorKind::Group(format!(
            "member {} of group {} writes what it subscribes to, or owns, in a form of its own, which this program does not read",
            quoted(&member.client_id),
            described.name
        )));
    }
    let group = Group::told(described, is_dealt_by_brokers);
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

/// The leader of each partition of a topic; of one that is gone, of none.
fn leaders(
    topic: &TopicLeaders,
    nodes: &BTreeMap<i32, &Node>,
) -> Result<BTreeMap<i32, BrokerAddress>, KafkaErrorKind> {
    match topic.error {
        0 => {}
        UNKNOWN_TOPIC => return Ok(BTreeMap::new()),
        code => return Err(KafkaErrorKind::refused(code, format!("topic {}", topic.name), None)),
    }
    let leader = |of: &Leader| {
        let node = nodes.get(&of.node).ok_or_else(|| {
            let about = format!("partition {} of topic {} has no leader now", of.partition, topic.name);
            KafkaErrorKind::Group(about)
        })?;
        Ok((of.partition, address(node)))
    };
    topic.partitions.iter().map(leader).collect()
}

/// All partitions with the same time.
fn all_at(places: &BTreeSet<Place>, time: i64) -> BTreeMap<Place, i64> {
    places.iter().map(|place| (place.clone(), time)).collect()
}

/// Partitions by topic.
fn by_topic(places: &BTreeSet<Place>) -> Vec<(&str, Vec<i32>)> {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for (topic, partition) in places {
        topics.entry(topic).or_default().push(*partition);
    }
    topics.into_iter().collect()
}

/// The offsets of an answer. Without those of topics that are gone, if some may be.
fn listed(
    answer: Vec<super::messages::Listed>,
    may_lack: bool,
) -> Result<BTreeMap<Place, Option<i64>>, KafkaErrorKind> {
    let mut offsets = BTreeMap::new();
    for of in answer {
        if may_lack && of.error == UNKNOWN_TOPIC {
            continue;
        }
        if of.error != 0 {
            let about = format!("partition {} of topic {}", of.partition, of.topic);
            return Err(KafkaErrorKind::refused(of.error, about, None));
        }
        offsets.insert((of.topic, of.partition), Some(of.offset).filter(|offset| *offset >= 0));
    }
    Ok(offsets)
}

fn known(offsets: BTreeMap<Place, Option<i64>>) -> BTreeMap<Place, i64> {
    offsets.into_iter().filter_map(|(place, offset)| Some((place, offset?))).collect()
}
