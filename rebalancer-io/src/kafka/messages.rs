//! The requests that are sent to Kafka and their answers, each in the versions that brokers from 2.1 to 4 have in common.

use super::wire::{Malformed, Reader, TOO_MANY, Writer};

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

pub(super) struct SaslAnswer {
    pub error: Code,
    pub message: Option<String>,
    pub bytes: Vec<u8>,
}

impl Request for SaslAuthenticate<'_> {
    const API: Api = api(36, "SaslAuthenticate", &[0]);
    type Answer = SaslAnswer;

    fn write(&self, to: &mut Writer, _: i16) {
        to.bytes(self.0);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        Ok(SaslAnswer { error: from.i16()?, message: from.nullable_string()?, bytes: from.bytes()?.to_vec() })
    }
}

/// Asks for the brokers, and the leaders of the partitions of these topics.
pub(super) struct Metadata<'a>(pub &'a [&'a str]);

pub(super) struct MetadataAnswer {
    pub brokers: Vec<Node>,
    pub topics: Vec<TopicLeaders>,
}

/// A broker and its address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub id: i32,
    pub host: String,
    pub port: i32,
}

pub(super) struct TopicLeaders {
    pub error: Code,
    pub name: String,
    pub partitions: Vec<Leader>,
}

/// A partition and the broker that leads it.
pub(super) struct Leader {
    pub partition: i32,
    pub node: i32,
}

impl Request for Metadata<'_> {
    const API: Api = api(3, "Metadata", &[4]);
    type Answer = MetadataAnswer;

    fn write(&self, to: &mut Writer, _: i16) {
        to.list(self.0.iter(), |to, topic| to.string(topic));
        // A question creates no topic.
        to.bool(false);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        from.i32()?;
        let brokers = from.list(|from| {
            let node = Node { id: from.i32()?, host: from.string()?, port: from.i32()? };
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
        Ok(MetadataAnswer { brokers, topics })
    }
}

fn leader(from: &mut Reader<'_>) -> Result<Leader, Malformed> {
    from.i16()?;
    let leader = Leader { partition: from.i32()?, node: from.i32()? };
    from.list(Reader::i32)?;
    from.list(Reader::i32)?;
    Ok(leader)
}

/// Asks which broker coordinates a group.
pub(super) struct FindCoordinator<'a>(pub &'a str);

pub(super) struct CoordinatorAnswer {
    pub error: Code,
    pub message: Option<String>,
    pub node: Node,
}

impl Request for FindCoordinator<'_> {
    const API: Api = api(10, "FindCoordinator", &[1]);
    type Answer = CoordinatorAnswer;

    fn write(&self, to: &mut Writer, _: i16) {
        to.string(self.0);
        to.i8(0);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        from.i32()?;
        let (error, message) = (from.i16()?, from.nullable_string()?);
        let node = Node { id: from.i32()?, host: from.string()?, port: from.i32()? };
        Ok(CoordinatorAnswer { error, message, node })
    }
}

/// Asks for groups of the classic protocol.
pub(super) struct DescribeGroups<'a>(pub &'a [&'a str]);

/// A group of either protocol.
pub(super) struct DescribedGroup {
    pub name: String,
    pub error: Code,
    pub message: Option<String>,
    pub state: String,
    /// `consumer` for a group of consumers; empty where the answer does not say.
    pub protocol_type: String,
    pub assignor: String,
    pub members: Vec<DescribedMember>,
}

impl DescribedGroup {
    /// Whether a broker that was asked in the one way says that it has no such group in this way.
    pub(super) const fn is_of_another_protocol(&self) -> bool {
        const GROUP_ID_NOT_FOUND: Code = 69;
        const UNSUPPORTED_VERSION: Code = 35;
        matches!(self.error, GROUP_ID_NOT_FOUND | UNSUPPORTED_VERSION)
    }
}

#[derive(Default)]
pub(super) struct DescribedMember {
    pub id: String,
    pub instance_id: Option<String>,
    pub client_id: String,
    pub host: String,
    pub rack: Option<String>,
    pub topics: Vec<String>,
    pub owned: Vec<(String, i32)>,
    /// The version in which it wrote what it subscribes to, if it did so itself.
    pub version: Option<i16>,
    /// Whether it wrote what it subscribes to, or owns, in a form that is not read.
    pub is_unread: bool,
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
            let (error, name) = (from.i16()?, from.string()?);
            let (state, protocol_type, assignor) = (from.string()?, from.string()?, from.string()?);
            let is_of_consumers = protocol_type == "consumer";
            let members = from.list(|from| classic_member(from, version, is_of_consumers))?;
            if version >= 3 {
                from.i32()?;
            }
            Ok(DescribedGroup { name, error, message: None, state, protocol_type, assignor, members })
        })
    }
}

