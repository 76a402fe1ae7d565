//! Reasons not to act on a workload now: it is changing, or it is not the one planned for.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::wording::joined;

/// The annotation that pauses a workload.
pub const PAUSED: &str = "pod-rebalancer/paused";

/// Most characters of an annotation that are quoted: a sentence.
const QUOTED: usize = 120;

/// One reason to leave a workload alone for now.
///
/// Declared and reported in order of how much they explain: a rollout comes before the pods it replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Disturbance {
    /// Somebody asked to leave the workload alone, by an annotation of its owner.
    Paused {
        /// Kind and name of the owner.
        owner: String,
        /// What the annotation says.
        words: String,
    },
    /// The owner's newest specification has not been applied, or not to all pods.
    Rollout {
        /// Kind and name of the owner.
        owner: String,
    },
    /// Pods of one owner have different revisions: a rollout, whatever the owner reports.
    RevisionsDiffer {
        /// Kind and name of the owner.
        owner: String,
        /// The revisions, sorted.
        revisions: Vec<String>,
    },
    /// The owner keeps pods of two revisions side by side, and the targets differ in revision.
    Partitioned {
        /// Kind and name of the owner.
        owner: String,
    },
    /// The owner's desired number of pods has changed since the plan was made.
    DesiredChanged {
        /// Kind and name of the owner.
        owner: String,
        /// Desired pods now; `None` if it no longer says.
        now: Option<u32>,
    },
    /// The owner's desired number of pods changed after the window of the metrics began.
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
    /// Nothing is known about a controller, so a rollout could not be seen.
    OwnerUnknown {
        /// Kind and name.
        controller: String,
    },
    /// A pod is being terminated.
    PodTerminating {
        /// The pod.
        pod: String,
    },
    /// A pod of the plan has been replaced by another one with the same name.
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
    /// The owner wants another number of pods than there are.
    ReplicasDiffer {
        /// Kind and name of the owner.
        owner: String,
        /// Desired pods.
        desired: u32,
        /// Pods counted by the owner, or pods listed.
        found: u32,
    },
    /// An evicted pod has no replacement yet.
    ReplacementMissing {
        /// Living pods when the plan was made.
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

impl Disturbance {
    /// The stable name of this reason in reports and metrics.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Paused { .. } => "paused",
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
            Self::Paused { owner, words } => {
                write!(f, "{owner} is paused by its annotation {PAUSED}={:?}", quoted(words))
            }
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

/// The beginning of a text of somebody else.
fn quoted(words: &str) -> String {
    let short: String = words.chars().take(QUOTED).collect();
    if short.len() < words.len() { short + "…" } else { short }
}
