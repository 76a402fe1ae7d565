//! Builds the parts of the report of a decision.

use std::collections::BTreeMap;
use std::time::Duration;

use rebalancer_core::diagnosis::{Cause, Diagnosis};
use rebalancer_core::guard::{Standing, Verdict};
use rebalancer_core::{
    Analysis, Assessment, Coverage, Finding, Joined, LivePod, Load, Metric, Role, SetAsideReason,
};

use crate::report::{
    AlternativeReport, CoverageReport, Outcome, PodReport, PodVerdict, StatisticsReport, TargetReport,
    ThresholdsReport,
};

/// What came of the decision, and why: held back by a guard or by what `moves` in the workload, or blocked by what is `refused`.
pub fn outcome(
    analysis: &Analysis<'_>,
    assessment: &Assessment,
    verdicts: &[Verdict],
    moves: &[String],
    refused: &[String],
) -> (Outcome, String) {
    if assessment.is_unread() {
        let why = "nobody reads: messages arrive and no partition of the group moves";
        return (Outcome::InsufficientData, why.to_owned());
    }
    let Some(trigger) = &assessment.trigger else {
        let insufficient = analysis.finding() == Finding::InsufficientData;
        let outcome = if insufficient { Outcome::InsufficientData } else { Outcome::Balanced };
        return (outcome, with_cause(analysis.reason(), &assessment.diagnosis));
    };
    let over = analysis.finding() != Finding::BelowFloor;
    let is_cure = assessment.selection.as_ref().is_some_and(|selection| selection.pods.len() == 1);
    let why = if is_cure {
        with_cause(analysis.reason(), &assessment.diagnosis)
    } else if analysis.should_rebalance() {
        analysis.reason()
    } else {
        let busiest = analysis.name(trigger.targets.busiest);
        let metrics: Vec<&str> = trigger.metrics.iter().map(|metric| metric.name()).collect();
        format!("{}, and {busiest} lastingly stands out in {}", analysis.reason(), metrics.join(" and "))
    };
    let over = over || is_cure;
    let held = verdicts.iter().filter(|verdict| verdict.standing != Standing::Pass);
    let held: Vec<String> = held.map(|verdict| format!("{}: {}", verdict.check, verdict.reason)).collect();
    if !held.is_empty() {
        let held = held.join("; ");
        return (Outcome::Withheld, if over { format!("{why}, but {held}") } else { held });
    }
    if !moves.is_empty() {
        return (Outcome::Withheld, format!("{why}, but {}", moves.join("; ")));
    }
    if !refused.is_empty() {
        return (Outcome::Blocked, format!("{why}, but {}", refused.join("; ")));
    }
    (Outcome::Planned, why)
}

/// The comparison with the thresholds, and the cause if they do not show it.
fn with_cause(reason: String, diagnosis: &Diagnosis) -> String {
    match &diagnosis.cause {
        Cause::Balanced | Cause::Unknown => reason,
        cause => format!("{reason}; {cause}"),
    }
}

/// What the other strategy would do.
pub fn alternative(analysis: &Analysis<'_>, assessment: &Assessment) -> Option<AlternativeReport> {
    let other = assessment.alternative.as_ref()?;
    let pods = other.pods.iter().map(|position| analysis.name(*position).to_owned()).collect();
    Some(AlternativeReport { strategy: other.strategy, pods, reason: other.why.clone() })
}

/// The pods that the strategy picks, the busier one first, whether or not they would be evicted.
pub fn picked(analysis: &Analysis<'_>, assessment: &Assessment) -> Vec<TargetReport> {
    let targets = assessment.selection.iter().flat_map(|selection| selection.targets(analysis));
    targets.map(|(role, pod)| TargetReport { pod: pod.to_owned(), role }).collect()
}

/// The busiest and the least busy pod: those of the trigger, else by score.
pub fn outliers(analysis: &Analysis<'_>, assessment: &Assessment) -> Vec<TargetReport> {
    // An illness asks without a metric, and its pod may be neither end.
    let asked = assessment.trigger.as_ref().filter(|trigger| !trigger.metrics.is_empty());
    let ends = asked.map(|trigger| trigger.targets).or_else(|| analysis.outliers());
    let target =
        |(position, role): (usize, Role)| TargetReport { pod: analysis.name(position).to_owned(), role };
    let positions = ends.into_iter().flat_map(|ends| [ends.busiest, ends.least_busy]);
    positions.zip(Role::PAIR).map(target).collect()
}

