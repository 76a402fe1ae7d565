//! What speaks against acting on a workload now: it is in motion, or not the one planned for.

use super::plan::RotationOptions;
use super::rollout::{Progress, of_several_revisions, progress};
use super::workload::{OwnerStatus, PlannedWorkload, Workload};
use crate::rotation::eligibility::joined;
use crate::{Controller, LivePod};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// One reason to leave a workload alone now.
///
/// Declared, and reported, in the order of how much they explain: a rollout before the pods it
/// replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Disturbance {
    /// The owner's newest specification has not been acted on, or not on all pods.
    Rollout {
        /// Kind and name of the owner.
        owner: String,
    },
    /// Pods of one owner are of different revisions: a rollout, whatever the owner says of it.
    RevisionsDiffer {
        /// Kind and name of the owner.
        owner: String,
        /// The revisions, sorted.
        revisions: Vec<String>,
    },
    /// The owner keeps pods of two revisions side by side, and the targets are not of one.
    Partitioned {
        /// Kind and name of the owner.
        owner: String,
    },
    /// The owner asks for another number of pods than when planned.
    DesiredChanged {
        /// Kind and name of the owner.
        owner: String,
        /// Pods asked for now; `None` when it no longer says.
        now: Option<u32>,
    },
    /// The owner came to ask for another number of pods after the window of the metrics began.
    Resized {
        /// Kind and name of the owner.
        owner: String,
        /// How long ago, in seconds.
        ago_s: u64,
    },
    /// The pods of the selector have more than one controller.
    ControllersDiffer {
        /// Kinds and names, sorted.
        controllers: Vec<String>,
    },
    /// A pod has another controller than when planned.
    ControllerChanged {
        /// The pod.
        pod: String,
    },
    /// Nothing is known of a controller, so a rollout could not be seen.
    OwnerUnknown {
        /// Kind and name.
        controller: String,
    },
    /// A pod is being terminated.
    PodTerminating {
        /// The pod.
        pod: String,
    },
    /// A pod of the plan has been replaced by another of its name.
    PodReplaced {
        /// The pod.
        pod: String,
    },
    /// A pod of the plan no longer lives.
    PodGone {
        /// The pod.
        pod: String,
    },
    /// A pod is newer than the plan.
    PodNew {
        /// The pod.
        pod: String,
    },
    /// The owner asks for another number of pods than there are.
    ReplicasDiffer {
        /// Kind and name of the owner.
        owner: String,
        /// Pods asked for.
        desired: u32,
        /// Pods the owner counts, or pods listed.
        found: u32,
    },
    /// An evicted pod has no replacement yet.
    ReplacementMissing {
        /// Living pods when planned.
        planned: usize,
        /// Living pods now.
        found: usize,
    },
    /// A pod is not Ready.
    PodNotReady {
        /// The pod.
        pod: String,
    },
    /// Fewer pods are Ready than required.
    TooFewReady {
        /// Ready pods that are not terminating.
        ready: usize,
        /// The number required.
        required: usize,
    },
}

/// Lists all that speaks against acting on `workload` by itself, whatever the plan.
///
/// Every living pod has to be Ready and none terminating; at least `min_pods` have to be Ready;
/// the pods have one controller (unless several are allowed) whose owner is known, has finished
/// its rollout, asks for exactly the pods there are, and has done so since the window of the
/// metrics began.
pub fn disturbances(workload: &Workload, options: &RotationOptions) -> Vec<Disturbance> {
    let mut found: Vec<Disturbance> = Vec::new();
    for pod in workload.living() {
        if pod.terminating {
            found.push(Disturbance::PodTerminating { pod: pod.name.clone() });
        } else if !pod.ready {
            found.push(Disturbance::PodNotReady { pod: pod.name.clone() });
        }
    }
    let ready: usize = workload.living().filter(|pod| pod.ready && !pod.terminating).count();
    if ready < options.min_pods {
        found.push(Disturbance::TooFewReady { ready, required: options.min_pods });
    }
    found.extend(of_controllers(workload, options));
    found.extend(of_owners(workload));
    found.extend(of_several_revisions(workload));
    found.sort();
    found
}

/// Lists how `workload` differs from the one a plan was made from.
pub fn changes_since(planned: &PlannedWorkload, workload: &Workload) -> Vec<Disturbance> {
    let now: BTreeMap<&str, &LivePod> = workload.living().map(|pod| (pod.name.as_str(), pod)).collect();
    let mut found: Vec<Disturbance> = Vec::new();
    for (name, uid) in &planned.uids {
        match now.get(name.as_str()) {
            None => found.push(Disturbance::PodGone { pod: name.clone() }),
            Some(pod) if pod.uid != *uid => {
                found.push(Disturbance::PodReplaced { pod: name.clone() });
            }
            Some(pod) if pod.controller.as_ref().map(|owner| &owner.uid) != planned.controllers.get(name) => {
                found.push(Disturbance::ControllerChanged { pod: name.clone() });
            }
            Some(_) => {}
        }
    }
    let new = now.keys().filter(|name| !planned.uids.contains_key(**name));
    found.extend(new.map(|name| Disturbance::PodNew { pod: (*name).into() }));
    found.extend(desired_changes(planned, workload));
    found
}

