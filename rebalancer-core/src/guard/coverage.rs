//! Coverage: a metric that too few pods have is not used. Part of the decision, with guards on or off.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::metric::Metric;
use crate::measure::analysis::{Analysis, Coverage};

/// Holds if neither CPU nor lag is usable; else names the usable ones of the queried metrics.
///
/// The value is the smallest share of pods among the usable metrics (among all queried ones if it holds); the
/// limit is the share that makes a metric usable. An unusable metric beside a usable one holds nothing back;
/// reporting it is up to the caller.
pub fn coverage(analysis: &Analysis<'_>, asked: &[Metric]) -> Verdict {
    let usable = |metric: Metric| analysis.coverage()[metric].is_usable();
    let decidable = analysis.count() > 0 && Metric::TRIGGERS.into_iter().any(usable);
    let looked_at: Vec<Metric> =
        asked.iter().copied().filter(|metric| usable(*metric) || !decidable).collect();
    let share = |metric: Metric| {
        let coverage = analysis.coverage()[metric];
        if coverage.eligible == 0 { 0.0 } else { coverage.having as f64 / coverage.eligible as f64 }
    };
    let reason = if !decidable {
        undecidable(analysis, asked)
    } else if looked_at.len() == asked.len() {
        "enough pods have every metric that was asked for".to_string()
    } else {
        let names: Vec<&str> = looked_at.iter().map(|metric| metric.name()).collect();
        format!("enough pods have {}", names.join(", "))
    };
    let smallest = looked_at.iter().map(|metric| share(*metric)).min_by(f64::total_cmp);
    Verdict::new(Check::Coverage, Standing::held_if(!decidable), reason)
        .with(smallest, analysis.thresholds().min_coverage)
}

/// Why no metric decides: too few pods in total, or too few with a metric.
fn undecidable(analysis: &Analysis<'_>, asked: &[Metric]) -> String {
    let (eligible, required) = (analysis.coverage().cpu.eligible, analysis.thresholds().min_pods);
    if eligible < required {
        return format!("{eligible} pods take part, {required} are required");
    }
    let triggers = asked.iter().filter(|metric| Metric::TRIGGERS.contains(metric));
    let lacks = |metric: &Metric| match analysis.coverage()[*metric] {
        Coverage { having: 0, .. } => format!("no pod has {metric}"),
        Coverage { having, needed, .. } => {
            format!("{having} of {eligible} pods have {metric}, {needed} are needed")
        }
    };
    let lacking: Vec<String> = triggers.map(lacks).collect();
    if lacking.is_empty() { "no pod has CPU or lag to decide by".to_string() } else { lacking.join("; ") }
}
