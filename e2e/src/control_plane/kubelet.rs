//! Plays the scheduler and every kubelet: binds pods to nodes, makes them Running and Ready, and
//! finishes their deletion.
//!
//! Annotations shape a pod's life: `fake-kubelet/ready-delay` and `fake-kubelet/term-delay` in
//! seconds, and `fake-kubelet/never-ready: "true"`.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use jiff::{Timestamp, Unit};
use serde_json::{Value, json};
use ureq::Error;

use super::api::{Answer, Api};

const NODES: u32 = 3;
/// Requests in flight: more bring nothing on two cores.
const WORKERS: usize = 6;
/// Before the API server is asked again after it refused or was away.
const RETRY: Duration = Duration::from_millis(200);
/// Short, so that the thread of a dropped kubelet ends soon.
const WATCH_S: u32 = 20;

/// The threads that play; they end with this value.
#[derive(Debug)]
pub(super) struct Kubelet {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    api: Api,
    tasks: Mutex<BTreeMap<(Instant, u32), Task>>,
    added: Condvar,
    sequence: AtomicU32,
    stopped: AtomicBool,
}

#[derive(Debug, Clone)]
struct Task {
    action: Action,
    pod: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Bind,
    Start,
    Finish,
}

impl Kubelet {
    /// Registers the nodes and begins.
    pub(super) fn start(api: Api) -> Self {
        (0..NODES).for_each(|number| register(&api, number));
        let shared = Arc::new(Shared {
            api,
            tasks: Mutex::default(),
            added: Condvar::new(),
            sequence: AtomicU32::new(0),
            stopped: AtomicBool::new(false),
        });
        for _ in 0..WORKERS {
            let worker = Arc::clone(&shared);
            thread::spawn(move || worker.work());
        }
        let watcher = Arc::clone(&shared);
        thread::spawn(move || watcher.watch());
        Self { shared }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.added.notify_all();
    }
}

impl Shared {
    /// Follows all pods; after any trouble, begins anew from a list.
    fn watch(&self) {
        let mut seen: BTreeMap<String, Vec<Action>> = BTreeMap::new();
        while !self.stopped() {
            if self.follow(&mut seen).is_none() {
                thread::sleep(RETRY);
            }
        }
    }

    /// One list and the watches that follow it; `None` where the API server failed.
    fn follow(&self, seen: &mut BTreeMap<String, Vec<Action>>) -> Option<()> {
        let list = self.api.try_get("/api/v1/pods").ok().filter(|answer| answer.status == 200)?.body;
        for pod in list["items"].as_array()? {
            self.observe(seen, pod);
        }
        let mut version = list["metadata"]["resourceVersion"].as_str()?.to_owned();
        while !self.stopped() {
            let path = format!(
                "/api/v1/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_S}&resourceVersion={version}"
            );
            for line in self.api.watch(&path).ok()?.lines() {
                let event: Value = serde_json::from_str(&line.ok()?).ok()?;
                event["object"]["metadata"]["resourceVersion"].as_str()?.clone_into(&mut version);
                match event["type"].as_str()? {
                    "ADDED" | "MODIFIED" => self.observe(seen, &event["object"]),
                    "DELETED" => drop(seen.remove(uid(&event["object"]))),
                    "BOOKMARK" => {}
                    _ => return None,
                }
            }
        }
        Some(())
    }

    /// Plans what the pod needs next, once.
    fn observe(&self, seen: &mut BTreeMap<String, Vec<Action>>, pod: &Value) {
        let deleted = pod["metadata"]["deletionTimestamp"].is_string();
        let (action, delay) =
            match (pod["spec"]["nodeName"].is_string(), deleted, pod["status"]["phase"].as_str()) {
                (false, false, _) => (Action::Bind, Duration::ZERO),
                (true, true, _) => {
                    let grace_s = pod["metadata"]["deletionGracePeriodSeconds"].as_f64().unwrap_or(30.0);
                    (
                        Action::Finish,
                        seconds(pod, "fake-kubelet/term-delay").min(Duration::from_secs_f64(grace_s)),
                    )
                }
                (true, false, Some("Pending")) => (Action::Start, seconds(pod, "fake-kubelet/ready-delay")),
                _ => return,
            };
        let planned = seen.entry(uid(pod).to_owned()).or_default();
        if !planned.contains(&action) {
            planned.push(action);
            self.plan(delay, Task { action, pod: pod.clone() });
        }
    }

    fn plan(&self, delay: Duration, task: Task) {
        let key = (Instant::now() + delay, self.sequence.fetch_add(1, Ordering::Relaxed));
        self.tasks().insert(key, task);
        self.added.notify_one();
    }

