//! The report as it is read for a page. What is not there is left out of the page: a report only
//! grows, and an older one has less.

use std::collections::BTreeMap;

use rebalancer_core::{Metric, PerMetric};
use serde::Deserialize;

/// The family of report versions that is read.
const FAMILY: &str = "pod-rebalancer/v1";

/// What kind of report it is.
#[derive(Debug, Deserialize)]
pub struct Kind {
    api_version: String,
    kind: String,
}

impl Kind {
    /// Refuses a report of another version.
    pub fn check(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.api_version == FAMILY,
            "the report is {}, this program reads {FAMILY}; use a newer version",
            self.api_version
        );
        let known = ["Plan", "RunReport", "BacktestReport"];
        anyhow::ensure!(
            known.contains(&self.kind.as_str()),
            "a report of kind {} has no page; these have one: {}",
            self.kind,
            known.join(", ")
        );
        Ok(())
    }

    /// Whether it is about many moments.
    pub fn is_backtest(&self) -> bool {
        self.kind == "BacktestReport"
    }
}

/// A report of `run`, `plan` or `replay`.
#[derive(Debug, Deserialize)]
pub struct DecisionView {
    pub kind: String,
    pub outcome: String,
    pub dry_run: String,
    pub evaluation_time: Option<String>,
    pub workload: Workload,
    #[serde(default)]
    pub targets: Vec<Target>,
    #[serde(default)]
    pub outliers: Vec<Target>,
    pub reason: String,
    pub statistics: PerMetric<Option<Statistics>>,
    #[serde(default)]
    pub coverage: Option<PerMetric<Coverage>>,
    #[serde(default)]
    pub pods: Vec<Pod>,
    #[serde(default)]
    pub guards: Vec<Check>,
    #[serde(default)]
    pub diagnosis: Diagnosis,
    pub thresholds: Thresholds,
    #[serde(default)]
    pub obstacles: Vec<String>,
    #[serde(default)]
    pub warnings: Vec<String>,
    pub rotation: Option<Rotation>,
}

#[derive(Debug, Default, Deserialize)]
pub struct Workload {
    pub namespace: Option<String>,
    pub selector: Option<String>,
    pub owner: Option<String>,
    pub context: Option<String>,
    #[serde(default)]
    pub pods: usize,
}

impl Workload {
    /// What to call it.
    pub fn name(&self) -> &str {
        let names = [&self.owner, &self.selector, &self.namespace];
        names.into_iter().flatten().next().map_or("pods", String::as_str)
    }
}

#[derive(Debug, Deserialize)]
pub struct Target {
    pub pod: String,
    pub role: String,
}

/// How many pods have a metric.
#[derive(Debug, Deserialize)]
pub struct Coverage {
    pub asked: bool,
    pub having: usize,
    pub needed: usize,
    pub eligible: usize,
}

#[derive(Debug, Deserialize)]
pub struct Statistics {
    pub count: usize,
    pub mean: f64,
    pub std_dev: f64,
    pub cv: f64,
    pub cv_compared: f64,
    pub threshold: Option<f64>,
    pub min: f64,
    pub max: f64,
}

impl Statistics {
    /// Whether the threshold is passed.
    pub fn is_over(&self) -> bool {
        self.threshold.is_some_and(|limit| self.cv_compared > limit)
    }
}

#[derive(Debug, Deserialize)]
pub struct Pod {
    pub name: String,
    pub cpu_usage: Option<f64>,
    pub memory_usage: Option<f64>,
    pub kafka_lag: Option<f64>,
    pub message_rate: Option<f64>,
    pub composite_score: Option<f64>,
    pub verdict: String,
    pub age_seconds: Option<u64>,
    #[serde(default)]
    pub node: Option<String>,
    #[serde(default)]
    pub missing: Vec<String>,
}

impl Pod {
    /// One of its loads.
    pub const fn load(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Cpu => self.cpu_usage,
            Metric::Memory => self.memory_usage,
            Metric::Lag => self.kafka_lag,
            Metric::Rate => self.message_rate,
        }
    }

    /// Whether the decision compared it with the others.
    pub fn is_candidate(&self) -> bool {
        matches!(self.verdict.as_str(), "busiest" | "least_busy" | "keep")
    }
}

