//! Why it is unknown whether a standing partition is stuck, and what would show it.

use core::time::Duration;

use crate::wording::lasting;

/// Why a partition that does not move is not called stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unclear {
    /// Its offsets are no longer reported.
    #[error("its offsets are no longer told: look at the exporter, and whether the partition has a leader")]
    Stale,
    /// Too many steps have no committed offset.
    #[error("its committed offset is told too rarely")]
    Gaps,
    /// An offset went back.
    #[error("an offset went back within the last hour: offsets were reset, or the topic made anew")]
    WentBack,
    /// The committed offset is past the end.
    #[error("the committed offset is past the end: the topic was made anew, or cut")]
    PastTheEnd,
    /// Messages were deleted before they were read.
    #[error(
        "retention has deleted messages that it has not read: a new consumer starts by auto.offset.reset"
    )]
    Overtaken,
    /// Two sources report different offsets.
    #[error("two exporters tell different offsets of it")]
    Disputed,
    /// The group is in a rebalance.
    #[error("the group is in a rebalance")]
    Rebalance,
    /// It has no known owner, or two.
    #[error("which pod reads it is not known; members told by pod, client id or IP would tell")]
    NoOwner,
    /// Its owner does not take part in the decision.
    #[error("the pod that reads it is new or not Ready")]
    OwnerSetAside,
    /// Its owner got it only recently.
    #[error("the pod that reads it has had it for less than 5 minutes")]
    NewOwner,
    /// It, or the pod's other partitions, normally wait for a third of this time or longer and then move on.
    #[error(
        "it, or the other partitions of the pod, waited for a third of this time and went on: long commit intervals, batches or open transactions look like this"
    )]
    Rhythm,
    /// Its topic name (`retry`, `delay`) says that messages wait on purpose.
    #[error("the name of its topic says that messages wait there on purpose")]
    Delayed,
    /// All partitions of its topic that have messages stand.
    #[error(
        "all partitions of its topic stand: it may be paused, or wait for an open transaction (kafka-transactions.sh find-hanging)"
    )]
    WholeTopic,
    /// Partitions of at least three pods have stood since the same time.
    #[error(
        "partitions of several pods stand since the same time: look at the brokers and for an open transaction (kafka-transactions.sh find-hanging)"
    )]
    Together,
    /// No partition of the group moves.
    #[error("no partition of the group moves: nobody reads, or the offsets are old")]
    WholeGroup,
    /// All partitions of the pod stand, but it reads messages.
    #[error("its pod reads messages and commits none: it may commit rarely")]
    Reads,
    /// It was watched for less than is needed to see that it does not move.
    #[error(
        "it was watched for {} and must not move for {}: the run had no more time, so raise RUN_TIMEOUT",
        lasting(*watched),
        lasting(*needed)
    )]
    Glimpsed {
        /// For how long it was watched.
        watched: Duration,
        /// How long that must be.
        needed: Duration,
    },
    /// Its messages have waited since before its owner got it, and nothing shows what an earlier owner did.
    #[error(
        "its messages have waited for longer than its pod is known to have read it, and nothing shows whether another pod stood there too; an exporter of offsets would"
    )]
    Unseen,
}
