//! `run`: decide, and evict the two targets when nothing speaks against it. The only command that
//! holds a client that can evict.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{
    Mode, Pacing, PlanError, Reason, Role, RotationOptions, RotationPlan, RotationReport, Target, Workload,
};
use rebalancer_io::driver::PodManager;
use rebalancer_io::kubernetes::{Cluster, Notice};
use signal_hook::consts::{SIGINT, SIGTERM};

use super::plan;
use clap::ArgMatches;

use crate::cli::args::{ActionArgs, DryRun, OutputArgs, PacingChoice, RunArgs};
use crate::cli::usage;
use crate::commands::page::{Page, page_extras};
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::decide::Purpose;
use crate::pipeline::observe::{Keep, Live, Observation};
use crate::render;
use crate::report::{Kind, Outcome, Report};
use crate::settings::decision::DecisionSettings;
use crate::telemetry::logging;
use crate::telemetry::{Asked, Delivery, Notes, Stage};

/// Runs once.
///
/// # Errors
/// A setting, a server or an answer that is wrong. What a rotation came to is in the report, not
/// an error.
pub fn run(args: &RunArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let (delivery, deliverable) = Delivery::of_run(&args.push, &args.textfile);
    let prepared = deliverable.and_then(|()| Prepared::new(args, matches));
    let Prepared { consent, mut page, stop, decision, live } = match prepared {
        Ok(prepared) => prepared,
        Err(failure) => {
            delivery.deliver(&Notes::begin().end(asked(args), Err(&failure)));
            return Err(failure);
        }
    };
    tracing::info!(
        event = "run.started",
        dry_run = args.action.dry_run.name(),
        k8s.namespace.name = live.cluster.namespace(),
        selector = live.selector.as_str(),
        "run started"
    );
    let done = rebalance(args, matches, consent, &decision, &live, &stop, &mut page);
    let ended = live.notes.end(live.asked(args.action.dry_run.name()), done.as_ref());
    if stop.load(Ordering::Relaxed) && done.as_ref().map_or(true, |report| report.outcome == Outcome::Failed)
    {
        tracing::warn!(event = "run.stopped", "stopped by a signal before the next eviction");
    }
    ended.log(logging::is_json(&args.live.output));
    let written = done.as_ref().map(|report| write(report, consent, &args.live.output));
    delivery.deliver(&ended);
    if let Ok(written) = written {
        written?;
    }
    let report = done?;
    page.write(&report)?;
    Ok(exit::code(report.outcome, args.live.output.detailed_exitcode))
}

/// Delivers the metrics of a run whose settings cannot all be used, as far as the environment says where
/// to. Does nothing where another command was called.
pub fn could_not_start(failure: &Failure) {
    let Some(args) = usage::readable_run() else { return };
    // A delivery that fails is a line of the log. Without a log it goes untold.
    drop(logging::start(&args.live.output));
    let (delivery, _) = Delivery::of_run(&args.push, &args.textfile);
    delivery.deliver(&Notes::begin().end(asked(&args), Err(failure)));
}

/// Everything that a run needs before it asks a server anything.
struct Prepared {
    consent: Consent,
    page: Page,
    stop: Arc<AtomicBool>,
    decision: DecisionSettings,
    live: Live,
}

impl Prepared {
    fn new(args: &RunArgs, matches: &ArgMatches) -> Result<Self, Failure> {
        let consent = consent(args)?;
        let page = Page::new(args.page.report.as_deref())?;
        let stop: Arc<AtomicBool> = Arc::default();
        // While a person is asked, a signal ends the process at once; else it ends the run in order.
        if consent == Consent::Given {
            listen(&stop)?;
        }
        let decision = DecisionSettings::from(&args.live.decision);
        let live = Live::connect_until(&args.live, &decision, matches, &stop)?;
        Ok(Self { consent, page, stop, decision, live })
    }
}

/// What the run was asked to look after, as far as the settings tell.
fn asked(args: &RunArgs) -> Asked {
    let kubernetes = &args.live.kubernetes;
    Asked {
        namespace: kubernetes.namespace.clone().unwrap_or_default(),
        target: kubernetes.selector.clone().unwrap_or_default(),
        dry_run: args.action.dry_run.name(),
    }
}

/// Writes the report. Of a plan that a person was shown, only what came of it is left to say.
fn write(report: &Report, consent: Consent, args: &OutputArgs) -> anyhow::Result<()> {
    let was_shown = report.rotation.is_some() || report.acts();
    if consent == Consent::Ask && was_shown {
        return render::write_result(report, args);
    }
    render::write(report, args)
}

