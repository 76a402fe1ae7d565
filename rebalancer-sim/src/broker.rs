//! A Kafka broker on loopback that answers about some groups, or says whatever a test wants it to.

mod answers;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The topic of a simulated group, unless it has another.
pub const TOPIC: &str = "orders";

/// Requests by their number in the protocol.
pub mod api {
    /// Offsets of partitions.
    pub const LIST_OFFSETS: i16 = 2;
    /// Brokers and leaders.
    pub const METADATA: i16 = 3;
    /// Committed offsets.
    pub const OFFSET_FETCH: i16 = 9;
    /// The coordinator of a group.
    pub const FIND_COORDINATOR: i16 = 10;
    /// A classic group.
    pub const DESCRIBE_GROUPS: i16 = 15;
    /// All groups.
    pub const LIST_GROUPS: i16 = 16;
    /// The mechanism to sign in by.
    pub const SASL_HANDSHAKE: i16 = 17;
    /// Versions.
    pub const API_VERSIONS: i16 = 18;
    /// A step of signing in.
    pub const SASL_AUTHENTICATE: i16 = 36;
    /// A group of KIP-848.
    pub const CONSUMER_GROUP_DESCRIBE: i16 = 69;
}

/// A request as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The number of the request.
    pub key: i16,
    /// Its version.
    pub version: i16,
    /// What follows its header.
    pub body: Vec<u8>,
}

/// What a broker does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Answers with this body.
    Body(Vec<u8>),
    /// Sends these bytes and nothing else.
    Raw(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Says nothing.
    Hang,
}

/// A running broker; dropping it stops it.
pub struct FakeBroker {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    asked: Arc<Mutex<Vec<i16>>>,
}

type Answering = dyn Fn(&Asked, SocketAddr) -> Reply + Send + Sync;

