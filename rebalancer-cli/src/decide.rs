//! The one path from what is known of a workload to a report; every command takes it.

use std::time::Duration;

use anyhow::Context as _;
use rebalancer_core::guard::{self, Verdict};
use rebalancer_core::{
    Analysis, Disturbance, EligibilityRules, Engine, Joined, LivePod, Metric, Objection, PerMetric,
    RotationOptions, Thresholds, Workload, disturbances, objections,
};

use crate::args::{DecisionArgs, GuardMode};
use crate::report::{Context, Kind, Report, WorkloadReport, build};

/// What the decision is held against, resolved from the arguments.
#[derive(Debug, Clone, Copy)]
pub struct DecisionSettings {
    /// Thresholds, floors, weights.
    pub thresholds: Thresholds,
    /// Whether guards are asked.
    pub guards: GuardMode,
    /// Warm-up in force; zero with guards off.
    pub warm_up: Duration,
    /// Samples older than this are missing.
    pub max_sample_age: Duration,
}

impl From<&DecisionArgs> for DecisionSettings {
    fn from(args: &DecisionArgs) -> Self {
        let floors = PerMetric {
            cpu: args.cpu_floor,
            memory: args.memory_floor,
            lag: args.lag_floor,
            rate: args.rate_floor,
        };
        let guarded = args.guards == GuardMode::Standard;
        let thresholds = Thresholds {
            cpu: args.cpu_variance_threshold,
            lag: args.lag_variance_threshold,
            min_pods: args.min_pods,
            min_coverage: args.min_coverage,
            trigger_floors: if guarded { floors } else { PerMetric::default() },
            score_floors: floors,
            weights: args.score_weights,
        };
        let warm_up = args.warmup.0.filter(|_| guarded).unwrap_or_default();
        Self { thresholds, guards: args.guards, warm_up, max_sample_age: args.max_sample_age }
    }
}

/// What is known of the workload when the decision is made.
#[derive(Debug)]
pub struct Known<'a> {
    /// Live pods joined with their samples.
    pub joined: &'a Joined,
    /// The live pods, and what their owners say.
    pub workload: &'a Workload,
    /// Metrics that were asked for.
    pub asked: &'a [Metric],
    /// The moment of the answers, RFC 3339.
    pub evaluation_time: Option<String>,
    /// What the report says of the workload.
    pub described: WorkloadReport,
}

/// How far the decision may go.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// What makes the report.
    pub kind: Kind,
    /// `none`, `client` or `server`.
    pub dry_run: &'static str,
    /// How a rotation would be carried out; `None` where nothing could be.
    pub rotation: Option<&'a RotationOptions>,
}

/// Decides, and tells why.
///
/// # Errors
/// When the pod states or the thresholds contradict themselves.
pub fn decide(settings: &DecisionSettings, known: Known<'_>, purpose: Purpose<'_>) -> anyhow::Result<Report> {
    let engine = Engine::new(settings.thresholds);
    let analysis = engine.analyze(&known.joined.pods).context("cannot analyse the pods")?;
    let context = Context {
        kind: purpose.kind,
        dry_run: purpose.dry_run,
        guards: match settings.guards {
            GuardMode::Standard => "standard",
            GuardMode::Off => "off",
        },
        verdicts: verdicts(settings, &analysis, known.joined, known.asked),
        objections: target_objections(&analysis, known.workload, settings.warm_up),
        disturbances: workload_disturbances(known.workload, purpose.rotation),
        warnings: warnings(known.joined, known.asked),
        evaluation_time: known.evaluation_time,
        workload: known.described,
    };
    Ok(build(&analysis, known.joined, &known.workload.pods, context))
}

/// What the guards that are on say; coverage is part of the decision and always reported.
fn verdicts(
    settings: &DecisionSettings,
    analysis: &Analysis<'_>,
    joined: &Joined,
    asked: &[Metric],
) -> Vec<Verdict> {
    let mut verdicts = vec![guard::coverage(analysis, asked)];
    if settings.guards == GuardMode::Standard {
        verdicts.push(guard::floor(analysis));
        if !settings.warm_up.is_zero() {
            verdicts.push(guard::warm_up(joined, settings.warm_up));
        }
    }
    verdicts
}

/// Why a target may not be evicted, every reason of both.
///
/// A pod of which not even the UID is known (a replay without pod facts) is not judged: nothing
/// can be evicted there.
fn target_objections(analysis: &Analysis<'_>, workload: &Workload, warm_up: Duration) -> Vec<String> {
    let Some(pair) = analysis.targets() else { return Vec::new() };
    let names = [pair.busiest, pair.least_busy].map(|position| analysis.pods()[position].name.as_str());
    let known = |name: &&str| workload.pods.iter().find(|pod| pod.name == **name && !pod.uid.is_empty());
    let targets: Vec<&LivePod> = names.iter().filter_map(known).collect();
    let told = |pod: &LivePod, objection: &Objection| format!("{} may not be evicted: {objection}", pod.name);
    targets
        .iter()
        .flat_map(|pod| {
            let found = objections(pod, EligibilityRules { warm_up });
            found.iter().map(|objection| told(pod, objection)).collect::<Vec<String>>()
        })
        .collect()
}

/// Why the workload has to be left alone now; not judged where its owners are not known.
fn workload_disturbances(workload: &Workload, rotation: Option<&RotationOptions>) -> Vec<String> {
    let Some(options) = rotation.filter(|_| !workload.owners.is_empty()) else { return Vec::new() };
    disturbances(workload, options).iter().map(Disturbance::to_string).collect()
}

/// What was wrong with the samples, a sentence a metric.
fn warnings(joined: &Joined, asked: &[Metric]) -> Vec<String> {
    const NAMED: usize = 3;
    let mut warnings = Vec::new();
    for &metric in asked {
        let issues = &joined.issues[metric];
        if !issues.missing.is_empty() && !joined.pods.is_empty() {
            let named = issues.missing.iter().take(NAMED).cloned().collect::<Vec<String>>().join(", ");
            let more = issues.missing.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let (all, missing) = (joined.pods.len(), issues.missing.len());
            let mut why = Vec::new();
            if !issues.stale.is_empty() {
                why.push(format!("{} too old", issues.stale.len()));
            }
            if !issues.invalid.is_empty() {
                why.push(format!("{} no number, infinite or negative", issues.invalid.len()));
            }
            let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
            warnings
                .push(format!("{metric}: {missing} of {all} pods have no usable sample{why}: {named}{more}"));
        }
        if issues.unknown_pods > 0 {
            warnings.push(format!(
                "{metric}: {} samples are of pods that are not alive here",
                issues.unknown_pods
            ));
        }
    }
    warnings
}
