//! The workload as a whole, and the part that a plan remembers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::input::live_pod::{Controller, LivePod, Phase};

/// The workload at one moment: every pod of the selector, and the status of their owners.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Workload {
    /// All pods that the selector matches, including ended ones.
    pub pods: Vec<LivePod>,
    /// One entry for each controller of those pods.
    pub owners: Vec<OwnerStatus>,
}

impl Workload {
    /// The pods that are still part of the workload. An ended pod (Succeeded, or Failed after node pressure)
    /// does no work, and its controller no longer counts it.
    pub fn living(&self) -> impl Iterator<Item = &LivePod> {
        self.pods.iter().filter(|pod| !matches!(pod.phase, Phase::Succeeded | Phase::Failed))
    }

    /// The status of the controller of `pod`.
    pub(crate) fn owner_of(&self, pod: &LivePod) -> Option<&OwnerStatus> {
        let controller: &Controller = pod.controller.as_ref()?;
        self.owners.iter().find(|owner| owner.controller.uid == controller.uid)
    }

    /// The living pods whose top owner has this UID.
    pub(crate) fn under(&self, top_uid: &str) -> impl Iterator<Item = &LivePod> {
        self.living().filter(move |pod| self.owner_of(pod).is_some_and(|owner| owner.top.uid == top_uid))
    }

    /// Time since the pod template last changed, if an owner shows it.
    pub fn rollout_age(&self) -> Option<Duration> {
        self.owners.iter().filter_map(|owner| owner.rollout_ago).min()
    }
}

/// The status of the owner of pods.
///
/// `None` means that its kind has no such field, which is no objection. If the kind has the field, an absent
/// count is 0: the API omits zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OwnerStatus {
    /// The direct controller of the pods, such as the `ReplicaSet`.
    pub controller: Controller,
    /// The object at the top: the `Deployment` or other owner of a `ReplicaSet`, else the controller itself.
    /// The following fields are its own if its kind is understood.
    pub top: Controller,
    /// Version of the top object's specification (`metadata.generation`).
    pub generation: Option<i64>,
    /// Version its controller has seen (`status.observedGeneration`).
    pub observed_generation: Option<i64>,
    /// Desired pods (`spec.replicas`).
    pub desired_replicas: Option<u32>,
    /// Existing pods (`status.replicas`).
    pub current_replicas: Option<u32>,
    /// Pods of the newest specification (`status.updatedReplicas`).
    pub updated_replicas: Option<u32>,
    /// Revision of a `StatefulSet`'s pods (`status.currentRevision`), or the stable one of a `Rollout`
    /// (`status.stableRS`).
    pub current_revision: Option<String>,
    /// Revision they are updated to (`status.updateRevision`, `status.currentPodHash`).
    pub update_revision: Option<String>,
    /// Number of a `StatefulSet`'s pods that stay at the current revision
    /// (`spec.updateStrategy.rollingUpdate.partition`).
    #[cfg_attr(feature = "serde", serde(default))]
    pub partition: u32,
    /// Whether the `StatefulSet` updates pods only when they are deleted
    /// (`spec.updateStrategy.type: OnDelete`).
    #[cfg_attr(feature = "serde", serde(default))]
    pub on_delete: bool,
    /// Whether the user allowed evicting pods of this controller, or of its owner, by name although its kind
    /// is not known to replace them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub named: bool,
    /// What the annotation `pod-rebalancer/paused` says on the object at the top, else on the controller;
    /// `None` where it is absent or "false".
    pub paused: Option<String>,
    /// Time since the desired number of pods changed; `None` if that was before the window of the metrics
    /// began. If after, the metrics are of a workload of another size.
    pub resized_ago: Option<Duration>,
    /// Time since the pod template last changed: the age of the `ReplicaSet`, since each template gets a new
    /// one. Unknown for other kinds.
    pub rollout_ago: Option<Duration>,
}

impl OwnerStatus {
    /// An owner without any status, such as one of a custom kind.
    pub fn silent(controller: Controller, top: Controller) -> Self {
        Self { controller, top, ..Self::default() }
    }

    /// Whether nothing in it could show a rollout.
    pub const fn is_silent(&self) -> bool {
        self.generation.is_none() && self.updated_replicas.is_none() && self.update_revision.is_none()
    }
}

/// What a plan remembers of the workload it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PlannedWorkload {
    /// UID of every living pod by its name.
    pub uids: BTreeMap<String, String>,
    /// UID of the controller of every living pod, by the pod's name.
    pub controllers: BTreeMap<String, String>,
    /// Desired pods, by the UID of the top owner.
    pub desired_replicas: BTreeMap<String, u32>,
}

impl PlannedWorkload {
    /// The part of `workload` that a plan must remember.
    pub fn of(workload: &Workload) -> Self {
        let controller_uid = |pod: &LivePod| pod.controller.as_ref().map(|controller| controller.uid.clone());
        Self {
            uids: workload.living().map(|pod| (pod.name.clone(), pod.uid.clone())).collect(),
            controllers: workload
                .living()
                .filter_map(|pod| Some((pod.name.clone(), controller_uid(pod)?)))
                .collect(),
            desired_replicas: workload
                .owners
                .iter()
                .filter_map(|owner| Some((owner.top.uid.clone(), owner.desired_replicas?)))
                .collect(),
        }
    }
}
