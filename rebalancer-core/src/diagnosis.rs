//! Diagnosis: why the load is uneven, and whether a rotation can help.
//!
//! A rotation cures a sick pod. It cannot cure a hot partition, and an assignor that assigns by rank alone
//! gives the replacements the same loads again. The tests run in a fixed order; each reports its number and
//! its limit.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::diagnosis::cause::advice;
use crate::diagnosis::illness::poison;
use crate::diagnosis::ladder::{Answer, Ladder};
use crate::diagnosis::remedy::remedy;
use crate::facts::Facts;
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::metric::Metric;
use crate::kafka::assignor::Assignor;
use crate::kafka::forecast::Forecast;
use crate::measure::analysis::{Analysis, Finding};
use crate::strategy::Selection;
use crate::trigger::Trigger;

mod behind;
pub(crate) mod cause;
pub(crate) mod ill_pods;
pub(crate) mod illness;
mod ladder;
mod movement;
mod remedy;
mod sick;
mod silent;
mod stalled;
mod standing;
mod stretch;
mod unclear;

pub use behind::FallingBehind;
pub use cause::{Behind, Cause, Stands};
pub use ill_pods::{ill_pods, may_be_ill};
pub use illness::{IllPod, IllPods, StandingPartition, Witness};
pub use remedy::Remedy;
pub use unclear::Unclear;

/// The cause of an uneven load, with every number that led to it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Diagnosis {
    /// The most specific cause the evidence supports.
    pub cause: Cause,
    /// The test that found the cause; `None` if no single test did.
    pub decided_by: Option<Check>,
    /// Every test, in order. A hold means that a rotation cannot help, or that the data forbid it.
    pub steps: Vec<Verdict>,
    /// What would help, as one word.
    pub remedy: Remedy,
    /// What would help instead of a rotation; empty when a rotation may help or nothing is wrong.
    pub advice: Vec<String>,
    /// The assignor of the group, if known.
    pub assignor: Option<Assignor>,
    /// Whether the assignor is only inferred from who owns which partition.
    pub assignor_is_a_guess: bool,
    /// The spread now, after the rotation, and at best; `None` unless the partitions are known.
    pub forecast: Option<Forecast>,
    /// Other findings from the partitions' past, one sentence each.
    pub remarks: Vec<String>,
    /// Whether messages arrive and no pod reads any: an outage, which says nothing about balance.
    pub nobody_reads: bool,
}

/// Finds the cause of an uneven load and asks whether rotating the selected pods can help.
///
/// `guards` are the verdicts of the guards; they show whether the unevenness lasts. Without a trigger no test
/// is run. With a trigger but no selection, the trigger's own targets are judged. If nobody exports an
/// optional input, only its own test is unknown; if a server refused or failed to give it, the whole verdict
/// is unknown.
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
    let (cause, answers, forecast) = match trigger {
        Some(trigger) => asked(analysis, facts, trigger, selection, ill, guards),
        None => (unasked(analysis, ill), Vec::new(), None),
    };
    let of_cause = |(_, named): &&Answer| named.as_ref() == Some(&cause);
    Diagnosis {
        decided_by: answers.iter().find(of_cause).map(|(step, _)| step.check),
        steps: answers.into_iter().map(|(step, _)| step).collect(),
        remedy: remedy(&cause, analysis.should_rebalance()),
        advice: advice(&cause, forecast.as_ref()),
        assignor: facts.known_assignor(),
        assignor_is_a_guess: facts.assignor_is_a_guess(),
        forecast,
        remarks: remarks(ill, &cause),
        nobody_reads: nobody_reads(analysis, ill),
        cause,
    }
}

