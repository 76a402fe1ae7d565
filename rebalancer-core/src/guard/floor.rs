//! Floor: if a metric is nearly idle, a spread above its threshold is noise.

use alloc::string::ToString;

use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::metric::Metric;
use crate::measure::analysis::{Analysis, Finding};

/// Holds if a threshold is passed without trigger floors and none is with them.
///
/// Value and limit are those of the first metric the plain rule triggers on: the coefficient of variation
/// computed with the mean raised to the floor, and the threshold.
pub fn floor(analysis: &Analysis<'_>) -> Verdict {
    let metric = analysis.triggered().first().copied().unwrap_or(Metric::Cpu);
    let holds = analysis.finding() == Finding::BelowFloor;
    let reason =
        if holds { analysis.reason() } else { "no threshold is passed by idle loads alone".to_string() };
    Verdict::new(Check::Floor, Standing::held_if(holds), reason)
        .with(analysis.cv_compared(metric), analysis.thresholds().of(metric))
}
