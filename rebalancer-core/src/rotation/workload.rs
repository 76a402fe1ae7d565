//! The workload as a whole, and the part of it that a plan remembers.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::input::live_pod::{Controller, LivePod, Phase};

/// The workload at one moment: every pod of the selector, and what its owners say of themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Workload {
    /// All pods the selector finds, ended ones included.
    pub pods: Vec<LivePod>,
    /// One entry for each controller of those pods.
    pub owners: Vec<OwnerStatus>,
}

impl Workload {
    /// The pods that are still part of the workload. An ended pod (Succeeded, or Failed after the
    /// node was short of memory) does no work and its controller no longer counts it.
    pub fn living(&self) -> impl Iterator<Item = &LivePod> {
        self.pods.iter().filter(|pod| !matches!(pod.phase, Phase::Succeeded | Phase::Failed))
    }

    /// The status of the controller of `pod`.
    pub(crate) fn owner_of(&self, pod: &LivePod) -> Option<&OwnerStatus> {
        let controller: &Controller = pod.controller.as_ref()?;
        self.owners.iter().find(|owner| owner.controller.uid == controller.uid)
    }

    /// The living pods whose owner at the top has this UID.
    pub(crate) fn under(&self, top_uid: &str) -> impl Iterator<Item = &LivePod> {
        self.living().filter(move |pod| self.owner_of(pod).is_some_and(|owner| owner.top.uid == top_uid))
    }

    /// Time since the pod template last changed, where an owner tells it.
    pub fn rollout_age(&self) -> Option<Duration> {
        self.owners.iter().filter_map(|owner| owner.rollout_ago).min()
    }
}

/// What the owner of pods says of itself.
///
/// `None` means that its kind has no such fact, which is not held against it. Where the kind has
/// the field, an absent count is 0: the API leaves zeros out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct OwnerStatus {
    /// The controller of the pods themselves, such as the `ReplicaSet`.
    pub controller: Controller,
    /// The object at the top: the `Deployment` or other owner above a `ReplicaSet`, else the
    /// controller itself. What follows is its own where its kind is understood.
    pub top: Controller,
    /// Version of the top object's specification (`metadata.generation`).
    pub generation: Option<i64>,
    /// Version its controller has seen (`status.observedGeneration`).
    pub observed_generation: Option<i64>,
    /// Pods asked for (`spec.replicas`).
    pub desired_replicas: Option<u32>,
    /// Pods that exist (`status.replicas`).
    pub current_replicas: Option<u32>,
    /// Pods of the newest specification (`status.updatedReplicas`).
    pub updated_replicas: Option<u32>,
    /// Revision of a `StatefulSet`'s pods (`status.currentRevision`), or the one that a `Rollout`
    /// holds for good (`status.stableRS`).
    pub current_revision: Option<String>,
    /// Revision they are being updated to (`status.updateRevision`, `status.currentPodHash`).
    pub update_revision: Option<String>,
    /// Number of pods of a `StatefulSet` that stay at the current revision
    /// (`spec.updateStrategy.rollingUpdate.partition`).
    #[cfg_attr(feature = "serde", serde(default))]
    pub partition: u32,
    /// Pods of the `StatefulSet` are updated only when somebody deletes them
    /// (`spec.updateStrategy.type: OnDelete`).
    #[cfg_attr(feature = "serde", serde(default))]
    pub on_delete: bool,
    /// Whoever runs this program said that pods of this controller, or of the owner above it, may
    /// be evicted though it is not one of those known to replace them.
    #[cfg_attr(feature = "serde", serde(default))]
    pub named: bool,
    /// Time since another number of pods was asked for, where that was after the window of the
    /// metrics began: they tell of a workload of another size then.
    #[cfg_attr(feature = "serde", serde(default))]
    pub resized_ago: Option<Duration>,
    /// Time since the pod template last changed: the age of the `ReplicaSet`, which is made for each
    /// template anew. Of no other kind is it known.
    #[cfg_attr(feature = "serde", serde(default))]
    pub rollout_ago: Option<Duration>,
}

impl OwnerStatus {
    /// An owner that says nothing of itself, such as one of a custom kind.
    pub const fn silent(controller: Controller, top: Controller) -> Self {
        Self {
            controller,
            top,
            generation: None,
            observed_generation: None,
            desired_replicas: None,
            current_replicas: None,
            updated_replicas: None,
            current_revision: None,
            update_revision: None,
            partition: 0,
            on_delete: false,
            named: false,
            resized_ago: None,
            rollout_ago: None,
        }
    }

    /// Whether it says nothing by which a rollout could be seen.
    pub const fn is_silent(&self) -> bool {
        self.generation.is_none() && self.updated_replicas.is_none() && self.update_revision.is_none()
    }
}

/// What a plan remembers of the workload it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct PlannedWorkload {
    /// UID of every living pod by its name.
    pub uids: BTreeMap<String, String>,
    /// UID of the controller of every living pod, by the pod's name.
    pub controllers: BTreeMap<String, String>,
    /// Pods asked for, by the UID of the owner at the top.
    pub desired_replicas: BTreeMap<String, u32>,
}

impl PlannedWorkload {
    /// What a plan has to remember of `workload`.
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
