//! Diagnosis: why the load is uneven, and whether a rotation can help.
//!
//! A rotation cures a sick pod. It cannot cure a hot partition, and under an assignor that deals by rank
//! it only deals the same loads out again. The tests are made in a fixed order; each gives its number and
//! its limit.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::diagnosis::cause::advice;
use crate::diagnosis::ladder::{Answer, Ladder};
use crate::diagnosis::named::{hot_by_offsets, ill_cause, poison};
use crate::diagnosis::remedy::remedy;
use crate::facts::Facts;
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::metric::Metric;
use crate::kafka::assignor::Assignor;
use crate::kafka::forecast::Forecast;
use crate::measure::analysis::{Analysis, Finding};
use crate::strategy::Selection;
use crate::trigger::Trigger;

pub(crate) mod behind;
pub(crate) mod cause;
pub(crate) mod ill_pods;
pub(crate) mod illness;
mod ladder;
mod middle;
mod movement;
mod named;
mod remedy;
mod replacement;
mod sick;
mod silent;
mod stalled;
pub(crate) mod standing;
mod stretch;
pub(crate) mod unclear;

pub use behind::FallingBehind;
pub use cause::{Behind, Cause, Stands};
pub use ill_pods::{ill_pods, may_be_ill};
pub use illness::{IllPod, IllPods, Illness};
pub use remedy::Remedy;
pub use standing::{StandingPartition, Witness};
pub use unclear::Unclear;

/// The cause of an uneven load, with every number that led to it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnosis {
    /// The most specific cause the evidence supports.
    pub cause: Cause,
    /// The test that found the cause; `None` where no single one did.
    pub decided_by: Option<Check>,
    /// Every test, in order. One that holds says that a rotation cannot help, or that the data forbid it.
    pub steps: Vec<Verdict>,
    /// What would help, as one word.
    pub remedy: Remedy,
    /// What would help instead of a rotation; empty when a rotation may help or nothing is wrong.
    pub advice: Vec<String>,
    /// The assignor of the group, as far as it is known.
    pub assignor: Option<Assignor>,
    /// Whether the group only looks like that assignor, by who owns what.
    pub assignor_is_a_guess: bool,
    /// The spread now, after the rotation, and at best; where the partitions are known.
    pub forecast: Option<Forecast>,
    /// What the past of the partitions shows beside the cause, a sentence each.
    pub remarks: Vec<String>,
    /// Whether messages arrive and no pod reads any of them: an outage, which says nothing of how the load is dealt.
    pub nobody_reads: bool,
}

