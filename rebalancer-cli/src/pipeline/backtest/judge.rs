//! Decides at one moment, with each of several thresholds.

use anyhow::Context as _;
use rebalancer_core::{Analysis, Facts, Joined, Metric, Strategy, Workload};
use rebalancer_io::facts::{FactFinder, Kept};

use crate::pipeline::decide::{
    Known, Purpose, analyze, conclude, find, living, needs_facts, partitions_past,
};
use crate::report::backtest::Decision;
use crate::report::{Kind, Report, WorkloadReport};
use crate::settings::decision::{DecisionSettings, PLAN_DEADLINE};

use super::moment::Moment;
use super::own::OwnRotations;

/// Decides about one moment with each of the settings, which differ only in their thresholds; `None` if no
/// pod has CPU or lag. `own` contains the earlier rotations of each setting. Those of this moment are added,
/// so moments must be judged in time order.
///
/// # Errors
/// Pod states or thresholds that are inconsistent.
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
    let mut facts = asks.map_or_else(|| Facts::new(&live), |(settings, _)| find(settings));
    if variants.iter().any(|settings| settings.strategy == Strategy::ByCause) {
        [facts.offsets, facts.offsets_of_day] = partitions_past(finder, &live);
    }
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
            cures: None,
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
        let options = settings.rotation_options(self.allow_many_controllers, PLAN_DEADLINE);
        let purpose =
            Purpose { kind: Kind::Plan, dry_run: "client", rotation: Some(&options), detailed: false };
        conclude(settings, analysis, facts, known, purpose)
    }

    /// The decision with the pods of own rotations counted as young. Their history is unchanged.
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

/// The same decision with the spreads of all pods, including those of own rotations.
fn with_loads_of(decision: Decision, analysis: &Analysis<'_>) -> Decision {
    let cv = |metric| analysis.spread(metric).map(|spread| spread.cv);
    Decision {
        should_rebalance: analysis.should_rebalance(),
        cpu_cv: cv(Metric::Cpu),
        lag_cv: cv(Metric::Lag),
        ..decision
    }
}
