//! The decision over the past: many moments, and at each of them several thresholds.
//!
//! The same core decides as in a plan, on the same queries: at one moment both come to the same.

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::guard::Standing;
use rebalancer_core::{Facts, Metric, RotationOptions, Workload};
use rebalancer_io::facts::FactFinder;
use rebalancer_io::podstate::{Answers, Freshness};
use schemars::JsonSchema;
use serde::Serialize;

use crate::decide::{DecisionSettings, Known, Purpose, analyze, conclude, find, living, needs_facts};
use crate::live::RUN_TIMEOUT_FOR_PLANS;
use crate::report::{Kind, Outcome, Report, WorkloadReport};

mod past;
mod pieces;
mod recordings;
mod remembered;
mod render;
mod report;
mod sweep;

pub use past::Past;
pub use recordings::Recordings;
pub use render::render;
pub use report::BacktestReport;
pub use sweep::{Sweep, variants};

/// What is known of one moment.
pub struct Moment {
    /// The pods of that moment.
    pub workload: Workload,
    /// Their loads.
    pub answers: Answers,
    /// When a pod and a sample count.
    pub freshness: Freshness,
    /// Whether pods of several controllers are accepted.
    pub allow_many_controllers: bool,
}

impl Moment {
    /// When it was.
    pub const fn at(&self) -> Timestamp {
        self.answers.at
    }
}

/// What one moment came to at one pair of thresholds.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Decision {
    /// When, RFC 3339.
    pub time: String,
    /// The threshold of the spread of CPU.
    pub cpu_threshold: f64,
    /// The threshold of the spread of lag.
    pub lag_threshold: f64,
    /// What a plan would have come to.
    pub outcome: Outcome,
    /// Whether a threshold is passed by the plain rule.
    pub should_rebalance: bool,
    /// Pods of the workload.
    pub pods: usize,
    /// Spread of CPU; null where it is not usable.
    pub cpu_cv: Option<f64>,
    /// Spread of lag; null where it is not usable.
    pub lag_cv: Option<f64>,
    /// The pods that would have been evicted, or that a guard kept.
    pub targets: Vec<String>,
    /// The cause that was seen, as its code.
    pub cause: String,
    /// The guards that held it back.
    pub held_by: Vec<&'static str>,
}

/// Decides one moment by each of the settings, which differ in their thresholds only; `None` where
/// no pod has CPU or lag.
///
/// # Errors
/// When the pod states or the thresholds contradict themselves.
pub fn judge(
    variants: &[DecisionSettings],
    moment: &Moment,
    finder: &FactFinder<'_>,
) -> anyhow::Result<Option<Vec<Decision>>> {
    let at = moment.at();
    let joined = moment.answers.join_columns(&moment.workload.pods, moment.freshness);
    let joined = joined.with_context(|| format!("at {at}: cannot tell the pods apart"))?;
    let measured = |metric| joined.loads[metric].iter().any(|load| !load.is_nan());
    if !measured(Metric::Cpu) && !measured(Metric::Lag) {
        return Ok(None);
    }
    let known = Known {
        joined: &joined,
        workload: &moment.workload,
        asked: &moment.answers.asked(),
        evaluation_time: Some(at.to_string()),
        described: WorkloadReport::default(),
    };
    let analyses =
        variants.iter().map(|settings| analyze(settings, &known)).collect::<anyhow::Result<Vec<_>>>();
    let analyses = analyses.with_context(|| format!("at {at}"))?;
    let live = living(&moment.workload);
    let asks = variants.iter().zip(&analyses).find(|(settings, analysis)| needs_facts(settings, analysis));
    let rollout_age = moment.workload.rollout_age();
    let find = |settings| find(settings, finder, &live, rollout_age);
    let facts = asks.map_or_else(|| Facts::new(&live), |(settings, _)| find(settings));
    let decided = variants.iter().zip(&analyses).map(|(settings, analysis)| {
        let options = RotationOptions {
            min_pods: settings.thresholds.min_pods,
            warm_up: settings.warm_up(),
            allow_many_controllers: moment.allow_many_controllers,
            ..RotationOptions::until(RUN_TIMEOUT_FOR_PLANS)
        };
        let purpose =
            Purpose { kind: Kind::Plan, dry_run: "client", rotation: Some(&options), detailed: false };
        Decision::of(&conclude(settings, analysis, facts.clone(), &known, purpose))
    });
    Ok(Some(decided.collect()))
}

impl Decision {
    fn of(report: &Report) -> Self {
        let cv = |metric| report.statistics[metric].as_ref().map(|statistics| statistics.cv);
        let held = report.guards.iter().filter(|guard| guard.verdict == Standing::Hold);
        Self {
            time: report.evaluation_time.clone().unwrap_or_default(),
            cpu_threshold: report.thresholds.cpu,
            lag_threshold: report.thresholds.lag,
            outcome: report.outcome,
            should_rebalance: report.should_rebalance,
            pods: report.workload.pods,
            cpu_cv: cv(Metric::Cpu),
            lag_cv: cv(Metric::Lag),
            targets: report.targets.iter().map(|target| target.pod.clone()).collect(),
            cause: report.diagnosis.code(),
            held_by: held.map(|guard| guard.name).collect(),
        }
    }
}
