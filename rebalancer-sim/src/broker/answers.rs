//! What a simulated broker answers about its groups.

use std::net::SocketAddr;

use super::{Asked, Bytes, KAFKA_4, KAFKA_4_CLASSIC, Looks, SimulatedGroup, api, versions};

const GROUP_ID_NOT_FOUND: i16 = 69;

/// The body of the answer to a request; `None` for one that is not known. `looks` counts.
pub(super) fn body(
    groups: &[&SimulatedGroup],
    others: &[(String, &str)],
    asked: &Asked,
    address: SocketAddr,
    looks: &mut Looks,
) -> Option<Vec<u8>> {
    let (mut to, mut from) = (Bytes::default(), Body(&asked.body));
    let group_of = |name: &str| groups.iter().copied().find(|group| group.name == name);
    match asked.key {
        api::API_VERSIONS => {
            let is_new = groups.iter().any(|group| group.is_of_brokers);
            to.0.extend(versions(if is_new { KAFKA_4 } else { KAFKA_4_CLASSIC }));
        }
        api::FIND_COORDINATOR => {
            to.i32(0);
            to.i16(0);
            to.null();
            node(&mut to, address);
        }
        api::METADATA => metadata(groups, &mut from, &mut to, address)?,
        api::DESCRIBE_GROUPS => {
            let names = from.texts()?;
            to.i32(0);
            to.count(names.len());
            for name in names {
                let group = group_of(&name).filter(|group| !group.is_of_brokers);
                classic(&name, group, &mut to, asked.version, looks);
            }
        }
        api::CONSUMER_GROUP_DESCRIBE => {
            let names = from.compact_texts()?;
            to.i32(0);
            to.compact_count(names.len());
            for name in names {
                of_brokers(&name, group_of(&name).filter(|group| group.is_of_brokers), &mut to, looks);
            }
            to.u8(0);
        }
        api::LIST_GROUPS => {
            to.i16(0);
            to.count(groups.len() + others.len());
            let consumers = groups.iter().map(|group| (group.name.as_str(), "consumer"));
            for (name, kind) in consumers.chain(others.iter().map(|(name, kind)| (name.as_str(), *kind))) {
                to.text(name);
                to.text(kind);
            }
        }
        api::OFFSET_FETCH => {
            let name = from.text()?;
            if from.count().is_none() {
                let count = looks.commits.entry(name.clone()).or_default();
                committed(group_of(&name)?, &mut to, *count % 2);
                *count += 1;
            } else {
                committed_later(group_of(&name)?, &mut from, &mut to)?;
            }
        }
        api::LIST_OFFSETS => offsets(groups, asked.version, &mut from, &mut to, looks)?,
        _ => return None,
    }
    Some(to.0)
}

/// What is left of the body of a request.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.i32()?).ok()
    }

    fn text(&mut self) -> Option<String> {
        let length = self.take().map(i16::from_be_bytes)?;
        self.of_length(usize::try_from(length).ok()?)
    }

    fn texts(&mut self) -> Option<Vec<String>> {
        (0..self.count()?).map(|_| self.text()).collect()
    }

    fn compact_texts(&mut self) -> Option<Vec<String>> {
        (1..self.varint()?)
            .map(|_| {
                let length = self.varint()?.checked_sub(1)?;
                self.of_length(length)
            })
            .collect()
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14] {
            let [byte] = self.take()?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn of_length(&mut self, length: usize) -> Option<String> {
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        String::from_utf8(text.to_vec()).ok()
    }
}

fn node(to: &mut Bytes, address: SocketAddr) {
    to.i32(1);
    to.text(&address.ip().to_string());
    to.i32(address.port().into());
}

fn metadata(
    groups: &[&SimulatedGroup],
    from: &mut Body<'_>,
    to: &mut Bytes,
    address: SocketAddr,
) -> Option<()> {
    let topics = from.texts()?;
    to.i32(0);
    to.count(1);
    node(to, address);
    to.null();
    to.null();
    to.i32(1);
    to.count(topics.len());
    for topic in topics {
        let group = groups.iter().find(|group| group.topic == topic)?;
        to.i16(0);
        to.text(&topic);
        to.u8(0);
        to.count(group.partitions.len());
        for number in 0..group.partitions.len() {
            to.i16(0);
            to.count(number);
            to.i32(1);
            to.count(0);
            to.count(0);
        }
    }
    Some(())
}

/// A group of the classic protocol; what is none is dead. What members subscribe to and own, and by which assignor,
/// brokers tell only of a stable group.
fn classic(name: &str, group: Option<&SimulatedGroup>, to: &mut Bytes, version: i16, looks: &Looks) {
    to.i16(0);
    to.text(name);
    let state = group.map_or("Dead", |group| group.state(looks));
    let is_told = state == "Stable";
    to.text(state);
    to.text(if group.is_some() { "consumer" } else { "" });
    to.text(group.filter(|_| is_told).map_or("", |group| group.assignor.as_str()));
    to.count(group.map_or(0, |group| group.clients.len()));
    if let Some(group) = group {
        for (client, (id, host)) in group.clients.iter().enumerate() {
            classic_member(id, host, client, to, version);
            if is_told {
                share_of(group, client, to);
            } else {
                to.bytes(&[]);
                to.bytes(&[]);
            }
        }
    }
    if version >= 3 {
        to.i32(0);
    }
}

