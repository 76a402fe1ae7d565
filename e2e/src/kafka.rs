//! A real Kafka, and processes with the consumers of many pods, by the clients of several languages.

mod broker;
mod consumers;
mod proxy;

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use broker::{Doors, Files};
pub use consumers::{ConsumerPods, Consumers, Owned};
pub use proxy::TlsProxy;

use crate::require::{Program, folder_of, path_of};
use crate::sandbox::Sandbox;
use broker::{Broker, java, start_many, start_one};

/// Brokers and consumers; end with their value, or before.
#[derive(Debug)]
pub struct Kafka {
    sandbox: Arc<Sandbox>,
    /// Until they are ended.
    brokers: Mutex<Vec<Broker>>,
    addresses: Vec<String>,
    doors: Option<Doors>,
    java: Arc<Consumers>,
    librdkafka: OnceLock<Arc<Consumers>>,
    go: OnceLock<Arc<Consumers>>,
}

impl Kafka {
    /// The one that the tests of a process share, each with topics and groups of its own.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(|| {
            let sandbox = Sandbox::new();
            let doors = Doors::new(&sandbox);
            let brokers = vec![start_one(&sandbox, &doors)];
            Self::with(sandbox, brokers, Some(doors))
        })
    }

    /// So many brokers of a test's own. Of three, groups and topics with three replicas survive the end of one.
    ///
    /// # Panics
    /// When they are not installed or do not start.
    pub fn of(brokers: usize) -> Self {
        let sandbox = Sandbox::new();
        let brokers = start_many(&sandbox, brokers);
        Self::with(sandbox, brokers, None)
    }

    fn with(sandbox: Arc<Sandbox>, brokers: Vec<Broker>, doors: Option<Doors>) -> Self {
        let addresses: Vec<String> = brokers.iter().map(|broker| broker.address.clone()).collect();
        let mut command = java();
        command.args(["-Djava.nio.channels.spi.SelectorProvider=FromAddress"]);
        command.args(["--add-exports", "java.base/sun.nio.ch=ALL-UNNAMED"]);
        command.args(["Consumers", &addresses.join(",")]);
        let java = Consumers::start(&sandbox, "consumers", command);
        let (librdkafka, go) = (OnceLock::new(), OnceLock::new());
        Self { sandbox, brokers: Mutex::new(brokers), addresses, doors, java, librdkafka, go }
    }

    /// Ends brokers and consumers, so that they take no more of the machine from other tests.
    pub fn end(&self) {
        self.java.end();
        self.librdkafka.get().into_iter().chain(self.go.get()).for_each(|consumers| consumers.end());
        self.brokers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Ends one of the brokers for good.
    ///
    /// # Panics
    /// When there is none of this address.
    pub fn end_broker(&self, address: &str) {
        let mut brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        let position = brokers.iter().position(|broker| broker.address == address);
        drop(brokers.remove(position.expect("a broker has this address")));
    }

    /// Freezes one of the brokers: its connections stay open, and nothing answers.
    ///
    /// # Panics
    /// When there is none of this address.
    pub fn pause_broker(&self, address: &str) {
        self.with_broker(address, |broker| broker.server.pause());
    }

    /// Lets a frozen broker go on.
    ///
    /// # Panics
    /// When there is none of this address.
    pub fn resume_broker(&self, address: &str) {
        self.with_broker(address, |broker| broker.server.resume());
    }

    fn with_broker(&self, address: &str, then: impl Fn(&Broker)) {
        let brokers = self.brokers.lock().unwrap_or_else(PoisonError::into_inner);
        then(brokers.iter().find(|broker| broker.address == address).expect("a broker has this address"));
    }

    /// Hosts and ports of the brokers, without any sign-in.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// The listeners of the shared broker that ask who comes.
    ///
    /// # Panics
    /// Where there are none.
    pub fn doors(&self) -> &Doors {
        self.doors.as_ref().expect("the shared broker has doors")
    }

    /// The consumers by the Java client.
    pub const fn java(&self) -> &Arc<Consumers> {
        &self.java
    }

    /// The consumers by librdkafka.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn librdkafka(&self) -> &Arc<Consumers> {
        self.librdkafka.get_or_init(|| {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("kafka/librdkafka.py");
            let mut command = Command::new("python3");
            command.arg(script).arg(self.addresses.join(","));
            command.env("PYTHONPATH", folder_of(Program::Librdkafka));
            Consumers::start(&self.sandbox, "librdkafka", command)
        })
    }

    /// The consumers by the Go client kafka-go.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn go(&self) -> &Arc<Consumers> {
        self.go.get_or_init(|| {
            let mut command = Command::new(path_of(Program::KafkaGo, "kafka-go"));
            command.arg(self.addresses.join(","));
            Consumers::start(&self.sandbox, "kafka-go", command)
        })
    }

    /// Creates a topic, with nothing written to it.
    ///
    /// # Panics
    /// When there is one of that name.
    pub fn topic(&self, name: &str, partitions: usize, replicas: usize) {
        self.java.post(&format!("topic?name={name}&partitions={partitions}&replicas={replicas}"));
    }

    /// Writes so many messages a second to each partition of a topic from now on, with a noise of this standard
    /// deviation of the logarithm.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn load(&self, name: &str, rates: &[f64], noise: f64) {
        self.java.post(&format!("load?topic={name}&rates={}&noise={noise}", list(rates)));
    }

    /// Writes what this load writes from so many seconds ago to so many seconds ago, with the times that its messages
    /// then have.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn past(&self, name: &str, rates: &[f64], from_s: u32, to_s: u32) {
        self.java.post(&format!("past?topic={name}&rates={}&from={from_s}&to={to_s}", list(rates)));
    }

    /// Makes a message cost a pod so many microseconds of CPU.
    ///
    /// # Panics
    /// When there is no such pod.
    pub fn cost(&self, namespace: &str, pod: &str, micros: f64) {
        self.java.post(&format!("cost?namespace={namespace}&name={pod}&cost={micros}"));
    }

    /// Makes the next record of a partition one that nobody gets past; answers its offset.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn poison(&self, topic: &str, partition: u32) -> u64 {
        let offset = self.java.post(&format!("poison?topic={topic}&partition={partition}"));
        offset.parse().expect("an offset")
    }

    /// Starts a member of a share group.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn share(&self, group: &str, topic: &str) {
        self.java.post(&format!("share?group={group}&topic={topic}"));
    }

    /// Lets a user sign in by SCRAM with this password.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn user(&self, name: &str, password: &str) {
        self.java.post(&format!("user?name={name}&password={password}"));
    }

    /// Lets a user describe a `group` or a `topic`, or no longer.
    ///
    /// # Panics
    /// When the broker refuses.
    pub fn may_describe(&self, user: &str, (kind, name): (&str, &str), may: bool) {
        let order = format!("acl?user={user}&kind={kind}&name={name}");
        if may {
            self.java.post(&order)
        } else {
            self.java.delete(&order)
        };
    }

    /// Host and port of the broker that coordinates a group.
    ///
    /// # Panics
    /// When there is no such group.
    pub fn coordinator(&self, group: &str) -> String {
        self.java.get(&format!("coordinator?group={group}"))
    }

    /// What a scrape of the namespace's pods finds, and of the offsets of their groups.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn scrape(&self, namespace: &str) -> String {
        self.java.get(&format!("metrics?namespace={namespace}"))
    }

    /// The messages that wait in each partition of which a group has committed an offset: topic, partition, messages.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn lags(&self, group: &str) -> Vec<(String, u32, u64)> {
        let lags = self.java.get(&format!("lag?group={group}"));
        let lag = |line: &str| {
            let mut words = line.split(' ');
            let topic = words.next()?.to_owned();
            Some((topic, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        lags.lines().filter_map(lag).collect()
    }
}

fn list(rates: &[f64]) -> String {
    let rates: Vec<String> = rates.iter().map(ToString::to_string).collect();
    rates.join(",")
}
