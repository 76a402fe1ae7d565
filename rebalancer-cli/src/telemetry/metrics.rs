//! The metrics of one run, all of them gauges: a program that runs once has nothing to count.

use rebalancer_core::Metric;
use rebalancer_core::diagnosis::Remedy;
use rebalancer_core::guard::Standing;
use strum::VariantArray as _;

use super::exposition::Exposition;
use super::notes::{Ended, Evictions, Stage};
use crate::report::diagnosis::{CauseCode, DiagnosisReport};
use crate::report::{Outcome, PodReport, PodVerdict, Report};
use crate::revision::REVISION;

/// The metric that a failed run does not change.
pub const LAST_SUCCESS: (&str, &str) =
    ("pod_rebalancer_last_success_timestamp_seconds", "When a run last decided and did what it decided.");

/// The metrics of runs that have ended. After a failure, the time of the last success is the line from an earlier run that
/// comes with it, or left out.
pub fn render<'a>(runs: impl IntoIterator<Item = (&'a Ended<'a>, Option<&'a str>)>) -> String {
    let mut text = Exposition::default();
    for (ended, kept) in runs {
        add(ended, kept, &mut text);
    }
    text.into_text()
}

fn add(ended: &Ended<'_>, kept: Option<&str>, text: &mut Exposition) {
    let (kind, name) = ended.owner();
    text.label(vec![
        ("target_namespace", ended.asked.namespace.clone()),
        ("target", ended.asked.target.clone()),
        ("target_kind", kind),
        ("target_name", name),
    ]);
    let (success, what) = LAST_SUCCESS;
    let now = ended.at.as_millisecond() as f64 / 1000.0;
    text.number("pod_rebalancer_last_run_timestamp_seconds", "When the last run ended.", now);
    match kept {
        _ if ended.is_success() => text.number(success, what, now),
        Some(line) => text.written(success, what, line),
        None => {}
    }
    durations(ended, text);
    outcome(ended, text);
    pods(ended, text);
    if let Some(report) = ended.report() {
        loads(report, text);
    }
    requests(ended, text);
    let build = [("version", env!("CARGO_PKG_VERSION")), ("revision", REVISION.unwrap_or("unknown"))];
    text.gauge("pod_rebalancer_build_info", "The program that ran last.", &build, 1.0);
}

fn durations(ended: &Ended<'_>, text: &mut Exposition) {
    let took = ended.took.as_secs_f64();
    text.number("pod_rebalancer_last_run_duration_seconds", "How long the last run took.", took);
    let spent = |stage: Stage| ended.notes.spent(stage).unwrap_or_default().as_secs_f64();
    text.by(
        "pod_rebalancer_last_run_stage_duration_seconds",
        "How long each stage of the last run took; 0 for one it did not come to.",
        "stage",
        Stage::VARIANTS.iter().map(|stage| (stage.into_str(), spent(*stage))),
    );
}

fn outcome(ended: &Ended<'_>, text: &mut Exposition) {
    text.one_of(
        "pod_rebalancer_last_run_outcome",
        "What came of the last run: 1 for its outcome, 0 for the others.",
        "outcome",
        Outcome::VARIANTS.iter().map(Outcome::into_str),
        ended.outcome().into_str(),
    );
    text.number(
        "pod_rebalancer_last_run_exit_code",
        "Exit code of the last run without --detailed-exitcode: 0 decided, 1 failed, 64 a setting is wrong.",
        f64::from(ended.exit_code()),
    );
    if let Some(DiagnosisReport { cause, remedy, .. }) = ended.report().map(|report| &report.diagnosis) {
        text.one_of(
            "pod_rebalancer_last_run_cause",
            "The cause that the last run found: 1 for it, 0 for the others.",
            "cause",
            CauseCode::VARIANTS.iter().map(CauseCode::into_str),
            cause.code.into_str(),
        );
        text.one_of(
            "pod_rebalancer_last_run_remedy",
            "What would help against that cause: 1 for the remedy, 0 for the others.",
            "remedy",
            Remedy::ALL.iter().map(|remedy| remedy.name()),
            remedy.name(),
        );
    }
    let Evictions { evicted, dry_run, blocked_pdb, error } = ended.evictions();
    let results =
        [("evicted", evicted), ("dry_run", dry_run), ("blocked_pdb", blocked_pdb), ("error", error)];
    text.by(
        "pod_rebalancer_last_run_evictions",
        "Pods the last run was to evict, by what came of it.",
        "result",
        results.map(|(result, count)| (result, count as f64)),
    );
    let held = ended.report().map_or_else(|| vec![("workload", false)], withheld);
    text.by(
        "pod_rebalancer_last_run_withheld",
        "What held the last run back: 1 for each guard that did, and for a workload in motion.",
        "reason",
        held.into_iter().map(|(reason, holds)| (reason, f64::from(holds))),
    );
}

