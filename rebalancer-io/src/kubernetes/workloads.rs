//! All Deployments and stateful sets of some namespaces, by lists: nothing is asked about one of them alone.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::{fmt, mem};

use jiff::Timestamp;
use kube::core::{Request, Selector as LabelSelector};
use rebalancer_core::{ApiFailure, Controller, FailureKind, LivePod, Phase, Workload};

use super::alike::Alike;
use super::cluster::{Cluster, ClusterError};
use super::fields::Identified;
use super::owners::{Object, WorkloadKind, path};
use super::pods::{self, ListedPod};
use super::selector::Selector;

/// Which namespaces are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Namespaces {
    /// These.
    Named(Vec<String>),
    /// All of the cluster.
    All,
}

/// A Deployment or a stateful set, and what it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnedWorkload {
    /// Its namespace.
    pub namespace: String,
    /// The Deployment or stateful set.
    pub owner: Controller,
    /// Its annotations that are of this program.
    pub annotations: BTreeMap<String, String>,
    /// The labels by which it finds its pods; `None` where nothing but these pods can be selected by them.
    pub selector: Option<Selector>,
    /// Whether living pods that it does not own have these labels too.
    pub selects_others: bool,
    /// Its pods, and how far a rollout has come.
    pub workload: Workload,
}

/// A list that may not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unlisted {
    /// The namespace; `None` is the whole cluster.
    pub namespace: Option<String>,
    /// What was to be listed, such as `statefulsets`.
    pub resource: String,
    /// The server's words.
    pub failure: ApiFailure,
}

/// As `statefulsets of namespace shop cannot be listed: ...`.
impl fmt::Display for Unlisted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, resource, failure } = self;
        write!(f, "{resource} of {} cannot be listed: {failure}", place(namespace.as_deref()))
    }
}

/// The workloads that were found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// By namespace, kind and name.
    pub workloads: Vec<OwnedWorkload>,
    /// What could not be looked at.
    pub unlisted: Vec<Unlisted>,
}

/// The pods of one controller, which has a UID of its own.
type Pods = BTreeMap<String, Vec<ListedPod>>;

/// The replica sets of one Deployment by their UIDs.
type ReplicaSets = BTreeMap<String, Rc<Object>>;

impl Cluster {
    /// The Deployments and stateful sets of these namespaces, with the pods that `selector` selects. `told` hears what is
    /// read, and how much so far.
    ///
    /// What may not be listed is told in the result, and the rest is looked at.
    ///
    /// # Errors
    /// When a list fails for another reason than a lack of rights, and when nothing at all may be listed.
    pub fn workloads(
        &self,
        namespaces: &Namespaces,
        selector: Option<&Selector>,
        told: &mut dyn FnMut(&str, usize),
    ) -> Result<Found, ClusterError> {
        let mut found = Found::default();
        let mut names: Vec<String> = Vec::new();
        match namespaces {
            Namespaces::Named(wanted) => names.clone_from(wanted),
            Namespaces::All => {
                Reading::new(self, None, selector, told, &mut found).read()?;
                if found.unlisted.iter().any(|of| of.resource == "pods") {
                    found = Found::default();
                    names = self.namespaces()?;
                }
            }
        }
        for name in &names {
            Reading::new(self, Some(name), selector, told, &mut found).read()?;
        }
        match found.unlisted.first() {
            Some(Unlisted { namespace, resource, failure }) if found.workloads.is_empty() => {
                Err(self.error(listing(resource, namespace.as_deref()), failure.clone()))
            }
            _ => {
                found.workloads.sort_by(|one, other| one.key().cmp(&other.key()));
                Ok(found)
            }
        }
    }

    /// The names of all namespaces.
    fn namespaces(&self) -> Result<Vec<String>, ClusterError> {
        let mut names: Vec<String> = Vec::new();
        let listed = self.list("/api/v1/namespaces", None, |page: Vec<Identified>| {
            names.extend(page.into_iter().filter_map(|item| item.metadata.name));
            Ok(())
        });
        let doing = "listing all namespaces, since the pods of the whole cluster may not be listed; name some by --namespace";
        listed.map_err(|failure| self.error(doing.to_owned(), failure))?;
        Ok(names)
    }

