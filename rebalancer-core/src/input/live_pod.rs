//! Live pods: the pods of the workload as the cluster lists them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

/// Position of a pod among the live pods. Not its position among the analysed pods, which are fewer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct LiveIndex(pub usize);

/// One pod that exists now.
///
/// Ages are durations at the time of the list, because this crate reads no clock. An unknown age counts as
/// old enough, so that a recording without pod facts can be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LivePod {
    /// Name of the pod.
    pub name: String,
    /// Identity of this object; a replacement with the same name has another UID. Empty if unknown (a replay
    /// without pod facts); such a pod can never be evicted.
    pub uid: String,
    /// Its phase.
    pub phase: Phase,
    /// Whether the condition `Ready` is true.
    pub ready: bool,
    /// Whether deletion was requested; the pod still looks Running and Ready until it is gone.
    pub terminating: bool,
    /// Time since the object was created.
    pub age: Option<Duration>,
    /// Time since its most recently started container started. A container restart does not
    /// change [`LivePod::age`].
    pub uptime: Option<Duration>,
    /// The controller that owns the pod and would recreate it.
    pub controller: Option<Controller>,
    /// Everything found that forbids or discourages evicting this pod.
    #[cfg_attr(feature = "serde", serde(default))]
    pub protections: Vec<Protection>,
    /// Name of the node it runs on, for display only.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub node: Option<String>,
    /// The version of the controller's template it was made from, according to its labels
    /// (`controller-revision-hash`, `pod-template-hash`); `None` without these labels.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub revision: Option<String>,
    /// Its volumes whose data is on its node, and those for which that is unknown.
    #[cfg_attr(feature = "serde", serde(default, skip_serializing_if = "Vec::is_empty"))]
    pub local_storage: Vec<LocalVolume>,
    /// Its own addresses, by which the members of a consumer group are found in their pods; not that of its node, which
    /// other pods have too. Not recorded.
    #[cfg_attr(feature = "serde", serde(skip))]
    pub ips: Vec<IpAddr>,
}

impl LivePod {
    /// A Running, Ready pod of unknown age: what a replay assumes without pod facts.
    pub fn assumed(name: impl Into<String>) -> Self {
        Self { name: name.into(), phase: Phase::Running, ready: true, ..Self::default() }
    }

    /// Time since the pod last started to work: the smaller of its age and its uptime.
    pub fn warm_for(&self) -> Option<Duration> {
        match (self.age, self.uptime) {
            (Some(age), Some(uptime)) => Some(age.min(uptime)),
            (known, None) | (None, known) => known,
        }
    }
}

/// Phase of a pod, as in its status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum Phase {
    /// Accepted, not all containers started.
    Pending,
    /// Bound to a node, at least one container runs.
    Running,
    /// All containers ended successfully and will not restart.
    Succeeded,
    /// All containers ended, at least one in failure.
    Failed,
    /// The node does not report. A phase of another name is taken for this.
    #[default]
    #[cfg_attr(feature = "serde", serde(other))]
    Unknown,
}

/// The controller of a pod (the owner reference with `controller: true`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Controller {
    /// API group of the kind, such as `apps`; empty for the core group, `None` if it was not recorded.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub group: Option<String>,
    /// Kind, such as `ReplicaSet` or `StatefulSet`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// Identity of the object.
    pub uid: String,
}

impl Controller {
    /// Whether it is of this kind and group. A group that was not recorded matches any group.
    pub fn is(&self, group: &str, kind: &str) -> bool {
        self.kind == kind && self.group.as_deref().is_none_or(|own| own == group)
    }

    /// Its kind with the group, such as `CloneSet.apps.kruise.io`; the core group is left out.
    pub fn full_kind(&self) -> String {
        match self.group.as_deref() {
            None | Some("") => self.kind.clone(),
            Some(group) => format!("{}.{group}", self.kind),
        }
    }

    /// Its kind and name, such as `StatefulSet orders`.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }
}

/// A volume whose data is, or may be, on the node of its pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LocalVolume {
    /// An `emptyDir` on disk; deleted with the pod.
    #[error("emptyDir {volume}")]
    EmptyDir {
        /// Name of the volume.
        volume: String,
    },
    /// A directory of the node.
    #[error("hostPath {volume}")]
    HostPath {
        /// Name of the volume.
        volume: String,
    },
    /// A persistent volume that only its node can use: the data stays, and its next user has to run there.
    #[error("claim {claim}")]
    LocalClaim {
        /// Name of the claim.
        claim: String,
    },
    /// A persistent volume that may or may not be local.
    #[error("claim {claim}{}{why}", if .why.is_empty() { "" } else { ", " })]
    UnknownClaim {
        /// Name of the claim.
        claim: String,
        /// Why that is unknown; empty where nobody looked.
        why: String,
    },
}

impl LocalVolume {
    /// Whether the volume is known to be local.
    pub const fn is_known(&self) -> bool {
        !matches!(self, Self::UnknownClaim { .. })
    }
}

/// A property of the pod that forbids evicting it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Protection {
    /// Created by a node from a file: deleting it does not restart it elsewhere.
    #[error("is a mirror pod, run by its node from a file")]
    MirrorPod,
    /// Priority class `system-cluster-critical` or `system-node-critical`.
    #[error("has the system's priority class {class}")]
    SystemCritical {
        /// The class.
        class: String,
    },
    /// An annotation by which the pod's owner asks tools to leave it alone.
    #[error("opts out by its annotation {annotation}={value}")]
    OptOut {
        /// Name of the annotation.
        annotation: String,
        /// Its value.
        value: String,
    },
    /// It has [`LivePod::local_storage`], and such pods are to be left alone.
    #[error("has local storage")]
    LocalStorage,
}