/// Finds the cause of an uneven load and asks whether rotating the selected pods can help.
///
/// `guards` are the answers of the guards, which tell whether the unevenness lasts. Nothing is asked
/// without a trigger. With a trigger and without a selection, the trigger's own targets are judged. An
/// optional input that nobody exports makes its test unknown and nothing else; one that a server refused
/// or failed to give makes the verdict unknown.
///
/// ```
/// use rebalancer_core::diagnosis::{Cause, diagnose, ill_pods};
/// use rebalancer_core::guard::{GuardSettings, trigger};
/// use rebalancer_core::kafka::Assignor;
/// use rebalancer_core::{AssignorChoice, Engine, Facts, LivePod, Metric, PodState, Thresholds};
///
/// let cores = [("a", 3.0), ("b", 1.0), ("c", 0.5)];
/// let pods = cores.map(|(name, cores)| PodState::new(name).with(Metric::Cpu, cores));
/// let live = cores.map(|(name, _)| LivePod::assumed(name));
/// let analysis = Engine::new(Thresholds::default()).analyze(&pods)?;
/// let mut facts = Facts::new(&live);
/// facts.assignor = AssignorChoice::Is(Assignor::Range);
///
/// let trigger = trigger(&analysis, &facts, &GuardSettings::OFF);
/// let ill = ill_pods(&analysis, &facts);
/// let diagnosis = diagnose(&analysis, &facts, trigger.as_ref(), None, &ill, &[]);
/// assert_eq!(
///     diagnosis.cause,
///     Cause::RankInvariantAssignor { assignor: Assignor::Range, recognised: false }
/// );
/// assert!(!diagnosis.can_help());
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
pub fn diagnose(
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    trigger: Option<&Trigger>,
    selection: Option<&Selection>,
    ill: &IllPods,
    guards: &[Verdict],
) -> Diagnosis {
    let (assignor, assignor_is_a_guess) = (facts.known_assignor(), facts.assignor_is_a_guess());
    let Some(trigger) = trigger else { return unasked(analysis, facts, ill) };
    let rotated = match selection {
        Some(selection) => selection.pods.clone(),
        None => alloc::vec![trigger.targets.busiest, trigger.targets.least_busy],
    };
    let forecast = forecast_of(&rotated, analysis, facts);
    let planned = selection.is_some_and(|selection| selection.forecast.is_some());
    let by_history = guards.iter().any(|verdict| verdict.check == Check::Persistence);
    let answers = Ladder { analysis, facts, trigger, rotated, ill, by_history, planned }.climb();
    let holds = |check: Check| {
        guards.iter().any(|verdict| verdict.check == check && verdict.standing == Standing::Hold)
    };
    let cause = if holds(Check::Floor) {
        Cause::NearlyIdle
    } else {
        cause_of(&answers, holds(Check::Persistence), forecast.as_ref())
    };
    let advice = advice(&cause, forecast.as_ref());
    let remedy = remedy(&cause, analysis.should_rebalance());
    let remarks = remarks(ill, &cause);
    let of_cause = |(_, named): &&Answer| named.as_ref() == Some(&cause);
    let decided_by = answers.iter().find(of_cause).map(|(step, _)| step.check);
    let steps = answers.into_iter().map(|(step, _)| step).collect();
    let nobody_reads = nobody_reads(analysis, ill);
    Diagnosis {
        cause,
        decided_by,
        steps,
        remedy,
        advice,
        assignor,
        assignor_is_a_guess,
        forecast,
        remarks,
        nobody_reads,
    }
}

/// The diagnosis where nothing asks for a rotation: a partition that stands, or falls behind, need not move
/// any spread.
fn unasked(analysis: &Analysis<'_>, facts: &Facts<'_>, ill: &IllPods) -> Diagnosis {
    let unclear = analysis.finding() == Finding::InsufficientData;
    let otherwise = if unclear { Cause::Unknown } else { Cause::Balanced };
    // An illness that this moment alone shows may be noise.
    let lasting = ill.pods.iter().find(|pod| pod.lasted.is_some());
    let of_pod = lasting.map(|pod| ill_cause(pod, analysis));
    let of_record = || ill.poisoned.first().map(|(standing, witness)| poison(standing, witness));
    let of_partition = || ill.behind.first().map(hot_by_offsets);
    let cause = of_pod.or_else(of_record).or_else(of_partition).unwrap_or(otherwise);
    Diagnosis {
        remedy: remedy(&cause, false),
        advice: advice(&cause, None),
        remarks: remarks(ill, &cause),
        nobody_reads: nobody_reads(analysis, ill),
        cause,
        decided_by: None,
        steps: Vec::new(),
        assignor: facts.known_assignor(),
        assignor_is_a_guess: facts.assignor_is_a_guess(),
        forecast: None,
    }
}

/// Whether no partition moves, no pod reads as far as its rate tells, and neither one pod nor one record is to blame.
fn nobody_reads(analysis: &Analysis<'_>, ill: &IllPods) -> bool {
    let rates = (0..analysis.count()).filter_map(|position| analysis.load(position, Metric::Rate));
    let reads = rates.into_iter().any(|rate| rate.value() > 0.0);
    ill.nobody_reads && !reads && ill.pods.is_empty() && ill.poisoned.is_empty()
}

