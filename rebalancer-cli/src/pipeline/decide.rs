//! The only path from the data about a workload to a report. Every command uses it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use rebalancer_core::diagnosis::may_be_ill;
use rebalancer_core::{
    Analysis, Cure, Disturbance, Engine, Fact, Facts, Freshness, Joined, LivePod, Metric, MetricIssues,
    Objection, Offsets, PerMetric, RotationOptions, Strategy, Workload, assess, disturbances,
    divided_targets, objections, remarks,
};
use rebalancer_io::facts::{FactFinder, Kept, WITH_A_PAST};
use rebalancer_io::podstate::Answers;

use crate::cli::args::GuardMode;
use crate::format::text::first_of;
use crate::report::build;
use crate::report::diagnosis::DiagnosisReport;
use crate::report::verdict::VerdictReport;
use crate::report::version::API_VERSION;
use crate::report::{Kind, Outcome, Report, WorkloadReport};
use crate::settings::decision::DecisionSettings;

/// The data available when the decision is made.
pub struct Known<'a> {
    /// Live pods joined with their samples.
    pub joined: Cow<'a, Joined>,
    /// The live pods and the status of their owners; no pods if only names are known.
    pub workload: &'a Workload,
    /// Metrics that were queried.
    pub asked: Vec<Metric>,
    /// The time of the answers, RFC 3339.
    pub evaluation_time: Option<String>,
    /// The workload as described in the report.
    pub described: WorkloadReport,
    /// Finds which pods were replaced as a cure; `None` without a cluster.
    pub cures: Option<&'a dyn Fn() -> Fact<Vec<Cure>>>,
    /// Whether the history of the pods is available. A folder, a list of states and some recordings have
    /// none; guards that need it are skipped there.
    pub has_past: bool,
}

impl<'a> Known<'a> {
    /// What is known of a workload with a past.
    pub fn new(joined: Cow<'a, Joined>, workload: &'a Workload, asked: Vec<Metric>) -> Self {
        let described = WorkloadReport::default();
        Self { joined, workload, asked, evaluation_time: None, described, cures: None, has_past: true }
    }

    /// What these answers tell of a workload with a past.
    ///
    /// # Errors
    /// Two samples of one metric for one live pod.
    pub fn of(answers: &Answers, workload: &'a Workload, freshness: Freshness) -> anyhow::Result<Self> {
        let joined = answers.join(&workload.pods, freshness).context("cannot tell the pods apart")?;
        let evaluation_time = Some(answers.at.to_string());
        Ok(Self { evaluation_time, ..Self::new(Cow::Owned(joined), workload, answers.asked()) })
    }
}

/// The purpose of the decision.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// Which kind of report is made.
    pub kind: Kind,
    /// `none`, `client` or `server`.
    pub dry_run: &'static str,
    /// How a rotation would be carried out; `None` if none could be.
    pub rotation: Option<&'a RotationOptions>,
    /// Whether the report lists every pod and the medians.
    pub detailed: bool,
}

impl<'a> Purpose<'a> {
    /// The report of a plan, and of what decides like one.
    pub const fn plan(options: &'a RotationOptions, detailed: bool) -> Self {
        Self { kind: Kind::Plan, dry_run: "client", rotation: Some(options), detailed }
    }
}

/// Decides and explains. Facts besides the loads are looked up only if needed, and only with a finder.
///
/// # Errors
/// Pod states or thresholds that are inconsistent.
pub fn decide(
    settings: &DecisionSettings,
    known: &Known<'_>,
    finder: Option<&FactFinder<'_>>,
    purpose: Purpose<'_>,
) -> anyhow::Result<Report> {
    let analysis = analyze(settings, known)?;
    let live = living(known.workload);
    let mut facts = Facts::new(&live);
    if let Some(finder) = finder {
        let (rollout_age, kept) = (known.workload.rollout_age(), kept(settings, &analysis));
        facts = gather(&[(settings, &analysis)], finder, &live, rollout_age, &kept);
        if is_suspicious(settings, &analysis, &facts) {
            facts.cures = known.cures.map_or(Fact::Absent, |cures| cures());
        }
    }
    Ok(conclude(settings, &analysis, facts, known, purpose))
}

