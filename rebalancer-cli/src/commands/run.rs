//! `run`: decides, and evicts the targets if nothing holds it back. The only command that can evict.

use std::process::ExitCode;
use std::time::Duration;

use clap::ArgMatches;
use clap::parser::ValueSource;
use jiff::Timestamp;
use rebalancer_core::Workload;

use crate::cli::args::{DryRun, OutputArgs, OutputFormat, RunArgs};
use crate::cli::usage;
use crate::commands::consent::{Consent, agreed, consent};
use crate::commands::page::{Page, page_extras};
use crate::commands::watch::Watch;
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::all::Left;
use crate::pipeline::decide::Purpose;
use crate::pipeline::live::{Live, Subject};
use crate::pipeline::plan;
use crate::pipeline::recorded::Keep;
use crate::pipeline::rotate::{act, options};
use crate::pipeline::saved_plan::SavedPlan;
use crate::render::terminal::Terminal;
use crate::render::{self, text::table};
use crate::report::{Kind, Outcome, Report};
use crate::settings::decision::DecisionSettings;
use crate::telemetry::delivery::Delivery;
use crate::telemetry::logging;
use crate::telemetry::notes::{Asked, Notes, Stage};

/// Runs once.
///
/// # Errors
/// A setting, a server or an answer that is wrong. The result of a rotation is in the report, not an error.
pub fn run(args: &mut RunArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let (delivery, deliverable) = Delivery::of_run(args);
    let prepared = deliverable.and_then(|()| {
        let saved = saved_plan(args, matches)?;
        let (consent, page, watch) = begin(args)?;
        let decision = DecisionSettings::from(&args.live.decision);
        let live = Live::connect(&args.live, &decision, matches, &watch.stop)?;
        Ok((saved, consent, page, watch, decision, live))
    });
    let (saved, consent, mut page, watch, decision, live) = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            delivery.deliver(&Notes::begin().end(asked(args), Err(&failure)));
            return Err(failure);
        }
    };
    tracing::info!(
        event = "run.started",
        dry_run = args.action.dry_run.into_str(),
        k8s.namespace.name = live.cluster.namespace(),
        selector = live.selector.as_str(),
        "run started"
    );
    let saved = saved.as_ref();
    let means = Means { consent, decision: &decision, live: &live, watch: &watch, saved, owner: None };
    let done = rebalance(args, matches, &means, &mut page).map_err(|failure| watch.explained(failure));
    let end = done.as_ref().map(|(report, _)| report);
    let ended = live.notes.end(live.asked(args.action.dry_run.into_str()), end);
    if watch.is_stopped() && ended.outcome() == Outcome::Failed {
        let by = if watch.is_over() { "its time limit" } else { "a signal" };
        tracing::warn!(event = "run.stopped", "stopped by {by} before the next eviction");
    }
    ended.log(logging::is_json(&args.live.output), false);
    let write = |report| (write(report, consent, &args.live.output), page.write(report));
    let (written, page_written) = end.map_or((Ok(()), Ok(())), write);
    delivery.deliver(&ended);
    let (report, subject) = done?;
    let about = std::iter::once((&live, &decision, &subject));
    let page_written = page_written.and_then(|()| page.complete(&report, about));
    written?;
    page_written?;
    Ok(exit::code(report.outcome, args.live.output.detailed_exitcode))
}

/// Delivers the metrics of a run with unusable settings, to wherever the environment says. Does nothing for
/// other commands.
pub fn could_not_start(failure: &Failure) {
    let Some(args) = usage::readable_run() else { return };
    // A failed delivery is a log line. Without a log nobody learns of it.
    drop(logging::start(&args.live.output));
    let (delivery, _) = Delivery::of_run(&args);
    let delivery = if usage::is_for_all() { delivery.without_metrics() } else { delivery };
    delivery.deliver(&Notes::begin().end(asked(&args), Err(failure)));
}

/// Whose consent there is, the page, and the time of a run that begins now.
///
/// # Errors
/// Nobody can be asked; a page that cannot be written.
pub fn begin(args: &RunArgs) -> Result<(Consent, Page, Watch), Failure> {
    let consent = consent(args)?;
    let page = Page::new(args.page.report.as_deref())?;
    let watch = Watch::begin(args.live.kubernetes.run_timeout);
    // While a person is asked, a signal ends the process at once; otherwise the run in order.
    if consent == Consent::Given {
        watch.listen_until_over()?;
    }
    Ok((consent, page, watch))
}

/// The saved plan that is to be carried out. It names the workload, whatever the environment says.
fn saved_plan(args: &mut RunArgs, matches: &ArgMatches) -> Result<Option<SavedPlan>, Failure> {
    let Some(path) = &args.plan else { return Ok(None) };
    let typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    if let Some(id) = ["target", "selector", "namespace"].into_iter().find(typed) {
        return Err(Failure::usage(format!("--plan: the plan names the workload, leave out {id}")));
    }
    let saved = SavedPlan::read(path, Timestamp::now())?;
    let kubernetes = &mut args.live.kubernetes;
    kubernetes.target = None;
    kubernetes.namespace = Some(saved.namespace.clone());
    kubernetes.selector = Some(saved.selector.clone());
    Ok(Some(saved))
}

