//! Guards: what holds a rotation back although a threshold is passed.
//!
//! Each guard is a pure function from facts to a [`Verdict`] that carries its number and its limit.
//! A guard that is off is not asked, and leaves exactly the plain rule. No guard remembers anything
//! between runs: ages and the history of the metrics server are its memory.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use crate::facts::Facts;
use crate::input::join::SetAside;
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;
use crate::measure::outliers::Outliers;

mod churn_budget;
mod cooldown;
mod coverage;
mod floor;
mod futility;
mod outlier_trigger;
mod persistence;
mod settings;
mod warm_up;

pub use churn_budget::{ChurnBudget, churn_budget};
pub use cooldown::cooldown;
pub use coverage::coverage;
pub use floor::floor;
pub use futility::futility;
pub use outlier_trigger::{HotPod, OutlierTrigger, outlier_trigger};
pub use persistence::{Persistence, persistence, persistence_of_window};
pub use settings::{GuardSettings, InvalidGuard};
pub use warm_up::warm_up;

/// What a guard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Standing {
    /// Nothing to object.
    Pass,
    /// The rotation must not happen now.
    Hold,
    /// The data the guard needs is not there; a run and a plan treat it as [`Standing::Hold`].
    Unknown,
}

/// The answer of one guard.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Verdict {
    /// Name of the guard, the stable word of reports and configuration.
    pub guard: &'static str,
    /// What it says.
    pub standing: Standing,
    /// The number it looked at, where there is one.
    pub value: Option<f64>,
    /// The limit it held the number against.
    pub limit: Option<f64>,
    /// Both in words.
    pub reason: String,
}

/// What would be rotated, and because of which metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Trigger {
    /// The metrics that pass their threshold, or the one that is hot by the outlier trigger.
    pub metrics: Vec<Metric>,
    /// The two pods.
    pub targets: Outliers,
}

/// What is rotated if nothing holds it back: the plain rule's targets, else those of the outlier
/// trigger where it is on. `None` when neither asks for a rotation.
pub fn trigger(analysis: &Analysis<'_>, facts: &Facts<'_>, settings: &GuardSettings) -> Option<Trigger> {
    if let Some(targets) = analysis.targets() {
        return Some(Trigger { metrics: analysis.triggered(), targets });
    }
    let hot = outlier_trigger(analysis, facts, settings.outlier_trigger.as_ref()?)?;
    let Outliers { busiest, least_busy } = analysis.outliers()?;
    // The hot pod takes the place of the busiest by score; it is never rotated with itself.
    let least_busy = if least_busy == hot.position { busiest } else { least_busy };
    Some(Trigger {
        metrics: alloc::vec![hot.metric],
        targets: Outliers { busiest: hot.position, least_busy },
    })
}

/// Asks every guard that is on, in the order floor, warm-up, coverage, persistence, cooldown,
/// futility, churn budget; all answers are given, not only the first refusal.
///
/// Coverage is part of the decision and is always asked. Persistence, cooldown, futility and the
/// churn budget are about a rotation, so they are asked only when one is triggered.
pub fn evaluate(
    analysis: &Analysis<'_>,
    set_aside: &[SetAside],
    facts: &Facts<'_>,
    settings: &GuardSettings,
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
    let Some(trigger) = trigger(analysis, facts, settings) else { return verdicts };
    if let Some(rule) = &settings.persistence {
        verdicts.push(persistence(analysis, facts, &trigger, rule));
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

/// A duration in the largest unit of which there are two or more.
fn words(duration: Duration) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let seconds = duration.as_secs();
    let unit = UNITS.into_iter().find(|(length, _)| seconds >= 2 * length);
    let (length, name) = unit.unwrap_or((1, "s"));
    alloc::format!("{} {name}", seconds / length)
}