    fn work(&self) {
        while let Some(task) = self.next() {
            let answered = self.perform(&task);
            // 404 and 409: the pod is gone or another one; nothing is left to do.
            let done = answered.is_ok_and(|answer| answer.status != 429 && answer.status < 500);
            if !done {
                self.plan(RETRY, task);
            }
        }
    }

    /// Waits for the next task that is due; `None` at the end.
    fn next(&self) -> Option<Task> {
        let mut tasks = self.tasks();
        loop {
            if self.stopped() {
                return None;
            }
            let wait = match tasks.first_key_value() {
                Some(((due, _), _)) => due.saturating_duration_since(Instant::now()),
                None => Duration::from_secs(1),
            };
            if wait.is_zero() {
                return tasks.pop_first().map(|(_, task)| task);
            }
            tasks = self.added.wait_timeout(tasks, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn perform(&self, task: &Task) -> Result<Answer, Error> {
        let pod = &task.pod;
        let metadata = &pod["metadata"];
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}",
            metadata["namespace"].as_str().unwrap_or_default(),
            metadata["name"].as_str().unwrap_or_default()
        );
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        match task.action {
            Action::Bind => {
                let node = pinned(pod).unwrap_or_else(|| format!("node-{}", number % NODES));
                let binding = json!({
                    "apiVersion": "v1", "kind": "Binding",
                    "metadata": { "name": metadata["name"], "uid": metadata["uid"] },
                    "target": { "apiVersion": "v1", "kind": "Node", "name": node },
                });
                self.api.try_post(&format!("{path}/binding"), &binding)
            }
            Action::Start => {
                let kind = "application/strategic-merge-patch+json";
                self.api.try_patch(&format!("{path}/status"), kind, &started(pod, number))
            }
            Action::Finish => {
                let options = json!({
                    "apiVersion": "v1", "kind": "DeleteOptions",
                    "gracePeriodSeconds": 0, "preconditions": { "uid": metadata["uid"] },
                });
                self.api.try_delete(&path, &options)
            }
        }
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<(Instant, u32), Task>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }
}

/// The status a kubelet reports of a pod whose containers run.
fn started(pod: &Value, number: u32) -> Value {
    let now = now();
    let ready = annotation(pod, "fake-kubelet/never-ready") != Some("true");
    let conditions: Vec<Value> =
        [("PodReadyToStartContainers", true), ("Initialized", true), ("ContainersReady", ready), ("Ready", ready)]
            .map(|(kind, so)| {
                json!({ "type": kind, "status": if so { "True" } else { "False" }, "lastTransitionTime": now })
            })
            .into();
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default().iter();
    let statuses: Vec<Value> = containers
        .map(|container| {
            json!({
                "name": container["name"], "image": container["image"], "imageID": "",
                "ready": ready, "started": true, "restartCount": 0,
                "state": { "running": { "startedAt": now } },
            })
        })
        .collect();
    // Of loopback, so that a client of the pod can connect from it.
    let ip = format!("127.{}.{}.{}", 244 + (number >> 16) % 8, (number >> 8) & 255, number & 255);
    json!({
        "metadata": { "uid": pod["metadata"]["uid"] },
        "status": {
            "phase": "Running", "startTime": now, "podIP": ip, "podIPs": [{ "ip": ip }],
            "conditions": conditions, "containerStatuses": statuses,
        },
    })
}

/// Nodes must exist: the garbage collector of pods deletes those of unknown nodes.
fn register(api: &Api, number: u32) {
    let name = format!("node-{number}");
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name } });
    api.post("/api/v1/nodes", &node).success();
    let resources = json!({ "cpu": "512", "memory": "4Ti", "pods": "10000" });
    let condition =
        json!({ "type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": now() });
    let status =
        json!({ "status": { "capacity": resources, "allocatable": resources, "conditions": [condition] } });
    api.merge(&format!("/api/v1/nodes/{name}/status"), &status).success();
    // Put on every new node, to be taken off by a controller that does not run here.
    api.merge(&format!("/api/v1/nodes/{name}"), &json!({ "spec": { "taints": null } })).success();
}

/// The node a `DaemonSet` made the pod for.
fn pinned(pod: &Value) -> Option<String> {
    let affinity = &pod["spec"]["affinity"]["nodeAffinity"];
    let terms = &affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"];
    terms[0]["matchFields"][0]["values"][0].as_str().map(str::to_owned)
}

fn now() -> String {
    let now = Timestamp::now();
    now.round(Unit::Second).unwrap_or(now).to_string()
}

fn uid(pod: &Value) -> &str {
    pod["metadata"]["uid"].as_str().unwrap_or_default()
}

fn annotation<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod["metadata"]["annotations"][name].as_str()
}

fn seconds(pod: &Value, name: &str) -> Duration {
    annotation(pod, name).and_then(|text| text.parse().ok()).map_or(Duration::ZERO, Duration::from_secs_f64)
}
