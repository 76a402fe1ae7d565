//! The report of a decision: what is printed as JSON, what tables and pages are made from, and what is
//! read again from a saved report.
//!
//! Within `pod-rebalancer/v1` keys are only added: a key that older reports lack has a default. Pods are
//! sorted by name.

use std::collections::BTreeMap;

use rebalancer_core::{Metric, PerMetric, Role, RotationOutcome, Strategy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantArray};

pub mod backtest;
pub mod build;
pub mod check;
pub mod config;
pub mod diagnosis;
pub mod failed;
pub mod history;
pub mod rotation;
pub mod scan;
pub mod schema;
pub mod verdict;
pub mod version;

use crate::format::text::spaced;
use diagnosis::DiagnosisReport;
use rotation::RotationReport;
use verdict::VerdictReport;
use version::API_VERSION;

/// The result of a decision.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// `pod-rebalancer/v1`.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// `Plan` if `plan` or `replay` wrote it, which evict nothing; `RunReport` if `run` did.
    pub kind: Kind,
    /// What came of it.
    pub outcome: Outcome,
    /// Whether a threshold is passed by the plain rule, whatever the outcome.
    pub should_rebalance: bool,
    /// How much of a dry run it was: `none`, `client` or `server`.
    #[schemars(extend("enum" = ["none", "client", "server"]))]
    pub dry_run: String,
    /// The moment all answers are about, RFC 3339; null for a list of pod states.
    pub evaluation_time: Option<String>,
    /// Which pods this is about.
    pub workload: WorkloadReport,
    /// Which pods a rotation takes.
    #[schemars(with = "StrategyWord")]
    pub strategy: Strategy,
    /// What the other strategy would do; absent where it would do the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternative: Option<AlternativeReport>,
    /// The pods that would go, or went; empty where nothing is to go, such as in a report that
    /// withholds.
    #[serde(default)]
    pub targets: Vec<TargetReport>,
    /// The two ends, the busiest and the least busy pod, whatever comes of it; empty where there are
    /// too little data to tell.
    #[serde(default)]
    pub outliers: Vec<TargetReport>,
    /// Why, in words and numbers.
    pub reason: String,
    /// Spread of each metric over the candidates; null for a metric that is not usable.
    pub statistics: PerMetric<Option<StatisticsReport>>,
    /// How many of the pods that take part have each metric, and whether it was asked for.
    #[serde(default)]
    pub coverage: PerMetric<CoverageReport>,
    /// Every live pod, by name.
    #[serde(default)]
    pub pods: Vec<PodReport>,
    /// What each guard says; a guard that is off is not listed.
    #[serde(default)]
    pub guards: Vec<VerdictReport>,
    /// Why the load is uneven, and whether a rotation can help.
    #[serde(default)]
    pub diagnosis: DiagnosisReport,
    /// What the decision was held against.
    pub thresholds: ThresholdsReport,
    /// Why a target may not be evicted, or the workload left alone; empty when nothing is in the way.
    #[serde(default)]
    pub obstacles: Vec<String>,
    /// What an operator should know and nothing depends on.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What was done; null when nothing was attempted.
    pub rotation: Option<RotationReport>,
    /// Requests sent, by kind.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, u64>,
}

/// What made a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A decision without a hand to act.
    Plan,
    /// A run.
    RunReport,
}

/// What came of a decision. The words also name metrics and log fields.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr, VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Outcome {
    /// No threshold is passed.
    Balanced,
    /// Too few pods with complete data.
    InsufficientData,
    /// A threshold is passed, but a guard or the state of the workload holds the rotation back.
    Withheld,
    /// It would act.
    Planned,
    /// All targets are evicted.
    Rotated,
    /// Some targets are evicted.
    Partial,
    /// A target may not be evicted: eligibility, preflight or a disruption budget.
    Blocked,
    /// It could not act.
    Failed,
}

impl Report {
    /// The same report after a rotation.
    #[must_use]
    pub fn after(mut self, rotation: RotationReport) -> Self {
        self.outcome = rotation.outcome.into();
        self.reason = format!("{}; {}", self.reason, rotation.reason.message);
        if matches!(self.outcome, Outcome::Withheld | Outcome::Blocked) {
            self.targets.clear();
        }
        if let Some(why) = &rotation.unclaimed {
            self.warnings.push(format!("two runs at once were not kept apart: {}", why.message));
        }
        self.rotation = Some(rotation);
        self
    }

    /// Holds the rotation back for the reason that `by` gives.
    pub fn hold_back(&mut self, by: VerdictReport) {
        self.outcome = Outcome::Withheld;
        self.targets.clear();
        self.reason = format!("{}; but {}", self.reason, by.reason);
        self.guards.push(by);
    }

    /// Whether the decision asks for a rotation and nothing known is in its way.
    pub fn acts(&self) -> bool {
        self.outcome == Outcome::Planned
    }

    /// Whether a run was told to change nothing. A plan never changes anything.
    pub fn is_dry_run(&self) -> bool {
        self.kind == Kind::RunReport && self.dry_run != "none"
    }