/// The cause, the answers of all tests, and the forecast when a rotation is asked for.
fn asked(
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    trigger: &Trigger,
    selection: Option<&Selection>,
    ill: &IllPods,
    guards: &[Verdict],
) -> (Cause, Vec<Answer>, Option<Forecast>) {
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
    let cause = cause_of(&answers, holds(Check::Persistence), forecast.as_ref());
    let is_idle = holds(Check::Floor) && !cause.is_proven();
    (if is_idle { Cause::NearlyIdle } else { cause }, answers, forecast)
}

/// The cause when no rotation is asked for: a partition can stand or fall behind without moving any spread.
fn unasked(analysis: &Analysis<'_>, ill: &IllPods) -> Cause {
    let unclear = analysis.finding() == Finding::InsufficientData;
    let otherwise = if unclear { Cause::Unknown } else { Cause::Balanced };
    // An illness seen only at this moment may be noise.
    let lasting = ill.pods.iter().find(|pod| pod.lasted.is_some());
    let of_pod = lasting.map(|pod| pod.cause.clone());
    let of_record = || ill.poisoned.first().map(|(standing, witness)| poison(standing, witness));
    let of_partition = || ill.behind.first().map(|behind| behind.cause.clone());
    of_pod.or_else(of_record).or_else(of_partition).unwrap_or(otherwise)
}

/// Whether no partition moves, no pod has a rate above 0, and no pod or record is to blame.
fn nobody_reads(analysis: &Analysis<'_>, ill: &IllPods) -> bool {
    let rates = (0..analysis.count()).filter_map(|position| analysis.load(position, Metric::Rate));
    let reads = rates.into_iter().any(|rate| rate.value() > 0.0);
    ill.nobody_reads && !reads && ill.pods.is_empty() && ill.poisoned.is_empty()
}

/// Other findings: further records that stop a partition, partitions that fall behind, and partitions that
/// stand for an unknown reason.
fn remarks(ill: &IllPods, cause: &Cause) -> Vec<String> {
    const NAMED: usize = 5;
    let poisoned = ill.poisoned.iter().map(|(standing, witness)| poison(standing, witness));
    let behind = ill.behind.iter().map(|behind| behind.cause.clone());
    let others = poisoned.chain(behind).filter(|other| other != cause).map(|other| other.to_string());
    let unclear =
        ill.unclear.iter().map(|(standing, why)| format!("{}; not called stuck: {why}", standing.stands));
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

    /// The most important hold: that the data forbid a rotation, else the test that found the cause, else the
    /// first that holds.
    fn decisive(&self) -> Option<&Verdict> {
        let holding = || self.steps.iter().filter(|step| step.standing == Standing::Hold);
        let is_decisive = |step: &&Verdict| step.check == Check::Data || Some(step.check) == self.decided_by;
        holding().find(is_decisive).or_else(|| holding().next())
    }

    /// Notes to the [verdict](Diagnosis::verdict), which gives only one reason: the other tests that hold,
    /// then the other findings from the partitions' past, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        let decisive = self.decisive();
        let others = self.steps.iter().filter(|step| step.standing == Standing::Hold);
        let others = others.filter(|step| Some(*step) != decisive).map(ToString::to_string);
        others.chain(self.remarks.iter().cloned()).collect()
    }

    /// The diagnosis as one verdict beside those of the guards. Holds when a rotation cannot help; unknown
    /// when a test that might have held has failed. Value, limit and reason come from the most important
    /// test.
    pub fn verdict(&self) -> Verdict {
        let holds = self.decisive();
        let told = holds.or_else(|| self.steps.iter().find(|step| step.failed));
        let Some(told) = told else {
            let reason = match &self.cause {
                Cause::Unknown => "nothing known speaks against a rotation".into(),
                cause => cause.to_string(),
            };
            return Verdict::new(Check::Diagnosis, Standing::Pass, reason);
        };
        let standing = if holds.is_some() { Standing::Hold } else { Standing::Unknown };
        Verdict {
            failed: told.failed,
            ..Verdict::new(Check::Diagnosis, standing, told.to_string()).with(told.value, told.limit)
        }
    }
}
