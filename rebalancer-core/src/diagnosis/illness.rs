//! What can be wrong with a pod that is itself the cause, and findings that no replacement cures.

use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnosis::behind::FallingBehind;
use crate::diagnosis::standing::{StandingPartition, Witness};
use crate::diagnosis::unclear::Unclear;

/// A pod is sick when it spends more than this many times the others' CPU per message. In simulation this
/// found every sick pod, with a false alarm in 4 % of healthy groups of twelve when only one instant is
/// known.
pub(crate) const SICK_RATIO: f64 = 1.6;

/// A pod with much lag has stalled when it reads less than this share of what the others read. (A hot
/// partition would make it read more, not less.)
pub(crate) const STALLED_SHARE: f64 = 0.5;

/// A pod that is itself the cause.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct IllPod {
    /// Its position among the analysed pods.
    pub position: usize,
    /// What is wrong with it.
    pub illness: Illness,
    /// How long the illness is known to have lasted; `None` without history.
    pub lasted: Option<Duration>,
}

/// What is wrong with a pod; the ratio is the smallest over the stretches judged.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Illness {
    /// It spends far more CPU on a message than the others.
    Sick {
        /// Its CPU per message divided by the median of the others, above 1.6.
        ratio: f64,
    },
    /// It reads far less than the others though messages wait for it.
    Stalled {
        /// Its message rate divided by the median of the others, below 0.5; `None` if unknown.
        share: Option<f64>,
        /// How many partitions stand or are assigned to it, if known.
        partitions: Option<usize>,
        /// The standing partition with the largest backlog, if offsets are known.
        standing: Option<StandingPartition>,
    },
    /// One of its partitions stands while the others move.
    Stuck(StandingPartition),
}

/// The pods that are themselves the cause, and other findings from the partitions' past.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct IllPods {
    /// The ill pods. First those with standing partitions, largest backlog first; then silent ones; then sick
    /// ones, or if there are none, those that have stalled judging by their lag.
    pub pods: Vec<IllPod>,
    /// The largest lasting ratio of CPU per message of any candidate, at most 1.6 if none is sick. `None`
    /// unless CPU and message rate of three pods are known.
    pub worst_ratio: Option<f64>,
    /// Standing partitions that no restart helps, largest backlog first.
    pub poisoned: Vec<(StandingPartition, Witness)>,
    /// Partitions that fall behind while the pod's other partitions keep up, largest backlog first.
    pub behind: Vec<FallingBehind>,
    /// Standing partitions for which it is unknown whether a restart helps.
    pub unclear: Vec<(StandingPartition, Unclear)>,
    /// No partition of the group moves although messages arrive.
    pub nobody_reads: bool,
    /// The offsets are no longer reported, or do not change although pods read.
    pub offsets_are_old: bool,
}

impl IllPods {
    /// The first of the ill pods.
    pub fn worst(&self) -> Option<&IllPod> {
        self.pods.first()
    }

    /// Whether the offsets explain why the pod `name` reads little, or leave open whether a restart helps: nobody
    /// reads, a record stops one of its partitions, or one of them stands and is not called stuck.
    pub(super) fn explains_stall(&self, name: &str) -> bool {
        let poisoned = self.poisoned.iter().map(|(standing, _)| standing);
        let unclear = self.unclear.iter().map(|(standing, _)| standing);
        let is_of_pod = |standing: &StandingPartition| standing.pod.as_deref() == Some(name);
        self.nobody_reads || poisoned.chain(unclear).any(is_of_pod)
    }
}