/// The spread of a metric; `None` where it is not usable. The median only if the report is `detailed`.
pub fn statistics(analysis: &Analysis<'_>, metric: Metric, detailed: bool) -> Option<StatisticsReport> {
    let spread = analysis.spread(metric)?;
    Some(StatisticsReport {
        count: spread.count,
        mean: spread.mean,
        variance: spread.variance,
        std_dev: spread.std_dev,
        cv: spread.cv,
        cv_compared: analysis.cv_compared(metric)?,
        threshold: analysis.thresholds().of(metric),
        median: if detailed { analysis.median(metric) } else { None },
        min: spread.min,
        max: spread.max,
        max_over_mean: spread.max_over_mean,
    })
}

/// How many pods have a metric, and whether it was `asked` for.
pub fn coverage(analysis: &Analysis<'_>, metric: Metric, asked: &[Metric]) -> CoverageReport {
    let Coverage { having, needed, eligible } = analysis.coverage()[metric];
    let usable = analysis.coverage()[metric].is_usable() && analysis.count() > 0;
    CoverageReport { asked: asked.contains(&metric), having, needed, eligible, usable }
}

/// Every live pod, by name.
pub fn pods(
    analysis: &Analysis<'_>,
    picked: &[TargetReport],
    joined: &Joined,
    live: &[LivePod],
) -> Vec<PodReport> {
    let live: BTreeMap<&str, &LivePod> = live.iter().map(|pod| (pod.name.as_str(), pod)).collect();
    let known = |row: PodReport| {
        let Some(pod) = live.get(row.name.as_str()) else { return row };
        PodReport { age_seconds: pod.age.as_ref().map(Duration::as_secs), node: pod.node.clone(), ..row }
    };
    let judged = (0..analysis.count()).map(|position| {
        let name = analysis.name(position);
        let load = |metric| analysis.load(position, metric).map(Load::value);
        let row = PodReport::new(name, verdict(analysis, picked, position), load);
        known(PodReport {
            composite_score: analysis.score(position),
            missing: analysis.lacks(position).into_iter().map(|metric| metric.name().to_owned()).collect(),
            ..row
        })
    });
    let set_aside = joined.set_aside.iter().map(|pod| {
        let verdict = match pod.reason {
            SetAsideReason::Terminating => PodVerdict::Terminating,
            SetAsideReason::NotRunning => PodVerdict::NotRunning,
            SetAsideReason::NotReady => PodVerdict::NotReady,
            SetAsideReason::WarmingUp => PodVerdict::WarmingUp,
        };
        known(PodReport::new(&pod.pod, verdict, |_| None))
    });
    let mut pods: Vec<PodReport> = judged.chain(set_aside).collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    pods
}

fn verdict(analysis: &Analysis<'_>, picked: &[TargetReport], position: usize) -> PodVerdict {
    let name = analysis.name(position);
    match picked.iter().find(|target| target.pod == name).map(|target| target.role) {
        Some(Role::Busiest) => PodVerdict::Busiest,
        Some(Role::LeastBusy) => PodVerdict::LeastBusy,
        Some(Role::Ill) => PodVerdict::Ill,
        None if analysis.is_candidate(position) => PodVerdict::Keep,
        None => PodVerdict::MissingMetrics,
    }
}

/// What the decision was held against.
pub fn thresholds(analysis: &Analysis<'_>, guards: &'static str) -> ThresholdsReport {
    let thresholds = analysis.thresholds();
    ThresholdsReport {
        cpu: thresholds.cpu,
        lag: thresholds.lag,
        min_pods: thresholds.min_pods,
        min_coverage: thresholds.min_coverage,
        guards: guards.to_owned(),
        trigger_floors: thresholds.trigger_floors,
        score_floors: thresholds.score_floors,
        weights: thresholds.weights,
    }
}

/// A warning about each threshold that no load of so few pods can pass.
pub fn dead_thresholds(analysis: &Analysis<'_>) -> impl Iterator<Item = String> {
    let count = analysis.candidates().len();
    let most = (count.saturating_sub(1) as f64).sqrt();
    analysis.dead_thresholds().into_iter().map(move |metric| {
        let limit = analysis.thresholds().of(metric).unwrap_or_default();
        format!("the {metric} threshold {limit} cannot be passed by {count} pods: their spread is at most {most:.2}")
    })
}