/// What members of other kinds than consumers subscribe to and own is written in forms of their own. Of consumers too it is
/// written by clients: what one of them writes must not keep the broker's other groups from being read.
fn classic_member(
    from: &mut Reader<'_>,
    version: i16,
    is_of_consumers: bool,
) -> Result<DescribedMember, Malformed> {
    let id = from.string()?;
    let instance_id = if version >= 4 { from.nullable_string()? } else { None };
    let (client_id, host) = (from.string()?, from.string()?);
    let (subscription, assignment) = (from.bytes()?, from.bytes()?);
    let mut member = DescribedMember { id, instance_id, client_id, host, ..DescribedMember::default() };
    // Both are empty until the group has dealt its partitions.
    if is_of_consumers && !subscription.is_empty() {
        match from.inside(subscription, subscribed) {
            Ok((topics, version, rack)) => {
                (member.topics, member.version, member.rack) = (topics, Some(version), rack);
            }
            Err(TOO_MANY) => return Err(TOO_MANY),
            Err(_) => member.is_unread = true,
        }
    }
    if is_of_consumers && !assignment.is_empty() {
        match from.inside(assignment, assigned) {
            Ok(owned) => member.owned = owned,
            Err(TOO_MANY) => return Err(TOO_MANY),
            Err(_) => member.is_unread = true,
        }
    }
    Ok(member)
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
fn assigned(from: &mut Reader<'_>) -> Result<Vec<(String, i32)>, Malformed> {
    from.i16()?;
    places(from.list(|from| Ok((from.topic()?, from.list(Reader::i32)?)))?)
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
        to.compact_texts(self.0);
        to.bool(false);
        to.no_tags();
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        from.i32()?;
        from.compact_list(|from| {
            let (error, message) = (from.i16()?, from.compact_nullable_string()?);
            let (name, state) = (from.compact_string()?, from.compact_string()?);
            from.i32()?;
            from.i32()?;
            let assignor = from.compact_string()?;
            let members = from.compact_list(member)?;
            from.i32()?;
            from.skip_tags()?;
            let protocol_type = "consumer".to_owned();
            Ok(DescribedGroup { name, error, message, state, protocol_type, assignor, members })
        })
    }
}

fn member(from: &mut Reader<'_>) -> Result<DescribedMember, Malformed> {
    let (id, instance_id) = (from.compact_string()?, from.compact_nullable_string()?);
    let rack = from.compact_nullable_string()?.filter(|rack| !rack.is_empty());
    from.i32()?;
    let (client_id, host) = (from.compact_string()?, from.compact_string()?);
    let topics = from.compact_list(Reader::compact_topic)?;
    from.compact_nullable_string()?;
    let owned = assignment(from)?;
    // What it is to own; the same as soon as the group is stable.
    assignment(from)?;
    from.skip_tags()?;
    Ok(DescribedMember {
        id,
        instance_id,
        client_id,
        host,
        rack,
        topics,
        owned,
        ..DescribedMember::default()
    })
}

fn assignment(from: &mut Reader<'_>) -> Result<Vec<(String, i32)>, Malformed> {
    let topics = from.compact_list(|from| {
        from.skip_uuid()?;
        let topic = (from.compact_topic()?, from.compact_list(Reader::i32)?);
        from.skip_tags()?;
        Ok(topic)
    })?;
    from.skip_tags()?;
    places(topics)
}

