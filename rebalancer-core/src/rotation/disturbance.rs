//! Reasons not to act on a workload now: it is changing, or it is not the one planned for.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::wording::joined;

/// The annotation that pauses a workload.
pub const PAUSED: &str = "pod-rebalancer/paused";

/// Most characters of an annotation that are quoted: a sentence.
const QUOTED: usize = 120;

/// One reason to leave a workload alone for now. An owner or a controller is named by its kind and its name.
///
/// Declared and reported in order of how much they explain: a rollout comes before the pods it replaced.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, strum::IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Disturbance {
    /// Somebody asked to leave the workload alone, by an annotation of its owner.
    #[error("{owner} is paused by its annotation {PAUSED}={:?}", quoted(words))]
    Paused {
        /// The owner.
        owner: String,
        /// What the annotation says.
        words: String,
    },
    /// This owner's newest specification has not been applied, or not to all pods.
    #[error("{0} is in a rollout")]
    Rollout(String),
    /// Pods of one owner have different revisions: a rollout, whatever the owner reports.
    #[error("pods of {owner} are of {} revisions ({}), as in a rollout", revisions.len(), joined(revisions))]
    RevisionsDiffer {
        /// The owner.
        owner: String,
        /// The revisions, sorted.
        revisions: Vec<String>,
    },
    /// This owner keeps pods of two revisions side by side, and the targets differ in revision.
    #[error("{0} is partitioned, and the pods to rotate are of different revisions")]
    Partitioned(String),
    /// The owner's desired number of pods has changed since the plan was made.
    #[error("{}", desired_changed(owner, *now))]
    DesiredChanged {
        /// The owner.
        owner: String,
        /// Desired pods now; `None` if it no longer says.
        now: Option<u32>,
    },
    /// The owner's desired number of pods changed after the window of the metrics began.
    #[error("{owner} was resized {ago_s} s ago, within the window of the metrics")]
    Resized {
        /// The owner.
        owner: String,
        /// How long ago, in seconds.
        ago_s: u64,
    },
    /// The pods of the selector have these controllers, sorted, instead of one.
    #[error(
        "the selector finds pods of {} controllers ({}); narrow it, or allow several", .0.len(), .0.join(", ")
    )]
    ControllersDiffer(Vec<String>),
    /// This pod has another controller than when planned.
    #[error("pod {0} has another controller than in the plan")]
    ControllerChanged(String),
    /// Nothing is known about this controller, so a rollout could not be seen.
    #[error("nothing is known of {0}, so a rollout could not be seen")]
    OwnerUnknown(String),
    /// This pod is being terminated.
    #[error("pod {0} is being terminated")]
    PodTerminating(String),
    /// This pod of the plan has been replaced by another one with the same name.
    #[error("pod {0} was replaced since the plan")]
    PodReplaced(String),
    /// This pod of the plan no longer lives.
    #[error("pod {0} is gone since the plan")]
    PodGone(String),
    /// This pod is newer than the plan.
    #[error("pod {0} is newer than the plan")]
    PodNew(String),
    /// The owner wants another number of pods than there are.
    #[error("{owner} asks for {desired} pods and there are {found}")]
    ReplicasDiffer {
        /// The owner.
        owner: String,
        /// Desired pods.
        desired: u32,
        /// Pods counted by the owner, or pods listed.
        found: u32,
    },
    /// An evicted pod has no replacement yet.
    #[error("{found} pods live, {planned} did before the eviction")]
    ReplacementMissing {
        /// Living pods when the plan was made.
        planned: usize,
        /// Living pods now.
        found: usize,
    },
    /// This pod is not Ready.
    #[error("pod {0} is not Ready")]
    PodNotReady(String),
    /// Fewer pods are Ready than required.
    #[error("{ready} pods are Ready, {required} are required")]
    TooFewReady {
        /// Ready pods that are not terminating.
        ready: usize,
        /// The number required.
        required: usize,
    },
}

impl Disturbance {
    /// The stable name of this reason in reports and metrics.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}

fn desired_changed(owner: &str, now: Option<u32>) -> String {
    match now {
        Some(now) => format!("{owner} asks for another number of pods than in the plan, now {now}"),
        None => format!("{owner} no longer says how many pods it asks for"),
    }
}

/// The beginning of a text of somebody else.
fn quoted(words: &str) -> String {
    let short: String = words.chars().take(QUOTED).collect();
    if short.len() < words.len() { short + "…" } else { short }
}