/// The owners that now ask for another number of pods than when the plan was made.
fn desired_changes(planned: &PlannedWorkload, workload: &Workload) -> Vec<Disturbance> {
    workload
        .owners
        .iter()
        .filter(|owner| planned.desired_replicas.get(&owner.top.uid).copied() != owner.desired_replicas)
        .map(|owner| Disturbance::DesiredChanged { owner: owner.top.title(), now: owner.desired_replicas })
        .collect()
}

fn of_controllers(workload: &Workload, options: &RotationOptions) -> Vec<Disturbance> {
    let controllers: BTreeSet<&Controller> =
        workload.living().filter_map(|pod| pod.controller.as_ref()).collect();
    let mut found: Vec<Disturbance> = Vec::new();
    if controllers.len() > 1 && !options.allow_many_controllers {
        let controllers: Vec<String> = controllers.iter().map(|controller| controller.title()).collect();
        found.push(Disturbance::ControllersDiffer { controllers });
    }
    let known =
        |controller: &Controller| workload.owners.iter().any(|owner| owner.controller.uid == controller.uid);
    let unknown = controllers.iter().filter(|controller| !known(controller));
    found.extend(unknown.map(|controller| Disturbance::OwnerUnknown { controller: controller.title() }));
    found
}

/// Rollouts and replica counts; several controllers may share one owner at the top.
fn of_owners(workload: &Workload) -> Vec<Disturbance> {
    let tops: BTreeMap<&str, &OwnerStatus> =
        workload.owners.iter().map(|owner| (owner.top.uid.as_str(), owner)).collect();
    let mut found: Vec<Disturbance> = Vec::new();
    for (uid, owner) in tops {
        if progress(owner, workload) == Progress::UnderWay {
            found.push(Disturbance::Rollout { owner: owner.top.title() });
        }
        if let Some(ago) = owner.resized_ago {
            found.push(Disturbance::Resized { owner: owner.top.title(), ago_s: ago.as_secs() });
        }
        let Some(desired) = owner.desired_replicas else {
            continue;
        };
        let listed: u32 = u32::try_from(workload.under(uid).count()).unwrap_or(u32::MAX);
        let counts = [owner.current_replicas.unwrap_or(desired), listed];
        if let Some(count) = counts.into_iter().find(|count| *count != desired) {
            found.push(Disturbance::ReplicasDiffer { owner: owner.top.title(), desired, found: count });
        }
    }
    found
}

impl Disturbance {
    /// The stable name of this reason in reports and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::PodNotReady { .. } => "pod_not_ready",
            Self::PodTerminating { .. } => "pod_terminating",
            Self::TooFewReady { .. } => "too_few_ready",
            Self::ControllersDiffer { .. } => "controllers_differ",
            Self::OwnerUnknown { .. } => "owner_unknown",
            Self::Rollout { .. } => "rollout",
            Self::RevisionsDiffer { .. } => "revisions_differ",
            Self::Partitioned { .. } => "partitioned",
            Self::ReplicasDiffer { .. } => "replicas_differ",
            Self::Resized { .. } => "resized",
            Self::PodGone { .. } => "pod_gone",
            Self::PodReplaced { .. } => "pod_replaced",
            Self::PodNew { .. } => "pod_new",
            Self::ReplacementMissing { .. } => "replacement_missing",
            Self::ControllerChanged { .. } => "controller_changed",
            Self::DesiredChanged { .. } => "desired_changed",
        }
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PodNotReady { pod } => write!(f, "pod {pod} is not Ready"),
            Self::PodTerminating { pod } => write!(f, "pod {pod} is being terminated"),
            Self::TooFewReady { ready, required } => {
                write!(f, "{ready} pods are Ready, {required} are required")
            }
            Self::ControllersDiffer { controllers } => write!(
                f,
                "the selector finds pods of {} controllers ({}); narrow it, or allow several",
                controllers.len(),
                controllers.join(", ")
            ),
            Self::OwnerUnknown { controller } => {
                write!(f, "nothing is known of {controller}, so a rollout could not be seen")
            }
            Self::Rollout { owner } => write!(f, "{owner} is in a rollout"),
            Self::RevisionsDiffer { owner, revisions } => write!(
                f,
                "pods of {owner} are of {} revisions ({}), as in a rollout",
                revisions.len(),
                joined(revisions)
            ),
            Self::Partitioned { owner } => {
                write!(f, "{owner} is partitioned, and the pods to rotate are of different revisions")
            }
            Self::ReplicasDiffer { owner, desired, found } => {
                write!(f, "{owner} asks for {desired} pods and there are {found}")
            }
            Self::Resized { owner, ago_s } => {
                write!(f, "{owner} was resized {ago_s} s ago, within the window of the metrics")
            }
            Self::PodGone { pod } => write!(f, "pod {pod} is gone since the plan"),
            Self::PodReplaced { pod } => write!(f, "pod {pod} was replaced since the plan"),
            Self::PodNew { pod } => write!(f, "pod {pod} is newer than the plan"),
            Self::ReplacementMissing { planned, found } => {
                write!(f, "{found} pods live, {planned} did before the eviction")
            }
            Self::ControllerChanged { pod } => {
                write!(f, "pod {pod} has another controller than in the plan")
            }
            Self::DesiredChanged { owner, now: Some(now) } => {
                write!(f, "{owner} asks for another number of pods than in the plan, now {now}")
            }
            Self::DesiredChanged { owner, now: None } => {
                write!(f, "{owner} no longer says how many pods it asks for")
            }
        }
    }
}