/// Compares the loads with the thresholds.
///
/// # Errors
/// Pod states or thresholds that are inconsistent.
pub fn analyze<'a>(settings: &DecisionSettings, known: &'a Known<'_>) -> anyhow::Result<Analysis<'a>> {
    Engine::new(settings.thresholds).analyze_joined(&known.joined).context("cannot analyse the pods")
}

/// The pods that facts are about: all that have not ended, nearly always all of them.
pub fn living(workload: &Workload) -> Cow<'_, [LivePod]> {
    if workload.living().count() == workload.pods.len() {
        return Cow::Borrowed(&workload.pods);
    }
    workload.living().cloned().collect()
}

/// Looks up what decisions with these settings may use: always the past of the partitions, because a standing one may not
/// move any spread; the rest only if something may ask for a rotation.
pub fn gather<'l>(
    variants: &[(&DecisionSettings, &Analysis<'_>)],
    finder: &FactFinder<'_>,
    live: &'l [LivePod],
    rollout_age: Option<Duration>,
    kept: &Kept<'_>,
) -> Facts<'l> {
    let all = |settings: &DecisionSettings| find(settings, finder, live, rollout_age, kept);
    let asks = variants.iter().find(|(settings, analysis)| needs_facts(settings, analysis));
    if let Some((settings, _)) = asks {
        return thread::scope(|scope| {
            let past = scope.spawn(|| partitions_past(finder, live));
            let found = all(settings);
            let [offsets, offsets_of_day] = past.join().expect("a thread that panics aborts the program");
            Facts { offsets, offsets_of_day, ..found }
        });
    }
    let [offsets, offsets_of_day] = partitions_past(finder, live);
    let facts = Facts { offsets, offsets_of_day, ..Facts::new(live) };
    let suspicious = variants.iter().find(|(settings, analysis)| is_suspicious(settings, analysis, &facts));
    let Some((settings, _)) = suspicious else { return facts };
    let Facts { offsets, offsets_of_day, .. } = facts;
    Facts { offsets, offsets_of_day, ..all(settings) }
}

/// The past of the partitions over the last hour, and over the last day for those that stood all hour.
pub fn partitions_past(finder: &FactFinder<'_>, live: &[LivePod]) -> [Fact<Offsets>; 2] {
    let hour = finder.offsets(live);
    let day = hour.known().map_or(Fact::Absent, |hour| finder.offsets_of_day(live, hour));
    [hour, day]
}

/// Whether anything may ask for a rotation, so that facts are needed.
pub fn needs_facts(settings: &DecisionSettings, analysis: &Analysis<'_>) -> bool {
    let may_trigger = settings.guards.outlier_trigger.is_some() && analysis.outliers().is_some();
    analysis.should_rebalance() || may_trigger
}

/// Whether a pod may be ill and would be cured, so that facts are needed; told by the past of the partitions and the loads.
fn is_suspicious(settings: &DecisionSettings, analysis: &Analysis<'_>, facts: &Facts<'_>) -> bool {
    settings.strategy == Strategy::ByCause && may_be_ill(analysis, facts)
}

/// Looks up everything that a decision about these pods may use.
pub fn find<'l>(
    settings: &DecisionSettings,
    finder: &FactFinder<'_>,
    live: &'l [LivePod],
    rollout_age: Option<Duration>,
    kept: &Kept<'_>,
) -> Facts<'l> {
    finder.find(live, rollout_age, &WITH_A_PAST, &settings.window(), kept)
}

/// The pods whose single samples a decision needs: those that the plain rule would rotate. The outlier
/// trigger needs the samples of all pods.
fn kept<'a>(settings: &DecisionSettings, analysis: &'a Analysis<'_>) -> Kept<'a> {
    if settings.guards.outlier_trigger.is_some() {
        return Kept::All;
    }
    let outliers = analysis.outliers().map(|outliers| [outliers.busiest, outliers.least_busy]);
    let name = |position| analysis.name(position);
    Kept::Only {
        pods: outliers.into_iter().flatten().map(name).collect(),
        candidates: analysis.candidates().iter().copied().map(name).collect(),
    }
}

