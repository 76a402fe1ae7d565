//! All Deployments and stateful sets of some namespaces, by lists: nothing is asked about one of them alone.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, mem};

use jiff::Timestamp;
use kube::core::{Request, Selector as LabelSelector};
use rebalancer_core::{ApiFailure, Controller, FailureKind, LivePod, OwnerStatus, Phase, Workload};

use super::alike::{Alike, Listed};
use super::cluster::{Cluster, ClusterError};
use super::fields::Identified;
use super::owners::{Kind, MAX_CONTROLLERS, Object, path};
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
    /// The claims of persistent volumes, by pod.
    claims: BTreeMap<String, Vec<String>>,
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
        match namespace {
            Some(namespace) => write!(f, "{resource} of namespace {namespace} cannot be listed: {failure}"),
            None => write!(f, "{resource} of the cluster cannot be listed: {failure}"),
        }
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

/// The replica sets of each Deployment, both by their UIDs.
type ReplicaSets = BTreeMap<String, BTreeMap<String, Object>>;

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
        let scopes: Vec<Option<&str>> = match namespaces {
            Namespaces::Named(names) => names.iter().map(|name| Some(name.as_str())).collect(),
            Namespaces::All => vec![None],
        };
        for scope in scopes {
            self.add_workloads(scope, selector, &mut found, told)?;
        }
        if *namespaces == Namespaces::All && found.unlisted.iter().any(|of| of.resource == "pods") {
            found = Found::default();
            for name in self.namespaces()? {
                self.add_workloads(Some(&name), selector, &mut found, told)?;
            }
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

    fn add_workloads(
        &self,
        namespace: Option<&str>,
        selector: Option<&Selector>,
        found: &mut Found,
        told: &mut dyn FnMut(&str, usize),
    ) -> Result<(), ClusterError> {
        let Some((pods, alike)) =
            self.allowed(namespace, "pods", found, || self.pods_by_owner(namespace, selector, told))?
        else {
            return Ok(());
        };
        let (replica_sets, selected) = (BTreeMap::new(), selector.is_some());
        let mut owned = Owned { cluster: self, pods, alike, replica_sets, selected };
        let mut has_sets = true;
        for kind in [Kind::ReplicaSet, Kind::Deployment, Kind::StatefulSet] {
            if kind == Kind::Deployment && !has_sets {
                // No Deployment is known to own a pod then.
                continue;
            }
            let read = || self.add_objects(namespace, kind, &mut owned, told);
            let listed = self.allowed(namespace, kind.plural(), found, read)?;
            has_sets &= listed.is_some() || kind != Kind::ReplicaSet;
            found.workloads.extend(listed.unwrap_or_default());
        }
        Ok(())
    }

    /// What `read` gives; `None` where the rights for it are lacking, which is noted.
    fn allowed<T>(
        &self,
        namespace: Option<&str>,
        resource: &str,
        found: &mut Found,
        read: impl FnOnce() -> Result<T, ApiFailure>,
    ) -> Result<Option<T>, ClusterError> {
        match read() {
            Ok(value) => Ok(Some(value)),
            Err(failure) if failure.kind == FailureKind::Forbidden => {
                let (namespace, resource) = (namespace.map(str::to_owned), resource.to_owned());
                found.unlisted.push(Unlisted { namespace, resource, failure });
                Ok(None)
            }
            Err(failure) => Err(self.error(listing(resource, namespace), failure)),
        }
    }

    /// The pods of replica sets and stateful sets, and what controls the pods with the same labels.
    fn pods_by_owner(
        &self,
        namespace: Option<&str>,
        selector: Option<&Selector>,
        told: &mut dyn FnMut(&str, usize),
    ) -> Result<(Pods, Alike), ApiFailure> {
        let now = Timestamp::now();
        let (mut found, mut alike, mut count) = (Pods::new(), Listed::default(), 0);
        self.list(&path("/api/v1", namespace, "pods"), selector, |page| {
            let page = pods::listed(page, now)?;
            count += page.len();
            for mut listed in page {
                let (namespace, labels) = (mem::take(&mut listed.namespace), mem::take(&mut listed.labels));
                let controller = listed.pod.controller.as_ref();
                if !matches!(listed.pod.phase, Phase::Succeeded | Phase::Failed) {
                    alike.add(namespace, labels, controller);
                }
                let known = controller
                    .filter(|owner| owner.is("apps", "ReplicaSet") || owner.is("apps", "StatefulSet"));
                if let Some(uid) = known.map(|owner| owner.uid.clone()) {
                    found.entry(uid).or_default().push(listed);
                }
            }
            told("pods", count);
            Ok(())
        })?;
        Ok((found, alike.finished()))
    }

    /// Reads all objects of a kind. A replica set is remembered, the others are workloads.
    fn add_objects(
        &self,
        namespace: Option<&str>,
        kind: Kind,
        owned: &mut Owned<'_>,
        told: &mut dyn FnMut(&str, usize),
    ) -> Result<Vec<OwnedWorkload>, ApiFailure> {
        let path = kind.path(namespace);
        let (mut workloads, mut count) = (Vec::new(), 0);
        let take = |page: Vec<Object>| {
            count += page.len();
            for object in page {
                workloads.extend(owned.take(kind, object));
            }
            told(kind.plural(), count);
            Ok(())
        };
        match kind {
            Kind::ReplicaSet => self.read_pages(&path, None, Request::list_metadata, take)?,
            _ => self.list(&path, None, take)?,
        }
        Ok(workloads)
    }

    /// Finds out which volumes of the pods of these workloads lie on their nodes, by one list of claims for each
    /// namespace where pods have any.
    pub fn locate_volumes<'w>(&self, workloads: impl Iterator<Item = &'w mut OwnedWorkload>) {
        let mut by_namespace: BTreeMap<String, Vec<&mut OwnedWorkload>> = BTreeMap::new();
        for workload in workloads {
            by_namespace.entry(workload.namespace.clone()).or_default().push(workload);
        }
        for (namespace, workloads) in by_namespace {
            let claims = workloads.iter().flat_map(|workload| workload.claims.values().flatten());
            let claims: BTreeSet<String> = claims.cloned().collect();
            let places = if claims.is_empty() {
                BTreeMap::new()
            } else {
                self.in_namespace(namespace).places_of(&claims)
            };
            for OwnedWorkload { workload, claims, .. } in workloads {
                for pod in &mut workload.pods {
                    self.add_local_claims(pod, claims, &places);
                }
            }
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
        // Where their volumes are is known now.
        self.claims.clear();
        Ok(())
    }

    /// What workloads are sorted by.
    fn key(&self) -> (&str, &str, &str) {
        (&self.namespace, &self.owner.kind, &self.owner.name)
    }
}

