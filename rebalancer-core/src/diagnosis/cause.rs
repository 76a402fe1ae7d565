//! The causes of an uneven load, in words, and the advice against each.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

use crate::kafka::assignor::Assignor;
use crate::kafka::forecast::Forecast;
use crate::wording::lasting;

/// Why the load is uneven.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "code", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Cause {
    /// No threshold is passed.
    #[error("the load is balanced")]
    Balanced,
    /// One pod spends far more CPU on a message than the others. A rotation helps.
    #[error(
        "pod {pod} spends {ratio:.2} times the CPU of the others on a message (> {limit}); replacing it helps"
    )]
    SickPod {
        /// Name of the pod.
        pod: String,
        /// Its CPU per message divided by the median of the others.
        ratio: f64,
        /// The limit the ratio must exceed.
        limit: f64,
    },
    /// One pod reads nothing, or far less than the others, though messages wait for it. Replacing it helps.
    #[error("pod {pod} {}; replacing it helps", stall(*share, *limit, *partitions, standing.as_deref()))]
    StalledPod {
        /// Name of the pod.
        pod: String,
        /// Its message rate divided by the median of the others, if known.
        #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
        share: Option<f64>,
        /// The limit the share must be below.
        limit: f64,
        /// How many of its partitions stand or are assigned to it, if known.
        #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
        partitions: Option<usize>,
        /// The one of these with the largest backlog, if offsets are known.
        #[cfg_attr(feature = "serde", serde(flatten))]
        standing: Option<Box<Stands>>,
    },
    /// One partition of a healthy pod stands while messages arrive. Replacing only that pod helps.
    #[error("{standing}; {moving} of the {others} others of pod {pod} move; replacing that pod alone helps")]
    StuckPartition {
        /// Name of the pod that owns it.
        pod: String,
        /// Which partition, and since when.
        #[cfg_attr(feature = "serde", serde(flatten))]
        standing: Box<Stands>,
        /// How many of the pod's other partitions with messages move.
        moving: usize,
        /// How many other partitions with messages there are.
        others: usize,
    },
    /// A record that no consumer gets past stops a partition, no matter which pod reads it.
    #[error("{standing}, and {evidence}: no restart gets past it")]
    PoisonRecord {
        /// Name of the pod that owns it now, if known.
        #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
        pod: Option<String>,
        /// Which partition, at which offset, and since when.
        #[cfg_attr(feature = "serde", serde(flatten))]
        standing: Box<Stands>,
        /// Who else stood at the same offset.
        evidence: String,
    },
    /// A threshold is passed only because there is almost no load: the unevenness is noise.
    #[error("there is next to no load, so what is uneven is noise")]
    NearlyIdle,
    /// A threshold is passed, but no pod stands out for long.
    #[error("the load is uneven now, but no pod stands out for long")]
    UnevenButNoisy,
    /// There are no more partitions than consumers: each consumer has at most one, and a hot one stays hot.
    #[error(
        "{partitions} partitions for {consumers} consumers: most have one or none, so there is nothing to deal out"
    )]
    TooFewPartitions {
        /// Number of partitions.
        partitions: usize,
        /// Number of consumers.
        consumers: usize,
    },
    /// One partition makes up most of the busiest pod's load, or falls behind no matter which pod reads it.
    #[error("partition {partition} of topic {topic} {}", heat(*share, *share_of_busiest, *behind))]
    HotPartition {
        /// Its topic.
        topic: String,
        /// Its number.
        partition: u32,
        /// Its share of the whole load, 0 to 1.
        share: f64,
        /// Its share of the load of its pod, 0 to 1.
        share_of_busiest: f64,
        /// How it falls behind, if it does.
        #[cfg_attr(feature = "serde", serde(flatten))]
        behind: Option<Behind>,
    },
    /// The partitions do not divide evenly among the consumers.
    #[error(
        "{partitions} partitions do not divide among {consumers} consumers: equal partitions still spread {best_cv:.2}"
    )]
    StructuralImbalance {
        /// Number of partitions.
        partitions: usize,
        /// Number of consumers.
        consumers: usize,
        /// The spread that remains even if all partitions have equal loads.
        best_cv: f64,
    },
    /// Replacements come back under the identity of the pods they replace, with the same partitions.
    #[error("replacements come back under the old identity ({evidence}) and get the same partitions")]
    StaticMembership {
        /// How that is known: a controller kind such as `StatefulSet`, `group.instance.id` where Kafka tells it, or
        /// `configured`.
        evidence: String,
    },
    /// The assignor assigns by rank: a rotation only swaps which pod has which load.
    #[error("{} rotation only exchanges who has which load", by_rank(*assignor, *recognised))]
    RankInvariantAssignor {
        /// Which assignor.
        assignor: Assignor,
        /// Whether the assignor is only inferred from who owns which partition.
        recognised: bool,
    },
    /// Pods were replaced lately, and the loads are as uneven as before.
    #[error("pods were replaced lately and the load is as uneven as it was")]
    RotationIneffective,
    /// Reassigning the partitions of the two pods is not expected to gain enough.
    #[error("dealing the partitions anew is not expected to even out the load")]
    NoGain,
    /// The partitions are unevenly assigned; reassigning them may help.
    #[error("the partitions are dealt unevenly; dealing them anew may help")]
    UnevenDeal,
    /// The data do not show the cause.
    #[error("the cause is not known")]
    Unknown,
}

