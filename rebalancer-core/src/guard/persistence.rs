//! Persistence: unless the busiest pod was busy for most of the window, the unevenness is noise.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use libm::floor;

use crate::facts::{Fact, Facts};
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::history::{Grid, History};
use crate::input::metric::Metric;
use crate::measure::analysis::Analysis;
use crate::wording::lasting;

/// The rule: in at least `percent` % of its samples the pod was above `factor` times the mean.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Persistence {
    /// The multiple of the fleet's mean a sample must exceed to count.
    pub factor: f64,
    /// Share of the samples that must count, in percent, 1 to 100.
    pub percent: u32,
    /// How far back to look.
    pub window: Duration,
    /// Time between two samples.
    pub step: Duration,
    /// Fewest samples needed to judge the pod.
    pub min_history: usize,
}

impl Persistence {
    /// 1.25 times the mean in 80 % of the last 60 minutes, with one sample a minute and at least 30.
    pub const STANDARD: Self = Self {
        factor: 1.25,
        percent: 80,
        window: Duration::from_secs(60 * 60),
        step: Duration::from_secs(60),
        min_history: 30,
    };

    /// The standard rule over another window; half of its samples must be known.
    pub fn over(window: Duration) -> Self {
        let steps = Grid::ending(0.0, window, Self::STANDARD.step).steps;
        Self { window, min_history: steps.div_ceil(2).max(1), ..Self::STANDARD }
    }

    /// The instants of the range query. The last one is the latest multiple of the step (since the Unix
    /// epoch) that is not after `now_s`, in seconds since the epoch: servers that align ranges then answer
    /// for exactly these instants.
    pub fn grid(&self, now_s: f64) -> Grid {
        let step_s = self.step.as_secs_f64();
        let end_s = if step_s > 0.0 { floor(now_s / step_s) * step_s } else { now_s };
        Grid::ending(end_s, self.window, self.step)
    }
}

/// Holds unless the pod `busiest` stood out for most of the window in at least one of `metrics`, those that
/// trigger the rotation.
///
/// The value is the percentage of samples in which it stood out, the limit the percentage required. Unknown
/// without history, or with too few samples of the busiest pod.
pub fn persistence(
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    metrics: &[Metric],
    busiest: &str,
    rule: &Persistence,
) -> Verdict {
    let candidates = || -> Vec<&str> {
        analysis.candidates().iter().copied().map(|position| analysis.name(position)).collect()
    };
    let verdicts = metrics.iter().map(|&metric| {
        let floor = analysis.thresholds().trigger_floors[metric];
        let mut verdict = match &facts.past[metric] {
            Fact::Known(history) => persistence_of_window(history, busiest, &candidates(), floor, rule),
            lacking => verdict(Standing::Unknown, None, None, format!("history {}", lacking.lack())),
        };
        verdict.reason = format!("{metric}: {}", verdict.reason);
        verdict
    });
    // The most favourable counts.
    let rank = |verdict: &Verdict| match verdict.standing {
        Standing::Pass => 0,
        Standing::Unknown => 1,
        Standing::Hold => 2,
    };
    let best = verdicts.min_by_key(rank);
    best.unwrap_or_else(|| verdict(Standing::Unknown, None, None, "no metric triggers".into()))
}

/// Judges by every sample of the busiest pod in the window.
///
/// A sample counts if it is strictly above `factor * max(mean, floor)`; the mean is taken over the candidates
/// with a sample at that instant. Compared in integers: `100 * hits >= percent * samples`.
pub fn persistence_of_window(
    history: &History,
    busiest: &str,
    candidates: &[&str],
    floor: f64,
    rule: &Persistence,
) -> Verdict {
    let limit = Some(f64::from(rule.percent));
    let Some(own) = history.column(busiest) else {
        return verdict(Standing::Unknown, None, limit, format!("pod {busiest} has no history"));
    };
    let means = history.means(candidates);
    let (mut samples, mut hits) = (0_usize, 0_usize);
    for (load, mean) in own.zip(&means) {
        let Some(load) = load else { continue };
        samples += 1;
        hits += usize::from(load > rule.factor * mean.max(floor));
    }
    if samples < rule.min_history.max(1) {
        let reason = format!("pod {busiest} has {samples} samples, {} are needed", rule.min_history.max(1));
        return verdict(Standing::Unknown, None, limit, reason);
    }
    let holds = 100 * hits < rule.percent as usize * samples;
    let share = 100.0 * hits as f64 / samples as f64;
    let reason = format!(
        "pod {busiest} was above {} times the mean in {hits} of {samples} samples of the last {}, {} % are needed",
        rule.factor,
        lasting(rule.window),
        rule.percent,
    );
    verdict(Standing::held_if(holds), Some(share), limit, reason)
}

fn verdict(standing: Standing, value: Option<f64>, limit: Option<f64>, reason: String) -> Verdict {
    Verdict::new(Check::Persistence, standing, reason).with(value, limit)
}