    /// Finds out which volumes of the pods of these workloads lie on their nodes, by one list of claims for each
    /// namespace where pods have any.
    pub fn locate_volumes<'w>(&self, workloads: impl Iterator<Item = &'w mut OwnedWorkload>) {
        let mut pods: BTreeMap<&str, Vec<&mut LivePod>> = BTreeMap::new();
        for OwnedWorkload { namespace, workload, .. } in workloads {
            pods.entry(namespace).or_default().extend(&mut workload.pods);
        }
        for (namespace, mut pods) in pods {
            self.in_namespace(namespace).locate_claims(&mut pods, &mut BTreeMap::new());
        }
    }
}

impl OwnedWorkload {
    /// Reads its pods again as they are read for it alone: those that its labels `and` these select, whatever owns them.
    ///
    /// # Errors
    /// If the cluster refuses or does not answer.
    pub fn read_by_labels(&mut self, cluster: &Cluster, and: Option<&Selector>) -> Result<(), ClusterError> {
        let Some(own) = &self.selector else { return Ok(()) };
        let selector = and.map_or_else(|| own.clone(), |and| own.and(and));
        self.workload = cluster.in_namespace(&self.namespace).observer(selector).workload()?;
        Ok(())
    }

    /// What workloads are sorted by.
    fn key(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.owner.kind, &self.owner.name)
    }
}

/// The lists of a namespace, or of the cluster, while they are read.
struct Reading<'a> {
    cluster: &'a Cluster,
    namespace: Option<&'a str>,
    selector: Option<&'a Selector>,
    told: &'a mut dyn FnMut(&str, usize),
    found: &'a mut Found,
    /// The pods of replica sets and stateful sets whose owner was not read yet.
    pods: Pods,
    /// What controls the pods with the same labels.
    alike: Alike,
    /// By the UIDs of the Deployments.
    replica_sets: BTreeMap<String, ReplicaSets>,
}

impl<'a> Reading<'a> {
    fn new(
        cluster: &'a Cluster,
        namespace: Option<&'a str>,
        selector: Option<&'a Selector>,
        told: &'a mut dyn FnMut(&str, usize),
        found: &'a mut Found,
    ) -> Self {
        let (pods, alike, replica_sets) = Default::default();
        Self { cluster, namespace, selector, told, found, pods, alike, replica_sets }
    }

    fn read(mut self) -> Result<(), ClusterError> {
        let pods = self.read_pods();
        if self.is_allowed("pods", pods)? {
            let mut has_sets = true;
            for kind in [WorkloadKind::ReplicaSet, WorkloadKind::Deployment, WorkloadKind::StatefulSet] {
                if kind == WorkloadKind::Deployment && !has_sets {
                    // No Deployment is known to own a pod then.
                    continue;
                }
                let objects = self.read_objects(kind);
                has_sets &= self.is_allowed(kind.plural(), objects)? || kind != WorkloadKind::ReplicaSet;
            }
        }
        Ok(())
    }

    /// Whether a list could be read; false where the rights for it are lacking, which is noted.
    fn is_allowed(&mut self, resource: &str, read: Result<(), ApiFailure>) -> Result<bool, ClusterError> {
        match read {
            Ok(()) => Ok(true),
            Err(failure) if failure.kind == FailureKind::Forbidden => {
                let (namespace, resource) = (self.namespace.map(str::to_owned), resource.to_owned());
                self.found.unlisted.push(Unlisted { namespace, resource, failure });
                Ok(false)
            }
            Err(failure) => Err(self.cluster.error(listing(resource, self.namespace), failure)),
        }
    }

    fn read_pods(&mut self) -> Result<(), ApiFailure> {
        let now = Timestamp::now();
        let mut count = 0;
        self.cluster.list(&path("/api/v1", self.namespace, "pods"), self.selector, |page| {
            let page = pods::listed(page, now)?;
            count += page.len();
            for mut listed in page {
                let (namespace, labels) = (mem::take(&mut listed.namespace), mem::take(&mut listed.labels));
                let controller = listed.pod.controller.as_ref();
                if !matches!(listed.pod.phase, Phase::Succeeded | Phase::Failed) {
                    self.alike.add(namespace, labels, controller);
                }
                let known = controller
                    .filter(|owner| owner.is("apps", "ReplicaSet") || owner.is("apps", "StatefulSet"));
                if let Some(uid) = known.map(|owner| owner.uid.clone()) {
                    self.pods.entry(uid).or_default().push(listed);
                }
            }
            (self.told)("pods", count);
            Ok(())
        })
    }

