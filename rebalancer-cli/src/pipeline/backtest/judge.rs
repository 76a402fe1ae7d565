//! Decides at one moment, with each of several thresholds.

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{Analysis, Facts, Joined, Metric, Strategy, Workload};
use rebalancer_io::facts::{FactFinder, Kept};
use rebalancer_io::podstate::{Answers, Freshness};

use crate::pipeline::decide::{
    Known, Purpose, analyze, conclude, find, is_suspicious, living, needs_facts, partitions_past,
};
use crate::report::Report;
use crate::report::backtest::Decision;
use crate::settings::decision::{DecisionSettings, PLAN_DEADLINE};

use super::own::OwnRotations;

/// The data known about one moment of the past.
pub struct Moment {
    /// The pods of that moment.
    pub workload: Workload,
    /// Their loads.
    pub answers: Answers,
    /// Which pods and samples count.
    pub freshness: Freshness,
    /// Whether pods of several controllers are accepted.
    pub allow_many_controllers: bool,
    /// Whether the past before this moment can be queried.
    pub has_past: bool,
}

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
    let mut facts = Facts::new(&live);
    let variants_with = || variants.iter().zip(&analyses);
    let asks = variants_with().find(|(settings, analysis)| needs_facts(settings, analysis));
    // Where nothing is over a threshold, only a strategy that cures acts on partitions that stand.
    if asks.is_some() || variants.iter().any(|settings| settings.strategy == Strategy::ByCause) {
        [facts.offsets, facts.offsets_of_day] = partitions_past(finder, &live);
    }
    let suspects = || variants_with().find(|(settings, analysis)| is_suspicious(settings, analysis, &facts));
    if let Some((settings, _)) = asks.or_else(suspects) {
        let found = find(settings, finder, &live, moment.workload.rollout_age(), &Kept::All);
        let Facts { offsets, offsets_of_day, .. } = facts;
        facts = Facts { offsets, offsets_of_day, ..found };
    }
    let mut decided = Vec::with_capacity(variants.len());
    for ((settings, analysis), own) in variants.iter().zip(&analyses).zip(own) {
        let facts = Facts { cures: own.cures(at), ..facts.clone() };
        let report = match own.aged(&moment.workload, at) {
            None => moment.conclude(settings, analysis, facts, &known),
            Some(aged) => moment.after_own(settings, &aged, &asked, facts)?,
        };
        own.begin(&report, &moment.workload, at);
        decided.push(with_loads_of(Decision::of(&report), analysis));
    }
    Ok(Some(decided))
}

impl Moment {
    /// When it was.
    pub const fn at(&self) -> Timestamp {
        self.answers.at
    }

    /// The loads of these pods.
    fn join(&self, workload: &Workload) -> anyhow::Result<Joined> {
        let joined = self.answers.join(&workload.pods, self.freshness);
        joined.with_context(|| format!("at {}: cannot tell the pods apart", self.at()))
    }

    fn known<'a>(&'a self, workload: &'a Workload, joined: &'a Joined, asked: &'a [Metric]) -> Known<'a> {
        let evaluation_time = Some(self.at().to_string());
        Known { evaluation_time, has_past: self.has_past, ..Known::new(joined, workload, asked) }
    }

    fn conclude(
        &self,
        settings: &DecisionSettings,
        analysis: &Analysis<'_>,
        facts: Facts<'_>,
        known: &Known<'_>,
    ) -> Report {
        let options = settings.rotation_options(self.allow_many_controllers, PLAN_DEADLINE);
        conclude(settings, analysis, facts, known, Purpose::plan(&options, false))
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