fn places(topics: Vec<(String, Vec<i32>)>) -> Result<Vec<(String, i32)>, Malformed> {
    flat(topics, |topic, partition| (topic, partition))
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

/// Asks for the offsets that a group has committed.
pub(super) struct OffsetFetch<'a> {
    pub group: &'a str,
    /// Topics and partitions; `None` for all.
    pub topics: Option<&'a [(&'a str, Vec<i32>)]>,
}

pub(super) struct Committed {
    pub topic: String,
    pub partition: i32,
    /// -1 for none.
    pub offset: i64,
    pub error: Code,
}

impl Request for OffsetFetch<'_> {
    const API: Api = api(9, "OffsetFetch", &[2]);
    type Answer = (Code, Vec<Committed>);

    fn write(&self, to: &mut Writer, _: i16) {
        to.string(self.group);
        let Some(topics) = self.topics else {
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
        let topics = from.list(|from| {
            let topic = from.topic()?;
            let partitions = from.list(|from| {
                let (partition, offset) = (from.i32()?, from.i64()?);
                from.nullable_string()?;
                Ok((partition, offset, from.i16()?))
            })?;
            Ok((topic, partitions))
        })?;
        let committed = |topic, (partition, offset, error)| Committed { topic, partition, offset, error };
        Ok((from.i16()?, flat(topics, committed)?))
    }
}

/// Asks the leader of these partitions for an offset of each: of the first record at or after its time in milliseconds, or
/// the end for [`ListOffsets::END`], or the start for [`ListOffsets::START`].
pub(super) struct ListOffsets<'a> {
    pub topics: &'a [TimesOfTopic<'a>],
}

/// A topic, and partitions of it with a time for each.
pub(super) type TimesOfTopic<'a> = (&'a str, Vec<(i32, i64)>);

impl ListOffsets<'_> {
    pub(super) const END: i64 = -1;
    pub(super) const START: i64 = -2;

    fn write_topics(&self, to: &mut Writer) {
        to.list(self.topics.iter(), |to, (topic, partitions)| {
            to.string(topic);
            to.list(partitions.iter(), |to, (partition, timestamp_ms)| {
                to.i32(*partition);
                to.i64(*timestamp_ms);
            });
        });
    }
}

pub(super) struct Listed {
    pub topic: String,
    pub partition: i32,
    pub error: Code,
    /// -1 where there is no such record.
    pub offset: i64,
}

impl Request for ListOffsets<'_> {
    const API: Api = api(2, "ListOffsets", &[1]);
    type Answer = Vec<Listed>;

    fn write(&self, to: &mut Writer, _: i16) {
        to.i32(-1);
        self.write_topics(to);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        read_offsets(from)
    }
}

/// The same for those who read committed records only: their end is the first record of an open transaction, if there is
/// one.
pub(super) struct ListCommittedOffsets<'a>(pub ListOffsets<'a>);

impl Request for ListCommittedOffsets<'_> {
    const API: Api = api(2, "ListOffsets", &[2]);
    type Answer = Vec<Listed>;

    fn write(&self, to: &mut Writer, _: i16) {
        to.i32(-1);
        to.i8(1);
        self.0.write_topics(to);
    }

    fn read(from: &mut Reader<'_>, _: i16) -> Result<Self::Answer, Malformed> {
        // How long the broker would have the client wait.
        from.i32()?;
        read_offsets(from)
    }
}

fn read_offsets(from: &mut Reader<'_>) -> Result<Vec<Listed>, Malformed> {
    let topics = from.list(|from| {
        let topic = from.topic()?;
        let partitions = from.list(|from| {
            let (partition, error) = (from.i32()?, from.i16()?);
            from.i64()?;
            Ok((partition, error, from.i64()?))
        })?;
        Ok((topic, partitions))
    })?;
    flat(topics, |topic, (partition, error, offset)| Listed { topic, partition, error, offset })
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
            // Its own kind of answer is read, so it is not enough that there is another version of the same request.
            assert!(has(ListCommittedOffsets::API.key, ListCommittedOffsets::API.versions), "{broker}");
        }
    }
}