    /// Reads all objects of a kind, or none. A replica set is remembered, the others are workloads.
    fn read_objects(&mut self, kind: WorkloadKind) -> Result<(), ApiFailure> {
        let (cluster, path, mut count) = (self.cluster, kind.path(self.namespace), 0);
        let known = self.found.workloads.len();
        let take = |page: Vec<Object>| {
            count += page.len();
            for object in page {
                let workload = self.take(kind, object)?;
                self.found.workloads.extend(workload);
            }
            (self.told)(kind.plural(), count);
            Ok(())
        };
        let listed = match kind {
            WorkloadKind::ReplicaSet => cluster.read_pages(&path, None, Request::list_metadata, take),
            _ => cluster.list(&path, None, take),
        };
        // The pages before the one that failed do not count.
        listed.inspect_err(|_| self.found.workloads.truncate(known))
    }

    fn take(&mut self, kind: WorkloadKind, object: Object) -> Result<Option<OwnedWorkload>, ApiFailure> {
        let meta = &object.metadata;
        if kind == WorkloadKind::ReplicaSet {
            let above = meta.controller.as_ref().filter(|above| above.is("apps", "Deployment"));
            if let Some(above) = above.filter(|_| self.pods.contains_key(&meta.uid)) {
                let own = self.replica_sets.entry(above.uid.clone()).or_default();
                own.insert(meta.uid.clone(), Rc::new(object));
            }
            return Ok(None);
        }
        let owner = Controller {
            group: Some("apps".to_owned()),
            kind: kind.name().to_owned(),
            name: meta.name.clone(),
            uid: meta.uid.clone(),
        };
        let replica_sets = self.replica_sets.remove(&owner.uid).unwrap_or_default();
        let sets = self.sets_of(kind, &owner, &replica_sets);
        let listed = sets.iter().filter_map(|set| self.pods.remove(&set.uid)).flatten();
        let mut pods: Vec<LivePod> = listed.map(|listed| listed.pod).collect();
        if self.selector.is_some() && pods.is_empty() {
            return Ok(None);
        }
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        let (namespace, annotations) = (meta.namespace.clone(), meta.annotations.clone());
        let asked = object.spec.selector.clone();
        let wanted = asked.as_ref().and_then(|asked| asked.match_labels.clone()).unwrap_or_default();
        let by = asked.and_then(|asked| LabelSelector::try_from(asked).ok());
        let selector = by.as_ref().and_then(|by| Selector::new(&by.to_string()).ok());
        let by = by.filter(|_| selector.is_some());
        let selects_others = by.is_some_and(|by| self.alike.has_others(&namespace, &by, &wanted, &sets));
        let object = Rc::new(object);
        let owners = self.cluster.statuses(sets.iter(), &mut |kind, wanted| {
            let replica_set = || replica_sets.get(&wanted.uid).cloned();
            Ok(if kind == WorkloadKind::ReplicaSet { replica_set() } else { Some(Rc::clone(&object)) })
        })?;
        let workload = Workload { pods, owners };
        Ok(Some(OwnedWorkload { namespace, owner, annotations, selector, selects_others, workload }))
    }

    /// What controls the pods of a workload: its replica sets that have any, or itself.
    fn sets_of(&self, kind: WorkloadKind, owner: &Controller, replica_sets: &ReplicaSets) -> Vec<Controller> {
        if kind == WorkloadKind::StatefulSet {
            return vec![owner.clone()];
        }
        let of_pods = |uid: &String| self.pods.get(uid)?.first()?.pod.controller.clone();
        let mut sets: Vec<Controller> = replica_sets.keys().filter_map(of_pods).collect();
        sets.sort();
        sets
    }
}

fn listing(resource: &str, namespace: Option<&str>) -> String {
    format!("listing the {resource} of {}", place(namespace))
}

fn place(namespace: Option<&str>) -> String {
    namespace.map_or_else(|| "the cluster".to_owned(), |name| format!("namespace {name}"))
}
