//! The requests that are sent to Kafka and their answers, each in the versions that brokers from 2.1 to 4 have in common.

use std::collections::BTreeMap;

use super::config::BrokerAddress;
use super::group::{Group, Member, Place, deals_as_java};
use super::wire::{Malformed, Reader, Writer};

/// Most partitions in one answer: ten times those of a large group.
const MOST_PARTITIONS: usize = 100_000;

/// A request and how its answer is read.
pub(super) trait Request {
    /// What it is about.
    const API: Api;
    /// What the answer holds.
    type Answer;

    /// Writes the body.
    fn write(&self, to: &mut Writer, version: i16);

    /// Reads the body of the answer.
    fn read(from: &mut Reader<'_>, version: i16) -> Result<Self::Answer, Malformed>;
}

/// A kind of request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Api {
    pub key: i16,
    /// The name in Kafka's documentation.
    pub name: &'static str,
    /// The versions that are understood, the preferred one first.
    pub versions: &'static [i16],
    /// Whether its header has tags.
    pub is_flexible: bool,
}

const fn api(key: i16, name: &'static str, versions: &'static [i16]) -> Api {
    Api { key, name, versions, is_flexible: false }
}

/// The code of an error; 0 is none.
pub(super) type Code = i16;

/// Asks which versions a broker understands.
pub(super) struct ApiVersions;

impl Request for ApiVersions {
    const API: Api = api(18, "ApiVersions", &[0]);
    /// Key, smallest and largest version.
    type Answer = (Code, Vec<[i16; 3]>);

    fn write(&self, _: &mut Writer, _: i16) {}

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        Ok((from.i16()?, from.list(|from| Ok([from.i16()?, from.i16()?, from.i16()?]))?))
    }
}

/// Names the mechanism to sign in by.
pub(super) struct SaslHandshake<'a>(pub &'a str);

impl Request for SaslHandshake<'_> {
    const API: Api = api(17, "SaslHandshake", &[1]);
    /// The mechanisms that the broker has.
    type Answer = (Code, Vec<String>);

    fn write(&self, to: &mut Writer, _: i16) {
        to.string(self.0);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        Ok((from.i16()?, from.list(Reader::string)?))
    }
}

/// A step of signing in.
pub(super) struct SaslAuthenticate<'a>(pub &'a [u8]);

impl Request for SaslAuthenticate<'_> {
    const API: Api = api(36, "SaslAuthenticate", &[0]);
    /// With its own words, and the next step of the broker.
    type Answer = (Code, Option<String>, Vec<u8>);

    fn write(&self, to: &mut Writer, _: i16) {
        to.bytes(self.0);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        Ok((from.i16()?, from.nullable_string()?, from.bytes()?.to_vec()))
    }
}

/// Asks for the brokers, and the leaders of the partitions of these topics.
pub(super) struct Metadata<'a>(pub &'a [&'a str]);

/// The leaders of a topic's partitions, by the numbers of both.
pub(super) struct TopicLeaders {
    pub error: Code,
    pub name: String,
    pub partitions: Vec<(i32, i32)>,
}

impl Request for Metadata<'_> {
    const API: Api = api(3, "Metadata", &[4]);
    /// The brokers by their numbers, and the topics.
    type Answer = (BTreeMap<i32, BrokerAddress>, Vec<TopicLeaders>);

    fn write(&self, to: &mut Writer, _: i16) {
        to.list(self.0.iter(), |to, topic| to.string(topic));
        // A question creates no topic.
        to.bool(false);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        from.i32()?;
        let brokers = from.list(|from| {
            let node = (from.i32()?, address(from)?);
            from.nullable_string()?;
            Ok(node)
        })?;
        from.nullable_string()?;
        from.i32()?;
        let topics = from.list(|from| {
            let (error, name) = (from.i16()?, from.topic()?);
            from.bool()?;
            Ok(TopicLeaders { error, name, partitions: from.list(leader)? })
        })?;
        Ok((brokers.into_iter().collect(), topics))
    }
}

fn address(from: &mut Reader<'_>) -> Result<BrokerAddress, Malformed> {
    let (host, port) = (from.string()?, from.i32()?);
    // A port that is none fails to connect.
    Ok(BrokerAddress { host, port: u16::try_from(port).unwrap_or_default() })
}

