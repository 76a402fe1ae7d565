//! Guards: reasons to withhold a rotation although a threshold is passed.
//!
//! Each guard is a pure function from facts to a [`Verdict`] with its number and its limit. A guard that is
//! off is not asked; with all of them off, exactly the plain rule remains. Guards remember nothing between
//! runs: they judge by the ages of pods and by the history of the metrics server.

use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnosis::cause::Cause;
use crate::diagnosis::illness::IllPod;
use crate::facts::Facts;
use crate::input::join::SetAside;
use crate::measure::analysis::Analysis;
use crate::measure::outliers::Role;

pub(crate) mod churn_budget;
pub(crate) mod cooldown;
pub(crate) mod coverage;
pub(crate) mod cure;
pub(crate) mod floor;
pub(crate) mod futility;
pub(crate) mod outlier_trigger;
pub(crate) mod persistence;
pub(crate) mod settings;
pub(crate) mod verdict;
pub(crate) mod veto;
pub(crate) mod warm_up;

pub use crate::trigger::{Trigger, trigger};
pub use churn_budget::{ChurnBudget, churn_budget, churn_of_cures};
pub use cooldown::cooldown;
pub use coverage::coverage;
pub use cure::{cured_before, illness_age};
pub use floor::floor;
pub use futility::futility;
pub use outlier_trigger::{OutlierTrigger, outlier_trigger};
pub use persistence::{Persistence, persistence, persistence_of_window};
pub use settings::GuardSettings;
pub use verdict::{Check, Standing, Verdict};
pub use veto::veto;
pub use warm_up::warm_up;

/// Asks every guard that is on, in the order floor, warm-up, coverage, vetoes, persistence, cooldown, futility,
/// churn budget. Returns all verdicts, not only the first refusal.
///
/// Coverage is always asked, because it is part of the decision. Vetoes, persistence, cooldown, futility and
/// the churn budget concern a rotation, so they are asked only if there is a `trigger`.
///
/// `cure` is the ill pod that is to be replaced alone. An illness has its own proof: instead of floor,
/// persistence and cooldown, the guards check how long it has lasted and whether it was cured before.
pub fn evaluate(
    analysis: &Analysis<'_>,
    set_aside: &[SetAside],
    facts: &Facts<'_>,
    settings: &GuardSettings,
    trigger: Option<&Trigger>,
    cure: Option<&IllPod>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let floors = &analysis.thresholds().trigger_floors;
    if cure.is_none() && (floors.cpu > 0.0 || floors.lag > 0.0) {
        verdicts.push(floor(analysis));
    }
    if let Some(limit) = on(settings.warm_up) {
        verdicts.push(warm_up(set_aside, limit));
    }
    verdicts.push(coverage(analysis, &facts.asked));
    if trigger.is_some() || cure.is_some() {
        verdicts.extend(facts.vetoes.iter().map(veto));
    }
    match (trigger, cure) {
        (_, Some(ill)) => verdicts.extend(of_cure(ill, analysis, facts, settings)),
        (Some(trigger), None) => verdicts.extend(of_rotation(trigger, analysis, facts, settings)),
        (None, None) => {}
    }
    verdicts
}

fn of_rotation(
    trigger: &Trigger,
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    settings: &GuardSettings,
) -> Vec<Verdict> {
    let busiest = analysis.name(trigger.targets.busiest);
    let lasted = |rule| persistence(analysis, facts, &trigger.metrics, busiest, rule);
    let verdicts = [
        settings.persistence.as_ref().map(lasted),
        on(settings.cooldown).map(|limit| cooldown(facts.live, limit)),
        on(settings.futility_age).map(|limit| futility(facts.live, Role::Busiest, busiest, limit)),
        settings.churn_budget.map(|budget| churn_budget(facts.live, facts.unlisted, budget)),
    ];
    verdicts.into_iter().flatten().collect()
}

/// The guards of a cure. The age of a sick pod is checked too, because offsets cannot show whether its
/// predecessor was just as sick.
pub(crate) fn of_cure(
    ill: &IllPod,
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    settings: &GuardSettings,
) -> Vec<Verdict> {
    let name = analysis.name(ill.position);
    let is_sick = matches!(ill.cause, Cause::SickPod { .. });
    let verdicts = [
        on(settings.illness_age).map(|limit| illness_age(ill, name, limit)),
        settings.diagnosis.then(|| cured_before(ill, name, facts)),
        on(settings.futility_age)
            .filter(|_| is_sick)
            .map(|limit| futility(facts.live, Role::Ill, name, limit)),
        settings.churn_budget.map(|budget| churn_of_cures(facts, budget)),
    ];
    verdicts.into_iter().flatten().collect()
}

/// The limit; a duration of zero means off.
fn on(limit: Option<Duration>) -> Option<Duration> {
    limit.filter(|limit| !limit.is_zero())
}
