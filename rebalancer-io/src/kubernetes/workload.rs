//! One workload of a cluster: an observer can only look at it; an evictor can also change it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::Timestamp;
use rebalancer_core::{
    ApiFailure, Budget, Claim, ClaimFate, ClaimRequest, Controller, Cure, EvictionRequest, Fact, FailureKind,
    LivePod, Presence, Target, Workload,
};

use super::alike::Labels;
use super::claims;
use super::cluster::{Cluster, ClusterError};
use super::pods::{self, ListedPod, PodsError};
use super::requests::Effect;
use super::selector::Selector;
use super::volumes::IsLocal;
use crate::driver::{Act, Look};

/// Looks at one workload and asks the server what it would do; it cannot evict.
pub struct Observer<'a> {
    cluster: &'a Cluster,
    selector: Selector,
    /// Labels of the most recently listed pods, by pod name.
    labels: BTreeMap<String, Rc<Labels>>,
    /// Which claims lie on a node, by name; kept, because a volume does not move.
    places: BTreeMap<String, IsLocal>,
}

/// Looks at one workload, claims it and evicts its pods. Code that must not evict takes an [`Observer`].
pub struct Evictor<'a> {
    observer: Observer<'a>,
    why: String,
    /// Identifies the claims of this evictor.
    run_id: String,
}

impl Cluster {
    /// A view of the workload that `selector` selects.
    pub const fn observer(&self, selector: Selector) -> Observer<'_> {
        Observer { cluster: self, selector, labels: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// The same view, which can also evict. `why` is shown to people in the claim.
    pub fn evictor(&self, selector: Selector, why: &str) -> Evictor<'_> {
        Evictor { observer: self.observer(selector), why: why.to_owned(), run_id: claims::run_id() }
    }
}

impl Observer<'_> {
    /// The pods of `workload` that were replaced as a cure, as far as the cluster still shows.
    pub fn cures(&self, workload: &Workload) -> Fact<Vec<Cure>> {
        self.cluster.cures(workload)
    }

    /// Lists the workload's pods and the status of their owners.
    ///
    /// # Errors
    /// What was being done, where, and the server's answer.
    pub fn workload(&mut self) -> Result<Workload, ClusterError> {
        let of = format!("the pods {} of namespace {}", self.selector.as_str(), self.cluster.namespace());
        let listed =
            self.list_pods().map_err(|failure| self.cluster.error(format!("listing {of}"), failure))?;
        let cluster = self.cluster;
        self.with_owners(listed)
            .map_err(|failure| cluster.error(format!("reading the owners of {of}"), failure))
    }

    /// Lists the pods, and finds which of their data is on the node. Keeps only what is needed of each page: a rotation
    /// compares two lists of a workload, which may be large.
    fn list_pods(&mut self) -> Result<Vec<LivePod>, ApiFailure> {
        let path = format!("/api/v1/namespaces/{}/pods", self.cluster.namespace());
        let now = Timestamp::now();
        let mut listed: Vec<LivePod> = Vec::new();
        let mut known: BTreeSet<Rc<Labels>> = BTreeSet::new();
        self.labels.clear();
        self.cluster.list(&path, Some(&self.selector), |page| {
            let page = pods::listed(page, now)?;
            listed.reserve_exact(page.len());
            for ListedPod { pod, labels, .. } in page {
                // The replicas of a Deployment all have the same.
                let labels = known.get(&labels).cloned().unwrap_or_else(|| Rc::new(labels));
                known.insert(Rc::clone(&labels));
                if self.labels.insert(pod.name.clone(), labels).is_some() {
                    return Err(PodsError::duplicate(&pod.name).into());
                }
                listed.push(pod);
            }
            Ok(())
        })?;
        self.cluster.locate_claims(&mut listed.iter_mut().collect::<Vec<&mut LivePod>>(), &mut self.places);
        Ok(listed)
    }

    fn with_owners(&self, pods: Vec<LivePod>) -> Result<Workload, ApiFailure> {
        let controllers: BTreeSet<&Controller> =
            pods.iter().filter_map(|pod| pod.controller.as_ref()).collect();
        let owners = self.cluster.owner_statuses(&controllers)?;
        Ok(Workload { pods, owners })
    }

    /// Checks whether this workload could be claimed: finds its claims, and tries the next one in a dry run.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    pub fn try_claim(&self, workload: &Controller) -> Result<(), ApiFailure> {
        let claims = self.cluster.claims(workload)?;
        let newest = claims.iter().map(|claim| claim.generation).max().unwrap_or(0);
        let request = ClaimRequest {
            workload: workload.clone(),
            generation: newest.saturating_add(1),
            targets: Vec::new(),
            valid_for: Duration::ZERO,
        };
        self.cluster.claim(&request, "a try", &claims::run_id(), Effect::DryRun).map(drop)
    }
}

impl Look for Observer<'_> {
    fn list_workload(&mut self) -> Result<Workload, ApiFailure> {
        let listed = self.list_pods()?;
        self.with_owners(listed)
    }

    fn list_budgets(&mut self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure> {
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

impl Act for Evictor<'_> {
    fn looking(&mut self) -> &mut dyn Look {
        &mut self.observer
    }

    fn claim(&mut self, request: &ClaimRequest) -> Result<ClaimFate, ApiFailure> {
        self.observer.cluster.claim(request, &self.why, &self.run_id, Effect::Real)
    }

    fn evict(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure> {
        self.observer.cluster.end_pod(request, Effect::Real)
    }
}
