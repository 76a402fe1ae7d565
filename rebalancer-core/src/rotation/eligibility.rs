//! Which pods may be evicted. Lists every objection to a pod, not only the first.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::input::live_pod::{Controller, LivePod, LocalVolume, Phase, Protection};
use crate::rotation::workload::OwnerStatus;
use crate::wording::joined;

/// Lists all reasons why `pod`, whose controller is one of `owners`, may not be evicted; empty if it may.
///
/// A pod that has worked for less than `warm_up` is too young; an unknown age counts as old enough. A controller that is not among `owners` is known only by its kind.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{LivePod, objections};
///
/// let found = objections(&LivePod::assumed("orders-0"), &[], Duration::ZERO);
/// let codes: Vec<&str> = found.iter().map(|objection| objection.code()).collect();
/// assert_eq!(codes, ["no_controller", "no_uid"]);
/// ```
pub fn objections(pod: &LivePod, owners: &[OwnerStatus], warm_up: Duration) -> Vec<Objection> {
    let mut found: Vec<Objection> = Vec::new();
    if pod.phase != Phase::Running {
        found.push(Objection::NotRunning(pod.phase));
    }
    if !pod.ready {
        found.push(Objection::NotReady);
    }
    if pod.terminating {
        found.push(Objection::Terminating);
    }
    match &pod.controller {
        None => found.push(Objection::NoController),
        Some(controller) => found.extend(against_controller(controller, owners)),
    }
    found.extend(pod.protections.iter().map(|protection| match protection {
        Protection::LocalStorage => Objection::LocalStorage(pod.local_storage.clone()),
        other => Objection::Protected(other.clone()),
    }));
    if let Some(warm_for) = pod.warm_for().filter(|warm_for| *warm_for < warm_up) {
        found.push(Objection::TooYoung { warm_for, warm_up });
    }
    if pod.uid.is_empty() {
        found.push(Objection::NoUid);
    }
    found
}

/// Whether the controller reliably replaces an evicted pod elsewhere without losing work.
///
/// Pods of a `ReplicaSet` (alone, or under a `Deployment` or an Argo `Rollout`), a `StatefulSet` or a
/// `ReplicationController` may be evicted; those of other controllers only if these are allowed by name;
/// those of some kinds never, whatever their group.
fn against_controller(controller: &Controller, owners: &[OwnerStatus]) -> Option<Objection> {
    let owner = controller.title();
    match controller.kind.as_str() {
        "DaemonSet" | "Node" => return Some(Objection::NotRecreated(owner)),
        "Job" | "CronJob" | "Pod" => return Some(Objection::WorkLost(owner)),
        _ => {}
    }
    if controller.is("apps", "Deployment") {
        return Some(Objection::NoReplica(owner));
    }
    let status: Option<&OwnerStatus> = owners.iter().find(|status| status.controller.uid == controller.uid);
    if status.is_some_and(|status| status.named) {
        return None;
    }
    let top: &Controller = status.map_or(controller, |status| &status.top);
    let replaces: bool = match (controller.is("apps", "ReplicaSet"), top.uid == controller.uid) {
        (true, true) => true,
        (true, false) => top.is("apps", "Deployment") || top.is("argoproj.io", "Rollout"),
        (false, _) => controller.is("apps", "StatefulSet") || controller.is("", "ReplicationController"),
    };
    let blamed: &Controller = if controller.is("apps", "ReplicaSet") { top } else { controller };
    (!replaces).then(|| Objection::UnknownController { owner: blamed.title(), kind: blamed.full_kind() })
}

/// A pod that may not be evicted, with all reasons.
///
/// It prints like "pod a may not be evicted: it is not Ready; has no known UID ...".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod {pod} may not be evicted: it {}", joined(objections))]
pub struct IneligiblePod {
    /// Name of the pod.
    pub pod: String,
    /// All reasons; never empty.
    pub objections: Vec<Objection>,
}

impl IneligiblePod {
    /// Judges `pod`, whose controller is one of `owners`; `None` means that it may be evicted.
    pub fn judge(pod: &LivePod, owners: &[OwnerStatus], warm_up: Duration) -> Option<Self> {
        let objections: Vec<Objection> = objections(pod, owners, warm_up);
        (!objections.is_empty()).then(|| Self { pod: pod.name.clone(), objections })
    }
}

/// One reason why a pod may not be evicted. A controller is named by its kind and its name.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Objection {
    /// It is in this phase, which is not Running.
    #[error("is {0:?}, not Running")]
    NotRunning(Phase),
    /// It is not Ready.
    #[error("is not Ready")]
    NotReady,
    /// Its deletion was already requested.
    #[error("is being terminated already")]
    Terminating,
    /// No controller owns it, so nothing would recreate it.
    #[error("has no controller that would recreate it")]
    NoController,
    /// This controller would recreate it on the same node.
    #[error("is owned by {0}, which would not recreate it elsewhere")]
    NotRecreated(String),
    /// This controller waits for the pod's work to finish.
    #[error("is owned by {0}, which waits for its work: that would be lost or fail")]
    WorkLost(String),
    /// This `Deployment` owns it without a `ReplicaSet` in between: something else created it.
    #[error("is owned by {0} directly, so it is not one of the replicas of its owner")]
    NoReplica(String),
    /// Its controller is not known to replace lost pods, and nobody allowed it by name.
    #[error("is owned by {owner}, and {kind} is not among the controllers that are allowed")]
    UnknownController {
        /// The controller.
        owner: String,
        /// The kind with its group.
        kind: String,
    },
    /// Some of its data is on its node, in these volumes, and such pods are to be left alone.
    #[error("{}", storage_words(.0))]
    LocalStorage(Vec<LocalVolume>),
    /// It is protected in another way.
    #[error(transparent)]
    #[strum(transparent)]
    Protected(Protection),
    /// It has worked for less than the warm-up.
    #[error("works for {} s only, less than the warm-up of {} s", warm_for.as_secs(), warm_up.as_secs())]
    TooYoung {
        /// Time since it started to work.
        warm_for: Duration,
        /// The time required.
        warm_up: Duration,
    },
    /// Its UID is unknown, so an eviction could hit another pod with the same name.
    #[error("has no known UID, so another pod of its name could be hit")]
    NoUid,
}

impl Objection {
    /// The stable name of this reason in reports and metrics.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}

/// What evicting a pod means for these volumes, in words that follow its name.
pub fn storage_words(volumes: &[LocalVolume]) -> String {
    let (mut lost, mut bound, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for volume in volumes {
        match volume {
            LocalVolume::EmptyDir { .. } | LocalVolume::HostPath { .. } => lost.push(volume),
            LocalVolume::LocalClaim { .. } => bound.push(volume),
            LocalVolume::UnknownClaim { .. } => unknown.push(volume),
        }
    }
    let parts = [
        ("has local storage that would be lost", lost),
        ("keeps data on its node, the only one that its replacement can run on", bound),
        ("may keep data on its node", unknown),
    ];
    let said = parts.iter().filter(|(_, volumes)| !volumes.is_empty());
    let said: Vec<String> = said.map(|(words, volumes)| format!("{words}: {}", joined(volumes))).collect();
    said.join("; it ")
}