/// What a guard, or a test of the diagnosis, says.
#[derive(Debug, Deserialize)]
pub struct Check {
    pub name: String,
    pub verdict: String,
    pub value: Option<f64>,
    pub limit: Option<f64>,
    pub reason: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Diagnosis {
    pub evidence: String,
    pub steps: Vec<Check>,
    pub notes: Vec<String>,
    pub advice: Vec<String>,
    pub assignor: Option<String>,
    pub spread: Option<Spread>,
}

#[derive(Debug, Deserialize)]
pub struct Spread {
    pub now: f64,
    pub expected: Option<f64>,
    pub best: f64,
}

#[derive(Debug, Deserialize)]
pub struct Thresholds {
    pub guards: String,
}

#[derive(Debug, Deserialize)]
pub struct Rotation {
    #[serde(default)]
    pub deleted: Vec<String>,
    #[serde(default)]
    pub skipped: BTreeMap<String, Reason>,
    #[serde(default)]
    pub errors: BTreeMap<String, Reason>,
}

#[derive(Debug, Deserialize)]
pub struct Reason {
    pub message: String,
}

impl DecisionView {
    /// The title of the page.
    pub fn title(&self) -> String {
        format!("{}: {} - pod-rebalancer", self.workload.name(), self.outcome.replace('_', " "))
    }

    /// The pods that stand out on the page: those that would go or went, else the two ends.
    pub fn ends(&self) -> &[Target] {
        if self.targets.is_empty() { &self.outliers } else { &self.targets }
    }

    /// Whether a run was told to change nothing.
    pub fn is_dry_run(&self) -> bool {
        self.kind == "RunReport" && self.dry_run != "none"
    }
}

/// A report of `backtest`.
#[derive(Debug, Deserialize)]
pub struct BacktestView {
    pub from: Option<String>,
    pub to: Option<String>,
    pub every_seconds: Option<f64>,
    pub workload: Workload,
    pub moments: usize,
    pub skipped: usize,
    pub thresholds: Vec<Sums>,
    pub decisions: Vec<Decision>,
}

#[derive(Debug, Deserialize)]
pub struct Sums {
    pub cpu: f64,
    pub lag: f64,
    pub current: bool,
    pub over_threshold: Option<f64>,
    pub outcomes: BTreeMap<String, usize>,
    pub held_by: BTreeMap<String, usize>,
    #[serde(default)]
    pub episodes: Option<usize>,
    #[serde(default)]
    pub rotations_if_cured: Option<usize>,
    pub evictions_per_day: Option<f64>,
    pub still_over_next: Option<f64>,
}

impl Sums {
    /// Whether a decision was made at these thresholds.
    pub fn is_of(&self, decision: &Decision) -> bool {
        (self.cpu, self.lag) == (decision.cpu_threshold, decision.lag_threshold)
    }

    /// From the fewest to the most rotations that would have begun.
    pub fn rotations(&self) -> String {
        let most = self.count("planned");
        match self.rotations_if_cured {
            Some(fewest) if fewest != most => format!("{fewest} to {most}"),
            _ => most.to_string(),
        }
    }

    /// How many moments came to an outcome.
    pub fn count(&self, outcome: &str) -> usize {
        self.outcomes.get(outcome).copied().unwrap_or_default()
    }
}

#[derive(Debug, Deserialize)]
pub struct Decision {
    pub time: String,
    pub cpu_threshold: f64,
    pub lag_threshold: f64,
    pub outcome: String,
    pub should_rebalance: bool,
    pub pods: usize,
    pub cpu_cv: Option<f64>,
    pub lag_cv: Option<f64>,
    #[serde(default)]
    pub targets: Vec<String>,
    #[serde(default)]
    pub cause: String,
    #[serde(default)]
    pub held_by: Vec<String>,
}

impl BacktestView {
    /// The title of the page.
    pub fn title(&self) -> String {
        format!("{}: backtest - pod-rebalancer", self.workload.name())
    }

    /// The sums at the thresholds that are set, else at the first ones.
    pub fn shown(&self) -> Option<&Sums> {
        self.thresholds.iter().find(|sums| sums.current).or_else(|| self.thresholds.first())
    }
}
