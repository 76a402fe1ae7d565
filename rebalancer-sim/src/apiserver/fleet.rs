//! The pods of one workload, what replaces them, and the budgets that guard them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

/// A workload, its pods and the budgets of its namespace.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// Namespace of everything.
    pub namespace: String,
    /// Name of the workload; its pods carry the label `app` with this value.
    pub name: String,
    /// What owns the pods.
    pub kind: WorkloadKind,
    /// Pods asked for.
    pub replicas: usize,
    /// Version of the specification.
    pub generation: i64,
    /// Version its controller has seen.
    pub observed_generation: i64,
    /// Pods of the newest specification; `None` is all of them.
    pub updated_replicas: Option<usize>,
    /// The pods there are.
    pub pods: Vec<SimPod>,
    /// The budgets there are.
    pub budgets: Vec<SimBudget>,
    /// Time from the eviction of a pod until it is gone.
    pub termination: Duration,
    /// Time from the creation of a replacement until it is Ready.
    pub startup: Duration,
    /// Replacements made so far.
    pub replaced: usize,
    /// Events written so far, as JSON.
    pub events: Vec<serde_json::Value>,
    /// The owner reference of the pods, where it is not that of the kind.
    pub owner_reference: Option<serde_json::Value>,
    /// Further objects, by the end of their path: `rollouts/orders`, `persistentvolumes/pv-1`. They come before those that the
    /// kind brings.
    pub objects: BTreeMap<String, serde_json::Value>,
    /// Annotations of the object at the top.
    pub annotations: BTreeMap<String, String>,
    /// The volumes of every pod, as JSON.
    pub volumes: Vec<serde_json::Value>,
    /// Tells the owners of several fleets apart: it is part of their UIDs.
    pub number: usize,
    /// The Services of all namespaces, as JSON.
    pub services: Vec<serde_json::Value>,
    /// The addresses behind Services, such as `127.0.0.1:9090`, by `NAMESPACE/SERVICE:PORT`.
    pub behind: BTreeMap<String, String>,
}

/// What owns the pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// A Deployment and one of its replica sets.
    Deployment,
    /// A stateful set: a replacement has the name of the pod it replaces.
    StatefulSet,
    /// A kind this server serves no object of.
    Custom,
}

/// One pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimPod {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// When it was created.
    pub created: SystemTime,
    /// Its address.
    pub ip: Option<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Ready from this moment on; `None` is never.
    pub ready_from: Option<Instant>,
    /// Gone from this moment on; set once its deletion was asked for.
    pub gone_from: Option<Instant>,
}

/// One `PodDisruptionBudget`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimBudget {
    /// Name of the budget.
    pub name: String,
    /// Labels a pod needs to be covered.
    pub match_labels: BTreeMap<String, String>,
    /// Evictions allowed now; each one granted takes one away.
    pub disruptions_allowed: i32,
    /// Version of the specification.
    pub generation: i64,
    /// Version its controller has seen.
    pub observed_generation: i64,
}

impl Fleet {
    /// A settled Deployment in namespace `shop` with this many Ready pods, two days old, named
    /// `<name>-0`, `<name>-1` and so on.
    pub fn deployment(name: &str, pods: usize) -> Self {
        let names: Vec<String> = (0..pods).map(|number| format!("{name}-{number}")).collect();
        Self::named(name, &names)
    }

    /// The same with pods of these names.
    pub fn named(name: &str, pods: &[impl AsRef<str>]) -> Self {
        let pods: Vec<SimPod> =
            pods.iter().enumerate().map(|(number, pod)| SimPod::old(pod.as_ref(), number, name)).collect();
        Self {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            kind: WorkloadKind::Deployment,
            replicas: pods.len(),
            generation: 1,
            observed_generation: 1,
            updated_replicas: None,
            pods,
            budgets: Vec::new(),
            termination: Duration::ZERO,
            startup: Duration::ZERO,
            replaced: 0,
            events: Vec::new(),
            owner_reference: None,
            objects: BTreeMap::new(),
            annotations: BTreeMap::new(),
            volumes: Vec::new(),
            number: 0,
            services: Vec::new(),
            behind: BTreeMap::new(),
        }
    }

    /// The same fleet, owned otherwise.
    #[must_use]
    pub fn of_kind(self, kind: WorkloadKind) -> Self {
        Self { kind, ..self }
    }

    /// The same fleet with one more budget over all its pods.
    #[must_use]
    pub fn with_budget(mut self, name: &str, disruptions_allowed: i32) -> Self {
        self.budgets.push(SimBudget {
            name: name.to_owned(),
            match_labels: BTreeMap::from([("app".to_owned(), self.name.clone())]),
            disruptions_allowed,
            generation: 1,
            observed_generation: 1,
        });
        self
    }

    /// The pod of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn pod(&mut self, name: &str) -> &mut SimPod {
        self.find(name).unwrap_or_else(|| panic!("the fleet has no pod {name}"))
    }

    pub(super) fn find(&mut self, name: &str) -> Option<&mut SimPod> {
        self.pods.iter_mut().find(|pod| pod.name == name)
    }

    /// Lets time pass: what is to be gone is gone, and what replaces it exists.
    pub(super) fn advance(&mut self) {
        let now = Instant::now();
        let gone: Vec<String> = self.gone_by(now);
        self.pods.retain(|pod| pod.gone_from.is_none_or(|gone_from| gone_from > now));
        if self.kind == WorkloadKind::StatefulSet {
            for name in gone {
                self.replace(&name);
            }
        }
    }

    fn gone_by(&self, now: Instant) -> Vec<String> {
        let gone = self.pods.iter().filter(|pod| pod.gone_from.is_some_and(|gone_from| gone_from <= now));
        gone.map(|pod| pod.name.clone()).collect()
    }

    /// Ends a pod as its deletion does; a replica set replaces it at once.
    pub(super) fn end(&mut self, name: &str) {
        let gone_from = Instant::now() + self.termination;
        let Some(pod) = self.find(name).filter(|pod| pod.gone_from.is_none()) else { return };
        pod.gone_from = Some(gone_from);
        if self.kind != WorkloadKind::StatefulSet {
            let replacement = format!("{}-r{}", self.name, self.replaced);
            self.replace(&replacement);
        }
    }

    /// Creates a pod of this name with a UID nobody had.
    fn replace(&mut self, name: &str) {
        self.replaced += 1;
        let mut pod = SimPod::old(name, 100_000 + self.replaced, &self.name);
        pod.created = SystemTime::now();
        pod.ready_from = Some(Instant::now() + self.startup);
        self.pods.push(pod);
    }

    /// The budgets that cover a pod of these labels.
    pub(super) fn covering(&mut self, labels: &BTreeMap<String, String>) -> Vec<&mut SimBudget> {
        let covers = |budget: &&mut SimBudget| {
            budget.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        };
        self.budgets.iter_mut().filter(covers).collect()
    }
}

impl SimPod {
    fn old(name: &str, number: usize, app: &str) -> Self {
        let two_days = Duration::from_secs(48 * 3600);
        Self {
            name: name.to_owned(),
            uid: format!("00000000-0000-4000-8000-{number:012}"),
            created: SystemTime::now() - two_days,
            ip: None,
            labels: BTreeMap::from([("app".to_owned(), app.to_owned())]),
            annotations: BTreeMap::new(),
            ready_from: Some(Instant::now()),
            gone_from: None,
        }
    }

    /// Whether it is Ready now.
    pub fn is_ready(&self) -> bool {
        self.ready_from.is_some_and(|ready_from| ready_from <= Instant::now())
    }
}
