//! The remedy for a cause, as one word.

use crate::diagnosis::cause::Cause;

/// What would help against a cause.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    strum::Display,
    strum::IntoStaticStr,
    strum::VariantArray,
)]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Remedy {
    /// Replace the one pod that is ill.
    ReplacePod,
    /// Replace two pods, so that Kafka assigns their partitions anew.
    RotatePair,
    /// Spread the key, or the work, of one partition over several.
    SplitKey,
    /// Skip or repair the record that stops its readers.
    SkipRecord,
    /// Give the topic more partitions.
    MorePartitions,
    /// Change the group's assignor (`partition.assignment.strategy`).
    ChangeAssignor,
    /// Run another number of pods.
    ChangeReplicas,
    /// Look again later.
    Wait,
    /// Nothing is to be done, or nothing is known to help.
    #[default]
    None,
}

impl Remedy {
    /// All remedies.
    pub const ALL: &[Self] = <Self as strum::VariantArray>::VARIANTS;

    /// The word used in reports and metrics.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// What to do, in words for people.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ReplacePod => "replace the pod",
            Self::RotatePair => "rotate two pods",
            Self::SplitKey => "split the key",
            Self::SkipRecord => "skip or repair the record",
            Self::MorePartitions => "more partitions",
            Self::ChangeAssignor => "change the assignor",
            Self::ChangeReplicas => "change the number of pods",
            Self::Wait => "wait",
            Self::None => "none",
        }
    }
}

/// The remedy for `cause`. For an unknown cause, `asks` says whether a threshold asks for a rotation, which
/// may help.
pub(super) const fn remedy(cause: &Cause, asks: bool) -> Remedy {
    match cause {
        Cause::SickPod { .. } | Cause::StalledPod { .. } | Cause::StuckPartition { .. } => Remedy::ReplacePod,
        Cause::PoisonRecord { .. } => Remedy::SkipRecord,
        Cause::HotPartition { .. } => Remedy::SplitKey,
        Cause::TooFewPartitions { .. } => Remedy::MorePartitions,
        Cause::RankInvariantAssignor { .. } => Remedy::ChangeAssignor,
        Cause::StructuralImbalance { .. }
        | Cause::StaticMembership { .. }
        | Cause::RotationIneffective
        | Cause::NoGain => Remedy::ChangeReplicas,
        Cause::UnevenButNoisy => Remedy::Wait,
        Cause::UnevenDeal => Remedy::RotatePair,
        Cause::Unknown if asks => Remedy::RotatePair,
        Cause::Balanced | Cause::NearlyIdle | Cause::Unknown => Remedy::None,
    }
}
