//! The report of a look at all workloads: one row each, the worst first.

use std::collections::BTreeMap;

use rebalancer_core::Metric;
use rebalancer_core::diagnosis::Remedy;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::report::diagnosis::CauseCode;
use crate::report::version::{API_VERSION, RUN_ALL, SCAN};
use crate::report::{FoundReport, Outcome, Report};

/// What a look at all workloads came to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ScanReport {
    /// Version of the report's shape.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// `ScanReport`, or `RunAllReport` where `run --all` acted on them.
    #[schemars(extend("enum" = [SCAN, RUN_ALL]))]
    pub kind: String,
    /// The moment of the loads, RFC 3339.
    pub evaluation_time: String,
    /// Context of the kubeconfig.
    pub context: Option<String>,
    /// The namespaces that were asked for; null is the whole cluster.
    pub namespaces: Option<Vec<String>>,
    /// The labels that pods had to have; null is every pod.
    pub selector: Option<String>,
    /// What was not set and was found, in the form in which it can be set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<FoundReport>,
    /// What `run --all` did; absent where nothing was to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunAllSummary>,
    /// Pods of all workloads.
    pub pods: usize,
    /// One row each, the worst first.
    pub workloads: Vec<ScanRow>,
    /// What could not be looked at, and why.
    pub unlisted: Vec<String>,
    /// What an operator should know about all of them.
    pub warnings: Vec<String>,
    /// Requests sent, by server: `prometheus`, `kubernetes`.
    pub requests: BTreeMap<String, u64>,
}

/// What a run of all workloads that opted in did.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunAllSummary {
    /// How much of a dry run it was for all: `none`, `client` or `server`. Each workload's report says it for that one.
    #[schemars(extend("enum" = ["none", "client", "server"]))]
    pub dry_run: String,
    /// Most workloads whose pods the run may rotate.
    pub max_rotations: usize,
    /// Workloads whose pods it rotated, tried to, or would rotate in a dry run.
    pub rotations: usize,
    /// Workloads that were found and did not opt in.
    pub not_opted_in: usize,
}

/// One workload.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct ScanRow {
    /// Its namespace.
    pub namespace: String,
    /// `Deployment` or `StatefulSet`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its live pods.
    pub pods: usize,
    /// What `plan` says of it, or what came of it in a run; null where that could not be decided.
    pub outcome: Option<Outcome>,
    /// Whether a threshold is passed.
    pub should_rebalance: bool,
    /// Spread of CPU; null where it is not known.
    pub cpu_cv: Option<f64>,
    /// Spread of the Kafka lag.
    pub lag_cv: Option<f64>,
    /// The largest of the spreads over its threshold, as a ratio: above 1 a threshold is passed.
    pub over: Option<f64>,
    /// Why the load is uneven.
    pub cause: CauseCode,
    /// The cause in words, with its numbers.
    pub evidence: String,
    /// What would help.
    pub remedy: Remedy,
    /// The smallest spread of the partitions that any deal would have; null where it is not known.
    pub best_cv: Option<f64>,
    /// The pods that `run` would evict, or evicted.
    pub targets: Vec<String>,
    /// Why that is the outcome, or why there is none.
    pub reason: String,
    /// The whole report, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Box<Report>>,
}

/// How much a workload deserves a look, the most first; all are as severe as [`Severity::TooLittle`] at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A pod, a partition or a record is ill.
    Ill,
    /// A threshold is passed.
    Uneven,
    /// It could not be decided.
    Undecided,
    /// Nothing asks for a rotation.
    Even,
    /// There is too little to decide on.
    TooLittle,
}

impl ScanRow {
    /// The row of a workload without a verdict: of a decision that failed for this reason.
    pub fn undecided(namespace: &str, kind: &str, name: &str, pods: usize, reason: String) -> Self {
        let [namespace, kind, name] = [namespace, kind, name].map(str::to_owned);
        Self { namespace, kind, name, pods, reason, ..Self::default() }
    }

