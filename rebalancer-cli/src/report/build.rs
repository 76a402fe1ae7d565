//! Builds the report of a decision.

use std::collections::BTreeMap;
use std::time::Duration;

use rebalancer_core::diagnosis::{Cause, Diagnosis};
use rebalancer_core::guard::{Standing, Verdict};
use rebalancer_core::{
    Analysis, Assessment, Coverage, Finding, Joined, LivePod, Load, Metric, PerMetric, Role, SetAsideReason,
    Strategy,
};

use crate::report::diagnosis::DiagnosisReport;
use crate::report::verdict::VerdictReport;
use crate::report::version::API_VERSION;
use crate::report::{
    AlternativeReport, CoverageReport, Kind, Outcome, PodReport, PodVerdict, Report, StatisticsReport,
    TargetReport, ThresholdsReport, WorkloadReport,
};

/// A report's inputs besides the analysis.
#[derive(Debug, Clone)]
pub struct Context {
    /// Which kind of report it is.
    pub kind: Kind,
    /// Whether it lists every pod and the medians.
    pub detailed: bool,
    /// `none`, `client` or `server`.
    pub dry_run: &'static str,
    /// `standard` or `off`.
    pub guards: &'static str,
    /// Which pods a rotation takes.
    pub strategy: Strategy,
    /// The time of the answers.
    pub evaluation_time: Option<String>,
    /// Which pods.
    pub workload: WorkloadReport,
    /// Verdicts of the guards that are on.
    pub verdicts: Vec<Verdict>,
    /// Why a target may not be evicted.
    pub objections: Vec<String>,
    /// Why the workload must be left alone now.
    pub disturbances: Vec<String>,
    /// What an operator should know.
    pub warnings: Vec<String>,
    /// Metrics that were queried.
    pub asked: Vec<Metric>,
}

/// Builds the report of a decision before any action.
pub fn build(
    analysis: &Analysis<'_>,
    assessment: &Assessment,
    joined: &Joined,
    live: &[LivePod],
    context: Context,
) -> Report {
    let (outcome, reason) = outcome(analysis, assessment, &context);
    let picked = picked(analysis, assessment);
    Report {
        api_version: API_VERSION.to_owned(),
        kind: context.kind,
        outcome,
        should_rebalance: analysis.should_rebalance(),
        dry_run: context.dry_run.to_owned(),
        evaluation_time: context.evaluation_time,
        workload: WorkloadReport { pods: joined.names.len() + joined.set_aside.len(), ..context.workload },
        strategy: context.strategy,
        alternative: alternative(analysis, assessment),
        reason,
        statistics: PerMetric::from_fn(|metric| statistics(analysis, metric, context.detailed)),
        coverage: PerMetric::from_fn(|metric| coverage(analysis, metric, &context.asked)),
        pods: if context.detailed { pods(analysis, &picked, joined, live) } else { Vec::new() },
        targets: if outcome == Outcome::Planned { picked } else { Vec::new() },
        outliers: outliers(analysis, assessment),
        guards: context.verdicts.into_iter().map(VerdictReport::from).collect(),
        diagnosis: DiagnosisReport::from(&assessment.diagnosis),
        thresholds: thresholds(analysis, context.guards),
        obstacles: context.objections.into_iter().chain(context.disturbances).collect(),
        warnings: warnings_of(analysis, context.warnings),
        rotation: None,
        requests: BTreeMap::new(),
    }
}

fn outcome(analysis: &Analysis<'_>, assessment: &Assessment, context: &Context) -> (Outcome, String) {
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
    let held: Vec<String> = context
        .verdicts
        .iter()
        .filter(|verdict| verdict.standing != Standing::Pass)
        .map(|verdict| format!("{}: {}", verdict.check, verdict.reason))
        .collect();
    if !held.is_empty() {
        let held = held.join("; ");
        return (Outcome::Withheld, if over { format!("{why}, but {held}") } else { held });
    }
    if !context.disturbances.is_empty() {
        return (Outcome::Withheld, format!("{why}, but {}", context.disturbances.join("; ")));
    }
    if !context.objections.is_empty() {
        return (Outcome::Blocked, format!("{why}, but {}", context.objections.join("; ")));
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
fn alternative(analysis: &Analysis<'_>, assessment: &Assessment) -> Option<AlternativeReport> {
    let other = assessment.alternative.as_ref()?;
    let pods = other.pods.iter().map(|position| analysis.name(*position).to_owned()).collect();
    Some(AlternativeReport { strategy: other.strategy, pods, reason: other.why.clone() })
}

/// The pods that the strategy picks, the busier one first, whether or not they would be evicted.
fn picked(analysis: &Analysis<'_>, assessment: &Assessment) -> Vec<TargetReport> {
    let targets = assessment.selection.iter().flat_map(|selection| selection.targets(analysis));
    targets.map(|(role, pod)| TargetReport { pod: pod.to_owned(), role }).collect()
}

/// The busiest and the least busy pod: those of the trigger, else by score.
fn outliers(analysis: &Analysis<'_>, assessment: &Assessment) -> Vec<TargetReport> {
    // An illness asks without a metric, and its pod may be neither end.
    let asked = assessment.trigger.as_ref().filter(|trigger| !trigger.metrics.is_empty());
    let ends = asked.map(|trigger| trigger.targets).or_else(|| analysis.outliers());
    let target =
        |(position, role): (usize, Role)| TargetReport { pod: analysis.name(position).to_owned(), role };
    let positions = ends.into_iter().flat_map(|ends| [ends.busiest, ends.least_busy]);
    positions.zip(Role::PAIR).map(target).collect()
}

fn statistics(analysis: &Analysis<'_>, metric: Metric, detailed: bool) -> Option<StatisticsReport> {
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

fn coverage(analysis: &Analysis<'_>, metric: Metric, asked: &[Metric]) -> CoverageReport {
    let Coverage { having, needed, eligible } = analysis.coverage()[metric];
    let usable = analysis.coverage()[metric].is_usable() && analysis.count() > 0;
    CoverageReport { asked: asked.contains(&metric), having, needed, eligible, usable }
}

fn pods(
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

fn thresholds(analysis: &Analysis<'_>, guards: &'static str) -> ThresholdsReport {
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

fn warnings_of(analysis: &Analysis<'_>, mut warnings: Vec<String>) -> Vec<String> {
    let count = analysis.candidates().len();
    for metric in analysis.dead_thresholds() {
        let limit = analysis.thresholds().of(metric).unwrap_or_default();
        let most = (count.saturating_sub(1) as f64).sqrt();
        warnings.push(format!(
            "the {metric} threshold {limit} cannot be passed by {count} pods: their spread is at most {most:.2}"
        ));
    }
    warnings
}
