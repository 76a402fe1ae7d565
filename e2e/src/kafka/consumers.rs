//! A process with the consumers of many pods, and what starts and closes them as pods come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use ureq::Agent;

use crate::control_plane::{Api, Namespace};
use crate::sandbox::{Sandbox, Server, free_port};

const START_LIMIT: Duration = Duration::from_secs(120);
/// Consumers leave their group when they are closed.
const REQUEST_LIMIT: Duration = Duration::from_secs(60);
/// How often the pods are looked at.
const FOLLOW: Duration = Duration::from_secs(1);
/// From the pod's container to its consumer: an application takes this long to start, while the others of its
/// group have dealt its partitions among them.
const START_UP: Duration = Duration::from_secs(8);

/// A process with the consumers of many pods. `e2e/kafka/src/Consumers.java` says what it understands; those by
/// other clients understand a part of that.
#[derive(Debug)]
pub struct Consumers {
    server: Mutex<Option<Server>>,
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

impl Consumers {
    /// Starts the command, which takes its port as its last argument.
    pub(super) fn start(sandbox: &Arc<Sandbox>, name: &str, mut command: Command) -> Arc<Self> {
        let port = free_port();
        command.arg(port.to_string());
        let mut server = Server::start(sandbox, name, command);
        let url = format!("http://127.0.0.1:{port}");
        let agent: Agent = Agent::config_builder().timeout_global(Some(REQUEST_LIMIT)).build().into();
        server.wait_ready(START_LIMIT, || agent.get(format!("{url}/state?namespace=none")).call().is_ok());
        Arc::new(Self { server: Mutex::new(Some(server)), agent, url })
    }

    /// Ends the process.
    pub(super) fn end(&self) {
        self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
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

    /// Closes all consumers of a namespace.
    ///
    /// # Panics
    /// When the process does not answer.
    pub fn close(&self, namespace: &str) {
        self.delete(&format!("pods?namespace={namespace}"));
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

    pub(super) fn get(&self, path: &str) -> String {
        text(path, self.agent.get(format!("{}/{path}", self.url)).call())
    }

    pub(super) fn post(&self, order: &str) -> String {
        text(order, self.agent.post(format!("{}/{order}", self.url)).send_empty())
    }

    pub(super) fn delete(&self, path: &str) -> String {
        text(path, self.agent.delete(format!("{}/{path}", self.url)).call())
    }
}

/// The body of an answer, of a refusal too, which says why.
fn text(asked: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> String {
    let body = answer.and_then(|mut answer| answer.body_mut().read_to_string());
    body.unwrap_or_else(|error| panic!("{asked}: the consumers did not answer: {error}"))
}

/// Gives each Running pod of a workload a consumer after some seconds, and closes that of a pod which ends, as its
/// container would. Ends with its value.
#[derive(Debug)]
pub struct ConsumerPods {
    stopped: Arc<AtomicBool>,
    alive: Arc<Mutex<BTreeSet<String>>>,
}

impl ConsumerPods {
    /// Follows the pods of a label selector; `consumer` is what a consumer is told beside the names and the address of
    /// its pod: `groups=G&topics=T&assignor=A&cost=C`.
    pub fn follow(
        consumers: &Arc<Consumers>,
        namespace: &Namespace<'_>,
        selector: &str,
        consumer: &str,
    ) -> Self {
        let (stopped, alive) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(BTreeSet::new())));
        let path = namespace.path("v1", &format!("pods?labelSelector={}", selector.replace('=', "%3D")));
        let follower = Follower {
            consumers: Arc::clone(consumers),
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

    /// The pods that have a consumer now, each as name and UID.
    pub fn alive(&self) -> BTreeSet<String> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

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
    consumers: Arc<Consumers>,
    api: Api,
    path: String,
    namespace: String,
    consumer: String,
    alive: Arc<Mutex<BTreeSet<String>>>,
}

/// A pod that runs.
struct Running {
    /// Name and UID.
    key: String,
    ip: String,
}

impl Follower {
    /// Starts and closes what the list of pods asks for, all at once as on several nodes. A pod of a
    /// `StatefulSet` keeps its name, so a consumer belongs to a UID. `seen` says when each pod was first there.
    fn look(&self, seen: &mut BTreeMap<String, Instant>) {
        let list = self.api.get(&self.path).body;
        let running: Vec<Running> =
            list["items"].as_array().into_iter().flatten().filter_map(running).collect();
        let since = |key: &String| (key.clone(), seen.get(key).copied().unwrap_or_else(Instant::now));
        *seen = running.iter().map(|pod| since(&pod.key)).collect();
        let started = seen.iter().filter(|(_, since)| since.elapsed() >= START_UP);
        let wanted: BTreeSet<String> = started.map(|(key, _)| key.clone()).collect();
        let known = self.alive.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let order = |key: &str| {
            let (name, _) = key.split_once(' ').unwrap_or((key, ""));
            format!("pod?namespace={}&name={name}", self.namespace)
        };
        thread::scope(|scope| {
            for gone in known.difference(&wanted) {
                scope.spawn(move || self.consumers.delete(&order(gone)));
            }
        });
        thread::scope(|scope| {
            for new in running.iter().filter(|pod| wanted.contains(&pod.key) && !known.contains(&pod.key)) {
                let asked = format!("{}&ip={}&{}", order(&new.key), new.ip, self.consumer);
                scope.spawn(move || self.consumers.post(&asked));
            }
        });
        *self.alive.lock().unwrap_or_else(PoisonError::into_inner) = wanted;
    }
}

fn running(pod: &Value) -> Option<Running> {
    let (metadata, status) = (&pod["metadata"], &pod["status"]);
    let runs = metadata["deletionTimestamp"].is_null() && status["phase"] == "Running";
    let key = format!("{} {}", metadata["name"].as_str()?, metadata["uid"].as_str()?);
    let ip = status["podIP"].as_str()?.to_owned();
    runs.then_some(Running { key, ip })
}
