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

/// The body of the request.
pub fn of(ended: &Ended<'_>, format: WebhookFormat) -> String {
    match format {
        WebhookFormat::Json => as_json(ended),
        WebhookFormat::Slack => json!({ "text": as_text(ended) }).to_string(),
    }
}

/// The body of the request about a run of all workloads: the report, or a line for each workload with one of these
/// outcomes.
pub fn of_all(report: &ScanReport, format: WebhookFormat, outcomes: &[Outcome]) -> String {
    match format {
        WebhookFormat::Json => serde_json::to_string(report).expect("a report is written as JSON"),
        WebhookFormat::Slack => {
            let told = report.workloads.iter().filter(|row| outcomes.contains(&outcome(row)));
            let unlisted = report.unlisted.iter().filter(|_| outcomes.contains(&Outcome::Failed));
            let unlisted = unlisted.map(|why| escaped(&plain(&format!("*not listed*: {why}"))));
            let lines: Vec<String> = told.map(line).chain(unlisted).collect();
            json!({ "text": cut(&lines.join("\n")) }).to_string()
        }
    }
}

/// What came of a workload; one without a decision has failed.
fn outcome(row: &ScanRow) -> Outcome {
    row.outcome.unwrap_or(Outcome::Failed)
}

fn line(row: &ScanRow) -> String {
    let ScanRow { namespace, kind, name, reason, .. } = row;
    let is_dry = row.report.as_ref().is_some_and(|report| report.is_dry_run());
    let is_dry = if is_dry { ", dry run" } else { "" };
    let line =
        format!("*{}* {kind}/{name} in {namespace}{is_dry}: {reason}", spaced(outcome(row).into_str()));
    escaped(&plain(&line))
}

/// The text as far as a message may go.
fn cut(text: &str) -> String {
    if text.chars().count() <= MAX_TEXT {
        return text.to_owned();
    }
    text.chars().take(MAX_TEXT).chain(['…']).collect()
}

/// The report; where the run failed without one, what failed.
fn as_json(ended: &Ended<'_>) -> String {
    let written = match ended.end {
        Ok(report) => serde_json::to_string(report),
        Err(failure) => {
            serde_json::to_string(&FailureReport::new(failure, ended.asked.dry_run, workload(ended)))
        }
    };
    written.expect("a report is written as JSON")
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
fn as_text(ended: &Ended<'_>) -> String {
    let workload = ended.report().map_or_else(|| workload(ended), |report| report.workload.clone());
    let place = workload.namespace.as_ref().map_or_else(String::new, |name| format!(" in {name}"));
    let is_dry = if ended.asked.dry_run == "none" { "" } else { ", dry run" };
    let mut lines =
        vec![format!("*{}* {}{place}{is_dry}", spaced(ended.outcome().into_str()), workload.name())];
    match ended.end {
        Ok(report) => lines.extend(told(report)),
        Err(failure) => lines.push(failure.words()),
    }
    let lines: Vec<String> = lines.iter().map(|line| escaped(&plain(line))).collect();
    cut(&lines.join("\n"))
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

/// The three characters that Slack reads as markup of links and mentions.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