fn leader(from: &mut Reader<'_>) -> Result<(i32, i32), Malformed> {
    from.i16()?;
    let leader = (from.i32()?, from.i32()?);
    from.list(Reader::i32)?;
    from.list(Reader::i32)?;
    Ok(leader)
}

/// Asks which broker coordinates a group.
pub(super) struct FindCoordinator<'a>(pub &'a str);

impl Request for FindCoordinator<'_> {
    const API: Api = api(10, "FindCoordinator", &[1]);
    /// With its own words, and the coordinator.
    type Answer = (Code, Option<String>, BrokerAddress);

    fn write(&self, to: &mut Writer, _: i16) {
        to.string(self.0);
        to.i8(0);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        from.i32()?;
        let (error, message) = (from.i16()?, from.nullable_string()?);
        from.i32()?;
        Ok((error, message, address(from)?))
    }
}

/// Asks for groups of the classic protocol.
pub(super) struct DescribeGroups<'a>(pub &'a [&'a str]);

/// A group of either protocol.
pub(super) struct DescribedGroup {
    pub error: Code,
    pub message: Option<String>,
    /// `consumer` for a group of consumers; empty where the answer does not say.
    pub protocol_type: String,
    /// The `client.id` of a member that wrote what it subscribes to, or owns, in a form that is not read.
    pub unread: Option<String>,
    pub group: Group,
}

impl DescribedGroup {
    /// Whether a broker that was asked in the one way says that it has no such group in this way.
    pub(super) const fn is_of_another_protocol(&self) -> bool {
        const GROUP_ID_NOT_FOUND: Code = 69;
        const UNSUPPORTED_VERSION: Code = 35;
        matches!(self.error, GROUP_ID_NOT_FOUND | UNSUPPORTED_VERSION)
    }
}

impl Request for DescribeGroups<'_> {
    const API: Api = api(15, "DescribeGroups", &[4, 1]);
    type Answer = Vec<DescribedGroup>;

    fn write(&self, to: &mut Writer, version: i16) {
        to.list(self.0.iter(), |to, name| to.string(name));
        if version >= 3 {
            to.bool(false);
        }
    }

    fn read(from: &mut Reader<'_>, version: i16) -> Result<Self::Answer, Malformed> {
        from.i32()?;
        from.list(|from| {
            let (error, name, state) = (from.i16()?, from.string()?, from.string()?);
            let (protocol_type, assignor) = (from.string()?, from.string()?);
            let mut group = Group { name, state, is_dealt_by_brokers: false, assignor, members: Vec::new() };
            let (is_of_consumers, mut unread) = (protocol_type == "consumer", None);
            group.members = from.list(|from| {
                let (member, is_read) = classic_member(from, version, is_of_consumers, &group)?;
                if !is_read {
                    unread.get_or_insert_with(|| member.client_id.clone());
                }
                Ok(member)
            })?;
            if version >= 3 {
                from.i32()?;
            }
            Ok(DescribedGroup { error, message: None, protocol_type, unread, group })
        })
    }
}

/// A member of a group, and whether all that it wrote itself was read. What members of other kinds than consumers subscribe
/// to and own is written in forms of their own. Of consumers too it is written by clients: what one of them writes must not
/// keep the broker's other groups from being read.
fn classic_member(
    from: &mut Reader<'_>,
    version: i16,
    is_of_consumers: bool,
    group: &Group,
) -> Result<(Member, bool), Malformed> {
    let id = from.string()?;
    let instance_id = if version >= 4 { from.nullable_string()? } else { None };
    let (client_id, host) = (from.string()?, from.string()?);
    let (subscription, assignment) = (from.bytes()?, from.bytes()?);
    let mut member = Member { id, instance_id, client_id, host, ..Member::default() };
    let mut is_read = true;
    // Both are empty until the group has dealt its partitions.
    if is_of_consumers && !subscription.is_empty() {
        match from.inside(subscription, subscribed)? {
            Some((topics, version, rack)) => {
                member.deals_as_modelled = deals_as_java(version, &member.client_id, group);
                (member.topics, member.rack) = (topics, rack);
            }
            None => is_read = false,
        }
    }
    if is_of_consumers && !assignment.is_empty() {
        match from.inside(assignment, assigned)? {
            Some(owned) => member.owned = owned,
            None => is_read = false,
        }
    }
    Ok((member, is_read))
}