    /// The pods that stand out: those that would go or went, else the two ends.
    pub fn ends(&self) -> &[TargetReport] {
        if self.targets.is_empty() { &self.outliers } else { &self.targets }
    }

    /// The pods as people read them: the busiest first, the least busy target after the candidates, pods
    /// without a score last.
    pub fn pods_by_load(&self) -> Vec<&PodReport> {
        let score = |pod: &PodReport| pod.composite_score.unwrap_or(f64::NEG_INFINITY);
        let rank = |pod: &PodReport| match pod.verdict {
            PodVerdict::Busiest | PodVerdict::Ill => 0,
            PodVerdict::LeastBusy => 2,
            _ if pod.composite_score.is_none() => 3,
            _ => 1,
        };
        let mut pods: Vec<&PodReport> = self.pods.iter().collect();
        pods.sort_by(|a, b| {
            rank(a)
                .cmp(&rank(b))
                .then_with(|| score(b).total_cmp(&score(a)))
                .then_with(|| a.name.cmp(&b.name))
        });
        pods
    }
}

impl From<RotationOutcome> for Outcome {
    fn from(outcome: RotationOutcome) -> Self {
        match outcome {
            RotationOutcome::Rotated => Self::Rotated,
            RotationOutcome::Partial => Self::Partial,
            RotationOutcome::Blocked => Self::Blocked,
            RotationOutcome::Withheld => Self::Withheld,
            RotationOutcome::Failed => Self::Failed,
            RotationOutcome::Planned => Self::Planned,
        }
    }
}

/// Which pods a report is about.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WorkloadReport {
    /// Namespace; null in a replay that does not know it.
    pub namespace: Option<String>,
    /// Label selector; null in a replay that does not know it.
    pub selector: Option<String>,
    /// Kind and name of what owns the pods, such as `Deployment/orders`.
    pub owner: Option<String>,
    /// Context of the kubeconfig, or `in-cluster`.
    pub context: Option<String>,
    /// Live pods.
    pub pods: usize,
    /// What was not set and was found, in the form in which it can be set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<FoundReport>,
}

/// A setting that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundReport {
    /// Its variable, such as `PROMETHEUS_ENDPOINT`.
    pub setting: String,
    /// Its value.
    pub value: String,
    /// By what it was found.
    pub why: String,
}

impl FoundReport {
    /// What was found, by its variable.
    pub fn new(setting: &str, value: &str, why: &str) -> Self {
        let [setting, value, why] = [setting, value, why].map(str::to_owned);
        Self { setting, value, why }
    }

    /// All that was found, in one line; `None` where nothing was looked for.
    pub fn words(found: &[Self]) -> Option<String> {
        let words = |found: &Self| format!("{}={} ({})", found.setting, found.value, found.why);
        let words: Vec<String> = found.iter().map(words).collect();
        (!words.is_empty()).then(|| format!("Found: {}", words.join(", ")))
    }
}

impl WorkloadReport {
    /// Whether both are about the same pods.
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.namespace, &self.selector, &self.owner) == (&other.namespace, &other.selector, &other.owner)
    }

    /// What to call it.
    pub fn name(&self) -> &str {
        let names = [&self.owner, &self.selector, &self.namespace];
        names.into_iter().flatten().next().map_or("pods", String::as_str)
    }
}

/// A pod with the part it has in a rotation.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TargetReport {
    /// Its name.
    pub pod: String,
    /// Why it was picked.
    pub role: Role,
}

/// The setting `STRATEGY`, in the words of all versions whose reports are read.
#[derive(JsonSchema)]
#[schemars(rename = "Strategy")]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only the schema is made of it")]
enum StrategyWord {
    /// The busiest and the least busy pod.
    RotateOutliers,
    /// An ill pod alone; else the pair with the best predicted gain; else the busiest and the least busy pod.
    ByCause,
    /// Of earlier versions; read as `by_cause`.
    PlannedPair,
    /// Of earlier versions; read as `by_cause`.
    ReplaceOutlier,
}

/// What the strategy that is not chosen would do.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AlternativeReport {
    /// Which strategy.
    #[schemars(with = "StrategyWord")]
    pub strategy: Strategy,
    /// The pods that it would evict; empty if it would evict none.
    pub pods: Vec<String>,
    /// What holds it back; null if it would evict pods, or if there is nothing to act on.
    pub reason: Option<String>,
}

impl AlternativeReport {
    /// In words.
    pub fn words(&self) -> String {
        let strategy = self.strategy;
        match (self.pods.as_slice(), &self.reason) {
            ([], None) => format!("STRATEGY={strategy} would do nothing"),
            ([], Some(reason)) => format!("STRATEGY={strategy} would do nothing: {reason}"),
            ([pod], _) => format!("STRATEGY={strategy} would evict {pod} alone"),
            (pods, _) => format!("STRATEGY={strategy} would evict {}", pods.join(" and ")),
        }
    }
}

