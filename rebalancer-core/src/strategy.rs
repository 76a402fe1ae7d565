//! Which pods a rotation takes: the outliers, a planned pair, or the sick pod alone.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use crate::diagnosis::illness::IllPods;
use crate::facts::Facts;
use crate::kafka::forecast::{Forecast, NoPair};
use crate::measure::analysis::Analysis;
use crate::measure::outliers::{Outliers, Role};
use crate::trigger::Trigger;

/// The setting `STRATEGY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
pub enum Strategy {
    /// The busiest and the least busy pod.
    #[default]
    RotateOutliers,
    /// The sick pod and the least busy one where a pod is sick, else the pair with the best predicted
    /// gain; nothing below 5 %.
    PlannedPair,
    /// The sick pod alone; nothing when none is sick.
    ReplaceOutlier,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 3] = [Self::RotateOutliers, Self::PlannedPair, Self::ReplaceOutlier];

    /// The word of configuration and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RotateOutliers => "rotate_outliers",
            Self::PlannedPair => "planned_pair",
            Self::ReplaceOutlier => "replace_outlier",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.name() == name);
        found.ok_or_else(|| UnknownStrategy { name: name.to_string() })
    }
}

/// A name no strategy has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is no strategy; known are rotate_outliers, planned_pair and replace_outlier")]
pub struct UnknownStrategy {
    /// The name.
    pub name: String,
}

/// The pods a strategy takes.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Selection {
    /// One or two positions among the analysed pods, the busier one first.
    pub pods: Vec<usize>,
    /// What the model expects, for a planned pair.
    pub forecast: Option<Forecast>,
}

impl Selection {
    /// The pods with the part each plays, as [`RotationPlan::new`](crate::RotationPlan::new) takes them.
    pub fn targets<'a>(&self, analysis: &Analysis<'a>) -> Vec<(Role, &'a str)> {
        let names = self.pods.iter().map(|position| analysis.name(*position));
        Role::ALL.into_iter().zip(names).collect()
    }
}

/// Why a strategy takes no pod although a threshold is passed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum NothingSelected {
    /// No pair gains enough, or the group is not known well enough to plan one.
    #[error(transparent)]
    NoPair(#[from] NoPair),
    /// The best pair has a pod that takes no part in the decision.
    #[error("pod {pod} of the best pair takes no part in the decision")]
    NotACandidate {
        /// Name of the pod.
        pod: String,
    },
    /// No pod is sick.
    #[error("no pod is sick, and replace_outlier replaces nothing else")]
    NoSickPod,
}

/// Picks the pods to rotate once a rotation is triggered.
///
/// ```
/// use rebalancer_core::diagnosis::ill_pods;
/// use rebalancer_core::guard::{GuardSettings, trigger};
/// use rebalancer_core::{Engine, Facts, Metric, PodState, Role, Strategy, Thresholds, select};
///
/// let cores = [("a", 3.0), ("b", 1.0), ("c", 0.5)];
/// let pods = cores.map(|(name, cores)| PodState::new(name).with(Metric::Cpu, cores));
/// let analysis = Engine::new(Thresholds::default()).analyze(&pods)?;
/// let facts = Facts::new(&[]);
/// let trigger = trigger(&analysis, &facts, &GuardSettings::OFF).expect("a threshold is passed");
/// let ill = ill_pods(&analysis, &facts);
///
/// let selection = select(Strategy::RotateOutliers, &trigger, &ill, &analysis, &facts)?;
/// assert_eq!(selection.targets(&analysis), [(Role::Busiest, "a"), (Role::LeastBusy, "c")]);
/// let none = select(Strategy::ReplaceOutlier, &trigger, &ill, &analysis, &facts).unwrap_err();
/// assert_eq!(none.to_string(), "no pod is sick, and replace_outlier replaces nothing else");
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// # Errors
/// Why there are none; that withholds the rotation.
pub fn select(
    strategy: Strategy,
    trigger: &Trigger,
    ill: &IllPods,
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
) -> Result<Selection, NothingSelected> {
    let Outliers { busiest, least_busy } = trigger.targets;
    let without_forecast = |pods: &[usize]| Selection { pods: pods.to_vec(), forecast: None };
    match (strategy, ill.worst()) {
        (Strategy::RotateOutliers, _) => Ok(without_forecast(&[busiest, least_busy])),
        (Strategy::ReplaceOutlier, Some(sick)) => Ok(without_forecast(&[sick.position])),
        (Strategy::ReplaceOutlier, None) => Err(NothingSelected::NoSickPod),
        (Strategy::PlannedPair, Some(sick)) => {
            let other = if sick.position == least_busy { busiest } else { least_busy };
            Ok(without_forecast(&[sick.position, other]))
        }
        (Strategy::PlannedPair, None) => {
            let pair = facts.group().ok_or(NoPair::OwnersUnknown)?.planned_pair()?;
            let pods = pair.pods.map(|live| candidate(&facts.live[live.0].name, analysis));
            let pods = pods.into_iter().collect::<Result<Vec<usize>, NothingSelected>>()?;
            Ok(Selection { pods, forecast: Some(pair.forecast) })
        }
    }
}

/// Position of the candidate called `name`.
fn candidate(name: &str, analysis: &Analysis<'_>) -> Result<usize, NothingSelected> {
    let found = analysis.candidates().iter().find(|&position| analysis.name(position) == name);
    found.ok_or_else(|| NothingSelected::NotACandidate { pod: name.to_string() })
}