    /// The row of a decided workload.
    pub fn of(namespace: &str, kind: &str, name: &str, report: &Report) -> Self {
        let cv = |metric: Metric| Some(report.statistics[metric].as_ref()?.cv);
        let ratios = report.statistics.iter().filter_map(|(_, statistics)| {
            let statistics = statistics.as_ref()?;
            Some(statistics.cv_compared / statistics.threshold.filter(|threshold| *threshold > 0.0)?)
        });
        Self {
            outcome: Some(report.outcome),
            should_rebalance: report.should_rebalance,
            cpu_cv: cv(Metric::Cpu),
            lag_cv: cv(Metric::Lag),
            over: ratios.max_by(f64::total_cmp),
            cause: report.diagnosis.cause.code,
            evidence: report.diagnosis.evidence.clone(),
            remedy: report.diagnosis.remedy,
            best_cv: report.diagnosis.spread.as_ref().map(|spread| spread.best),
            targets: report.targets.iter().map(|target| target.pod.clone()).collect(),
            reason: report.reason.clone(),
            ..Self::undecided(namespace, kind, name, report.workload.pods, String::new())
        }
    }

    /// How much it deserves a look.
    pub const fn severity(&self) -> Severity {
        let Some(outcome) = self.outcome else { return Severity::Undecided };
        match (outcome, self.cause) {
            (
                _,
                CauseCode::SickPod
                | CauseCode::StalledPod
                | CauseCode::StuckPartition
                | CauseCode::PoisonRecord,
            ) => Severity::Ill,
            _ if self.should_rebalance => Severity::Uneven,
            (Outcome::Planned | Outcome::Withheld | Outcome::Blocked, _) => Severity::Uneven,
            (Outcome::InsufficientData, _) => Severity::TooLittle,
            _ => Severity::Even,
        }
    }

    /// Kind and name, as `plan` takes them: `deployment/orders`.
    pub fn target(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }

    /// The same behind its namespace: `shop/deployment/orders`.
    pub fn named(&self) -> String {
        format!("{}/{}", self.namespace, self.target())
    }
}

impl ScanReport {
    /// Takes these rows, the worst first.
    pub fn take(&mut self, rows: Vec<ScanRow>) {
        self.pods = rows.iter().map(|row| row.pods).sum();
        self.workloads = rows;
        let over = |row: &ScanRow| row.over.unwrap_or(0.0);
        self.workloads.sort_by(|one, other| {
            one.severity().cmp(&other.severity()).then_with(|| over(other).total_cmp(&over(one))).then_with(
                || (&one.namespace, &one.kind, &one.name).cmp(&(&other.namespace, &other.kind, &other.name)),
            )
        });
    }

    /// Namespace and name of each pod that a run of all is known to have evicted.
    pub fn evicted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.workloads.iter().flat_map(|row| {
            let rotation = row.report.as_ref().and_then(|report| report.rotation.as_ref());
            let deleted = rotation.into_iter().flat_map(|rotation| &rotation.deleted);
            deleted.map(|pod| (row.namespace.as_str(), pod.as_str()))
        })
    }

    /// Namespace and name of each pod that would be evicted.
    pub fn would_evict(&self) -> impl Iterator<Item = (&str, &str)> {
        let planned = self.workloads.iter().filter(|row| row.outcome == Some(Outcome::Planned));
        planned.flat_map(|row| row.targets.iter().map(|pod| (row.namespace.as_str(), pod.as_str())))
    }

    /// How many workloads deserve a look as much as this.
    pub fn count(&self, severity: Severity) -> usize {
        self.workloads.iter().filter(|row| row.severity() == severity).count()
    }

    /// Whether the rows are of one namespace that the reader has named.
    pub fn is_of_one_namespace(&self) -> bool {
        self.namespaces.as_ref().is_some_and(|names| names.len() == 1)
    }
}
