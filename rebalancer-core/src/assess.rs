//! Assesses an analysis: trigger, guards, strategy and diagnosis in one call.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::diagnosis::ill_pods::ill_pods;
use crate::diagnosis::illness::{IllPod, IllPods};
use crate::diagnosis::{Diagnosis, diagnose};
use crate::facts::Facts;
use crate::guard::settings::GuardSettings;
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::guard::{evaluate, of_cure};
use crate::input::join::SetAside;
use crate::measure::analysis::Analysis;
use crate::strategy::{Selection, Strategy, select};
use crate::trigger::{Trigger, trigger, trigger_of};

/// Above this many partitions, no pair is planned just to report what the other strategy would do.
const MOST_COMPARED: usize = 2_000;

/// What guards, strategy and diagnosis conclude from an analysis.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Assessment {
    /// What asks for a rotation; `None` when nothing does.
    pub trigger: Option<Trigger>,
    /// The pods the strategy chose; `None` when nothing asks for a rotation or it found none.
    pub selection: Option<Selection>,
    /// The verdicts of the guards in order, then the strategy's verdict if it found no pod.
    pub guards: Vec<Verdict>,
    /// Why the load is uneven and whether a rotation can help.
    pub diagnosis: Diagnosis,
    /// Whether the diagnosis can hold the rotation back: [`GuardSettings::diagnosis`].
    pub obeys_diagnosis: bool,
    /// What the other strategy would do, if that differs. Not computed above 2,000 partitions when no pod is
    /// ill, because it would have to plan a pair.
    pub alternative: Option<Alternative>,
}

/// Assesses an analysis. Asks every guard and runs every test of the diagnosis, even after one has refused; a
/// balanced workload needs few of them.
///
/// `set_aside` are the pods that a [`Join`](crate::Join) left out; empty when the caller chose the pods
/// itself.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::guard::GuardSettings;
/// use rebalancer_core::{Engine, Facts, LivePod, Metric, PodState, Strategy, Thresholds, assess};
///
/// let cores = [("orders-0", 3.0), ("orders-1", 0.2), ("orders-2", 1.0), ("orders-3", 1.0)];
/// let pods = cores.map(|(name, cores)| PodState::new(name).with(Metric::Cpu, cores));
/// let day = Duration::from_secs(24 * 3600);
/// let live = cores.map(|(name, _)| LivePod { age: Some(day), ..LivePod::assumed(name) });
///
/// let analysis = Engine::new(Thresholds::default()).analyze(&pods)?;
/// // No history is at hand here, so the guard that needs one is off.
/// let guards = GuardSettings { persistence: None, ..GuardSettings::STANDARD };
/// let assessment = assess(&analysis, &[], &Facts::new(&live), &guards, Strategy::RotateOutliers);
/// let selection = assessment.rotation().expect("no guard holds");
/// let targets: Vec<&str> = selection.targets(&analysis).into_iter().map(|(_, name)| name).collect();
/// assert_eq!(targets, ["orders-0", "orders-1"]);
///
/// // Where one holds, its verdict says why.
/// let young = cores.map(|(name, _)| LivePod { age: Some(Duration::from_secs(60)), ..LivePod::assumed(name) });
/// let assessment = assess(&analysis, &[], &Facts::new(&young), &guards, Strategy::RotateOutliers);
/// assert!(assessment.rotation().is_none());
/// let held: Vec<String> = assessment.held_by().map(|verdict| verdict.to_string()).collect();
/// assert_eq!(held[0], "cooldown: the youngest pod, orders-0, is 60 s old, 30 min are needed");
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
pub fn assess(
    analysis: &Analysis<'_>,
    set_aside: &[SetAside],
    facts: &Facts<'_>,
    settings: &GuardSettings,
    strategy: Strategy,
) -> Assessment {
    let asked = trigger(analysis, facts, settings);
    let by_cause = strategy == Strategy::ByCause;
    let looks_for_illness = asked.is_some() || by_cause || facts.offsets.known().is_some();
    let ill = if looks_for_illness { ill_pods(analysis, facts) } else { IllPods::default() };
    let case = Case { analysis, set_aside, facts, settings, asked, ill };
    let mut assessment = case.assess(strategy);
    assessment.alternative = case.alternative(&assessment, strategy.other());
    assessment
}

/// The inputs that both strategies share.
struct Case<'a> {
    analysis: &'a Analysis<'a>,
    set_aside: &'a [SetAside],
    facts: &'a Facts<'a>,
    settings: &'a GuardSettings,
    asked: Option<Trigger>,
    ill: IllPods,
}