/// Decides, and acts where that is asked for, allowed and agreed to.
fn rebalance(
    args: &RunArgs,
    matches: &ArgMatches,
    consent: Consent,
    decision: &DecisionSettings,
    live: &Live,
    stop: &Arc<AtomicBool>,
    page: &mut Page,
) -> Result<Report, Failure> {
    let mut observation =
        live.observe(Keep { file: args.record.as_deref(), page: page.is_wanted(), redact: None })?;
    let options = options(args, decision);
    let purpose = Purpose {
        kind: Kind::RunReport,
        dry_run: args.action.dry_run.name(),
        rotation: Some(&options),
        detailed: true,
    };
    let mut report = live.notes.time(Stage::Decide, || plan::report(decision, &observation, purpose))?;
    if consent == Consent::Ask || args.action.dry_run == DryRun::Client {
        plan::warn_of_budgets(&mut observation, &mut report);
    }
    if report.acts() && args.action.dry_run != DryRun::Client {
        report = act_with_consent(args, consent, decision, live, &observation, report, stop)?;
    }
    report.requests.insert("kubernetes".to_owned(), live.cluster.requests());
    page.gather(|| page_extras(matches, observation.recording().as_ref(), &report, decision, purpose));
    Ok(report)
}

/// Evicts the targets of the report, after a person at a terminal has agreed. The time that the person
/// takes to answer is not the run's.
fn act_with_consent(
    args: &RunArgs,
    consent: Consent,
    decision: &DecisionSettings,
    live: &Live,
    observation: &Observation<'_>,
    report: Report,
    stop: &Arc<AtomicBool>,
) -> Result<Report, Failure> {
    let mut started = live.notes.started();
    if consent == Consent::Ask {
        let shown = Instant::now();
        let agreed = agreed(&report, live, &args.live.output)?;
        let thought = shown.elapsed();
        live.cluster.put_off_deadline(thought);
        listen(stop)?;
        if !agreed {
            return Ok(report);
        }
        if is_old(observation.answers.at, decision) {
            return Ok(too_old(report, decision));
        }
        started += thought;
    }
    let options = options(args, decision);
    let rotate = || act(live, &observation.workload, options, report, started, stop);
    Ok(live.notes.time(Stage::Evict, rotate))
}

/// Whether the loads have grown old, by the clock on the wall, while a person thought.
fn is_old(at: Timestamp, decision: &DecisionSettings) -> bool {
    let age = Timestamp::now().duration_since(at);
    Duration::try_from(age).is_ok_and(|age| age > decision.max_sample_age)
}

/// Pods are looked at again before they are evicted; loads are not.
fn too_old(mut report: Report, decision: &DecisionSettings) -> Report {
    report.outcome = Outcome::Withheld;
    report.targets.clear();
    report.reason = format!(
        "{}; but the answer came when the loads were older than {} s (MAX_SAMPLE_AGE): nothing was evicted, run again",
        report.reason,
        decision.max_sample_age.as_secs_f64()
    );
    report
}

/// Whether someone has to be asked before anything is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Consent {
    /// Given: by `--yes`, by being a job in a cluster, or because nothing will be changed.
    Given,
    /// A person at a terminal is to be asked.
    Ask,
}

fn consent(args: &RunArgs) -> Result<Consent, Failure> {
    let in_cluster = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some_and(|host| !host.is_empty());
    if args.yes || args.action.dry_run != DryRun::None {
        return Ok(Consent::Given);
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return Ok(Consent::Ask);
    }
    if in_cluster {
        return Ok(Consent::Given);
    }
    Err(Failure::usage(
        "run outside a cluster and without a terminal evicts only with --yes; \
         use plan or --dry-run to change nothing",
    ))
}

/// Shows the plan to a person and takes only `yes`.
fn agreed(report: &Report, live: &Live, output: &OutputArgs) -> Result<bool, Failure> {
    render::show(report, output)?;
    let mut err = io::stderr();
    write!(err, "\n{}\nOnly 'yes' will be accepted: ", question(report, live))
        .and_then(|()| err.flush())
        .context("cannot ask")?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("cannot read the answer")?;
    let agreed = answer.trim() == "yes";
    if !agreed {
        tracing::debug!(event = "run.declined", "not confirmed: nothing is evicted");
    }
    Ok(agreed)
}

