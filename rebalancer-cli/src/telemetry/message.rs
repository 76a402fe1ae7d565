//! What a webhook is told of a run: the report, or a few lines for people.

use serde_json::json;

use super::notes::Ended;
use crate::cli::args::WebhookFormat;
use crate::format::text::{plain, spaced};
use crate::report::failed::FailureReport;
use crate::report::rotation::Reason;
use crate::report::scan::{ScanReport, ScanRow};
use crate::report::{Outcome, Report, TargetReport, WorkloadReport};

/// Most characters of a text: Slack cuts a message at 4,000.
const MAX_TEXT: usize = 3_000;

/// The body of the request: the report, or where the run failed without one, what failed.
pub fn of(ended: &Ended<'_>, format: WebhookFormat) -> String {
    let written = match (format, ended.end) {
        (WebhookFormat::Slack, _) => return slack(lines(ended)),
        (WebhookFormat::Json, Ok(report)) => serde_json::to_string(report),
        (WebhookFormat::Json, Err(failure)) => {
            serde_json::to_string(&FailureReport::new(failure, ended.asked.dry_run, workload(ended)))
        }
    };
    written.expect("a report is written as JSON")
}

/// The body of the request about a run of all workloads: the report, or a line for each workload with one of these
/// outcomes.
pub fn of_all(report: &ScanReport, format: WebhookFormat, outcomes: &[Outcome]) -> String {
    if format == WebhookFormat::Json {
        return serde_json::to_string(report).expect("a report is written as JSON");
    }
    let told = report.workloads.iter().filter(|row| outcomes.contains(&outcome(row))).map(line);
    let unlisted = report.unlisted.iter().filter(|_| outcomes.contains(&Outcome::Failed));
    slack(told.chain(unlisted.map(|why| format!("*not listed*: {why}"))).collect())
}

/// Lines for people as Slack takes them, which reads three characters as markup of links and mentions; as far as a message may
/// go.
fn slack(lines: Vec<String>) -> String {
    let escaped = |line: String| plain(&line).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let text = lines.into_iter().map(escaped).collect::<Vec<String>>().join("\n");
    let text = match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    };
    json!({ "text": text }).to_string()
}

/// What came of a workload; one without a decision has failed.
fn outcome(row: &ScanRow) -> Outcome {
    row.outcome.unwrap_or(Outcome::Failed)
}

fn line(row: &ScanRow) -> String {
    let ScanRow { namespace, kind, name, reason, .. } = row;
    let is_dry = row.report.as_ref().is_some_and(|report| report.is_dry_run());
    let is_dry = if is_dry { ", dry run" } else { "" };
    format!("*{}* {kind}/{name} in {namespace}{is_dry}: {reason}", spaced(outcome(row).into_str()))
}

fn workload(ended: &Ended<'_>) -> WorkloadReport {
    let (kind, name) = ended.owner();
    let named = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    WorkloadReport {
        namespace: named(&ended.asked.namespace),
        selector: named(&ended.asked.target),
        owner: (!name.is_empty()).then(|| format!("{kind}/{name}")),
        pods: ended.observed().unwrap_or_default(),
        ..WorkloadReport::default()
    }
}

/// One line of what came of it, then why, the cause, and the pods.
fn lines(ended: &Ended<'_>) -> Vec<String> {
    let workload = ended.report().map_or_else(|| workload(ended), |report| report.workload.clone());
    let place = workload.namespace.as_ref().map_or_else(String::new, |name| format!(" in {name}"));
    let is_dry = if ended.asked.dry_run == "none" { "" } else { ", dry run" };
    let mut lines =
        vec![format!("*{}* {}{place}{is_dry}", spaced(ended.outcome().into_str()), workload.name())];
    match ended.end {
        Ok(report) => lines.extend(told(report)),
        Err(failure) => lines.push(failure.words()),
    }
    lines
}

fn target(target: &TargetReport) -> String {
    format!("{} ({})", target.pod, spaced(target.role.name()))
}

fn told(report: &Report) -> Vec<String> {
    let mut lines = vec![report.reason.clone()];
    let cause = spaced(report.diagnosis.cause.code.into_str());
    lines.push(format!("cause: {cause}; remedy: {}", report.diagnosis.remedy_words()));
    match report.rotation.as_ref().filter(|_| !report.is_dry_run()) {
        Some(rotation) => {
            let named = |pod: &&TargetReport| rotation.deleted.contains(&pod.pod);
            let evicted: Vec<String> = report.targets.iter().filter(named).map(target).collect();
            if !evicted.is_empty() {
                lines.push(format!("evicted: {}", evicted.join(", ")));
            }
            let line = |word: &str, pod: &str, why: &Reason| format!("{word}: {pod}: {}", why.message);
            lines.extend(rotation.skipped.iter().map(|(pod, why)| line("not evicted", pod, why)));
            lines.extend(rotation.errors.iter().map(|(pod, why)| line("failed", pod, why)));
        }
        None if !report.targets.is_empty() => {
            let pods: Vec<String> = report.targets.iter().map(target).collect();
            lines.push(format!("would evict: {}", pods.join(", ")));
        }
        None => {}
    }
    lines
}
