//! Diagnosis: why the load is uneven, and whether a rotation can help.
//!
//! A rotation cures a sick pod. It cannot cure a hot partition, and under a rank-invariant assignor
//! it only deals the same loads out again. The ladder of tests is asked in a fixed order; each step
//! gives its number and its limit.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::facts::Facts;
use crate::guard::{Standing, Trigger, Verdict};
use crate::kafka::assignor::Assignor;
use crate::kafka::forecast::Forecast;
use crate::measure::analysis::Analysis;
use crate::measure::analysis::Finding;
use crate::strategy::Selection;

mod cause;
mod illness;
mod ladder;
mod replacement;

pub use illness::{IllPod, Illness, ill_pods};

use ladder::Ladder;

/// Finds the cause of an uneven load and asks whether rotating the selected pods can help.
///
/// `guards` are the answers of the guards, which tell whether the unevenness lasts. Without a
/// trigger nothing is asked. With a trigger and without a selection the trigger's own targets are
/// judged. An optional input that nobody exports makes its step unknown and
/// nothing else; one that a server refused or failed to give makes the verdict unknown.
pub fn diagnose(
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    trigger: Option<&Trigger>,
    selection: Option<&Selection>,
    guards: &[Verdict],
) -> Diagnosis {
    let assignor = facts.known_assignor();
    let Some(trigger) = trigger else {
        let unclear = analysis.finding() == Finding::InsufficientData;
        let cause = if unclear { Cause::Unknown } else { Cause::Balanced };
        return Diagnosis {
            cause,
            decided_by: None,
            steps: Vec::new(),
            advice: Vec::new(),
            assignor,
            forecast: None,
        };
    };
    let rotated = match selection {
        Some(selection) => selection.pods.clone(),
        None => alloc::vec![trigger.targets.busiest, trigger.targets.least_busy],
    };
    let forecast = forecast_of(&rotated, analysis, facts);
    let planned = selection.is_some_and(|selection| selection.forecast.is_some());
    let (ill, worst_ratio) = illness::examine(analysis, facts);
    let by_history = guards.iter().any(|verdict| verdict.guard == "persistence");
    let answers = Ladder { analysis, facts, trigger, rotated, ill, worst_ratio, by_history, planned }.climb();
    let holds = |guard: &str| {
        guards.iter().any(|verdict| verdict.guard == guard && verdict.standing == Standing::Hold)
    };
    let cause = if holds("floor") {
        Cause::NearlyIdle
    } else {
        cause_of(&answers, holds("persistence"), forecast.as_ref())
    };
    let advice = cause::advice(&cause, forecast.as_ref());
    let of_cause = |(_, named): &&ladder::Answer| named.as_ref() == Some(&cause);
    let decided_by = answers.iter().find(of_cause).map(|(step, _)| step.name);
    let steps = answers.into_iter().map(|(step, _)| step).collect();
    Diagnosis { cause, decided_by, steps, advice, assignor, forecast }
}

fn forecast_of(rotated: &[usize], analysis: &Analysis<'_>, facts: &Facts<'_>) -> Option<Forecast> {
    let place = |position: &usize| {
        let name = analysis.name(*position);
        facts.live.iter().position(|pod| pod.name == name)
    };
    let places: Vec<usize> = rotated.iter().filter_map(place).collect();
    Some(facts.group()?.forecast(&places))
}

/// The most specific cause: a pod, then noise, then the partitions in the order few, hot, odd, then
/// what makes a rotation futile whatever the partitions are.
fn cause_of(answers: &[ladder::Answer], fleeting: bool, forecast: Option<&Forecast>) -> Cause {
    let causes: Vec<&Cause> = answers.iter().filter_map(|(_, cause)| cause.as_ref()).collect();
    let found = causes.iter().min_by_key(|cause| cause.precedence());
    match found {
        Some(cause) if cause.precedence() == 0 => (*cause).clone(),
        _ if fleeting => Cause::UnevenButNoisy,
        Some(cause) => (*cause).clone(),
        None if forecast.is_some() => Cause::UnevenDeal,
        None => Cause::Unknown,
    }
}

/// What is seen, with every number that led to it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Diagnosis {
    /// The most specific cause the evidence supports.
    pub cause: Cause,
    /// Name of the step that found the cause; `None` where no single one did.
    pub decided_by: Option<&'static str>,
    /// Every step of the ladder, in order.
    pub steps: Vec<Step>,
    /// What would help instead of a rotation; empty when a rotation may help or nothing is wrong.
    pub advice: Vec<String>,
    /// The assignor of the group, as far as it is known.
    pub assignor: Option<Assignor>,
    /// The spread now, after the rotation, and at best; where the partitions are known.
    pub forecast: Option<Forecast>,
}