/// A partition that stands: its offset does not move although messages wait.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Stands {
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: u32,
    /// The committed offset; `None` if only the client reports on the partition.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub offset: Option<u64>,
    /// How long it has stood while messages wait; a lower bound if the history is shorter.
    #[cfg_attr(feature = "serde", serde(rename = "since_seconds", serialize_with = "seconds"))]
    pub since: Duration,
    /// For how long it was watched without a move, where `since` is known only from how long its messages wait.
    #[cfg_attr(
        feature = "serde",
        serde(
            rename = "watched_seconds",
            serialize_with = "seconds",
            skip_serializing_if = "Option::is_none"
        )
    )]
    pub watched: Option<Duration>,
    /// Messages waiting; `None` if only the client reports on the partition.
    #[cfg_attr(feature = "serde", serde(skip_serializing_if = "Option::is_none"))]
    pub backlog: Option<u64>,
}

/// A partition that is read more slowly than it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Behind {
    /// Messages waiting.
    pub backlog: u64,
    /// Messages written per second.
    pub written_per_second: f64,
    /// Messages read per second.
    pub read_per_second: f64,
}

#[cfg(feature = "serde")]
fn seconds<'t, S: serde::Serializer>(
    time: impl Into<Option<&'t Duration>>,
    to: S,
) -> Result<S::Ok, S::Error> {
    serde::Serialize::serialize(&time.into().map(Duration::as_secs), to)
}

impl Stands {
    /// Its name, such as `partition 4 of topic orders`.
    pub fn name(&self) -> String {
        format!("partition {} of topic {}", self.partition, self.topic)
    }
}

impl fmt::Display for Stands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has stood", self.name())?;
        if let Some(offset) = self.offset {
            write!(f, " at offset {offset}")?;
        }
        let since = lasting(self.since);
        match (self.watched, self.backlog) {
            (Some(watched), Some(backlog)) => write!(
                f,
                " while it was watched for {}; {backlog} messages wait, the first for {since}",
                lasting(watched)
            ),
            (None, Some(backlog)) => write!(f, " for {since} while {backlog} messages wait"),
            (_, None) => write!(f, " for {since}"),
        }
    }
}

/// An offset, or a difference of two, as a whole number of messages.
pub(super) const fn messages(offset: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    let whole = offset as u64;
    whole
}

impl Cause {
    /// Smaller is more specific; 0 means the pod itself, or a record.
    pub(super) const fn precedence(&self) -> u8 {
        match self {
            Self::SickPod { .. }
            | Self::StalledPod { .. }
            | Self::StuckPartition { .. }
            | Self::PoisonRecord { .. } => 0,
            Self::TooFewPartitions { .. } => 1,
            Self::HotPartition { .. } => 2,
            Self::StructuralImbalance { .. } => 3,
            Self::StaticMembership { .. } => 4,
            Self::RankInvariantAssignor { .. } => 5,
            Self::RotationIneffective => 6,
            Self::NoGain => 7,
            Self::Balanced | Self::NearlyIdle | Self::UnevenButNoisy | Self::UnevenDeal | Self::Unknown => 8,
        }
    }

    /// The partition that stands, if one is known to.
    pub(crate) fn standing(&self) -> Option<&Stands> {
        match self {
            Self::StuckPartition { standing, .. } | Self::PoisonRecord { standing, .. } => Some(standing),
            Self::StalledPod { standing, .. } => standing.as_deref(),
            _ => None,
        }
    }

    /// Whether partitions that stand prove it, however little load there is.
    pub(super) const fn is_proven(&self) -> bool {
        matches!(
            self,
            Self::StuckPartition { .. }
                | Self::PoisonRecord { .. }
                | Self::StalledPod { partitions: Some(_), .. }
        )
    }
}

