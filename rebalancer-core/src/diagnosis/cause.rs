//! The causes of an uneven load, in words, and what helps against each.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use crate::diagnosis::Cause;
use crate::kafka::forecast::Forecast;

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balanced => f.write_str("the load is balanced"),
            Self::SickPod { pod, ratio, limit } => write!(
                f,
                "pod {pod} spends {ratio:.2} times the CPU of the others on a message (> {limit}); replacing it helps"
            ),
            Self::StalledPod { pod, share, limit } => write!(
                f,
                "pod {pod} has the most lag and reads {share:.2} times the messages of the others (< {limit}); replacing it helps"
            ),
            Self::NearlyIdle => f.write_str("there is next to no load, so what is uneven is noise"),
            Self::UnevenButNoisy => f.write_str("the load is uneven now, but no pod stands out for long"),
            Self::TooFewPartitions { partitions, consumers } => write!(
                f,
                "{partitions} partitions for {consumers} consumers: most have one or none, so there is nothing to deal out"
            ),
            Self::HotPartition { topic, partition, share, share_of_busiest } => write!(
                f,
                "partition {partition} of topic {topic} carries {:.0} % of the load and {:.0} % of its pod's; whoever reads it is busiest",
                100.0 * share,
                100.0 * share_of_busiest
            ),
            Self::StructuralImbalance { partitions, consumers, best_cv } => write!(
                f,
                "{partitions} partitions do not divide among {consumers} consumers: equal partitions still spread {best_cv:.2}"
            ),
            Self::StaticMembership { evidence } => write!(
                f,
                "replacements come back under the old identity ({evidence}) and get the same partitions"
            ),
            Self::RankInvariantAssignor { assignor } => {
                write!(
                    f,
                    "the assignor {assignor} deals by the order of the consumers, whoever they are: a rotation only exchanges who has which load"
                )
            }
            Self::RotationIneffective => {
                f.write_str("pods were replaced lately and the load is as uneven as it was")
            }
            Self::NoGain => f.write_str("dealing the partitions anew is not expected to even out the load"),
            Self::UnevenDeal => f.write_str("the partitions are dealt unevenly; dealing them anew may help"),
            Self::Unknown => f.write_str("the cause is not known"),
        }
    }
}

/// What would help instead of a rotation; empty where a rotation may help or nothing is wrong.
pub(super) fn advice(cause: &Cause, forecast: Option<&Forecast>) -> Vec<String> {
    let mut advice: Vec<String> = match cause {
        Cause::TooFewPartitions { partitions, .. } => alloc::vec![
            "raise the number of partitions to at least twice the number of consumers".to_string(),
            format!("or run fewer than {partitions} consumers"),
        ],
        Cause::HotPartition { .. } => alloc::vec![
            "spread the hot key over more partitions, or split it in the producer".to_string(),
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
        Cause::RankInvariantAssignor { .. } => alloc::vec![
            "change the number of replicas: another number deals other blocks".to_string(),
            "switch to cooperative-sticky if single partitions are to move".to_string(),
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
