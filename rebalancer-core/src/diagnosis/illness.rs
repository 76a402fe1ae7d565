//! What can be wrong with a pod that is itself the cause, and what no replacement of a pod cures.

use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnosis::behind::FallingBehind;
use crate::diagnosis::standing::{StandingPartition, Witness};
use crate::diagnosis::unclear::Unclear;

/// A pod is sick when it spends more than this many times the CPU per message of the others. Found
/// every sick pod in simulation, with a false alarm in 4 % of healthy groups of twelve when only one
/// instant is known.
pub(crate) const SICK_RATIO: f64 = 1.6;

/// A pod with the most lag has stalled when it reads less than this share of what the others read: a hot
/// partition would make it read more, not less.
pub(crate) const STALLED_SHARE: f64 = 0.5;

/// A pod that is itself the cause.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct IllPod {
    /// Its position among the analysed pods.
    pub position: usize,
    /// What is wrong with it.
    pub illness: Illness,
    /// How long that is known to have lasted; `None` where no history tells.
    pub lasted: Option<Duration>,
}

/// What is wrong with a pod, with the smallest ratio over the stretches judged.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Illness {
    /// It spends far more CPU on a message than the others.
    Sick {
        /// Its CPU per message over the median of the others, above 1.6.
        ratio: f64,
    },
    /// It reads far less than the others though messages wait for it.
    Stalled {
        /// Its message rate over the median of the others, below 0.5; `None` where the rate is not known.
        share: Option<f64>,
        /// Partitions that stand or are assigned to it, where that is known.
        partitions: Option<usize>,
        /// Of its partitions that stand, the one with most backlog, where offsets are known.
        standing: Option<StandingPartition>,
    },
    /// One of its partitions stands, the others move.
    Stuck(StandingPartition),
}

/// The pods that are themselves the cause, and what else the past of the partitions shows.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct IllPods {
    /// The worst first: stalled ones and those with a stuck partition as their offsets show, then sick ones,
    /// or where there are none of those, ones that have stalled by their lag.
    pub pods: Vec<IllPod>,
    /// The largest ratio of CPU per message that any candidate lastingly has: at most 1.6 where none is
    /// sick. `None` where CPU and message rate of three pods are not known.
    pub worst_ratio: Option<f64>,
    /// Partitions that stand and that no restart helps, most backlog first.
    pub poisoned: Vec<(StandingPartition, Witness)>,
    /// Partitions that fall behind while the pod's others keep up, most backlog first.
    pub behind: Vec<FallingBehind>,
    /// Partitions that stand, of which it cannot be told whether a restart helps.
    pub unclear: Vec<(StandingPartition, Unclear)>,
    /// No partition of the group moves although messages arrive.
    pub nobody_reads: bool,
    /// The offsets are no longer told, or do not change though pods read.
    pub offsets_are_old: bool,
}

impl IllPods {
    /// The worst of them.
    pub fn worst(&self) -> Option<&IllPod> {
        self.pods.first()
    }

    /// Whether a record stops a partition of the pod called `name`, so that its stall is not its own.
    pub(super) fn is_poisoned(&self, name: &str) -> bool {
        self.poisoned.iter().any(|(standing, _)| standing.pod.as_deref() == Some(name))
    }
}
