//! Decides at one moment, with each of several thresholds.

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{Analysis, Facts, Metric, Strategy, Workload};
use rebalancer_io::facts::{FactFinder, Kept};
use rebalancer_io::podstate::Answers;

use crate::pipeline::decide::{
    Known, Purpose, analyze, conclude, find, is_suspicious, living, needs_facts, partitions_past,
};
use crate::report::backtest::Decision;
use crate::settings::decision::{DecisionSettings, PLAN_DEADLINE};

use super::own::OwnRotations;

/// The data known about one moment of the past.
pub struct Moment {
    /// The pods of that moment.
    pub workload: Workload,
    /// Their loads.
    pub answers: Answers,
    /// Whether pods of several controllers are accepted.
    pub allow_many_controllers: bool,
    /// Whether the past before this moment can be queried.
    pub has_past: bool,
}

impl Moment {
    /// When it was.
    pub const fn at(&self) -> Timestamp {
        self.answers.at
    }

    /// What is known then, if the workload is this one.
    fn known<'a>(&self, workload: &'a Workload, settings: &DecisionSettings) -> anyhow::Result<Known<'a>> {
        let known = Known::of(&self.answers, workload, settings.freshness());
        let known = known.with_context(|| format!("at {}", self.at()))?;
        Ok(Known { has_past: self.has_past, ..known })
    }
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
    let (at, workload) = (moment.at(), &moment.workload);
    let Some(settings) = variants.first() else { return Ok(None) };
    let known = moment.known(workload, settings)?;
    let measured = |metric| known.joined.loads[metric].iter().any(|load| !load.is_nan());
    if !measured(Metric::Cpu) && !measured(Metric::Lag) {
        return Ok(None);
    }
    let per_variant = variants
        .iter()
        .map(|settings| analyze(settings, &known).with_context(|| format!("at {at}")))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let live = living(workload);
    let mut facts = Facts::new(&live);
    let variants_with = || variants.iter().zip(&per_variant);
    let asks = variants_with().find(|(settings, analysis)| needs_facts(settings, analysis));
    // Where nothing is over a threshold, only a strategy that cures acts on partitions that stand.
    if asks.is_some() || variants.iter().any(|settings| settings.strategy == Strategy::ByCause) {
        [facts.offsets, facts.offsets_of_day] = partitions_past(finder, &live);
    }
    let suspects = || variants_with().find(|(settings, analysis)| is_suspicious(settings, analysis, &facts));
    if let Some((settings, _)) = asks.or_else(suspects) {
        let found = find(settings, finder, &live, workload.rollout_age(), &Kept::All);
        let Facts { offsets, offsets_of_day, .. } = facts;
        facts = Facts { offsets, offsets_of_day, ..found };
    }
    let mut decided = Vec::with_capacity(variants.len());
    for ((settings, analysis), own) in variants.iter().zip(&per_variant).zip(own) {
        let facts = Facts { cures: own.cures(at), ..facts.clone() };
        let options = settings.rotation_options(moment.allow_many_controllers, PLAN_DEADLINE);
        let purpose = Purpose::plan(&options, false);
        let report = if let Some(aged) = own.aged(workload, at) {
            // The pods of own rotations count as young. Their history is unchanged.
            let known = moment.known(&aged, settings)?;
            let analysis = analyze(settings, &known).with_context(|| format!("at {at}"))?;
            let live = living(&aged);
            conclude(settings, &analysis, Facts { live: &live, ..facts }, &known, purpose)
        } else {
            conclude(settings, analysis, facts, &known, purpose)
        };
        own.begin(&report, workload, at);
        decided.push(with_loads_of(Decision::of(&report), analysis));
    }
    Ok(Some(decided))
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