/// Decides from the given facts.
pub fn conclude(
    settings: &DecisionSettings,
    analysis: &Analysis<'_>,
    found: Facts<'_>,
    known: &Known<'_>,
    purpose: Purpose<'_>,
) -> Report {
    // Nothing is known of a workload without owners.
    let rotation = purpose.rotation.filter(|_| !known.workload.owners.is_empty());
    let disturbances = rotation.map_or_else(Vec::new, |options| disturbances(known.workload, options));
    let facts = complete(found, settings, known, &disturbances);
    let guards = if known.has_past { settings.guards } else { settings.guards.without_past() };
    let assessment = assess(analysis, &known.joined.set_aside, &facts, &guards, settings.strategy);
    let picked = build::picked(analysis, &assessment);
    let targets: Vec<&str> = picked.iter().map(|target| target.pod.as_str()).collect();
    let divided = purpose.rotation.and_then(|_| divided_targets(known.workload, &targets));
    let warnings = warnings(settings, analysis, &facts, known, &targets);
    let verdicts = assessment.verdicts();
    let moves: Vec<String> = disturbances.iter().chain(&divided).map(Disturbance::to_string).collect();
    let refused = target_objections(&targets, known.workload, settings);
    let (outcome, reason) = build::outcome(analysis, &assessment, &verdicts, &moves, &refused);
    let (joined, detailed) = (&known.joined, purpose.detailed);
    let pods = || build::pods(analysis, &picked, joined, &known.workload.pods);
    Report {
        api_version: API_VERSION.to_owned(),
        kind: purpose.kind,
        outcome,
        should_rebalance: analysis.should_rebalance(),
        dry_run: purpose.dry_run.to_owned(),
        evaluation_time: known.evaluation_time.clone(),
        workload: WorkloadReport {
            pods: joined.names.len() + joined.set_aside.len(),
            ..known.described.clone()
        },
        strategy: settings.strategy,
        alternative: build::alternative(analysis, &assessment),
        reason,
        statistics: PerMetric::from_fn(|metric| build::statistics(analysis, metric, detailed)),
        coverage: PerMetric::from_fn(|metric| build::coverage(analysis, metric, &known.asked)),
        pods: if detailed { pods() } else { Vec::new() },
        targets: if outcome == Outcome::Planned { picked } else { Vec::new() },
        outliers: build::outliers(analysis, &assessment),
        guards: verdicts.into_iter().map(VerdictReport::from).collect(),
        diagnosis: DiagnosisReport::from(&assessment.diagnosis),
        thresholds: build::thresholds(analysis, settings.mode.into_str()),
        obstacles: refused.into_iter().chain(moves).collect(),
        warnings,
        rotation: None,
        requests: BTreeMap::new(),
    }
}

/// What an operator should know.
fn warnings(
    settings: &DecisionSettings,
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
    known: &Known<'_>,
    targets: &[&str],
) -> Vec<String> {
    let mut warnings = poor_samples(analysis, &known.joined, &known.asked);
    if !targets.is_empty() {
        warnings.extend(remarks(known.workload, targets));
    }
    warnings.extend(unusable_facts(facts));
    warnings.extend(unasked_guards(settings, analysis, known));
    warnings.extend(build::dead_thresholds(analysis));
    warnings
}

/// The facts, completed with those from the cluster and the settings.
fn complete<'a>(
    found: Facts<'a>,
    settings: &DecisionSettings,
    known: &Known<'_>,
    disturbances: &[Disturbance],
) -> Facts<'a> {
    Facts {
        asked: known.asked.clone(),
        unlisted: if known.workload.pods.is_empty() { known.joined.names.len() } else { 0 },
        rolling_out: disturbances
            .iter()
            .any(|found| matches!(found, Disturbance::Rollout(_) | Disturbance::RevisionsDiffer { .. })),
        assignor: settings.assignor,
        consumers_per_pod: settings.consumers_per_pod.or(found.consumers_per_pod),
        static_membership: settings.static_membership,
        vetoes: if settings.mode == GuardMode::Standard { found.vetoes } else { Vec::new() },
        ..found
    }
}

