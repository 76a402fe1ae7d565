//! The pods that are themselves the cause, and findings that no replacement cures.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnosis::behind::FallingBehind;
use crate::diagnosis::cause::{Cause, Stands};
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
    /// What is wrong with it: it is sick, it has stalled, or one of its partitions is stuck. A ratio is the smallest, and a
    /// share the largest, over the stretches judged.
    pub cause: Cause,
    /// How long the illness is known to have lasted; `None` without history.
    pub lasted: Option<Duration>,
    /// Time since its standing partition last moved on under another pod after a stand, as it does after a cure.
    pub cured_ago: Option<Duration>,
}

/// A standing partition, with everything known about it.
#[derive(Debug, Clone, PartialEq)]
pub struct StandingPartition {
    /// Which, where, and for how long.
    pub stands: Stands,
    /// The part of that time since the present owner got it or last started.
    pub lasted: Duration,
    /// The pod that owns it.
    pub pod: Option<String>,
    /// Time since it last moved on under another pod after a stand, as it does after a cure.
    pub cured_ago: Option<Duration>,
    /// How many of the pod's other partitions with messages move.
    pub moving: usize,
    /// How many other partitions with messages the pod has.
    pub others: usize,
}

/// Who else stood at the same offset, which proves that no restart helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Witness {
    /// A pod that owned it before.
    #[error("pod {0}, which had it before, stood there too")]
    Pod(String),
    /// An earlier pod whose name is not known.
    #[error("it stood there before its pod was made")]
    EarlierPod,
    /// The same pod, before its containers restarted.
    #[error("it stood there before the containers of its pod started again")]
    EarlierStart,
    /// A second group.
    #[error("group {0} stands there too")]
    Group(String),
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

/// A pod that spends `ratio` times the CPU of the others on a message.
pub(super) fn sick(pod: &str, ratio: f64) -> Cause {
    Cause::SickPod { pod: pod.to_string(), ratio, limit: SICK_RATIO }
}

/// A pod that reads only `share` of what the others read, judged by its load alone.
pub(super) fn slow(pod: &str, share: f64) -> Cause {
    stalled(pod, Some(share), None, None)
}

/// A pod that reads less than this `share` of the others, or nothing; with how many partitions, and the standing one of them
/// with the largest backlog, as far as they are known.
pub(super) fn stalled(
    pod: &str,
    share: Option<f64>,
    partitions: Option<usize>,
    standing: Option<Stands>,
) -> Cause {
    let standing = standing.map(Box::new);
    Cause::StalledPod { pod: pod.to_string(), share, limit: STALLED_SHARE, partitions, standing }
}

pub(super) fn poison(standing: &StandingPartition, witness: &Witness) -> Cause {
    Cause::PoisonRecord {
        pod: standing.pod.clone(),
        standing: Box::new(standing.stands.clone()),
        evidence: witness.to_string(),
    }
}