impl Case<'_> {
    fn assess(&self, strategy: Strategy) -> Assessment {
        let Self { analysis, set_aside, facts, settings, .. } = self;
        let cure = if strategy == Strategy::ByCause { self.curable() } else { None };
        let trigger = match cure {
            Some(ill) => trigger_of(ill.position, self.asked.as_ref(), analysis),
            None => self.asked.clone(),
        };
        let mut guards = evaluate(analysis, set_aside, facts, settings, trigger.as_ref(), cure);
        let selected = trigger.as_ref().map(|trigger| select(strategy, trigger, cure, analysis, facts));
        let selection = selected.as_ref().and_then(|selected| selected.as_ref().ok());
        let diagnosis = diagnose(analysis, facts, trigger.as_ref(), selection, &self.ill, &guards);
        let selection = selected.and_then(|selected| {
            let refused = |why| guards.push(Verdict::new(Check::Strategy, Standing::Hold, why));
            selected.map_err(refused).ok()
        });
        let obeys_diagnosis = settings.diagnosis;
        Assessment { trigger, selection, guards, diagnosis, obeys_diagnosis, alternative: None }
    }

    /// The first ill pod that may be replaced now, else the worst one; `None` on insufficient data. If
    /// nothing triggers, an illness without history is ignored: it may be noise.
    fn curable(&self) -> Option<&IllPod> {
        self.analysis.outliers()?;
        let asks = |ill: &&IllPod| self.asked.is_some() || ill.lasted.is_some();
        let may_go = |ill: &&IllPod| {
            let verdicts = of_cure(ill, self.analysis, self.facts, self.settings);
            verdicts.iter().all(|verdict| verdict.standing == Standing::Pass)
        };
        let ill = || self.ill.pods.iter().filter(asks);
        ill().find(may_go).or_else(|| ill().next())
    }

    /// What the `other` strategy would do, if that differs.
    fn alternative(&self, chosen: &Assessment, other: Strategy) -> Option<Alternative> {
        let partitions = self.facts.partitions.known().map_or(0, |known| known.all().len());
        let is_costly = other == Strategy::ByCause && self.ill.pods.is_empty() && partitions > MOST_COMPARED;
        if is_costly || (self.asked.is_none() && self.ill.pods.is_empty()) {
            return None;
        }
        let assessed = self.assess(other);
        let sorted = |assessment: &Assessment| {
            let mut pods = assessment.rotation().map_or(Vec::new(), |selection| selection.pods.clone());
            pods.sort_unstable();
            pods
        };
        if sorted(chosen) == sorted(&assessed) {
            return None;
        }
        let pods = assessed.rotation().map_or(Vec::new(), |selection| selection.pods.clone());
        let why = assessed.held_by().next().map(|verdict| verdict.to_string());
        Some(Alternative { strategy: other, pods, why })
    }
}

/// What the strategy that was not chosen would do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Alternative {
    /// Which strategy.
    pub strategy: Strategy,
    /// The pods it would evict, as positions among the analysed pods; empty when it would do nothing.
    pub pods: Vec<usize>,
    /// Why it would do nothing, when a guard or the diagnosis holds it back.
    pub why: Option<String>,
}

impl Assessment {
    /// All verdicts that count: those of the guards, then the diagnosis if a rotation is triggered and
    /// [`Assessment::obeys_diagnosis`] is set.
    pub fn verdicts(&self) -> Vec<Verdict> {
        let mut verdicts = self.guards.clone();
        if self.trigger.is_some() && self.obeys_diagnosis {
            verdicts.push(self.diagnosis.verdict());
        }
        verdicts
    }

    /// The verdicts that hold the rotation back: every one that is not a pass.
    pub fn held_by(&self) -> impl Iterator<Item = Verdict> {
        self.verdicts().into_iter().filter(|verdict| verdict.standing != Standing::Pass)
    }

    /// Whether no pod reads at all, so the loads say nothing, and the diagnosis is obeyed.
    pub const fn is_unread(&self) -> bool {
        self.obeys_diagnosis && self.diagnosis.nobody_reads
    }

    /// The pods to rotate: what `run` evicts and `plan` shows. `None` unless every verdict is a pass and some
    /// pod reads. An unknown verdict refuses just like a hold.
    pub fn rotation(&self) -> Option<&Selection> {
        self.selection.as_ref().filter(|_| !self.is_unread() && self.held_by().next().is_none())
    }
}