fn classic_member(id: &str, host: &str, client: usize, to: &mut Bytes, version: i16) {
    to.text(&format!("{id}-{client}"));
    if version >= 4 {
        to.null();
    }
    to.text(id);
    to.text(host);
}

/// What a member subscribes to, and what it owns.
fn share_of(group: &SimulatedGroup, client: usize, to: &mut Bytes) {
    let mut subscription = Bytes::default();
    subscription.i16(3);
    subscription.count(1);
    subscription.text(&group.topic);
    // No data of its own, nothing that it had before, no generation.
    subscription.i32(-1);
    subscription.count(0);
    subscription.i32(-1);
    match &group.rack {
        Some(rack) => subscription.text(rack),
        None => subscription.null(),
    }
    to.bytes(&subscription.0);
    let mut assignment = Bytes::default();
    let owned = group.owned(client);
    assignment.i16(1);
    assignment.count(1);
    assignment.text(&group.topic);
    assignment.count(owned.len());
    for number in owned {
        assignment.count(number);
    }
    to.bytes(&assignment.0);
}

/// A group of the protocol of KIP-848; any other is not found.
fn of_brokers(name: &str, group: Option<&SimulatedGroup>, to: &mut Bytes, looks: &Looks) {
    to.i16(if group.is_some() { 0 } else { GROUP_ID_NOT_FOUND });
    to.u8(0);
    to.compact_text(name);
    to.compact_text(group.map_or("", |group| group.state(looks)));
    to.i32(7);
    to.i32(7);
    to.compact_text(group.map_or("", |group| group.assignor.as_str()));
    to.compact_count(group.map_or(0, |group| group.clients.len()));
    if let Some(group) = group {
        for (client, (id, host)) in group.clients.iter().enumerate() {
            member(group, client, (id, host), to);
        }
    }
    to.i32(0);
    to.u8(0);
}

fn member(group: &SimulatedGroup, client: usize, (id, host): (&str, &str), to: &mut Bytes) {
    to.compact_text(&format!("{id}-{client}"));
    to.u8(0);
    match &group.rack {
        Some(rack) => to.compact_text(rack),
        None => to.u8(0),
    }
    to.i32(7);
    to.compact_text(id);
    to.compact_text(host);
    to.compact_count(1);
    to.compact_text(&group.topic);
    to.u8(0);
    for _ in ["owned", "to be owned"] {
        let owned = group.owned(client);
        to.compact_count(1);
        to.0.extend([0; 16]);
        to.compact_text(&group.topic);
        to.compact_count(owned.len());
        for number in owned {
            to.count(number);
        }
        to.u8(0);
        to.u8(0);
    }
    to.u8(0);
}

fn committed(group: &SimulatedGroup, to: &mut Bytes, look: usize) {
    to.count(1);
    to.text(&group.topic);
    to.count(group.partitions.len());
    for (number, of) in group.partitions.iter().enumerate() {
        to.count(number);
        to.i64(of.committed[look]);
        to.null();
        to.i16(0);
    }
    to.i16(0);
}

/// What was committed by the time that a few partitions are asked for.
fn committed_later(group: &SimulatedGroup, from: &mut Body<'_>, to: &mut Bytes) -> Option<()> {
    from.text()?;
    let count = from.count()?;
    to.count(1);
    to.text(&group.topic);
    to.count(count);
    for _ in 0..count {
        let number = from.count()?;
        let of = group.partitions.get(number)?;
        to.count(number);
        to.i64(of.committed_later.unwrap_or(of.committed[1]));
        to.null();
        to.i16(0);
    }
    to.i16(0);
    Some(())
}

/// The ends, or the ends at an earlier time.
fn offsets(
    groups: &[&SimulatedGroup],
    version: i16,
    from: &mut Body<'_>,
    to: &mut Bytes,
    looks: &mut Looks,
) -> Option<()> {
    from.i32()?;
    let mut is_committed = false;
    if version >= 2 {
        is_committed = from.take() == Some([1]);
        to.i32(0);
    }
    let topics = from.count()?;
    to.count(topics);
    for _ in 0..topics {
        let topic = from.text()?;
        let group = groups.iter().find(|group| group.topic == topic)?;
        let count = from.count()?;
        to.text(&topic);
        to.count(count);
        let look = looks.ends.entry(topic).or_default();
        let mut is_end = false;
        for _ in 0..count {
            let (number, timestamp) = (from.i32()?, from.i64()?);
            is_end = timestamp == -1 && !is_committed;
            let of = usize::try_from(number).ok().and_then(|number| group.partitions.get(number));
            to.i32(number);
            to.i16(0);
            to.i64(timestamp);
            let open = of.and_then(|of| of.open_transaction).filter(|_| is_committed);
            let end = of.map_or(-1, |of| of.end_at(timestamp, *look % 2));
            to.i64(match open {
                Some(open) if timestamp == -1 => open,
                Some(open) if timestamp >= 0 && end >= open => -1,
                _ => end,
            });
        }
        *look += usize::from(is_end);
    }
    Some(())
}
