//! What asks for a rotation: a passed threshold, one hot pod, or an ill one.

use alloc::vec::Vec;

use crate::facts::Facts;
use crate::guard::outlier_trigger::outlier_trigger;
use crate::guard::settings::GuardSettings;
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;
use crate::measure::outliers::Outliers;

/// What would be rotated, and because of which metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Trigger {
    /// The metrics that pass their threshold, or the one with a hot pod; empty if only an illness asks.
    pub metrics: Vec<Metric>,
    /// The two pods.
    pub targets: Outliers,
}

/// Finds what asks for a rotation: the plain rule, else the outlier trigger if it is on. `None` if neither
/// does.
pub fn trigger(analysis: &Analysis<'_>, facts: &Facts<'_>, settings: &GuardSettings) -> Option<Trigger> {
    if let Some(targets) = analysis.targets() {
        return Some(Trigger { metrics: analysis.triggered(), targets });
    }
    let (metric, hot) = outlier_trigger(analysis, facts, settings.outlier_trigger.as_ref()?)?;
    let Outliers { busiest, least_busy } = analysis.outliers()?;
    // The hot pod replaces the busiest by score; it is never paired with itself.
    let least_busy = if least_busy == hot { busiest } else { least_busy };
    Some(Trigger { metrics: alloc::vec![metric], targets: Outliers { busiest: hot, least_busy } })
}

/// What asks for the replacement of an ill pod: `asked`, else only its illness. `None` on insufficient data.
pub(crate) fn trigger_of(ill: usize, asked: Option<&Trigger>, analysis: &Analysis<'_>) -> Option<Trigger> {
    if let Some(asked) = asked {
        return Some(asked.clone());
    }
    let Outliers { busiest, least_busy } = analysis.outliers()?;
    let least_busy = if least_busy == ill { busiest } else { least_busy };
    Some(Trigger { metrics: Vec::new(), targets: Outliers { busiest: ill, least_busy } })
}
