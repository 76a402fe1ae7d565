//! The workload in a cluster: listed, inspected, and, by the one type that can, evicted from.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use rebalancer_core::{
    ApiFailure, Budget, Claim, ClaimFate, ClaimRequest, Controller, EvictionRequest, FailureKind, LivePod,
    Presence, Protection, Target, Workload,
};

use super::budgets::Labels;
use super::cluster::{Cluster, ClusterError};
use super::evict::Effect;
use super::pods::{self, ListedPod, PodList};
use super::selector::Selector;
use crate::driver::{Act, Look};

/// Looks at one workload and asks the server what it would do; it cannot evict.
pub struct Observer<'a> {
    cluster: &'a Cluster,
    selector: Selector,
    /// Of the pods listed last, by name.
    labels: BTreeMap<String, Rc<Labels>>,
}

/// Evicts pods of one workload. Whoever must not evict must not be handed one.
pub struct Evictor<'a> {
    observer: Observer<'a>,
    why: String,
}

impl Cluster {
    /// A view of the workload that `selector` selects.
    pub const fn observer(&self, selector: Selector) -> Observer<'_> {
        Observer { cluster: self, selector, labels: BTreeMap::new() }
    }

    /// The same, with the power to evict. The claim on the workload tells those who read it `why`.
    pub fn evictor(&self, selector: Selector, why: &str) -> Evictor<'_> {
        Evictor { observer: self.observer(selector), why: why.to_owned() }
    }
}

impl Observer<'_> {
    /// Lists the pods of the workload and what their owners say, now.
    ///
    /// # Errors
    /// What was being done, where, and how the server answered.
    pub fn workload(&mut self) -> Result<Workload, ClusterError> {
        let of = format!("the pods {} of namespace {}", self.selector.as_str(), self.cluster.namespace());
        let listed =
            self.list_pods().map_err(|failure| self.cluster.error(format!("listing {of}"), failure))?;
        let cluster = self.cluster;
        self.with_owners(listed)
            .map_err(|failure| cluster.error(format!("reading the owners of {of}"), failure))
    }

    /// Keeps of each page what is needed and no more: two lists of a large workload are held at once
    /// while a rotation compares them.
    fn list_pods(&mut self) -> Result<Vec<LivePod>, ApiFailure> {
        let path = format!("/api/v1/namespaces/{}/pods", self.cluster.namespace());
        let now = Timestamp::now();
        let unreadable =
            |error: pods::PodsError| ApiFailure::new(FailureKind::UnreadableAnswer, error.to_string());
        let mut listed: Vec<LivePod> = Vec::new();
        let mut known: BTreeSet<Rc<Labels>> = BTreeSet::new();
        self.labels.clear();
        self.cluster.list(&path, Some(&self.selector), |page: PodList| {
            let page = page.into_pods(now).map_err(unreadable)?;
            listed.reserve_exact(page.len());
            for ListedPod { mut pod, labels } in page {
                let labels = shared(&mut known, labels);
                if self.labels.insert(pod.name.clone(), labels).is_some() {
                    return Err(unreadable(pods::PodsError::Duplicate(pod.name)));
                }
                if self.cluster.refuses_local_storage() && !pod.local_storage.is_empty() {
                    pod.protections.push(Protection::LocalStorage);
                }
                listed.push(pod);
            }
            Ok(())
        })?;
        Ok(listed)
    }

    fn with_owners(&self, pods: Vec<LivePod>) -> Result<Workload, ApiFailure> {
        let controllers: BTreeSet<&Controller> =
            pods.iter().filter_map(|pod| pod.controller.as_ref()).collect();
        let owners = self.cluster.owner_statuses(&controllers)?;
        Ok(Workload { pods, owners })
    }

    /// Asks whether this workload could be claimed: finds its claims, and tries the next one without
    /// writing it down.
    ///
    /// # Errors
    /// As the server answers.
    pub fn try_claim(&self, workload: &Controller) -> Result<(), ApiFailure> {
        let claims = self.cluster.claims(workload)?;
        let newest = claims.iter().map(|claim| claim.generation).max().unwrap_or(0);
        let request = ClaimRequest {
            workload: workload.clone(),
            generation: newest.saturating_add(1),
            targets: Vec::new(),
            valid_for: Duration::ZERO,
        };
        self.cluster.claim(&request, "a try", Effect::DryRun).map(drop)
    }

    fn budgets_of(&self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure> {
        let mut pods: Vec<(&str, &Labels)> = Vec::new();
        for target in targets {
            let Some(labels) = self.labels.get(&target.name) else {
                let message = format!("pod {} was not in the list of the workload", target.name);
                return Err(ApiFailure::new(FailureKind::TargetGone, message));
            };
            pods.push((&target.name, labels));
        }
        self.cluster.budgets(&pods)
    }
}

impl Look for Observer<'_> {
    fn list_workload(&mut self) -> Result<Workload, ApiFailure> {
        let listed = self.list_pods()?;
        self.with_owners(listed)
    }

    fn list_budgets(&mut self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure> {
        self.budgets_of(targets)
    }

    fn preflight(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure> {
        self.cluster.end_pod(request, Effect::DryRun)
    }

    fn find_claims(&mut self, workload: &Controller) -> Result<Vec<Claim>, ApiFailure> {
        self.cluster.claims(workload)
    }

    fn look_up(&mut self, target: &Target) -> Result<Presence, ApiFailure> {
        self.cluster.look_up(target)
    }
}

/// The same labels as a pod before had, where one had: the replicas of a Deployment all do.
fn shared(known: &mut BTreeSet<Rc<Labels>>, labels: Labels) -> Rc<Labels> {
    if let Some(same) = known.get(&labels) {
        return Rc::clone(same);
    }
    let labels = Rc::new(labels);
    known.insert(Rc::clone(&labels));
    labels
}

impl Look for Evictor<'_> {
    fn list_workload(&mut self) -> Result<Workload, ApiFailure> {
        self.observer.list_workload()
    }

    fn list_budgets(&mut self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure> {
        self.observer.list_budgets(targets)
    }

    fn preflight(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure> {
        self.observer.preflight(request)
    }

    fn find_claims(&mut self, workload: &Controller) -> Result<Vec<Claim>, ApiFailure> {
        self.observer.find_claims(workload)
    }

    fn look_up(&mut self, target: &Target) -> Result<Presence, ApiFailure> {
        self.observer.look_up(target)
    }
}

impl Act for Evictor<'_> {
    fn claim(&mut self, request: &ClaimRequest) -> Result<ClaimFate, ApiFailure> {
        self.observer.cluster.claim(request, &self.why, Effect::Real)
    }

    fn evict(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure> {
        self.observer.cluster.end_pod(request, Effect::Real)
    }
}
