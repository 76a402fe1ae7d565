//! Asks the brokers of a cluster about consumer groups. Each question goes to the broker that knows the answer: the
//! group's coordinator, and the leaders of its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;

use rustls::ClientConfig;

use super::config::{BrokerAddress, KafkaConfig};
use super::connection::{Connection, Patience};
use super::error::{KafkaError, KafkaErrorKind, accepted};
use super::group::Place;
use super::messages::{
    ByTopic, FindCoordinator, ListOffsets, Metadata, OffsetFetch, PartitionOffset, Request, TopicLeaders,
};
use crate::pem::PemError;

/// Most leaders that are asked at the same time: each takes a thread.
const MOST_AT_ONCE: usize = 8;

const UNKNOWN_TOPIC: i16 = 3;

/// Connections to the brokers of one cluster.
pub struct KafkaClient {
    config: KafkaConfig,
    tls: Option<Arc<ClientConfig>>,
    pub(super) patience: Patience,
    connections: BTreeMap<BrokerAddress, Connection>,
    /// The coordinators of the groups that were asked about.
    pub(super) coordinators: BTreeMap<String, BrokerAddress>,
    /// The groups that are not asked about in the newer way: they are of the classic protocol, or their broker has no other.
    pub(super) classic: BTreeSet<String>,
    /// The addresses of all brokers, once they were asked for. An only one coordinates every group and leads every
    /// partition.
    brokers: Vec<BrokerAddress>,
    /// The leader of each partition, by topic.
    leaders: BTreeMap<String, BTreeMap<i32, BrokerAddress>>,
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
            coordinators: BTreeMap::new(),
            classic: BTreeSet::new(),
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

    /// The offsets that the group has committed, of these partitions or of all.
    pub(super) fn committed(
        &mut self,
        group: &str,
        places: Option<&BTreeSet<Place>>,
    ) -> Result<BTreeMap<Place, i64>, KafkaError> {
        let broker = self.coordinator(group)?;
        let (code, all) = self.ask(&broker, &OffsetFetch { group, topics: places.map(by_topic) })?;
        let all = accepted(code, format_args!("group {group}"), None)
            .and_then(|()| listed(all, "the offset of ", false));
        let all = all.map_err(|kind| kind.at(&broker))?;
        Ok(known(all))
    }

    /// Finds the leaders of all partitions of these topics. Topics that are gone are left out.
    pub(super) fn find_leaders(&mut self, topics: &BTreeSet<String>) -> Result<(), KafkaError> {
        if self.only().is_some() {
            return Ok(());
        }
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        let broker = self.any()?;
        let (brokers, topics) = self.ask(&broker, &Metadata(&names))?;
        for topic in topics {
            let leaders = leaders(&topic, &brokers).map_err(|kind| kind.at(&broker))?;
            self.leaders.insert(topic.name, leaders);
        }
        Ok(())
    }

    /// The addresses of all brokers.
    pub(super) fn brokers(&mut self) -> Result<Vec<BrokerAddress>, KafkaError> {
        let any = self.any()?;
        let (brokers, _) = self.ask(&any, &Metadata(&[]))?;
        self.brokers = brokers.into_values().collect();
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
        self.to(broker)?.ask(request).map_err(|kind| kind.at(broker))
    }

    /// Closes all connections. Who coordinates and who leads stays known, and the next question connects again.
    pub(super) fn disconnect(&mut self) {
        self.connections.clear();
    }

    /// The end of each of `places` whose leader was found: the offset of the next record, or as those see it who read
    /// committed records only.
    pub(super) fn ends(
        &mut self,
        places: &BTreeSet<Place>,
        is_committed: bool,
    ) -> Result<BTreeMap<Place, i64>, KafkaError> {
        let places = places.iter().map(|place| (place.clone(), ListOffsets::END)).collect();
        Ok(known(self.offsets(&places, is_committed)?))
    }

