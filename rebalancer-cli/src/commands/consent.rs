//! Whose consent is needed before anything is evicted.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::cli::args::{DryRun, OutputArgs, OutputFormat, RunArgs};
use crate::commands::watch::Watch;
use crate::failure::Failure;
use crate::format::text::{count, plain};
use crate::pipeline::live::Live;
use crate::render::terminal::Terminal;
use crate::render::text::table;
use crate::report::Report;

/// How soon a signal ends the wait for an answer.
const LOOK_FOR_STOP: Duration = Duration::from_millis(100);

/// Whether a person must agree before anything is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Given: by `--yes`, by running as a job in a cluster, or because nothing will change.
    Given,
    /// A person at a terminal must be asked.
    Ask,
}

/// Whether consent is given.
///
/// # Errors
/// Neither `--yes`, nor a terminal, nor a cluster: nobody can be asked.
pub fn consent(args: &RunArgs) -> Result<Consent, Failure> {
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

/// Shows the plan to a person; only `yes` is consent, and a signal that asks for a stop is none. The time to answer is not the
/// run's, and from then on a signal stops the run in order.
///
/// # Errors
/// A terminal that cannot be written to or read from.
pub fn agreed(report: &Report, live: &Live, output: &OutputArgs, watch: &Watch) -> Result<bool, Failure> {
    let shown = Instant::now();
    let plan = table::render(report, OutputFormat::Table, Terminal::stderr(output.color));
    let mut err = io::stderr();
    write!(err, "{plan}\n{}\nOnly 'yes' will be accepted: ", question(report, live))
        .and_then(|()| err.flush())
        .context("cannot ask")?;
    let agreed = answer(&watch.stop)?.trim() == "yes";
    if !agreed {
        tracing::debug!(event = "run.declined", "not confirmed: nothing is evicted");
    }
    let thought = shown.elapsed();
    live.cluster.put_off_deadline(thought);
    watch.put_off(thought);
    watch.listen()?;
    Ok(agreed)
}

/// A line from the terminal; empty if a stop was asked for first. Reading goes on after a signal, so it has a thread
/// of its own, which ends with the process.
fn answer(stop: &AtomicBool) -> Result<String, Failure> {
    let (told, line) = mpsc::channel();
    thread::spawn(move || {
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer).map(|_| answer);
        // Nobody listens any more after a stop.
        drop(told.send(read));
    });
    loop {
        match line.recv_timeout(LOOK_FOR_STOP) {
            Ok(read) => return Ok(read.context("cannot read the answer")?),
            Err(RecvTimeoutError::Timeout) if !stop.load(Ordering::Relaxed) => {}
            Err(_) => return Ok(String::new()),
        }
    }
}

/// What would happen and where: the kubeconfig may point to an unexpected cluster.
fn question(report: &Report, live: &Live) -> String {
    let pods = count(report.targets.len(), "pod", "pods");
    let cluster = &live.cluster;
    let context = cluster.context().map_or_else(String::new, |context| format!(" of context {context}"));
    plain(&format!(
        "This will evict {pods} in namespace {}{context} ({}).",
        cluster.namespace(),
        cluster.server()
    ))
}
