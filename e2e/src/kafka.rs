//! A real Kafka broker, and a process with the consumers of many pods.
//!
//! `e2e/kafka/src/Consumers.java` says what that process understands.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;

use crate::control_plane::{Api, Namespace};
use crate::require::{Program, path_of};
use crate::sandbox::{Sandbox, Server, free_port};

const START_LIMIT: Duration = Duration::from_secs(120);
/// Consumers leave their group when they are closed.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How often the pods are looked at.
const FOLLOW: Duration = Duration::from_secs(1);
/// From the pod's container to its consumer: an application takes this long to start, while the others of its
/// group have dealt its partitions among them.
const START_UP: Duration = Duration::from_secs(8);
/// Any number of 128 bits.
const CLUSTER_ID: &str = "MkU3OEVBNTcwNTJENDM2Qg";

/// A broker and consumers; end with their value, or before.
#[derive(Debug)]
pub struct Kafka {
    /// Broker and consumers, until they are ended.
    servers: Mutex<Vec<Server>>,
    agent: Agent,
    url: String,
}

/// A partition as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// Name of the pod.
    pub pod: String,
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
    /// Messages that this pod has read from it.
    pub read: u64,
}

impl Kafka {
    /// The one that the tests of a process share, each with topics and groups of its own.
    ///
    /// # Panics
    /// When it is not installed or does not start.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Kafka> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let class = path_of(Program::Kafka, "Consumers.class");
        let folder = class.parent().expect("a file lies in a folder").to_owned();
        let sandbox = Sandbox::new();
        let address = format!("127.0.0.1:{}", free_port());
        let settings = sandbox.write("server.properties", settings(&address, &sandbox.path().join("data")));
        let format = java(&folder)
            .args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(&settings)
            .output()
            .expect("java is a program");
        assert!(format.status.success(), "no storage for Kafka: {}", String::from_utf8_lossy(&format.stderr));

        let mut command = java(&folder);
        command.arg("kafka.Kafka").arg(&settings);
        let mut broker = Server::start(&sandbox, "kafka", command);
        broker.wait_ready(START_LIMIT, || std::net::TcpStream::connect(&address).is_ok());

        let listens = free_port();
        let mut command = java(&folder);
        command.args(["Consumers", &address, &listens.to_string()]);
        let mut consumers = Server::start(&sandbox, "consumers", command);
        let url = format!("http://127.0.0.1:{listens}");
        let agent: Agent = Agent::config_builder().timeout_global(Some(REQUEST_LIMIT)).build().into();
        consumers.wait_ready(START_LIMIT, || agent.get(format!("{url}/state?namespace=none")).call().is_ok());
        Self { servers: Mutex::new(vec![consumers, broker]), agent, url }
    }

    /// Ends broker and consumers, so that they take no more of the machine from other tests.
    pub fn end(&self) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Creates a topic, with [`Self::load`] on it.
    ///
    /// # Panics
    /// When there is one of that name.
    pub fn topic(&self, name: &str, rates: &[f64], noise: f64) {
        self.post(&format!("topic?name={name}&partitions={}", rates.len()));
        self.load(name, rates, noise);
    }

    /// Writes so many messages a second to each partition of a topic from now on, with a noise of this standard
    /// deviation of the logarithm.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn load(&self, name: &str, rates: &[f64], noise: f64) {
        let rates: Vec<String> = rates.iter().map(ToString::to_string).collect();
        self.post(&format!("load?topic={name}&rates={}&noise={noise}", rates.join(",")));
    }

    /// Makes a message cost a pod so many microseconds of CPU.
    ///
    /// # Panics
    /// When there is no such pod.
    pub fn cost(&self, namespace: &str, pod: &str, micros: f64) {
        self.post(&format!("cost?namespace={namespace}&name={pod}&cost={micros}"));
    }

    /// Makes a pod leave off fetching a partition, or all of them.
    ///
    /// # Panics
    /// When there is no such pod.
    pub fn stick(&self, namespace: &str, pod: &str, partition: Option<(&str, u32)>) {
        let mut order = format!("stuck?namespace={namespace}&name={pod}");
        if let Some((topic, partition)) = partition {
            write!(order, "&topic={topic}&partition={partition}").expect("a String takes every text");
        }
        self.post(&order);
    }

    /// Makes the next record of a partition one that nobody gets past; answers its offset.
    ///
    /// # Panics
    /// When there is no such partition.
    pub fn poison(&self, topic: &str, partition: u32) -> u64 {
        let offset = self.post(&format!("poison?topic={topic}&partition={partition}"));
        offset.parse().expect("an offset")
    }

    /// Closes all consumers of a namespace.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn close(&self, namespace: &str) {
        self.delete(&format!("pods?namespace={namespace}"));
    }

    /// What a scrape of the namespace's pods finds, and of the offsets of their groups.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn scrape(&self, namespace: &str) -> String {
        self.get(&format!("metrics?namespace={namespace}"))
    }

    /// Who owns which partition.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn state(&self, namespace: &str) -> Vec<Owned> {
        let state = self.get(&format!("state?namespace={namespace}"));
        let owned = state.lines().map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            let [pod, group, topic, partition, read] = words[..] else { panic!("not a partition: {line}") };
            let [pod, group, topic] = [pod, group, topic].map(str::to_owned);
            let number = "a number of the consumers";
            Owned {
                pod,
                group,
                topic,
                partition: partition.parse().expect(number),
                read: read.parse().expect(number),
            }
        });
        owned.collect()
    }

    fn get(&self, path: &str) -> String {
        let answer = self.agent.get(format!("{}/{path}", self.url)).call();
        text(path, answer)
    }

    fn post(&self, order: &str) -> String {
        text(order, self.agent.post(format!("{}/{order}", self.url)).send_empty())
    }

    fn delete(&self, path: &str) -> String {
        text(path, self.agent.delete(format!("{}/{path}", self.url)).call())
    }
}