/// Names the guards that were skipped because there is no history.
fn unasked_guards(settings: &DecisionSettings, analysis: &Analysis<'_>, known: &Known<'_>) -> Option<String> {
    let guards = settings.guards;
    let are = match (guards.persistence.is_some(), guards.outlier_trigger.is_some()) {
        (true, true) => "persistence and outlier_trigger are",
        (true, false) => "persistence is",
        (false, true) => "outlier_trigger is",
        (false, false) => return None,
    };
    let is_told = !known.has_past && needs_facts(settings, analysis);
    is_told.then(|| format!("{are} not asked: what is replayed holds no history"))
}

/// Warnings about unusable optional inputs. Not about the history: its guard reports that.
fn unusable_facts(facts: &Facts<'_>) -> Vec<String> {
    fn told<T>(what: &str, fact: &Fact<T>) -> Option<String> {
        match fact {
            Fact::Unusable(why) | Fact::Failed(why) => Some(format!("{what} {why}")),
            Fact::Absent | Fact::Known(_) => None,
        }
    }
    let all = [
        told("the past of the partitions", &facts.offsets),
        told("what was cured before", &facts.cures),
        told("the load of each partition", &facts.partitions),
        told("the number of partitions of each pod", &facts.assigned_partitions),
        told("the assignor", &facts.exported_assignor),
        told("the load before and after the newest pod", &facts.last_replacement),
        told("the spread of CPU before the replacements of the last day", &facts.past_spread.cpu),
        told("the spread of lag before the replacements of the last day", &facts.past_spread.lag),
    ];
    all.into_iter().flatten().collect()
}

/// Why a target may not be evicted: every reason for each target.
///
/// A pod without a known UID (a replay without `pods.json`) is not judged: nothing can be evicted there.
fn target_objections(targets: &[&str], workload: &Workload, settings: &DecisionSettings) -> Vec<String> {
    let known = |name: &&str| workload.pods.iter().find(|pod| pod.name == **name && !pod.uid.is_empty());
    let told = |pod: &LivePod| {
        let found = objections(pod, &workload.owners, settings.warm_up());
        let told = |objection: &Objection| format!("{} may not be evicted: {objection}", pod.name);
        found.iter().map(told).collect::<Vec<String>>()
    };
    targets.iter().filter_map(known).flat_map(told).collect()
}

/// Problems with the samples, one sentence per metric.
fn poor_samples(analysis: &Analysis<'_>, joined: &Joined, asked: &[Metric]) -> Vec<String> {
    const NAMED: usize = 3;
    let of_metric = |&metric: &Metric| {
        let (issues, coverage) = (&joined.issues[metric], analysis.coverage()[metric]);
        let why = unusable_samples(issues);
        if coverage.having == 0 && coverage.eligible > 0 {
            return Some(format!(
                "{metric}: asked for, and no pod has it{why}: nothing is decided by {metric}"
            ));
        }
        let (missing, all) = (issues.missing.len(), joined.names.len());
        if missing == 0 || all == 0 {
            return None;
        }
        let named = first_of(&issues.missing, NAMED);
        let use_of_it = if coverage.is_usable() {
            String::new()
        } else {
            format!("; {} must have it, so nothing is decided by {metric}", coverage.needed)
        };
        Some(format!("{metric}: {missing} of {all} pods have no usable sample{why}: {named}{use_of_it}"))
    };
    asked.iter().filter_map(of_metric).collect()
}

/// The number of unusable samples, in parentheses; empty if there are none.
fn unusable_samples(issues: &MetricIssues) -> String {
    let mut why = Vec::new();
    if !issues.stale.is_empty() {
        why.push(format!("{} too old", issues.stale.len()));
    }
    if !issues.invalid.is_empty() {
        why.push(format!("{} no number, infinite or negative", issues.invalid.len()));
    }
    if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) }
}