impl FakeBroker {
    /// A broker that does with each request what `answer` says, which is told the broker's address.
    ///
    /// # Panics
    /// Without a free port.
    pub fn start(answer: impl Fn(&Asked, SocketAddr) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let (stopped, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let broker = Self { address, stopped: Arc::clone(&stopped), asked: Arc::clone(&asked) };
        let answer: Arc<Answering> = Arc::new(answer);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (answer, asked) = (Arc::clone(&answer), Arc::clone(&asked));
                thread::spawn(move || serve(connection, address, &*answer, &asked));
            }
        });
        broker
    }

    /// Host and port.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The numbers of the requests so far.
    pub fn asked(&self) -> Vec<i16> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FakeBroker {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(mut connection: TcpStream, address: SocketAddr, answer: &Answering, asked: &Mutex<Vec<i16>>) {
    while let Some((request, correlation)) = read(&mut connection) {
        asked.lock().unwrap_or_else(PoisonError::into_inner).push(request.key);
        let sent = match answer(&request, address) {
            Reply::Body(body) => {
                let mut frame = Bytes::default();
                frame.i32(correlation);
                if request.key == api::CONSUMER_GROUP_DESCRIBE {
                    frame.u8(0);
                }
                frame.0.extend(body);
                let mut whole = Bytes::default();
                whole.bytes(&frame.0);
                connection.write_all(&whole.0)
            }
            Reply::Raw(bytes) => connection.write_all(&bytes),
            Reply::Close => return,
            Reply::Hang => {
                thread::sleep(Duration::from_secs(60));
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}

fn read(connection: &mut TcpStream) -> Option<(Asked, i32)> {
    let mut length = [0; 4];
    connection.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).ok()?];
    connection.read_exact(&mut frame).ok()?;
    let i16_at = |at: usize| Some(i16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let (key, version) = (i16_at(0)?, i16_at(2)?);
    let correlation = i32::from_be_bytes(frame.get(4..8)?.try_into().ok()?);
    let name = usize::try_from(i16_at(8)?).ok()?;
    let tags = usize::from(key == api::CONSUMER_GROUP_DESCRIBE);
    Some((Asked { key, version, body: frame.get(10 + name + tags..)?.to_vec() }, correlation))
}

/// Writes Kafka's basic types.
#[derive(Debug, Clone, Default)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// A number of two bytes.
    pub fn i16(&mut self, value: i16) {
        self.0.extend(value.to_be_bytes());
    }

    /// A number of four bytes.
    pub fn i32(&mut self, value: i32) {
        self.0.extend(value.to_be_bytes());
    }

    fn i64(&mut self, value: i64) {
        self.0.extend(value.to_be_bytes());
    }

    /// The length of a list.
    ///
    /// # Panics
    /// When it is beyond the protocol.
    pub fn count(&mut self, count: usize) {
        self.i32(i32::try_from(count).expect("a short list"));
    }

    /// A text.
    ///
    /// # Panics
    /// When it is longer than the protocol allows.
    pub fn text(&mut self, text: &str) {
        self.i16(i16::try_from(text.len()).expect("a short text"));
        self.0.extend(text.as_bytes());
    }

    fn null(&mut self) {
        self.i16(-1);
    }

    /// Bytes with their length.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.count(bytes.len());
        self.0.extend(bytes);
    }

    fn compact_count(&mut self, count: usize) {
        let mut value = count + 1;
        while value >= 0x80 {
            self.u8(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
            value >>= 7;
        }
        self.u8(u8::try_from(value).expect("seven bits"));
    }

    fn compact_text(&mut self, text: &str) {
        self.compact_count(text.len());
        self.0.extend(text.as_bytes());
    }
}

/// A partition of a simulated group; its number is its position.
#[derive(Debug, Clone)]
pub struct SimulatedPartition {
    /// The committed offset at the first of two looks, and at the second; -1 for none. A third look is a first one.
    pub committed: [i64; 2],
    /// The committed offset when only a few partitions are asked for, if it differs from that at the second look.
    pub committed_later: Option<i64>,
    /// The first offset that is kept.
    pub start: i64,
    /// The first offset of an open transaction.
    pub open_transaction: Option<i64>,
    /// The end at the second of two looks.
    pub end: i64,
    /// Messages written per second, now and before.
    pub rate: f64,
    /// Position of its owner among the clients.
    pub owner: Option<usize>,
}

/// A group with one topic.
#[derive(Debug, Clone)]
pub struct SimulatedGroup {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: String,
    /// Its state from the second look on, if it differs.
    pub state_later: Option<String>,
    /// Whether it has the protocol of KIP-848.
    pub is_of_brokers: bool,
    /// Its assignor.
    pub assignor: String,
    /// `client.id` and address of each member.
    pub clients: Vec<(String, String)>,
    /// Its topic, which no other group has.
    pub topic: String,
    /// The rack of each client.
    pub rack: Option<String>,
    /// Its partitions.
    pub partitions: Vec<SimulatedPartition>,
}

/// The groups of a cluster with one broker.
#[derive(Debug, Clone, Default)]
pub struct SimulatedCluster {
    /// Those of consumers.
    pub groups: Vec<SimulatedGroup>,
    /// Name and type of groups of other types, such as `share`.
    pub others: Vec<(String, &'static str)>,
}

impl SimulatedGroup {
    /// A group that reads everything: `each` partitions for each client, at ten messages a second.
    pub fn healthy(clients: &[&str], each: usize) -> Self {
        let partition = |number: usize| SimulatedPartition {
            committed: [100_000, 100_010],
            committed_later: None,
            start: 0,
            open_transaction: None,
            end: 100_012,
            rate: 10.0,
            owner: Some(number / each),
        };
        Self {
            name: "orders".to_owned(),
            state: "Stable".to_owned(),
            state_later: None,
            is_of_brokers: false,
            assignor: "range".to_owned(),
            topic: TOPIC.to_owned(),
            rack: None,
            clients: clients.iter().map(|id| ((*id).to_owned(), "/172.16.0.9".to_owned())).collect(),
            partitions: (0..each * clients.len()).map(partition).collect(),
        }
    }

    /// Lets a partition stand since so many minutes.
    pub fn stick(&mut self, partition: usize, minutes: u32) {
        let stuck = &mut self.partitions[partition];
        #[expect(clippy::cast_possible_truncation, reason = "a small number of messages")]
        let backlog = (f64::from(minutes) * 60.0 * stuck.rate) as i64;
        stuck.committed = [stuck.end - backlog - 1; 2];
    }

    /// A broker with this group.
    pub fn start(self) -> FakeBroker {
        SimulatedCluster { groups: vec![self], others: Vec::new() }.start()
    }

    /// The body of the answer to a request; `None` for one that is not known. `looks` counts.
    pub fn answer(&self, asked: &Asked, address: SocketAddr, looks: &mut Looks) -> Option<Vec<u8>> {
        answers::body(&[self], &[], asked, address, looks)
    }

    fn state(&self, looks: &Looks) -> &str {
        let later = self.state_later.as_ref().filter(|_| looks.commits.contains_key(&self.name));
        later.unwrap_or(&self.state)
    }

    fn owned(&self, client: usize) -> Vec<usize> {
        let all = self.partitions.iter().enumerate();
        all.filter(|(_, of)| of.owner == Some(client)).map(|(number, _)| number).collect()
    }
}

impl SimulatedCluster {
    /// A broker with these groups.
    pub fn start(self) -> FakeBroker {
        let looks = Mutex::new(Looks::default());
        FakeBroker::start(move |asked, address| {
            let mut looks = looks.lock().unwrap_or_else(PoisonError::into_inner);
            self.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
        })
    }

    /// As [`SimulatedGroup::answer`], about all groups.
    pub fn answer(&self, asked: &Asked, address: SocketAddr, looks: &mut Looks) -> Option<Vec<u8>> {
        let groups: Vec<&SimulatedGroup> = self.groups.iter().collect();
        answers::body(&groups, &self.others, asked, address, looks)
    }
}

/// How often each simulated group was looked at: for its commits by its name, for its ends by its topic.
#[derive(Debug, Default)]
pub struct Looks {
    commits: BTreeMap<String, usize>,
    ends: BTreeMap<String, usize>,
}

impl SimulatedPartition {
    /// The end at a time in milliseconds; -1 where no record is newer. -1 is now, and -2 asks for the start.
    fn end_at(&self, timestamp: i64, looks: usize) -> i64 {
        if timestamp == -2 {
            return self.start;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        let ago_s = if timestamp < 0 {
            if looks == 0 { 1.0 } else { 0.0 }
        } else {
            now.as_secs_f64() - timestamp as f64 / 1000.0
        };
        #[expect(clippy::cast_possible_truncation, reason = "a small number of messages")]
        let written = (ago_s * self.rate).ceil() as i64;
        if timestamp >= 0 && written == 0 { -1 } else { (self.end - written).max(0) }
    }
}

/// What a broker understands: request, smallest and largest version.
pub type Understood = &'static [(i16, i16, i16)];

/// What a broker of Kafka 4 understands, by the `ApiKeys` page of its protocol guide.
pub const KAFKA_4: Understood = &[
    (api::LIST_OFFSETS, 1, 10),
    (api::METADATA, 0, 13),
    (api::OFFSET_FETCH, 1, 9),
    (api::FIND_COORDINATOR, 0, 6),
    (api::DESCRIBE_GROUPS, 0, 6),
    (api::LIST_GROUPS, 0, 5),
    (api::SASL_HANDSHAKE, 0, 1),
    (api::API_VERSIONS, 0, 4),
    (api::SASL_AUTHENTICATE, 0, 2),
    (api::CONSUMER_GROUP_DESCRIBE, 0, 1),
];

/// What it understands where it has no groups of KIP-848.
pub const KAFKA_4_CLASSIC: Understood = KAFKA_4.split_at(9).0;

/// Brokers that understand less: Kafka 2.1 by the same page, Redpanda by the handlers in `src/v/kafka/server/handlers` of its
/// repository.
pub const OTHER_BROKERS: [(&str, Understood); 2] = [
    (
        "Kafka 2.1",
        &[
            (api::LIST_OFFSETS, 0, 4),
            (api::METADATA, 0, 7),
            (api::OFFSET_FETCH, 0, 5),
            (api::FIND_COORDINATOR, 0, 2),
            (api::DESCRIBE_GROUPS, 0, 2),
            (api::LIST_GROUPS, 0, 2),
            (api::SASL_HANDSHAKE, 0, 1),
            (api::API_VERSIONS, 0, 2),
            (api::SASL_AUTHENTICATE, 0, 0),
        ],
    ),
    (
        "Redpanda",
        &[
            (api::LIST_OFFSETS, 0, 3),
            (api::METADATA, 0, 7),
            (api::OFFSET_FETCH, 1, 4),
            (api::FIND_COORDINATOR, 0, 2),
            (api::DESCRIBE_GROUPS, 0, 4),
            (api::LIST_GROUPS, 0, 2),
            (api::SASL_HANDSHAKE, 1, 1),
            (api::API_VERSIONS, 0, 3),
            (api::SASL_AUTHENTICATE, 0, 2),
        ],
    ),
];

/// The body of the answer of a broker that understands these versions.
pub fn versions(understood: Understood) -> Vec<u8> {
    let mut to = Bytes::default();
    to.i16(0);
    to.count(understood.len());
    for &(key, least, most) in understood {
        to.i16(key);
        to.i16(least);
        to.i16(most);
    }
    to.0
}