/// What is known of the pods while the lists of their owners are read.
struct Owned<'a> {
    cluster: &'a Cluster,
    pods: Pods,
    alike: Alike,
    replica_sets: ReplicaSets,
    /// Whether the pods were selected, so that a workload without any is none that was asked for.
    selected: bool,
}

impl Owned<'_> {
    fn take(&mut self, kind: Kind, mut object: Object) -> Option<OwnedWorkload> {
        let above = object.metadata.take_controller();
        if kind == Kind::ReplicaSet {
            let above = above.filter(|above| above.is("apps", "Deployment"))?;
            if self.pods.contains_key(&object.metadata.uid) {
                let own = self.replica_sets.entry(above.uid).or_default();
                own.insert(object.metadata.uid.clone(), object);
            }
            return None;
        }
        let owner = Controller {
            group: Some("apps".to_owned()),
            kind: kind.name().to_owned(),
            name: object.metadata.name.clone(),
            uid: object.metadata.uid.clone(),
        };
        let sets = self.sets_of(kind, &owner);
        let listed: Vec<ListedPod> =
            sets.iter().filter_map(|set| self.pods.remove(&set.uid)).flatten().collect();
        if self.selected && listed.is_empty() {
            return None;
        }
        let namespace = object.metadata.namespace.clone();
        let asked = object.take_selector();
        let wanted = asked.as_ref().and_then(|asked| asked.match_labels.clone()).unwrap_or_default();
        let by = asked.and_then(|asked| LabelSelector::try_from(asked).ok());
        let selector = by.as_ref().and_then(|by| Selector::new(&by.to_string()).ok());
        let by = by.filter(|_| selector.is_some());
        let selects_others = by.is_some_and(|by| self.alike.has_others(&namespace, &by, &wanted, &sets));
        let annotations = mem::take(&mut object.metadata.annotations);
        let owners = self.statuses(kind, object, &owner, &sets);
        let mut claims: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut pods: Vec<LivePod> = Vec::with_capacity(listed.len());
        for ListedPod { pod, claims: own, .. } in listed {
            if !own.is_empty() {
                claims.insert(pod.name.clone(), own);
            }
            pods.push(pod);
        }
        pods.sort_by(|one, other| one.name.cmp(&other.name));
        Some(OwnedWorkload {
            namespace,
            owner,
            annotations,
            selector,
            selects_others,
            workload: Workload { pods, owners },
            claims,
        })
    }

    /// What controls the pods of a workload: its replica sets that have any, or itself.
    fn sets_of(&self, kind: Kind, owner: &Controller) -> Vec<Controller> {
        if kind == Kind::StatefulSet {
            return vec![owner.clone()];
        }
        let own = self.replica_sets.get(&owner.uid).into_iter().flat_map(BTreeMap::keys);
        let mut sets: Vec<Controller> =
            own.filter_map(|uid| self.pods.get(uid)?.first()?.pod.controller.clone()).collect();
        sets.sort();
        sets
    }

    /// What each of `sets` tells of a rollout, as for one workload.
    fn statuses(
        &self,
        kind: Kind,
        object: Object,
        owner: &Controller,
        sets: &[Controller],
    ) -> Vec<OwnerStatus> {
        let (rollout_ago, resized_ago) = self.cluster.changes(kind, &object.metadata);
        let facts = object.facts(kind, owner, owner);
        let replica_sets = self.replica_sets.get(&owner.uid);
        let status = |set: &Controller| {
            let replica_set = replica_sets.and_then(|own| Some(&own.get(&set.uid)?.metadata));
            let (rollout_ago, resized_ago) = replica_set
                .map_or((rollout_ago, resized_ago), |meta| self.cluster.changes(Kind::ReplicaSet, meta));
            let paused = facts.paused.clone().or_else(|| replica_set?.paused());
            let named = self.cluster.allows(set) || self.cluster.allows(owner);
            OwnerStatus { controller: set.clone(), paused, resized_ago, rollout_ago, named, ..facts.clone() }
        };
        sets.iter().take(MAX_CONTROLLERS).map(status).collect()
    }
}

fn listing(resource: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("listing the {resource} of namespace {namespace}"),
        None => format!("listing the {resource} of the cluster"),
    }
}
