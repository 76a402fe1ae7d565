//! Which pods may be evicted. Lists every objection to a pod, not only the first.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
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
        found.push(Objection::NotRunning { phase: pod.phase });
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
    found.extend(pod.protections.iter().map(|protection| Objection::from_protection(protection, pod)));
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
        "DaemonSet" | "Node" => return Some(Objection::NotRecreated { owner }),
        "Job" | "CronJob" | "Pod" => return Some(Objection::WorkLost { owner }),
        _ => {}
    }
    if controller.is("apps", "Deployment") {
        return Some(Objection::NoReplica { owner });
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl fmt::Display for IneligiblePod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pod {} may not be evicted: it {}", self.pod, joined(&self.objections))
    }
}

/// One reason why a pod may not be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Objection {
    /// Its phase is not Running.
    NotRunning {
        /// The phase it is in.
        phase: Phase,
    },
    /// It is not Ready.
    NotReady,
    /// Its deletion was already requested.
    Terminating,
    /// No controller owns it, so nothing would recreate it.
    NoController,
    /// Its controller would recreate it on the same node.
    NotRecreated {
        /// Kind and name of the controller.
        owner: String,
    },
    /// Its controller waits for this pod's work to finish.
    WorkLost {
        /// Kind and name of the controller.
        owner: String,
    },
    /// A `Deployment` owns it without a `ReplicaSet` in between: something else created it.
    NoReplica {
        /// Kind and name of the controller.
        owner: String,
    },
    /// Its controller is not known to replace lost pods, and nobody allowed it by name.
    UnknownController {
        /// Kind and name of the controller.
        owner: String,
        /// The kind with its group.
        kind: String,
    },
    /// Some of its data is on its node, and such pods are to be left alone.
    LocalStorage {
        /// The volumes.
        volumes: Vec<LocalVolume>,
    },
    /// A node runs it from a file.
    MirrorPod,
    /// It has a system priority class.
    SystemCritical {
        /// The class.
        class: String,
    },
    /// It has worked for less than the warm-up.
    TooYoung {
        /// Time since it started to work.
        warm_for: Duration,
        /// The time required.
        warm_up: Duration,
    },
    /// An annotation asks tools to leave it alone.
    OptOut {
        /// Name of the annotation.
        annotation: String,
        /// Its value.
        value: String,
    },
    /// Its UID is unknown, so an eviction could hit another pod with the same name.
    NoUid,
}

impl Objection {
    fn from_protection(protection: &Protection, pod: &LivePod) -> Self {
        match protection {
            Protection::MirrorPod => Self::MirrorPod,
            Protection::SystemCritical { class } => Self::SystemCritical { class: class.clone() },
            Protection::OptOut { annotation, value } => {
                Self::OptOut { annotation: annotation.clone(), value: value.clone() }
            }
            Protection::LocalStorage => Self::LocalStorage { volumes: pod.local_storage.clone() },
        }
    }

    /// The stable name of this reason in reports and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotRunning { .. } => "not_running",
            Self::NotReady => "not_ready",
            Self::Terminating => "terminating",
            Self::NoController => "no_controller",
            Self::NotRecreated { .. } => "not_recreated",
            Self::WorkLost { .. } => "work_lost",
            Self::NoReplica { .. } => "no_replica",
            Self::UnknownController { .. } => "unknown_controller",
            Self::LocalStorage { .. } => "local_storage",
            Self::MirrorPod => "mirror_pod",
            Self::SystemCritical { .. } => "system_critical",
            Self::TooYoung { .. } => "too_young",
            Self::OptOut { .. } => "opt_out",
            Self::NoUid => "no_uid",
        }
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRunning { phase } => write!(f, "is {phase:?}, not Running"),
            Self::NotReady => f.write_str("is not Ready"),
            Self::Terminating => f.write_str("is being terminated already"),
            Self::NoController => f.write_str("has no controller that would recreate it"),
            Self::NotRecreated { owner } => {
                write!(f, "is owned by {owner}, which would not recreate it elsewhere")
            }
            Self::WorkLost { owner } => {
                write!(f, "is owned by {owner}, which waits for its work: that would be lost or fail")
            }
            Self::NoReplica { owner } => {
                write!(f, "is owned by {owner} directly, so it is not one of the replicas of its owner")
            }
            Self::UnknownController { owner, kind } => {
                write!(f, "is owned by {owner}, and {kind} is not among the controllers that are allowed")
            }
            Self::LocalStorage { volumes } => f.write_str(&storage_words(volumes)),
            Self::MirrorPod => f.write_str("is a mirror pod, run by its node from a file"),
            Self::SystemCritical { class } => write!(f, "has the system's priority class {class}"),
            Self::TooYoung { warm_for, warm_up } => write!(
                f,
                "works for {} s only, less than the warm-up of {} s",
                warm_for.as_secs(),
                warm_up.as_secs()
            ),
            Self::OptOut { annotation, value } => {
                write!(f, "opts out by its annotation {annotation}={value}")
            }
            Self::NoUid => f.write_str("has no known UID, so another pod of its name could be hit"),
        }
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