/// One test of the ladder.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Step {
    /// Stable name of the test.
    pub name: &'static str,
    /// [`Standing::Hold`]: a rotation is futile or the data forbid it. [`Standing::Unknown`]: an
    /// optional input is not there; it holds nothing back unless the step is `failed`.
    pub standing: Standing,
    /// Whether the step is unknown because a server refused or failed to give an input. The step might
    /// have held, so the verdict is unknown then, not a pass.
    pub failed: bool,
    /// The number it looked at, where there is one.
    pub value: Option<f64>,
    /// The limit it held the number against.
    pub limit: Option<f64>,
    /// Both in words.
    pub reason: String,
}

/// Why the load is uneven.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "code", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Cause {
    /// No threshold is passed.
    Balanced,
    /// One pod spends far more CPU on a message than the others. A rotation helps.
    SickPod {
        /// Name of the pod.
        pod: String,
        /// Its CPU per message over the median of the others.
        ratio: f64,
        /// What the ratio must be above.
        limit: f64,
    },
    /// One pod has the most lag and reads far less than the others. A rotation helps.
    StalledPod {
        /// Name of the pod.
        pod: String,
        /// Its message rate over the median of the others.
        share: f64,
        /// What the share must be below.
        limit: f64,
    },
    /// A threshold is passed only because there is next to no load: what is uneven is noise.
    NearlyIdle,
    /// A threshold is passed, but no pod stands out for long.
    UnevenButNoisy,
    /// No more partitions than consumers: each has at most one, and a hot one stays hot.
    TooFewPartitions {
        /// Number of partitions.
        partitions: usize,
        /// Number of consumers.
        consumers: usize,
    },
    /// One partition makes up most of the load of the busiest pod, whoever reads it.
    HotPartition {
        /// Its topic.
        topic: String,
        /// Its number.
        partition: u32,
        /// Its share of the whole load, 0 to 1.
        share: f64,
        /// Its share of the load of the busiest pod, 0 to 1.
        share_of_busiest: f64,
    },
    /// The partitions do not divide evenly among the consumers.
    StructuralImbalance {
        /// Number of partitions.
        partitions: usize,
        /// Number of consumers.
        consumers: usize,
        /// The spread that remains when all partitions are equally loaded.
        best_cv: f64,
    },
    /// Replacements come back under the identity of the pods they replace, with the same partitions.
    StaticMembership {
        /// How that is known: `StatefulSet` or `configured`.
        evidence: String,
    },
    /// The assignor deals by rank: a rotation only exchanges who has which load.
    RankInvariantAssignor {
        /// Which assignor.
        assignor: Assignor,
    },
    /// Pods were replaced lately and the loads are as they were.
    RotationIneffective,
    /// Dealing the partitions of the two pods anew is not expected to gain enough.
    NoGain,
    /// The partitions are unevenly dealt; dealing them anew may help.
    UnevenDeal,
    /// The data do not tell.
    Unknown,
}

impl Cause {
    /// Smaller is more specific; 0 is the pod itself.
    const fn precedence(&self) -> u8 {
        match self {
            Self::SickPod { .. } | Self::StalledPod { .. } => 0,
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
}

impl Diagnosis {
    /// Whether a rotation is held to be futile, or the data forbid it.
    pub fn is_futile(&self) -> bool {
        self.steps.iter().any(|step| step.standing == Standing::Hold)
    }

    /// The step that says most against a rotation: that the data forbid it, else the one that found
    /// the cause, else the first that holds.
    fn decisive(&self) -> Option<&Step> {
        let holding = || self.steps.iter().filter(|step| step.standing == Standing::Hold);
        let is_decisive = |step: &&Step| step.name == "data" || Some(step.name) == self.decided_by;
        holding().find(is_decisive).or_else(|| holding().next())
    }

    /// What speaks against a rotation beside the verdict, a sentence each: one decision has one
    /// reason, and these are notes to it.
    pub fn notes(&self) -> Vec<String> {
        let decisive = self.decisive();
        let others = self.steps.iter().filter(|step| step.standing == Standing::Hold);
        let others = others.filter(|step| Some(*step) != decisive);
        others.map(|step| alloc::format!("{}: {}", step.name, step.reason)).collect()
    }

    /// The diagnosis as a verdict beside those of the guards: it holds when a rotation is futile,
    /// and is unknown when a step failed that might have said so. Value, limit and reason are those
    /// of the step that says most against it; the others are [`Diagnosis::notes`]. With `GUARDS=off` the caller shows it and does not obey it.
    pub fn verdict(&self) -> Verdict {
        let futile = self.decisive();
        let told = futile.or_else(|| self.steps.iter().find(|step| step.failed));
        Verdict {
            guard: "diagnosis",
            standing: match (futile, told) {
                (Some(_), _) => Standing::Hold,
                (None, Some(_)) => Standing::Unknown,
                (None, None) => Standing::Pass,
            },
            value: told.and_then(|step| step.value),
            limit: told.and_then(|step| step.limit),
            reason: match told {
                Some(step) => alloc::format!("{}: {}", step.name, step.reason),
                None => self.cause.to_string(),
            },
        }
    }
}
