//! Facts recorded while a command works, to be reported however it ends.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rebalancer_io::prometheus::RequestCounts;
use strum::{IntoStaticStr, VariantArray};

use crate::exit;
use crate::failure::Failure;
use crate::report::{Outcome, Report};

/// The timed parts of a run, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Stage {
    /// Listing the workload.
    Discover,
    /// Querying the loads.
    Query,
    /// Finding facts and deciding.
    Decide,
    /// The rotation.
    Evict,
}

/// Facts recorded while a command works.
#[derive(Debug)]
pub struct Notes {
    started: Instant,
    stages: [Cell<Option<Duration>>; 4],
    owner: RefCell<Option<String>>,
    pods: Cell<Option<usize>>,
    requests: Arc<RequestCounts>,
}

impl Notes {
    /// Starts now.
    pub fn begin() -> Self {
        Self {
            started: Instant::now(),
            stages: Default::default(),
            owner: RefCell::default(),
            pods: Cell::default(),
            requests: Arc::default(),
        }
    }

    /// Does `work` as part of a stage.
    pub fn time<T>(&self, stage: Stage, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        let spent = &self.stages[stage as usize];
        spent.set(Some(spent.get().unwrap_or_default() + begun.elapsed()));
        done
    }

    /// Records the owner of the workload, as named in reports, and the number of live pods.
    pub fn found(&self, owner: Option<String>, pods: usize) {
        self.owner.replace(owner);
        self.pods.set(Some(pods));
    }

    /// The time spent in a stage; `None` if the command did not reach it.
    pub fn spent(&self, stage: Stage) -> Option<Duration> {
        self.stages[stage as usize].get()
    }

    /// The counter of requests to the metrics server.
    pub fn requests(&self) -> Arc<RequestCounts> {
        Arc::clone(&self.requests)
    }

    /// Ends the command now.
    pub fn end<'a>(&'a self, asked: Asked, end: Result<&'a Report, &'a Failure>) -> Ended<'a> {
        Ended { notes: self, asked, at: Timestamp::now(), took: self.started.elapsed(), end }
    }
}

/// The target of a command.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// The namespace; empty if unknown.
    pub namespace: String,
    /// The label selector; empty if unknown.
    pub target: String,
    /// How much of a dry run it was.
    pub dry_run: &'static str,
}

/// A command that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// The recorded facts.
    pub notes: &'a Notes,
    /// Its target.
    pub asked: Asked,
    /// When it ended.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub end: Result<&'a Report, &'a Failure>,
}

impl Ended<'_> {
    /// The report; `None` if it ended without one.
    pub fn report(&self) -> Option<&Report> {
        self.end.ok()
    }

    /// The outcome. A command that ends without a report has failed.
    pub fn outcome(&self) -> Outcome {
        self.report().map_or(Outcome::Failed, |report| report.outcome)
    }

    /// Whether it decided and completed everything it decided to do.
    pub fn is_success(&self) -> bool {
        !matches!(self.outcome(), Outcome::Partial | Outcome::Failed)
    }

    /// The exit code without `--detailed-exitcode`.
    pub fn exit_code(&self) -> u8 {
        match self.end {
            Err(failure) => failure.exit_code(),
            Ok(_) if self.is_success() => exit::DECIDED,
            Ok(_) => exit::FAILED,
        }
    }

    /// Kind and name of the owner of the pods; empty if there is not exactly one.
    pub fn owner(&self) -> (String, String) {
        let noted = self.notes.owner.borrow().clone();
        let owner = self.report().map_or(noted, |report| report.workload.owner.clone());
        match owner.as_deref().and_then(|owner| owner.split_once('/')) {
            Some((kind, name)) if !name.contains(", ") => (kind.to_owned(), name.to_owned()),
            _ => Default::default(),
        }
    }

    /// Live pods; `None` if they were never listed.
    pub fn observed(&self) -> Option<usize> {
        self.report().map_or(self.notes.pods.get(), |report| Some(report.workload.pods))
    }

    /// Pods that the decision is based on.
    pub fn eligible(&self) -> usize {
        let pods = self.report().into_iter().flat_map(|report| &report.pods);
        pods.filter(|pod| pod.verdict.is_candidate()).count()
    }

    /// The targets by result.
    pub fn evictions(&self) -> Evictions {
        self.report().map_or_else(Evictions::default, Evictions::of)
    }
}

/// The number of targets by result.
#[derive(Debug, Clone, Copy, Default)]
pub struct Evictions {
    /// Evicted.
    pub evicted: usize,
    /// Would have been evicted.
    pub dry_run: usize,
    /// Refused by a disruption budget, before or when it was tried.
    pub blocked_pdb: usize,
    /// Tried, and failed or with unknown result.
    pub error: usize,
}

impl Evictions {
    fn of(report: &Report) -> Self {
        const BY_BUDGET: [&str; 3] = ["blocked_by_pdb", "pdb_misconfigured", "pdb_not_observed"];

        let dry_run = if report.outcome == Outcome::Planned { report.targets.len() } else { 0 };
        let Some(rotation) = &report.rotation else { return Self { dry_run, ..Self::default() } };
        let by_budget = |code: &str| BY_BUDGET.contains(&code);
        let refused = rotation.skipped.values().chain(rotation.errors.values());
        Self {
            evicted: rotation.deleted.len(),
            dry_run,
            blocked_pdb: refused.filter(|reason| by_budget(&reason.code)).count(),
            error: rotation.errors.values().filter(|reason| !by_budget(&reason.code)).count(),
        }
    }
}
