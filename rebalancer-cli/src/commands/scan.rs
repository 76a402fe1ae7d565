//! `scan`: look at all workloads; nothing here can evict.

use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;

use clap::ArgMatches;
use rebalancer_io::kubernetes::Namespaces;

use crate::cli::args::{KubernetesArgs, ScanArgs};
use crate::commands::page::Page;
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::live::Live;
use crate::pipeline::scan::{Choice, Scope, Terms};
use crate::render::terminal::progress_bar;
use crate::render::{self, text};
use crate::report::scan::{ScanReport, Severity};
use crate::report::{Kind, Outcome};
use crate::settings::decision::DecisionSettings;
use crate::settings::servers;

/// Looks at all workloads.
///
/// # Errors
/// A setting, a server or an answer that is wrong.
pub fn run(args: &ScanArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let mut page = Page::new(args.page.report.as_deref())?;
    let live = Live::connect_to_all(&args.live, &decision, matches, &Arc::default())?;
    let kubernetes = &args.live.kubernetes;
    let terms = Rc::new(Terms {
        decision,
        options: decision.rotation_options(kubernetes.allow_multiple_controllers, kubernetes.run_timeout),
        kind: Kind::Plan,
        dry_run: "client",
        own: None,
    });
    let scope = Scope {
        live: &live,
        decision: &decision,
        choose: &|_| Choice::In(Rc::clone(&terms)),
        namespaces: namespaces(args.all_namespaces, kubernetes, &live)?,
        details: match (args.details, page.is_wanted()) {
            (true, _) => Some(Severity::TooLittle),
            (false, true) => Some(Severity::Uneven),
            (false, false) => None,
        },
    };
    let progress = progress_bar(None);
    let scanned = scope.scan(&mut |what, number| progress.set_message(format!("{number} {what}")));
    progress.finish_and_clear();
    let mut report = scanned?;
    page.gather_without_recording("a scan", matches, Vec::new);
    page.write(&report)?;
    if !args.details {
        report.workloads.iter_mut().for_each(|row| row.report = None);
    }
    let output = &args.live.output;
    render::write(&report, output, text::scan::render)?;
    Ok(code(&report, output.detailed_exitcode))
}

/// The namespaces to look at: all, those that are named, or that of the context.
///
/// # Errors
/// A list that names none, or something that is no name.
pub fn namespaces(everywhere: bool, args: &KubernetesArgs, live: &Live) -> Result<Namespaces, Failure> {
    if everywhere {
        return Ok(Namespaces::All);
    }
    let named = servers::namespaces(args)?;
    let context = || vec![live.cluster.namespace().to_owned()];
    Ok(Namespaces::Named(if named.is_empty() { context() } else { named }))
}

/// The exit code: a failure only where nothing could be decided.
fn code(report: &ScanReport, detailed: bool) -> ExitCode {
    let outcomes: Vec<Outcome> = report.workloads.iter().filter_map(|row| row.outcome).collect();
    if outcomes.is_empty() && !report.workloads.is_empty() {
        return ExitCode::from(exit::FAILED);
    }
    exit::code(exit::weightiest(&outcomes), detailed)
}