/// What the past of the partitions shows beside the cause: other records that stop a partition, and
/// partitions that stand for a reason that is not known.
fn remarks(ill: &IllPods, cause: &Cause) -> Vec<String> {
    const NAMED: usize = 5;
    let poisoned = ill.poisoned.iter().map(|(standing, witness)| poison(standing, witness));
    let behind = ill.behind.iter().map(hot_by_offsets);
    let others = poisoned.chain(behind).filter(|other| other != cause).map(|other| other.to_string());
    let unclear = ill.unclear.iter().map(|(standing, why)| format!("{standing}; not called stuck: {why}"));
    let nobody =
        ill.nobody_reads.then(|| "nobody reads: messages arrive and no partition of the group moves".into());
    let old = ill.offsets_are_old.then(|| {
        "the offsets of the group are no longer told, or do not change though its pods read: no partition is judged by them".into()
    });
    let mut remarks: Vec<String> = nobody.into_iter().chain(old).chain(others).chain(unclear).collect();
    let more = remarks.len().saturating_sub(NAMED);
    remarks.truncate(NAMED);
    if more > 0 {
        remarks.push(format!("and {more} more partitions that stand or fall behind"));
    }
    remarks
}

fn forecast_of(rotated: &[usize], analysis: &Analysis<'_>, facts: &Facts<'_>) -> Option<Forecast> {
    let live = rotated.iter().filter_map(|position| facts.live_index(analysis.name(*position)));
    Some(facts.group()?.forecast(&live.collect::<Vec<_>>()))
}

/// The most specific cause: a pod, then noise, then the partitions (few, hot, uneven in number), then
/// whatever else makes a rotation useless.
fn cause_of(answers: &[Answer], fleeting: bool, forecast: Option<&Forecast>) -> Cause {
    let causes = answers.iter().filter_map(|(_, cause)| cause.as_ref());
    match causes.min_by_key(|cause| cause.precedence()) {
        Some(cause) if cause.precedence() == 0 => cause.clone(),
        _ if fleeting => Cause::UnevenButNoisy,
        Some(cause) => cause.clone(),
        None if forecast.is_some() => Cause::UnevenDeal,
        None => Cause::Unknown,
    }
}

impl Diagnosis {
    /// Whether nothing known says that a rotation cannot help.
    pub fn can_help(&self) -> bool {
        self.steps.iter().all(|step| step.standing != Standing::Hold)
    }

    /// The test that says most against a rotation: that the data forbid it, else the one that found
    /// the cause, else the first that holds.
    fn decisive(&self) -> Option<&Verdict> {
        let holding = || self.steps.iter().filter(|step| step.standing == Standing::Hold);
        let is_decisive = |step: &&Verdict| step.check == Check::Data || Some(step.check) == self.decided_by;
        holding().find(is_decisive).or_else(|| holding().next())
    }

    /// What else speaks against a rotation, and what the past of the partitions shows, a sentence each. One decision has one reason, the
    /// [verdict](Diagnosis::verdict); these are notes to it.
    pub fn notes(&self) -> Vec<String> {
        let decisive = self.decisive();
        let others = self.steps.iter().filter(|step| step.standing == Standing::Hold);
        let others = others.filter(|step| Some(*step) != decisive).map(ToString::to_string);
        others.chain(self.remarks.iter().cloned()).collect()
    }

    /// The diagnosis as one verdict beside those of the guards. It holds when a rotation cannot help, and
    /// is unknown when a test failed that might have said so. Value, limit and reason are those of the
    /// test that says most against a rotation.
    pub fn verdict(&self) -> Verdict {
        let holds = self.decisive();
        let told = holds.or_else(|| self.steps.iter().find(|step| step.failed));
        let Some(told) = told else {
            return Verdict::new(Check::Diagnosis, Standing::Pass, self.cause.to_string());
        };
        let standing = if holds.is_some() { Standing::Hold } else { Standing::Unknown };
        Verdict {
            failed: told.failed,
            ..Verdict::new(Check::Diagnosis, standing, told.to_string()).with(told.value, told.limit)
        }
    }
}