/// The topics of a subscription, its version, and its rack.
fn subscribed(from: &mut Reader<'_>) -> Result<(Vec<String>, i16, Option<String>), Malformed> {
    let version = from.i16()?;
    let topics = from.list(Reader::topic)?;
    // What follows may lack, or have another form.
    let rack = rack(from, version).ok().flatten().filter(|rack| !rack.is_empty());
    Ok((topics, version, rack))
}

/// The partitions of an assignment.
fn assigned(from: &mut Reader<'_>) -> Result<Vec<Place>, Malformed> {
    from.i16()?;
    by_topic(from, Reader::i32, |topic, partition| (topic, partition))
}

/// The rack of a subscription, which stands behind its topics.
fn rack(from: &mut Reader<'_>, version: i16) -> Result<Option<String>, Malformed> {
    if version < 3 {
        return Ok(None);
    }
    from.bytes()?;
    from.list(|from| {
        from.string()?;
        from.list(Reader::i32)
    })?;
    from.i32()?;
    from.nullable_string()
}

/// Asks for groups of the protocol of KIP-848.
pub(super) struct ConsumerGroupDescribe<'a>(pub &'a [&'a str]);

impl Request for ConsumerGroupDescribe<'_> {
    const API: Api = Api { is_flexible: true, ..api(69, "ConsumerGroupDescribe", &[0]) };
    type Answer = Vec<DescribedGroup>;

    fn write(&self, to: &mut Writer, _: i16) {
        to.list(self.0.iter(), |to, name| to.string(name));
        to.bool(false);
        to.no_tags();
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        from.i32()?;
        from.list(|from| {
            let (error, message) = (from.i16()?, from.nullable_string()?);
            let (name, state) = (from.string()?, from.string()?);
            from.i32()?;
            from.i32()?;
            let (assignor, members) = (from.string()?, from.list(member)?);
            from.i32()?;
            from.skip_tags()?;
            let group = Group { name, state, is_dealt_by_brokers: true, assignor, members };
            Ok(DescribedGroup { error, message, protocol_type: "consumer".to_owned(), unread: None, group })
        })
    }
}

fn member(from: &mut Reader<'_>) -> Result<Member, Malformed> {
    let (id, instance_id) = (from.string()?, from.nullable_string()?);
    let rack = from.nullable_string()?.filter(|rack| !rack.is_empty());
    from.i32()?;
    let (client_id, host) = (from.string()?, from.string()?);
    let topics = from.list(Reader::topic)?;
    from.nullable_string()?;
    let owned = assignment(from)?;
    // What it is to own; the same as soon as the group is stable.
    assignment(from)?;
    from.skip_tags()?;
    Ok(Member { id, instance_id, client_id, host, rack, topics, owned, deals_as_modelled: true })
}

fn assignment(from: &mut Reader<'_>) -> Result<Vec<Place>, Malformed> {
    let topics = from.list(|from| {
        from.skip_uuid()?;
        let topic = (from.topic()?, from.list(Reader::i32)?);
        from.skip_tags()?;
        Ok(topic)
    })?;
    from.skip_tags()?;
    flat(topics, |topic, partition| (topic, partition))
}

/// Reads a list of topics with a list of partitions each.
fn by_topic<'a, T, U>(
    from: &mut Reader<'a>,
    mut partition: impl FnMut(&mut Reader<'a>) -> Result<T, Malformed>,
    of: impl Fn(String, T) -> U,
) -> Result<Vec<U>, Malformed> {
    flat(from.list(|from| Ok((from.topic()?, from.list(&mut partition)?)))?, of)
}

/// The partitions of all topics, each with the name of its topic.
fn flat<T, U>(topics: Vec<(String, Vec<T>)>, of: impl Fn(String, T) -> U) -> Result<Vec<U>, Malformed> {
    let count: usize = topics.iter().map(|(_, partitions)| partitions.len()).sum();
    if count > MOST_PARTITIONS {
        return Err(Malformed("it has more partitions than are read"));
    }
    let of = &of;
    let all = |(topic, partitions): (String, Vec<T>)| {
        partitions.into_iter().map(move |partition| of(topic.clone(), partition))
    };
    Ok(topics.into_iter().flat_map(all).collect())
}

/// Asks a broker for the groups that it coordinates.
pub(super) struct ListGroups;

impl Request for ListGroups {
    const API: Api = api(16, "ListGroups", &[0]);
    /// Name and type of protocol of each group.
    type Answer = (Code, Vec<(String, String)>);