fn text(asked: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> String {
    let body = answer.and_then(|mut answer| answer.body_mut().read_to_string());
    body.unwrap_or_else(|error| panic!("{asked}: the consumers did not answer: {error}"))
}

fn java(folder: &Path) -> Command {
    let mut classes: PathBuf = folder.join("lib");
    classes.push("*");
    let mut command = Command::new("java");
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]).arg(format!(
        "{}:{}",
        folder.display(),
        classes.display()
    ));
    command
}

fn settings(address: &str, data: &Path) -> String {
    let controller = format!("127.0.0.1:{}", free_port());
    let data = data.display();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@{controller}\n\
         listeners=PLAINTEXT://{address},CONTROLLER://{controller}\n\
         advertised.listeners=PLAINTEXT://{address}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={data}\n\
         offsets.topic.num.partitions=4\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         group.initial.rebalance.delay.ms=3000\n\
         group.consumer.heartbeat.interval.ms=1000\n\
         group.consumer.min.heartbeat.interval.ms=500\n"
    )
}

/// Gives each Running pod of a workload a consumer after some seconds, and closes that of a pod which ends, as its
/// container would. Ends with its value.
#[derive(Debug)]
pub struct ConsumerPods {
    stopped: Arc<AtomicBool>,
    alive: Arc<Mutex<BTreeSet<String>>>,
}

impl ConsumerPods {
    /// Follows the pods of a label selector; `consumer` is what a consumer is told beside the names:
    /// `groups=G&topics=T&assignor=A&cost=C`.
    pub fn follow(kafka: &'static Kafka, namespace: &Namespace<'_>, selector: &str, consumer: &str) -> Self {
        let (stopped, alive) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::new())));
        let path = namespace.path("v1", &format!("pods?labelSelector={}", selector.replace('=', "%3D")));
        let follower = Follower {
            kafka,
            api: namespace.admin().clone(),
            path,
            namespace: namespace.name().to_owned(),
            consumer: consumer.to_owned(),
            alive: Arc::clone(&alive),
        };
        let until = Arc::clone(&stopped);
        thread::spawn(move || {
            let mut seen = BTreeMap::new();
            while !until.load(Ordering::Relaxed) {
                follower.look(&mut seen);
                thread::sleep(FOLLOW);
            }
        });
        Self { stopped, alive }
    }

    /// The pods that have a consumer now.
    pub fn alive(&self) -> BTreeSet<String> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ConsumerPods {
    /// Follows the pods no longer.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

impl Drop for ConsumerPods {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Follower {
    kafka: &'static Kafka,
    api: Api,
    path: String,
    namespace: String,
    consumer: String,
    alive: Arc<Mutex<BTreeSet<String>>>,
}

impl Follower {
    /// Starts and closes what the list of pods asks for, all at once as on several nodes. A pod of a
    /// `StatefulSet` keeps its name, so a consumer belongs to a UID. `seen` says when each pod was first there.
    fn look(&self, seen: &mut BTreeMap<String, Instant>) {
        let list = self.api.get(&self.path).body;
        let running = list["items"].as_array().into_iter().flatten().filter(|pod| runs(pod)).filter_map(key);
        *seen =
            running.map(|key| (key.clone(), seen.get(&key).copied().unwrap_or_else(Instant::now))).collect();
        let started = seen.iter().filter(|(_, since)| since.elapsed() >= START_UP);
        let wanted: BTreeSet<String> = started.map(|(key, _)| key.clone()).collect();
        let known = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let order = |key: &str| {
            let (name, _) = key.split_once(' ').unwrap_or((key, ""));
            format!("pod?namespace={}&name={name}", self.namespace)
        };
        thread::scope(|scope| {
            for gone in known.difference(&wanted) {
                scope.spawn(move || self.kafka.delete(&order(gone)));
            }
        });
        thread::scope(|scope| {
            for new in wanted.difference(&known) {
                scope.spawn(move || self.kafka.post(&format!("{}&{}", order(new), self.consumer)));
            }
        });
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }
}

fn runs(pod: &Value) -> bool {
    pod["metadata"]["deletionTimestamp"].is_null() && pod["status"]["phase"] == "Running"
}

/// Name and UID.
fn key(pod: &Value) -> Option<String> {
    let metadata = &pod["metadata"];
    Some(format!("{} {}", metadata["name"].as_str()?, metadata["uid"].as_str()?))
}
