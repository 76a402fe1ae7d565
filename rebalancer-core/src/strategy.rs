//! Which pods a rotation takes: the outliers, or depending on the cause an ill pod alone or a planned pair.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::str::FromStr;

use crate::diagnosis::illness::IllPod;
use crate::facts::Facts;
use crate::kafka::forecast::{Forecast, NoPair};
use crate::measure::analysis::Analysis;
use crate::measure::outliers::{Outliers, Role};
use crate::trigger::Trigger;

/// The setting `STRATEGY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, strum::Display, strum::IntoStaticStr)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema))]
#[strum(serialize_all = "snake_case")]
pub enum Strategy {
    /// The busiest and the least busy pod.
    #[default]
    RotateOutliers,
    /// An ill pod alone; else, where the partitions and the assignor are known, the pair with the best
    /// predicted gain, and nothing below 5 %; else the busiest and the least busy pod.
    // Reports of earlier versions name what this has taken the place of.
    #[cfg_attr(feature = "serde", serde(alias = "planned_pair", alias = "replace_outlier"))]
    ByCause,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Self; 2] = [Self::RotateOutliers, Self::ByCause];

    /// The word used in configuration and reports.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The other strategy, which a report compares with this one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::RotateOutliers => Self::ByCause,
            Self::ByCause => Self::RotateOutliers,
        }
    }
}

impl FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|strategy| strategy.name() == name);
        found.ok_or_else(|| match name {
            "planned_pair" | "replace_outlier" => UnknownStrategy::Replaced(name.to_string()),
            _ => UnknownStrategy::NoSuch(name.to_string()),
        })
    }
}

/// A name that is no strategy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnknownStrategy {
    /// No strategy ever had this name.
    #[error("{0:?} is no strategy; known are rotate_outliers and by_cause")]
    NoSuch(String),
    /// A strategy of earlier versions.
    #[error("{0} is no longer a strategy; set by_cause, which does what it did where that helps")]
    Replaced(String),
}

/// The pods a strategy takes.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Selection {
    /// One or two positions among the analysed pods, the busier one first.
    pub pods: Vec<usize>,
    /// The model's forecast, for a planned pair.
    pub forecast: Option<Forecast>,
}

impl Selection {
    /// The pods with their roles, as input of [`RotationPlan::new`](crate::RotationPlan::new). A single pod
    /// is an ill one.
    pub fn targets<'a>(&self, analysis: &Analysis<'a>) -> Vec<(Role, &'a str)> {
        if let [ill] = self.pods[..] {
            return alloc::vec![(Role::Ill, analysis.name(ill))];
        }
        let names = self.pods.iter().map(|position| analysis.name(*position));
        Role::PAIR.into_iter().zip(names).collect()
    }
}

/// Picks the pods to rotate once a rotation is triggered; `cure` is the ill pod to be replaced.
///
/// ```
/// use rebalancer_core::diagnosis::ill_pods;
/// use rebalancer_core::guard::{GuardSettings, trigger};
/// use rebalancer_core::{Engine, Facts, Metric, PodState, Role, Strategy, Thresholds, select};
///
/// let cores = [("a", 1.0), ("b", 3.0), ("c", 1.0), ("d", 0.9)];
/// let pod = |(name, cores)| PodState::new(name).with(Metric::Cpu, cores).with(Metric::Rate, 100.0);
/// let pods = cores.map(pod);
/// let analysis = Engine::new(Thresholds::default()).analyze(&pods)?;
/// let facts = Facts::new(&[]);
/// let trigger = trigger(&analysis, &facts, &GuardSettings::OFF).expect("a threshold is passed");
/// let ill = ill_pods(&analysis, &facts);
///
/// let selection = select(Strategy::RotateOutliers, &trigger, ill.worst(), &analysis, &facts)?;
/// assert_eq!(selection.targets(&analysis), [(Role::Busiest, "b"), (Role::LeastBusy, "d")]);
/// let selection = select(Strategy::ByCause, &trigger, ill.worst(), &analysis, &facts)?;
/// assert_eq!(selection.targets(&analysis), [(Role::Ill, "b")]);
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
///
/// # Errors
/// The reason in words why there are none; it withholds the rotation.
pub fn select(
    strategy: Strategy,
    trigger: &Trigger,
    cure: Option<&IllPod>,
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
) -> Result<Selection, String> {
    let Outliers { busiest, least_busy } = trigger.targets;
    let outliers = || Selection { pods: alloc::vec![busiest, least_busy], forecast: None };
    match (strategy, cure) {
        (Strategy::RotateOutliers, _) => Ok(outliers()),
        (Strategy::ByCause, Some(ill)) => Ok(Selection { pods: alloc::vec![ill.position], forecast: None }),
        (Strategy::ByCause, None) => match facts.group().map(|group| group.planned_pair()) {
            None | Some(Err(NoPair::OwnersUnknown | NoPair::AssignorUnknown | NoPair::Unmodelled(_))) => {
                Ok(outliers())
            }
            Some(Err(why)) => Err(why.to_string()),
            Some(Ok(pair)) => {
                let pods = pair.pods.map(|live| candidate(&facts.live[live.0].name, analysis));
                let pods = pods.into_iter().collect::<Result<Vec<usize>, String>>()?;
                Ok(Selection { pods, forecast: Some(pair.forecast) })
            }
        },
    }
}

/// Position of the candidate `name`.
fn candidate(name: &str, analysis: &Analysis<'_>) -> Result<usize, String> {
    let found = analysis.candidates().iter().copied().find(|&position| analysis.name(position) == name);
    found.ok_or_else(|| format!("pod {name} of the best pair takes no part in the decision"))
}