/// What would happen, and where: a kubeconfig may point elsewhere than one thinks.
fn question(report: &Report, live: &Live) -> String {
    let pods = match report.targets.len() {
        1 => "1 pod".to_owned(),
        count => format!("{count} pods"),
    };
    let cluster = &live.cluster;
    let context = cluster.context().map_or_else(String::new, |context| format!(" of context {context}"));
    render::plain(&format!(
        "This will evict {pods} in namespace {}{context} ({}).",
        cluster.namespace(),
        cluster.server()
    ))
}

/// Lets SIGTERM and SIGINT raise the flag; a second signal ends the process at once.
fn listen(stop: &Arc<AtomicBool>) -> Result<(), Failure> {
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stop))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(stop)))
            .context("cannot listen for signals")?;
    }
    Ok(())
}

fn options(args: &RunArgs, decision: &DecisionSettings) -> RotationOptions {
    let ActionArgs { dry_run, pacing, grace_period, .. } = &args.action;
    RotationOptions {
        mode: if *dry_run == DryRun::Server { Mode::ServerDryRun } else { Mode::Execute },
        pacing: match pacing {
            PacingChoice::Sequential => Pacing::Sequential,
            PacingChoice::WaitReady => Pacing::WaitReady,
        },
        method: args.action.method(),
        claim: args.action.claim,
        grace_period_s: grace_period.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX)),
        ..plan::rotation_options(&args.live.kubernetes, decision)
    }
}

/// Rotates the targets of the report.
fn act(
    live: &Live,
    workload: &Workload,
    options: RotationOptions,
    report: Report,
    started: Instant,
    stop: &AtomicBool,
) -> Report {
    let targets: Vec<(Role, &str)> =
        report.targets.iter().map(|target| (target.role, target.pod.as_str())).collect();
    let plan = match RotationPlan::new(&targets, workload, options) {
        Ok(plan) => plan,
        Err(error) => return refused(report, &error),
    };
    let targets: Vec<Target> = plan.targets().to_vec();
    let rotation = match options.mode {
        Mode::Execute => {
            let mut evictor = live.cluster.evictor(live.selector.clone(), &report.reason);
            PodManager::new(&mut evictor, started, stop).delete_pods(plan)
        }
        Mode::ServerDryRun => {
            let mut observer = live.cluster.observer(live.selector.clone());
            PodManager::new(&mut observer, started, stop).rehearse(plan)
        }
    };
    if let Some(why) = &rotation.unclaimed {
        tracing::warn!(event = "rotation.unclaimed", "two runs at once are not kept apart: {why}");
    }
    if options.mode == Mode::Execute {
        tell(&live.cluster, workload, &targets, &rotation, &report);
    }
    report.after(rotation.into())
}

fn refused(mut report: Report, error: &PlanError) -> Report {
    report.outcome = match error {
        PlanError::Ineligible { .. } => Outcome::Blocked,
        PlanError::Unsettled { .. } => Outcome::Withheld,
        _ => Outcome::Failed,
    };
    report.reason = format!("{}, but {error}", report.reason);
    report.targets.clear();
    report
}

/// Writes an Event on the workload for each pod that was evicted or failed to be. An Event that
/// cannot be written is a warning: what was done is done.
fn tell(
    cluster: &Cluster,
    workload: &Workload,
    targets: &[Target],
    rotation: &RotationReport,
    report: &Report,
) {
    let Some(owner) = workload.owners.first().map(|owner| &owner.top) else { return };
    for target in targets {
        let evicted = rotation.deleted.contains(&target.name);
        let failed = rotation.errors.get(&target.name).or_else(|| rotation.skipped.get(&target.name));
        if evicted {
            tracing::info!(
                event = "pod.evicted",
                k8s.pod.name = target.name,
                k8s.pod.uid = target.uid,
                role = target.role.name(),
                "evicted pod"
            );
        }
        let (reason, note) = match failed {
            None if evicted => {
                ("Rotated", format!("evicted {} ({}): {}", target.name, target.role, report.reason))
            }
            Some(why @ Reason::Unresolved { .. }) => {
                ("RotationUnresolved", format!("{} ({}): {why}", target.name, target.role))
            }
            Some(why) => {
                ("RotationBlocked", format!("{} ({}) was not evicted: {why}", target.name, target.role))
            }
            None => continue,
        };
        let notice = Notice { workload: owner, pod: Some(target), reason, note: &note, is_warning: !evicted };
        if let Err(error) = cluster.notify(&notice) {
            tracing::warn!(
                event = "kubernetes_event.failed",
                k8s.pod.name = target.name,
                error.type = error.kind.code(),
                "cannot write an Event on {} {}: {error}",
                owner.kind,
                owner.name
            );
        }
    }
}
