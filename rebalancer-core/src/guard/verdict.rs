//! The answer to one check of a guard, of the strategy, or of the diagnosis.

use alloc::string::String;
use core::fmt;

/// Everything that is checked before a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::IntoStaticStr)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// Guard: the metric is not nearly idle.
    Floor,
    /// Guard: new pods are left out.
    WarmUp,
    /// Guard: enough pods have CPU or lag.
    Coverage,
    /// Guard: the query that may forbid a rotation finds nothing.
    VetoQuery,
    /// Guard: no alert fires that forbids a rotation.
    VetoAlerts,
    /// Guard: the busiest pod has been busy for most of a window.
    Persistence,
    /// Guard: no pod was replaced just now.
    Cooldown,
    /// Guard: the busiest pod is not itself a recent replacement.
    Futility,
    /// Guard: not too many pods are young.
    ChurnBudget,
    /// Guard: the illness of the pod to replace has lasted.
    IllnessAge,
    /// Guard: neither the pod nor its partition was cured within a day, and this offset never was.
    CuredBefore,
    /// The strategy found pods to rotate.
    Strategy,
    /// The diagnosis as a whole: a rotation can help.
    Diagnosis,
    /// Test of the diagnosis: no rollout is in progress, and each partition has one owner.
    Data,
    /// Test: an ill pod is among those to rotate.
    SickPod,
    /// Test: the unevenness is not caused by a record that stops every reader of a partition.
    PoisonRecord,
    /// Test: the reason of every standing partition is known.
    StandingPartitions,
    /// Test: there are more partitions than consumers.
    PartitionsPerConsumer,
    /// Test: the partitions divide evenly enough among the consumers.
    Structure,
    /// Test: replacements do not keep the identity of the pods they replace.
    StaticIdentity,
    /// Test: the assignor does not assign by rank alone.
    RankInvariant,
    /// Test: no partition alone makes up the busiest load.
    HotPartition,
    /// Test: the last replacement changed how the load is shared.
    LastReplacement,
    /// Test: the rotations of the last day evened out the load.
    RotationBudget,
    /// Test: reassigning the partitions of the two pods is expected to gain enough.
    UnionGain,
}

impl Check {
    /// The word used in reports, metrics and configuration.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Standing {
    /// The check has nothing against a rotation.
    Pass,
    /// The rotation must not happen now.
    Hold,
    /// The data for an answer is not there. Of a guard this counts as [`Standing::Hold`]; a test of the
    /// diagnosis holds back only where it is also [`Verdict::failed`].
    Unknown,
}

/// The answer to one check, with the number it judged.
///
/// It prints as its name and reason: `cooldown: the youngest pod, orders-3, is 5 min old, ...`.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Verdict {
    /// Which check.
    pub check: Check,
    /// The result.
    pub standing: Standing,
    /// Whether it is unknown because a server refused or failed to give an input; it might have held.
    pub failed: bool,
    /// The number it judged, if there is one.
    pub value: Option<f64>,
    /// The limit the number was compared with.
    pub limit: Option<f64>,
    /// Both in words.
    pub reason: String,
}

impl Verdict {
    /// A verdict without numbers.
    pub fn new(check: Check, standing: Standing, reason: impl Into<String>) -> Self {
        Self { check, standing, failed: false, value: None, limit: None, reason: reason.into() }
    }

    /// The same verdict with the number it judged and its limit, if known.
    #[must_use]
    pub fn with(self, value: impl Into<Option<f64>>, limit: impl Into<Option<f64>>) -> Self {
        Self { value: value.into(), limit: limit.into(), ..self }
    }
}

impl Standing {
    /// [`Standing::Hold`] where `holds`, else [`Standing::Pass`].
    pub(crate) const fn held_if(holds: bool) -> Self {
        if holds { Self::Hold } else { Self::Pass }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.check, self.reason)
    }
}