/// What held a rotation back.
pub fn holding(report: &Report) -> Vec<&str> {
    withheld(report).into_iter().filter(|(_, holds)| *holds).map(|(reason, _)| reason).collect()
}

/// Every guard that was asked, and whether it held a rotation back.
fn withheld(report: &Report) -> Vec<(&str, bool)> {
    let is_withheld = report.outcome == Outcome::Withheld;
    // An unknown guard holds back too.
    let holds = |standing: Standing| is_withheld && standing != Standing::Pass;
    let mut reasons: Vec<(&str, bool)> =
        report.guards.iter().map(|guard| (guard.name.as_str(), holds(guard.verdict))).collect();
    let by_guard = reasons.iter().any(|(_, holds)| *holds);
    reasons.push(("workload", is_withheld && !by_guard));
    reasons
}

fn pods(ended: &Ended<'_>, text: &mut Exposition) {
    let Some(observed) = ended.observed() else { return };
    let eligible = ended.eligible();
    let states =
        [("observed", observed), ("eligible", eligible), ("excluded", observed.saturating_sub(eligible))];
    text.by(
        "pod_rebalancer_last_run_pods",
        "Live pods of the last run, and those of them that it could decide on or not.",
        "state",
        states.map(|(state, count)| (state, count as f64)),
    );
}

fn loads(report: &Report, text: &mut Exposition) {
    let spreads = report.statistics.iter().filter_map(|(metric, found)| Some((metric, found.as_ref()?)));
    text.by(
        "pod_rebalancer_imbalance_ratio",
        "Spread of a metric over the pods, as held against its threshold: standard deviation over mean.",
        "metric",
        spreads.map(|(metric, found)| (metric.name(), found.cv_compared)),
    );
    text.by(
        "pod_rebalancer_imbalance_threshold_ratio",
        "The spread above which a rotation is asked for.",
        "metric",
        [(Metric::Cpu.name(), report.thresholds.cpu), (Metric::Lag.name(), report.thresholds.lag)],
    );
    // Those that neither start nor stop.
    let is_judged =
        |pod: &&PodReport| pod.verdict.is_candidate() || pod.verdict == PodVerdict::MissingMetrics;
    let judged: Vec<&PodReport> = report.pods.iter().filter(is_judged).collect();
    if judged.is_empty() {
        return;
    }
    let covered = |metric: Metric| judged.iter().filter(|pod| pod.load(metric).is_some()).count();
    text.by(
        "pod_rebalancer_metric_coverage_ratio",
        "Share of the Ready pods that have a usable sample of a metric.",
        "metric",
        Metric::ALL.map(|metric| (metric.name(), covered(metric) as f64 / judged.len() as f64)),
    );
}

fn requests(ended: &Ended<'_>, text: &mut Exposition) {
    let counts = ended.notes.requests();
    let (partial, failed) = (counts.partial(), counts.failed());
    let fine = counts.sent().saturating_sub(partial + failed);
    text.by(
        "pod_rebalancer_prometheus_requests",
        "Requests of the last run to the metrics server, by their answer.",
        "result",
        [("ok", fine), ("partial", partial), ("error", failed)].map(|(result, count)| (result, count as f64)),
    );
}
