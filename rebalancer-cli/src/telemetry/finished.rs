//! The last line of a run's log, with the whole outcome.

use rebalancer_core::{Metric, Role};

use super::notes::{Asked, Ended, Evictions, Stage};
use crate::report::{Outcome, Report};

impl Ended<'_> {
    /// Logs in one line how the run ended: all facts for machines, a short line for people, who have the report. One of several
    /// workloads is told to people by its name.
    pub fn log(&self, for_machines: bool, is_one_of_several: bool) {
        if for_machines {
            self.log_all(&Facts::of(self));
            return;
        }
        let (outcome, dry_run, evicted) =
            (self.outcome().into_str(), self.asked.dry_run, self.evictions().evicted);
        if is_one_of_several {
            let Asked { namespace, target, .. } = &self.asked;
            tracing::info!(
                event = "workload.finished",
                k8s.namespace.name = namespace,
                selector = target,
                outcome,
                dry_run,
                evicted,
                "workload finished"
            );
            return;
        }
        let duration_seconds = self.took.as_secs_f64();
        tracing::info!(event = "run.finished", outcome, dry_run, evicted, duration_seconds, "run finished");
    }

    fn log_all(&self, facts: &Facts<'_>) {
        // `tracing` fixes a line's level where it is written.
        macro_rules! tell {
            ($level:ident, $facts:ident) => {
                tracing::$level!(
                    event = "run.finished",
                    outcome = self.outcome().into_str(),
                    reason = $facts.reason,
                    error.type = $facts.error_type,
                    should_rebalance = $facts.report.map(|report| report.should_rebalance),
                    dry_run = self.asked.dry_run,
                    k8s.namespace.name = self.asked.namespace,
                    k8s.deployment.name = $facts.owner_of("Deployment"),
                    k8s.statefulset.name = $facts.owner_of("StatefulSet"),
                    selector = self.asked.target,
                    evaluation_time = $facts.report.and_then(|report| report.evaluation_time.as_deref()),
                    pods_observed = self.observed(),
                    pods_eligible = self.eligible(),
                    busiest = $facts.target(Role::Busiest),
                    least_busy = $facts.target(Role::LeastBusy),
                    ill = $facts.target(Role::Ill),
                    cpu_spread = $facts.spread(Metric::Cpu),
                    cpu_threshold = $facts.report.map(|report| report.thresholds.cpu),
                    lag_spread = $facts.spread(Metric::Lag),
                    lag_threshold = $facts.report.map(|report| report.thresholds.lag),
                    memory_spread = $facts.spread(Metric::Memory),
                    rate_spread = $facts.spread(Metric::Rate),
                    withheld_by = $facts.withheld_by,
                    cause = $facts.report.map(|report| report.diagnosis.cause.code.into_str()),
                    remedy = $facts.report.map(|report| report.diagnosis.remedy.name()),
                    evicted = $facts.evictions.evicted,
                    would_evict = $facts.evictions.dry_run,
                    blocked_pdb = $facts.evictions.blocked_pdb,
                    failed = $facts.evictions.error,
                    prometheus_requests = self.notes.requests().sent(),
                    duration_seconds = self.took.as_secs_f64(),
                    discover_seconds = self.spent(Stage::Discover),
                    query_seconds = self.spent(Stage::Query),
                    decide_seconds = self.spent(Stage::Decide),
                    evict_seconds = self.spent(Stage::Evict),
                    service.version = env!("CARGO_PKG_VERSION"),
                    "run finished"
                )
            };
        }
        match self.outcome() {
            Outcome::Failed | Outcome::Partial => tell!(error, facts),
            _ => tell!(info, facts),
        }
    }

    fn spent(&self, stage: Stage) -> Option<f64> {
        self.notes.spent(stage).map(|spent| spent.as_secs_f64())
    }
}

/// What the line shows about the report or the failure.
struct Facts<'a> {
    report: Option<&'a Report>,
    reason: String,
    error_type: Option<String>,
    owner: (String, String),
    withheld_by: Option<String>,
    evictions: Evictions,
}

impl<'a> Facts<'a> {
    fn of(ended: &'a Ended<'_>) -> Self {
        let (reason, error_type) = match ended.end {
            Ok(report) => {
                // Why a rotation failed or was not completed.
                let rotation = report.rotation.as_ref().filter(|_| !ended.is_success());
                (report.reason.clone(), rotation.map(|rotation| rotation.reason.code.clone()))
            }
            Err(failure) => (failure.words(), Some(failure.code().into_owned())),
        };
        let report = ended.report();
        let withheld_by = report.map(super::metrics::holding).filter(|held| !held.is_empty());
        let withheld_by = withheld_by.map(|held| held.join(","));
        Self { report, reason, error_type, owner: ended.owner(), withheld_by, evictions: ended.evictions() }
    }

    fn owner_of(&self, kind: &str) -> Option<&str> {
        let (found, name) = &self.owner;
        (found == kind).then_some(name.as_str())
    }

    fn target(&self, role: Role) -> Option<&str> {
        let mut targets = self.report?.targets.iter();
        targets.find(|target| target.role == role).map(|target| target.pod.as_str())
    }

    fn spread(&self, metric: Metric) -> Option<f64> {
        Some(self.report?.statistics[metric].as_ref()?.cv_compared)
    }
}
