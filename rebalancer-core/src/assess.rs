//! From an analysis to what may be done: trigger, guards, strategy and diagnosis in one call.

use alloc::string::ToString;
use alloc::vec::Vec;

use crate::diagnosis::{Diagnosis, diagnose};
use crate::facts::Facts;
use crate::guard::{GuardSettings, Standing, Trigger, Verdict, evaluate, trigger};
use crate::input::join::SetAside;
use crate::measure::analysis::Analysis;
use crate::strategy::{Selection, Strategy, select};

/// What guards, strategy and diagnosis make of an analysis.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Assessment {
    /// What asks for a rotation; `None` when nothing does.
    pub trigger: Option<Trigger>,
    /// The pods the strategy takes; `None` when nothing asks for it or the strategy finds none.
    pub selection: Option<Selection>,
    /// The guards' answers in their order, then the strategy's where it finds no pod.
    pub guards: Vec<Verdict>,
    /// Why the load is uneven and whether a rotation can help.
    pub diagnosis: Diagnosis,
}

/// Whether a diagnosis that a rotation is futile is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Futility {
    /// It withholds the rotation.
    #[default]
    Binding,
    /// It is told and not obeyed: `GUARDS=off`.
    Advisory,
}

/// Assesses an analysis. Every guard and every step of the diagnosis is asked, also after one has
/// refused; a balanced workload is asked little.
pub fn assess(
    analysis: &Analysis<'_>,
    set_aside: &[SetAside],
    facts: &Facts<'_>,
    settings: &GuardSettings,
    strategy: Strategy,
) -> Assessment {
    let trigger = trigger(analysis, facts, settings);
    let mut guards = evaluate(analysis, set_aside, facts, settings);
    let selected = trigger.as_ref().map(|trigger| select(strategy, trigger, analysis, facts));
    let (selection, refusal) = match selected {
        Some(Ok(selection)) => (Some(selection), None),
        Some(Err(refusal)) => (None, Some(refusal)),
        None => (None, None),
    };
    let diagnosis = diagnose(analysis, facts, trigger.as_ref(), selection.as_ref(), &guards);
    guards.extend(refusal.map(|refusal| Verdict {
        guard: "strategy",
        standing: Standing::Hold,
        value: None,
        limit: None,
        reason: refusal.to_string(),
    }));
    Assessment { trigger, selection, guards, diagnosis }
}

impl Assessment {
    /// All verdicts: the guards', then the diagnosis' where a rotation was triggered.
    pub fn verdicts(&self, futility: Futility) -> Vec<Verdict> {
        let mut verdicts = self.guards.clone();
        if self.trigger.is_some() && futility == Futility::Binding {
            verdicts.push(self.diagnosis.verdict());
        }
        verdicts
    }

    /// The pods to rotate, which is what a run does and a plan shows: `None` unless every verdict is
    /// a pass. What is unknown refuses as what holds does.
    pub fn rotation(&self, futility: Futility) -> Option<&Selection> {
        let refused = self.verdicts(futility).iter().any(|verdict| verdict.standing != Standing::Pass);
        self.selection.as_ref().filter(|_| !refused)
    }
}
