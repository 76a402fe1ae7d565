//! `plan`: decides and explains; nothing here can evict.

use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;

use crate::cli::args::PlanArgs;
use crate::commands::page::{Page, page_extras};
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::decide::Purpose;
use crate::pipeline::live::{Live, Subject};
use crate::pipeline::plan::{report, warn_of_budgets};
use crate::pipeline::recorded::Keep;
use crate::pipeline::saved_plan::SavedPlan;
use crate::render::{self, text::table};
use crate::report::Report;
use crate::settings::decision::DecisionSettings;
use crate::telemetry::delivery::Delivery;
use crate::telemetry::notes::Stage;

/// Plans.
///
/// # Errors
/// A setting, a server or an answer that is wrong.
pub fn run(args: &PlanArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let mut page = Page::new(args.page.report.as_deref())?;
    let live = Live::connect(&args.live, &decision, matches, &Arc::default())?;
    let planned = planned(args, matches, &decision, &live, &mut page);
    let end = planned.as_ref().map(|(report, _)| report);
    Delivery::to_file(&args.textfile).deliver(&live.notes.end(live.asked("client"), end));
    let (report, subject) = planned?;
    render::write(&report, &args.live.output, table::render)?;
    page.write(&report)?;
    page.complete(&report, std::iter::once((&live, &decision, &subject)))?;
    Ok(exit::code(report.outcome, args.live.output.detailed_exitcode))
}

fn planned(
    args: &PlanArgs,
    matches: &ArgMatches,
    decision: &DecisionSettings,
    live: &Live,
    page: &mut Page,
) -> Result<(Report, Subject), Failure> {
    let mut observation =
        live.observe(Keep { file: args.record.as_deref(), page: page.is_wanted(), redact: None })?;
    let kubernetes = &args.live.kubernetes;
    let options = decision.rotation_options(kubernetes.allow_multiple_controllers, kubernetes.run_timeout);
    let purpose = Purpose::plan(&options, true);
    let mut report = live.notes.time(Stage::Decide, || report(decision, &observation, purpose))?;
    if let Some(path) = &args.out {
        let (workload, at) = (&observation.subject.workload, observation.answers.at);
        SavedPlan::of(&report, workload, at, live.cluster.namespace(), live.selector.as_str()).write(path)?;
    }
    warn_of_budgets(&mut observation, &mut report, &options);
    report.requests.insert("kubernetes".to_owned(), live.cluster.requests());
    page.gather(|| page_extras(matches, observation.recording().as_ref(), &report, decision, purpose));
    Ok((report, observation.subject))
}
