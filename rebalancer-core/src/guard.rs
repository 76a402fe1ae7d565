//! Guards: what holds a rotation back although a threshold is passed.
//!
//! Each guard is a pure function from facts to a [`Verdict`] with its number and its limit. A guard that
//! is off is not asked, which leaves exactly the plain rule. Guards remember nothing between runs: they
//! judge by the ages of pods and by the history of the metrics server.

use alloc::vec::Vec;
use core::time::Duration;

use crate::facts::Facts;
use crate::input::join::SetAside;
use crate::measure::analysis::Analysis;

pub(crate) mod churn_budget;
pub(crate) mod cooldown;
pub(crate) mod coverage;
pub(crate) mod floor;
pub(crate) mod futility;
pub(crate) mod outlier_trigger;
pub(crate) mod persistence;
pub(crate) mod settings;
pub(crate) mod verdict;
pub(crate) mod warm_up;

pub use crate::trigger::{Trigger, trigger};
pub use churn_budget::{ChurnBudget, churn_budget};
pub use cooldown::cooldown;
pub use coverage::coverage;
pub use floor::floor;
pub use futility::futility;
pub use outlier_trigger::{HotPod, OutlierTrigger, outlier_trigger};
pub use persistence::{Persistence, persistence, persistence_of_window};
pub use settings::{GuardSettings, InvalidGuard};
pub use verdict::{Check, Standing, Verdict};
pub use warm_up::warm_up;

/// Asks every guard that is on, in the order floor, warm-up, coverage, persistence, cooldown,
/// futility, churn budget. Returns all answers, not only the first refusal.
///
/// Coverage is part of the decision and is always asked. Persistence, cooldown, futility and the
/// churn budget are about a rotation, so they are asked only when `trigger` asks for one.
pub fn evaluate(
    analysis: &Analysis<'_>,
    set_aside: &[SetAside],
    facts: &Facts<'_>,
    settings: &GuardSettings,
    trigger: Option<&Trigger>,
) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let floors = &analysis.thresholds().trigger_floors;
    if floors.cpu > 0.0 || floors.lag > 0.0 {
        verdicts.push(floor(analysis));
    }
    if let Some(limit) = on(settings.warm_up) {
        verdicts.push(warm_up(set_aside, limit));
    }
    verdicts.push(coverage(analysis, &facts.asked));
    let Some(trigger) = trigger else { return verdicts };
    if let Some(rule) = &settings.persistence {
        let busiest = analysis.name(trigger.targets.busiest);
        verdicts.push(persistence(analysis, facts, &trigger.metrics, busiest, rule));
    }
    if let Some(limit) = on(settings.cooldown) {
        verdicts.push(cooldown(facts.live, limit));
    }
    if let Some(limit) = on(settings.futility_age) {
        let busiest = analysis.name(trigger.targets.busiest);
        verdicts.push(futility(facts.live, busiest, limit));
    }
    if let Some(budget) = settings.churn_budget {
        verdicts.push(churn_budget(facts.live, facts.unlisted, budget));
    }
    verdicts
}

/// A duration of zero is off.
fn on(limit: Option<Duration>) -> Option<Duration> {
    limit.filter(|limit| !limit.is_zero())
}
