//! `plan`: decide and explain; nothing here can evict.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use rebalancer_core::{Budget, RotationOptions};

use crate::cli::args::{KubernetesArgs, PlanArgs};
use crate::commands::page::{Page, page_extras};
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::decide::{Known, Purpose, decide};
use crate::pipeline::observe::{Keep, Live, Observation};
use crate::render;
use crate::report::{Kind, Report};
use crate::settings::decision::DecisionSettings;
use crate::telemetry::{Delivery, Stage};

/// Plans.
///
/// # Errors
/// A setting, a server or an answer that is wrong.
pub fn run(args: &PlanArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let mut page = Page::new(args.page.report.as_deref())?;
    let live = Live::connect(&args.live, &decision, matches)?;
    let planned = planned(args, matches, &decision, &live, &mut page);
    Delivery::to_file(&args.textfile).deliver(&live.notes.end(live.asked("client"), planned.as_ref()));
    let report = planned?;
    render::write(&report, &args.live.output)?;
    page.write(&report)?;
    Ok(exit::code(report.outcome, args.live.output.detailed_exitcode))
}

fn planned(
    args: &PlanArgs,
    matches: &ArgMatches,
    decision: &DecisionSettings,
    live: &Live,
    page: &mut Page,
) -> Result<Report, Failure> {
    let mut observation =
        live.observe(Keep { file: args.record.as_deref(), page: page.is_wanted(), redact: None })?;
    let options = rotation_options(&args.live.kubernetes, decision);
    let purpose = Purpose { kind: Kind::Plan, dry_run: "client", rotation: Some(&options), detailed: true };
    let mut report = live.notes.time(Stage::Decide, || report(decision, &observation, purpose))?;
    warn_of_budgets(&mut observation, &mut report);
    report.requests.insert("kubernetes".to_owned(), live.cluster.requests());
    page.gather(|| page_extras(matches, observation.recording().as_ref(), &report, decision, purpose));
    Ok(report)
}

/// The report of an observation, which is saved where it is to be recorded.
///
/// # Errors
/// As [`decide`] and [`Observation::of_now`], and when the recording cannot be written.
pub fn report(
    decision: &DecisionSettings,
    observation: &Observation<'_>,
    purpose: Purpose<'_>,
) -> Result<Report, Failure> {
    let told = observation.of_now(decision);
    if told.is_err() {
        observation.save()?;
    }
    let told = told?;
    let asked = observation.answers.asked();
    let joined = observation.joined()?;
    let known = Known {
        joined: &joined,
        workload: &observation.workload,
        asked: &asked,
        evaluation_time: Some(observation.answers.at.to_string()),
        described: observation.described.clone(),
        has_past: true,
    };
    let report = decide(decision, &known, Some(&observation.finder()), purpose);
    observation.save()?;
    let mut report = report?;
    report.warnings.splice(..0, told);
    report.requests.insert("prometheus".to_owned(), observation.requests());
    Ok(report)
}

/// Tells of budgets that would block the rotation which is planned. A run asks again before it acts.
pub fn warn_of_budgets(observation: &mut Observation<'_>, report: &mut Report) {
    if !report.acts() {
        return;
    }
    let targets: Vec<&str> = report.targets.iter().map(|target| target.pod.as_str()).collect();
    match observation.budgets(&targets) {
        Ok(budgets) => report.warnings.extend(budgets.iter().filter_map(shortage)),
        Err(failure) => report.warnings.push(format!("PodDisruptionBudgets are not known: {failure}")),
    }
}

fn shortage(budget: &Budget) -> Option<String> {
    let Budget { name, covers, disruptions_allowed: allowed, .. } = budget;
    let needed = covers.len();
    let disruptions = if *allowed == 1 { "disruption" } else { "disruptions" };
    let enough = usize::try_from(*allowed).is_ok_and(|allowed| allowed >= needed);
    (!enough).then(|| {
        format!(
            "PodDisruptionBudget {name} allows {allowed} {disruptions} now, {needed} needed: `run` would be blocked"
        )
    })
}

/// How a rotation would be carried out.
pub fn rotation_options(args: &KubernetesArgs, decision: &DecisionSettings) -> RotationOptions {
    let deadline: Duration = args.run_timeout;
    RotationOptions {
        min_pods: decision.thresholds.min_pods,
        warm_up: decision.warm_up(),
        allow_many_controllers: args.allow_multiple_controllers,
        ..RotationOptions::until(deadline)
    }
}
