//! Coverage: a metric that too few pods have is not used. Part of the decision, guards on or off.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::analysis::Analysis;
use crate::guard::{Standing, Verdict};
use crate::metric::Metric;

/// Tells which of the asked metrics too few pods have; holds when neither CPU nor lag is usable.
///
/// The value is the smallest share of pods among the asked metrics; the limit the share that makes
/// a metric usable.
pub fn coverage(analysis: &Analysis<'_>, asked: &[Metric]) -> Verdict {
    let share = |metric: Metric| {
        let coverage = analysis.coverage()[metric];
        if coverage.eligible == 0 { 0.0 } else { coverage.having as f64 / coverage.eligible as f64 }
    };
    let thin: Vec<String> = asked
        .iter()
        .filter(|metric| !analysis.coverage()[**metric].is_usable())
        .map(|metric| {
            let coverage = analysis.coverage()[*metric];
            format!("{metric} {} of {}", coverage.having, coverage.eligible)
        })
        .collect();
    let usable = |metric: Metric| analysis.coverage()[metric].is_usable();
    let decidable = analysis.count() > 0 && [Metric::Cpu, Metric::Lag].into_iter().any(usable);
    Verdict {
        guard: "coverage",
        standing: if decidable { Standing::Pass } else { Standing::Hold },
        value: asked.iter().map(|metric| share(*metric)).min_by(f64::total_cmp),
        limit: Some(analysis.thresholds().min_coverage),
        reason: match (thin.is_empty(), decidable) {
            (false, _) => format!("not used, too few pods have it: {}", thin.join(", ")),
            (true, true) => "enough pods have every metric that was asked for".to_string(),
            (true, false) => "no pod has CPU or lag to decide by".to_string(),
        },
    }
}
