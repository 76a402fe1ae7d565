//! The decision over the past: many moments, and at each of them several thresholds.
//!
//! The same core decides as in a plan, on the same queries: at one moment both come to the same.

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{Analysis, Facts, Joined, Metric, RotationOptions, Workload};
use rebalancer_io::facts::{FactFinder, Kept};
use rebalancer_io::podstate::{Answers, Freshness};

use crate::pipeline::decide::{Known, Purpose, analyze, conclude, find, living, needs_facts};
use crate::pipeline::observe::RUN_TIMEOUT_FOR_PLANS;
use crate::report::backtest::Decision;
use crate::report::{Kind, Report, WorkloadReport};
use crate::settings::decision::DecisionSettings;

mod own;
mod past;
mod pieces;
mod recordings;
mod remembered;

pub use own::OwnRotations;
pub use past::Past;
pub use recordings::Recordings;

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
    /// Whether the past before this moment can be asked for.
    pub has_past: bool,
}

impl Moment {
    /// When it was.
    pub const fn at(&self) -> Timestamp {
        self.answers.at
    }
}

/// Decides one moment by each of the settings, which differ in their thresholds only; `None` where
/// no pod has CPU or lag. `own` are the rotations that each of them has begun before; those of this
/// moment are added to them, so moments are to be judged in the order of time.
///
/// # Errors
/// When the pod states or the thresholds contradict themselves.
pub fn judge(
    variants: &[DecisionSettings],
    own: &mut [OwnRotations],
    moment: &Moment,
    finder: &FactFinder<'_>,
) -> anyhow::Result<Option<Vec<Decision>>> {
    let at = moment.at();
    let joined = moment.join(&moment.workload)?;
    let measured = |metric| joined.loads[metric].iter().any(|load| !load.is_nan());
    if !measured(Metric::Cpu) && !measured(Metric::Lag) {
        return Ok(None);
    }
    let asked = moment.answers.asked();
    let known = moment.known(&moment.workload, &joined, &asked);
    let analyses = variants
        .iter()
        .map(|settings| analyze(settings, &known).with_context(|| format!("at {at}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let live = living(&moment.workload);
    let asks = variants.iter().zip(&analyses).find(|(settings, analysis)| needs_facts(settings, analysis));
    let rollout_age = moment.workload.rollout_age();
    let find = |settings| find(settings, finder, &live, rollout_age, &Kept::All);
    let facts = asks.map_or_else(|| Facts::new(&live), |(settings, _)| find(settings));
    let mut decided = Vec::with_capacity(variants.len());
    for ((settings, analysis), own) in variants.iter().zip(&analyses).zip(own) {
        let report = match own.aged(&moment.workload, at) {
            None => moment.conclude(settings, analysis, facts.clone(), &known),
            Some(aged) => moment.after_own(settings, &aged, &asked, facts.clone())?,
        };
        let decision = with_loads_of(Decision::of(&report), analysis);
        own.begin(&decision, at);
        decided.push(decision);
    }
    Ok(Some(decided))
}

impl Moment {
    /// The loads of these pods.
    fn join(&self, workload: &Workload) -> anyhow::Result<Joined> {
        let joined = self.answers.join(&workload.pods, self.freshness);
        joined.with_context(|| format!("at {}: cannot tell the pods apart", self.at()))
    }

    fn known<'a>(&'a self, workload: &'a Workload, joined: &'a Joined, asked: &'a [Metric]) -> Known<'a> {
        Known {
            joined,
            workload,
            asked,
            evaluation_time: Some(self.at().to_string()),
            described: WorkloadReport::default(),
            has_past: self.has_past,
        }
    }

    fn conclude(
        &self,
        settings: &DecisionSettings,
        analysis: &Analysis<'_>,
        facts: Facts<'_>,
        known: &Known<'_>,
    ) -> Report {
        let options = RotationOptions {
            min_pods: settings.thresholds.min_pods,
            warm_up: settings.warm_up(),
            allow_many_controllers: self.allow_many_controllers,
            ..RotationOptions::until(RUN_TIMEOUT_FOR_PLANS)
        };
        let purpose =
            Purpose { kind: Kind::Plan, dry_run: "client", rotation: Some(&options), detailed: false };
        conclude(settings, analysis, facts, known, purpose)
    }

    /// The decision where pods of own rotations are young. What history tells of these pods stays as
    /// it is: it knows nothing of the rotations.
    fn after_own(
        &self,
        settings: &DecisionSettings,
        aged: &Workload,
        asked: &[Metric],
        facts: Facts<'_>,
    ) -> anyhow::Result<Report> {
        let joined = self.join(aged)?;
        let known = self.known(aged, &joined, asked);
        let analysis = analyze(settings, &known).with_context(|| format!("at {}", self.at()))?;
        let live = living(aged);
        Ok(self.conclude(settings, &analysis, Facts { live: &live, ..facts }, &known))
    }
}

/// The same decision with the spreads of all pods, those of own rotations included.
fn with_loads_of(decision: Decision, analysis: &Analysis<'_>) -> Decision {
    let cv = |metric| analysis.spread(metric).map(|spread| spread.cv);
    Decision {
        should_rebalance: analysis.should_rebalance(),
        cpu_cv: cv(Metric::Cpu),
        lag_cv: cv(Metric::Lag),
        ..decision
    }
}