    /// The end that each partition had at a time in milliseconds, as far as the times of its records tell. `None` for those
    /// without a newer record. [`ListOffsets::START`] asks where the log begins. Asks several leaders at once.
    pub(super) fn offsets(
        &mut self,
        places: &BTreeMap<Place, i64>,
        is_committed: bool,
    ) -> Result<BTreeMap<Place, Option<i64>>, KafkaError> {
        // Where there are several brokers, they were asked for the leaders of the topics that there are.
        let may_lack = self.only().is_some();
        let mut of_leaders: BTreeMap<BrokerAddress, ByTopic<'_, (i32, i64)>> = BTreeMap::new();
        for ((topic, partition), timestamp_ms) in places {
            let Some(leader) = self.leader(topic, *partition) else { continue };
            let topics = of_leaders.entry(leader.clone()).or_default();
            topics.entry(topic).or_default().push((*partition, *timestamp_ms));
        }
        for address in of_leaders.keys() {
            self.to(address)?;
        }
        let asked = self
            .connections
            .iter_mut()
            .filter_map(|(address, connection)| Some((connection, of_leaders.remove(address)?)));
        let mut asked: Vec<_> = asked.collect();
        self.requests += asked.len();
        let ask = |(connection, topics): &mut (&mut Connection, ByTopic<'_, (i32, i64)>)| {
            let answer = connection.ask(&ListOffsets { topics, is_committed });
            let answer = answer.and_then(|answer| listed(answer, "", may_lack));
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

    fn leader(&self, topic: &str, partition: i32) -> Option<&BrokerAddress> {
        self.only().or_else(|| self.leaders.get(topic)?.get(&partition))
    }

    /// The broker that coordinates the group.
    pub(super) fn coordinator(&mut self, group: &str) -> Result<BrokerAddress, KafkaError> {
        if let Some(coordinator) = self.coordinators.get(group) {
            return Ok(coordinator.clone());
        }
        if self.brokers.is_empty() {
            self.brokers()?;
        }
        let coordinator = if let Some(only) = self.only() {
            only.clone()
        } else {
            let broker = self.any()?;
            let (code, said, coordinator) = self.ask(&broker, &FindCoordinator(group))?;
            let about = format!("the coordinator of group {group}");
            accepted(code, about, said.as_deref()).map_err(|kind| kind.at(&broker))?;
            coordinator
        };
        self.coordinators.insert(group.to_owned(), coordinator.clone());
        Ok(coordinator)
    }

    /// Any broker with a connection: if there is none, the first of those to begin with that answers.
    fn any(&mut self) -> Result<BrokerAddress, KafkaError> {
        if let Some(connected) = self.connections.keys().next() {
            return Ok(connected.clone());
        }
        let mut failed: Option<KafkaError> = None;
        for server in self.config.servers.clone() {
            match self.to(&server) {
                Ok(_) => return Ok(server),
                Err(error) if may_differ(&error.kind) => failed = failed.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        let none = || KafkaErrorKind::Connect("no address is given".to_owned()).at("KAFKA_BOOTSTRAP_SERVERS");
        Err(failed.unwrap_or_else(none))
    }

    /// The connection to one broker.
    pub(super) fn to(&mut self, address: &BrokerAddress) -> Result<&mut Connection, KafkaError> {
        if !self.connections.contains_key(address) {
            if let Some(sasl) = self.config.sasl.as_ref().filter(|_| !self.config.is_safe(address)) {
                let reason = "it would be sent unencrypted: set KAFKA_TLS=true".to_owned();
                let kind = KafkaErrorKind::SignIn { mechanism: sasl.mechanism(), reason };
                return Err(kind.at(address));
            }
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

/// The leader of each partition of a topic; of one that is gone, of none.
fn leaders(
    topic: &TopicLeaders,
    brokers: &BTreeMap<i32, BrokerAddress>,
) -> Result<BTreeMap<i32, BrokerAddress>, KafkaErrorKind> {
    if topic.error == UNKNOWN_TOPIC {
        return Ok(BTreeMap::new());
    }
    accepted(topic.error, format_args!("topic {}", topic.name), None)?;
    let leader = |(partition, node): &(i32, i32)| {
        let leader = brokers.get(node).ok_or_else(|| {
            KafkaErrorKind::Group(format!("partition {partition} of topic {} has no leader now", topic.name))
        })?;
        Ok((*partition, leader.clone()))
    };
    topic.partitions.iter().map(leader).collect()
}

fn by_topic(places: &BTreeSet<Place>) -> ByTopic<'_, i32> {
    let mut topics = ByTopic::new();
    for (topic, partition) in places {
        topics.entry(topic.as_str()).or_default().push(*partition);
    }
    topics
}

/// The offsets of an answer, none where it is negative. Without those of topics that are gone, if some may be. `what` is asked
/// of each partition.
fn listed(
    answer: Vec<PartitionOffset>,
    what: &str,
    may_lack: bool,
) -> Result<BTreeMap<Place, Option<i64>>, KafkaErrorKind> {
    let mut offsets = BTreeMap::new();
    for PartitionOffset { place, error, offset } in answer {
        if may_lack && error == UNKNOWN_TOPIC {
            continue;
        }
        accepted(error, format_args!("{what}partition {} of topic {}", place.1, place.0), None)?;
        offsets.insert(place, Some(offset).filter(|offset| *offset >= 0));
    }
    Ok(offsets)
}

fn known(offsets: BTreeMap<Place, Option<i64>>) -> BTreeMap<Place, i64> {
    offsets.into_iter().filter_map(|(place, offset)| Some((place, offset?))).collect()
}
