//! Why it is unknown whether a standing partition is stuck, and what would show it.

use core::fmt;
use core::time::Duration;

use crate::wording::lasting;

/// Why a partition that does not move is not called stuck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unclear {
    /// It has not been observed for long enough.
    Short,
    /// Its offsets are no longer reported.
    Stale,
    /// The group has never committed an offset for it.
    NoCommit,
    /// Nobody reports its end offset, so messages may have stopped arriving.
    NoEnd,
    /// Too many steps have no committed offset.
    Gaps,
    /// An offset went back.
    WentBack,
    /// The committed offset is past the end.
    PastTheEnd,
    /// Messages were deleted before they were read.
    Overtaken,
    /// Two sources report different offsets.
    Disputed,
    /// The group is in a rebalance.
    Rebalance,
    /// It has no known owner, or two.
    NoOwner,
    /// Its owner does not take part in the decision.
    OwnerSetAside,
    /// Its owner got it only recently.
    NewOwner,
    /// It, or the pod's other partitions, normally wait for a third of this time or longer and then move on.
    Rhythm,
    /// Its topic name (`retry`, `delay`) says that messages wait on purpose.
    Delayed,
    /// All partitions of its topic that have messages stand.
    WholeTopic,
    /// Partitions of at least three pods have stood since the same time.
    Together,
    /// No partition of the group moves.
    WholeGroup,
    /// All partitions of the pod stand, but it reads messages.
    Reads,
    /// It was watched for less than is needed to see that it does not move.
    Glimpsed {
        /// For how long it was watched.
        watched: Duration,
        /// How long that must be.
        needed: Duration,
    },
    /// Its messages have waited since before its owner got it, and nothing shows what an earlier owner did.
    Unseen,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Glimpsed { watched, needed } => {
                return write!(
                    f,
                    "it was watched for {} and must not move for {}: the run had no more time, so raise RUN_TIMEOUT",
                    lasting(*watched),
                    lasting(*needed)
                );
            }
            Self::Short => "it has been watched for less than 5 minutes",
            Self::Stale => {
                "its offsets are no longer told: look at the exporter, and whether the partition has a leader"
            }
            Self::NoCommit => "the group has not committed any offset of it",
            Self::NoEnd => {
                "nobody tells its end offset, so no message may have arrived; an exporter of offsets would tell"
            }
            Self::Gaps => "its committed offset is told too rarely",
            Self::WentBack => "an offset went back within the last hour: offsets were reset, or the topic made anew",
            Self::PastTheEnd => "the committed offset is past the end: the topic was made anew, or cut",
            Self::Overtaken => {
                "retention has deleted messages that it has not read: a new consumer starts by auto.offset.reset"
            }
            Self::Disputed => "two exporters tell different offsets of it",
            Self::Rebalance => "the group is in a rebalance",
            Self::NoOwner => "which pod reads it is not known; members told by pod, client id or IP would tell",
            Self::OwnerSetAside => "the pod that reads it is new or not Ready",
            Self::NewOwner => "the pod that reads it has had it for less than 5 minutes",
            Self::Rhythm => {
                "it, or the other partitions of the pod, waited for a third of this time and went on: long commit intervals, batches or open transactions look like this"
            }
            Self::Delayed => "the name of its topic says that messages wait there on purpose",
            Self::WholeTopic => {
                "all partitions of its topic stand: it may be paused, or wait for an open transaction (kafka-transactions.sh find-hanging)"
            }
            Self::Together => {
                "partitions of several pods stand since the same time: look at the brokers and for an open transaction (kafka-transactions.sh find-hanging)"
            }
            Self::WholeGroup => "no partition of the group moves: nobody reads, or the offsets are old",
            Self::Unseen => {
                "its messages have waited for longer than its pod is known to have read it, and nothing shows whether another pod stood there too; an exporter of offsets would"
            }
            Self::Reads => "its pod reads messages and commits none: it may commit rarely",
        })
    }
}