/// The target of the run, as far as the settings show it.
pub fn asked(args: &RunArgs) -> Asked {
    let kubernetes = &args.live.kubernetes;
    Asked {
        namespace: kubernetes.namespace.clone().unwrap_or_default(),
        target: kubernetes.selector.clone().filter(|_| kubernetes.target.is_none()).unwrap_or_default(),
        dry_run: args.action.dry_run.into_str(),
    }
}

/// Writes the report. If a person has already seen the plan, only the result, on the same terminal.
fn write(report: &Report, consent: Consent, args: &OutputArgs) -> anyhow::Result<()> {
    let was_shown = consent == Consent::Ask && (report.rotation.is_some() || report.acts());
    let is_for_people = matches!(args.output, OutputFormat::Table | OutputFormat::Wide);
    let terminal = Terminal::stdout(args.color);
    if was_shown && is_for_people && terminal.width.is_some() {
        return render::print(&table::render_result(report, terminal));
    }
    render::write(report, args, table::render)
}

/// What a run works with.
pub struct Means<'a> {
    /// Whose consent there is.
    pub consent: Consent,
    /// What is decided by.
    pub decision: &'a DecisionSettings,
    /// The servers.
    pub live: &'a Live,
    /// The time, and the signals.
    pub watch: &'a Watch,
    /// The plan that is to be carried out.
    pub saved: Option<&'a SavedPlan>,
    /// Kind and name of what must own all pods, where others may not be touched.
    pub owner: Option<(&'a str, &'a str)>,
}

/// Decides, and acts if that is wanted, allowed and confirmed. Gives the report, and what it is about.
///
/// # Errors
/// A server or an answer that is wrong.
pub fn rebalance(
    args: &RunArgs,
    matches: &ArgMatches,
    means: &Means<'_>,
    page: &mut Page,
) -> Result<(Report, Subject), Failure> {
    let Means { decision, live, watch, saved, owner, .. } = *means;
    // Nobody is asked about what changes nothing.
    let asks = means.consent == Consent::Ask && args.action.dry_run == DryRun::None;
    let mut observation =
        live.observe(Keep { file: args.record.as_deref(), page: page.is_wanted(), redact: None })?;
    let options = options(args, decision);
    let purpose = Purpose {
        kind: Kind::RunReport,
        dry_run: args.action.dry_run.into_str(),
        rotation: Some(&options),
        detailed: true,
    };
    let mut report = live.notes.time(Stage::Decide, || plan::report(decision, &observation, purpose))?;
    if let Some(saved) = saved {
        report = saved.held_against(report, &observation.subject.workload);
    }
    if owner.is_some_and(|owner| report.acts() && has_others(&observation.subject.workload, owner)) {
        report.hold_back(Left::NOT_ITS_OWN.verdict());
    }
    if asks || args.action.dry_run == DryRun::Client {
        plan::warn_of_budgets(&mut observation, &mut report, &options);
    }
    let acts = report.acts() && args.action.dry_run != DryRun::Client;
    if acts
        && (!asks
            || (agreed(&report, live, &args.live.output, watch)?
                && !is_too_old(&mut report, observation.answers.at, decision)))
    {
        let (started, stop) = (watch.started(), &*watch.stop);
        let rotate = || act(live, &observation.subject.workload, options, report, started, stop);
        report = live.notes.time(Stage::Evict, rotate);
    }
    report.requests.insert("kubernetes".to_owned(), live.cluster.requests());
    page.gather(|| page_extras(matches, observation.recording().as_ref(), &report, decision, purpose));
    Ok((report, observation.subject))
}

/// Whether something else controls living pods than the owner of this kind and name.
fn has_others(workload: &Workload, (kind, name): (&str, &str)) -> bool {
    let own = workload.owners.iter().filter(|of| of.top.is("apps", kind) && of.top.name == name);
    let own: Vec<&str> = own.map(|of| of.controller.uid.as_str()).collect();
    let mut controllers = workload.living().filter_map(|pod| pod.controller.as_ref());
    controllers.any(|controller| !own.contains(&controller.uid.as_str()))
}

/// Withholds if the loads became too old while a person was deciding: before an eviction pods are checked again, loads
/// are not. Says whether it does.
fn is_too_old(report: &mut Report, at: Timestamp, decision: &DecisionSettings) -> bool {
    let age = Duration::try_from(Timestamp::now().duration_since(at)).unwrap_or_default();
    if age <= decision.max_sample_age {
        return false;
    }
    report.outcome = Outcome::Withheld;
    report.targets.clear();
    report.reason = format!(
        "{}; but the answer came when the loads were older than {} s (MAX_SAMPLE_AGE): nothing was evicted, run again",
        report.reason,
        decision.max_sample_age.as_secs_f64()
    );
    true
}