fn stall(share: Option<f64>, limit: f64, partitions: Option<usize>, standing: Option<&Stands>) -> String {
    match (standing, partitions) {
        (Some(standing), _) => {
            let partitions = partitions.unwrap_or(1);
            format!("reads nothing: all {partitions} of its partitions that get messages stand; {standing}")
        }
        (None, Some(partitions)) => {
            format!("reads nothing though {partitions} partitions are assigned to it and the others read")
        }
        (None, None) => format!(
            "has more than twice the lag of the others and reads {:.2} times their messages (< {limit})",
            share.unwrap_or_default()
        ),
    }
}

fn heat(share: f64, share_of_busiest: f64, behind: Option<Behind>) -> String {
    let Some(Behind { backlog, written_per_second, read_per_second }) = behind else {
        let [share, of_busiest] = [share, share_of_busiest].map(|share| 100.0 * share);
        return format!(
            "carries {share:.0} % of the load and {of_busiest:.0} % of its pod's; whoever reads it is busiest"
        );
    };
    let others = if share_of_busiest < 1.0 { ", while the others of its pod keep up" } else { "" };
    format!(
        "moves, but slower than its end: {written_per_second:.1} messages a second are written and {read_per_second:.1} read, and {backlog} wait{others}"
    )
}

fn by_rank(assignor: Assignor, recognised: bool) -> String {
    if recognised {
        format!(
            "the group looks like {assignor}, which deals by the order of the consumers, whoever they are: under it a"
        )
    } else {
        format!("the assignor {assignor} deals by the order of the consumers, whoever they are: a")
    }
}

/// What helps instead of a rotation; empty if a rotation may help or nothing is wrong.
pub(super) fn advice(cause: &Cause, forecast: Option<&Forecast>) -> Vec<String> {
    let mut advice: Vec<String> = match cause {
        Cause::TooFewPartitions { partitions, .. } => alloc::vec![
            "raise the number of partitions to at least twice the number of consumers".to_string(),
            format!("or run fewer than {partitions} consumers"),
        ],
        Cause::PoisonRecord { standing, .. } => of_poison(standing),
        Cause::HotPartition { behind, .. } => alloc::vec![
            match behind {
                Some(_) => "spread the hot key over more partitions, or make its messages faster to process",
                None => "spread the hot key over more partitions, or split it in the producer",
            }
            .to_string(),
            "more consumers do not help: one partition has one reader".to_string(),
        ],
        Cause::StructuralImbalance { partitions, consumers, .. } => alloc::vec![
            format!("make the number of partitions a multiple of {consumers} or at least {}", 2 * consumers),
            format!("or run a number of consumers that divides {partitions}"),
        ],
        Cause::StaticMembership { .. } => alloc::vec![
            "change the number of replicas or the number of partitions: that deals anew".to_string(),
            "if the consumers have no group.instance.id, set STATIC_MEMBERSHIP=false".to_string(),
        ],
        Cause::RankInvariantAssignor { recognised, .. } => alloc::vec![
            "change the number of replicas: another number deals other blocks".to_string(),
            if *recognised {
                "set KAFKA_ASSIGNOR if the group has another one: under a sticky assignor or uniform it can look like this too"
            } else {
                "switch to cooperative-sticky if single partitions are to move"
            }
            .to_string(),
            "raise the number of partitions so that each is smaller".to_string(),
        ],
        Cause::RotationIneffective | Cause::NoGain => alloc::vec![
            "change the number of replicas or of partitions; replacing pods does not change the loads"
                .to_string(),
        ],
        _ => Vec::new(),
    };
    if let (false, Some(forecast)) = (advice.is_empty(), forecast) {
        advice.push(format!(
            "the best any deal of these partitions can reach is a spread of {:.2}; it is {:.2} now",
            forecast.best, forecast.now
        ));
    }
    advice
}

fn of_poison(standing: &Stands) -> Vec<String> {
    alloc::vec![
        match standing.offset {
            Some(offset) => format!(
                "read the record at offset {offset} of partition {} of topic {}; repair what reads it, or move the group past it (kafka-consumer-groups.sh --reset-offsets)",
                standing.partition, standing.topic
            ),
            None => "read the record at which it stands; repair what reads it, or skip it".to_string(),
        },
        "if the record is sound, look for an open transaction (kafka-transactions.sh find-hanging)"
            .to_string(),
    ]
}