/// Spread of one metric over the candidates.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct StatisticsReport {
    /// Candidates.
    pub count: usize,
    /// Mean, in the unit of the metric.
    pub mean: f64,
    /// Population variance, in the unit squared; never compared.
    pub variance: f64,
    /// Population standard deviation.
    pub std_dev: f64,
    /// Population coefficient of variation.
    pub cv: f64,
    /// The number held against the threshold: `cv` with the mean held up by the floor.
    pub cv_compared: f64,
    /// The threshold; null for a metric that triggers nothing.
    pub threshold: Option<f64>,
    /// Median.
    pub median: Option<f64>,
    /// Smallest load.
    pub min: f64,
    /// Largest load.
    pub max: f64,
    /// Largest load over the mean; null when the mean is 0.
    pub max_over_mean: Option<f64>,
}

impl StatisticsReport {
    /// Whether the threshold is passed.
    pub fn is_over(&self) -> bool {
        self.threshold.is_some_and(|limit| self.cv_compared > limit)
    }
}

/// How many pods have a metric.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct CoverageReport {
    /// Whether it was asked for.
    pub asked: bool,
    /// Pods that have a usable sample of it.
    pub having: usize,
    /// Pods that must have one.
    pub needed: usize,
    /// Pods that take part.
    pub eligible: usize,
    /// Whether it has a part in the decision.
    pub usable: bool,
}

/// One live pod.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct PodReport {
    /// Its name.
    pub name: String,
    /// Cores; null is missing.
    pub cpu_usage: Option<f64>,
    /// Bytes; null is missing.
    pub memory_usage: Option<f64>,
    /// Messages; null is missing.
    pub kafka_lag: Option<f64>,
    /// Messages per second; null is missing.
    pub message_rate: Option<f64>,
    /// 1.0 is an average pod; null for a pod that is no candidate.
    pub composite_score: Option<f64>,
    /// What the decision makes of it.
    pub verdict: PodVerdict,
    /// Seconds since it was created, where known.
    pub age_seconds: Option<u64>,
    /// The node it runs on, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Usable metrics it lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl PodReport {
    /// A pod with these loads, of which nothing else is known.
    pub fn new(name: &str, verdict: PodVerdict, load: impl Fn(Metric) -> Option<f64>) -> Self {
        Self {
            name: name.to_owned(),
            cpu_usage: load(Metric::Cpu),
            memory_usage: load(Metric::Memory),
            kafka_lag: load(Metric::Lag),
            message_rate: load(Metric::Rate),
            composite_score: None,
            verdict,
            age_seconds: None,
            node: None,
            missing: Vec::new(),
        }
    }

    /// The load of a metric; `None` is missing.
    pub const fn load(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Cpu => self.cpu_usage,
            Metric::Memory => self.memory_usage,
            Metric::Lag => self.kafka_lag,
            Metric::Rate => self.message_rate,
        }
    }
}

/// What the decision makes of a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum PodVerdict {
    /// The busiest target.
    Busiest,
    /// The least busy target.
    LeastBusy,
    /// Replaced alone because it is ill.
    Ill,
    /// It stays, though it could have been chosen.
    Keep,
    /// It lacks a usable metric, so it could not be chosen.
    MissingMetrics,
    /// Being deleted.
    Terminating,
    /// Not in phase Running.
    NotRunning,
    /// Not Ready.
    NotReady,
    /// Younger than the warm-up.
    WarmingUp,
}

impl PodVerdict {
    /// Whether the decision compared the pod with the others.
    pub const fn is_candidate(self) -> bool {
        matches!(self, Self::Busiest | Self::LeastBusy | Self::Ill | Self::Keep)
    }

    /// The word as people read it.
    pub fn words(self) -> String {
        spaced(self.into())
    }
}

/// What a decision was held against.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ThresholdsReport {
    /// Spread of CPU.
    pub cpu: f64,
    /// Spread of lag.
    pub lag: f64,
    /// Fewest candidates.
    pub min_pods: usize,
    /// Share of the pods that must have a metric.
    pub min_coverage: f64,
    /// Whether guards are asked: `standard` or `off`.
    #[schemars(extend("enum" = ["standard", "off"]))]
    pub guards: String,
    /// Floors of the means in the trigger; 0 with guards off.
    #[serde(default)]
    pub trigger_floors: PerMetric<f64>,
    /// Floors of the means in the score.
    #[serde(default)]
    pub score_floors: PerMetric<f64>,
    /// Weights of the score.
    #[serde(default)]
    pub weights: PerMetric<f64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    /// A metric that came later may be absent: its field of [`PerMetric`] has a default.
    #[test]
    fn reports_with_the_metrics_of_the_first_version_are_read() {
        let each = |value: Value| json!({"cpu": value, "memory": value, "lag": value, "rate": value});
        let coverage = json!({"asked": true, "having": 3, "needed": 3, "eligible": 3, "usable": true});
        let coverage: PerMetric<CoverageReport> = from_value(each(coverage)).expect("the coverage");
        assert!(coverage.rate.usable);
        let weights: PerMetric<f64> = from_value(each(json!(0.25))).expect("the weights");
        assert_eq!(weights.iter().map(|(_, weight)| weight).sum::<f64>(), 1.0);
    }
}