    fn write(&self, _: &mut Writer, _: i16) {}

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        Ok((from.i16()?, from.list(|from| Ok((from.string()?, from.string()?)))?))
    }
}

/// Partitions by topic, with what is asked about each.
pub(super) type ByTopic<'a, T> = BTreeMap<&'a str, Vec<T>>;

/// An offset that was asked for.
pub(super) struct PartitionOffset {
    pub place: Place,
    pub error: Code,
    /// Negative for none.
    pub offset: i64,
}

/// Asks for the offsets that a group has committed.
pub(super) struct OffsetFetch<'a> {
    pub group: &'a str,
    /// `None` for all.
    pub topics: Option<ByTopic<'a, i32>>,
}

impl Request for OffsetFetch<'_> {
    const API: Api = api(9, "OffsetFetch", &[2]);
    type Answer = (Code, Vec<PartitionOffset>);

    fn write(&self, to: &mut Writer, _: i16) {
        to.string(self.group);
        let Some(topics) = &self.topics else {
            // Null: all topics.
            to.i32(-1);
            return;
        };
        to.list(topics.iter(), |to, (topic, partitions)| {
            to.string(topic);
            to.list(partitions.iter(), |to, partition| to.i32(*partition));
        });
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        let partition = |from: &mut Reader<'_>| {
            let (number, offset) = (from.i32()?, from.i64()?);
            from.nullable_string()?;
            Ok((number, offset, from.i16()?))
        };
        let of = |topic, (number, offset, error)| PartitionOffset { place: (topic, number), error, offset };
        let all = by_topic(from, partition, of)?;
        Ok((from.i16()?, all))
    }
}

/// Asks the leader of these partitions for an offset of each: of the first record at or after its time in milliseconds, or
/// the end for [`ListOffsets::END`], or the start for [`ListOffsets::START`].
pub(super) struct ListOffsets<'a> {
    /// With the time of each.
    pub topics: &'a ByTopic<'a, (i32, i64)>,
    /// Whether it is asked as those see it who read committed records only: their end is the first record of an open
    /// transaction, if there is one.
    pub is_committed: bool,
}

impl ListOffsets<'_> {
    pub(super) const END: i64 = -1;
    pub(super) const START: i64 = -2;
}

impl Request for ListOffsets<'_> {
    const API: Api = api(2, "ListOffsets", &[2]);
    type Answer = Vec<PartitionOffset>;

    fn write(&self, to: &mut Writer, _: i16) {
        to.i32(-1);
        to.i8(self.is_committed.into());
        to.list(self.topics.iter(), |to, (topic, partitions)| {
            to.string(topic);
            to.list(partitions.iter(), |to, (partition, timestamp_ms)| {
                to.i32(*partition);
                to.i64(*timestamp_ms);
            });
        });
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        // How long the broker would have the client wait.
        from.i32()?;
        let partition = |from: &mut Reader<'_>| {
            let (number, error) = (from.i32()?, from.i16()?);
            from.i64()?;
            Ok((number, error, from.i64()?))
        };
        by_topic(from, partition, |topic, (number, error, offset)| PartitionOffset {
            place: (topic, number),
            error,
            offset,
        })
    }
}

#[cfg(test)]
mod tests {
    use rebalancer_sim::broker::{KAFKA_4, OTHER_BROKERS};

    use super::*;

    /// All that is asked about a group of the classic protocol.
    fn asked() -> [Api; 9] {
        [
            ApiVersions::API,
            SaslHandshake::API,
            SaslAuthenticate::API,
            Metadata::API,
            FindCoordinator::API,
            DescribeGroups::API,
            ListGroups::API,
            OffsetFetch::API,
            ListOffsets::API,
        ]
    }

    #[test]
    fn old_and_other_brokers_understand_each_request() {
        for (broker, understood) in OTHER_BROKERS.into_iter().chain([("Kafka 4", KAFKA_4)]) {
            let has = |key: i16, wanted: &[i16]| {
                let mut of_api = understood.iter().filter(|(its, ..)| *its == key);
                of_api.any(|(_, least, most)| wanted.iter().any(|version| (least..=most).contains(&version)))
            };
            for api in asked() {
                assert!(has(api.key, api.versions), "{broker} does not understand {}", api.name);
            }
        }
    }
}
