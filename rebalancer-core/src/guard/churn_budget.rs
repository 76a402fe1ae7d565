//! Churn budget: limits how many pods of a workload may be young at the same time.

use alloc::format;
use core::time::Duration;

use crate::facts::Facts;
use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::live_pod::LivePod;

/// A pod younger than this counts against the budget.
const YOUNG: Duration = Duration::from_secs(6 * 60 * 60);

/// Pods that a rotation makes young.
const ROTATED: usize = 2;

/// Smallest budget, in pods: a smaller one would forbid a second rotation in a small workload.
const AT_LEAST: usize = 4;

/// Share of the pods that may be younger than six hours, including the two of this rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct ChurnBudget {
    /// Percent of the live pods, 1 to 100.
    pub percent: u32,
}

impl ChurnBudget {
    /// A tenth of the pods.
    pub const STANDARD: Self = Self { percent: 10 };

    fn limit(self, pods: usize) -> usize {
        (pods * self.percent as usize / 100).max(AT_LEAST)
    }
}

/// Holds if this rotation would make more pods young than the budget, or than 4 if that is larger.
///
/// The value is the number of young pods after the rotation, the limit how many there may be.
/// A rollout or a scale-up makes pods young too, so rotations pause after one. The ages of `unlisted` further
/// pods are unknown; they count as old.
pub fn churn_budget(live: &[LivePod], unlisted: usize, budget: ChurnBudget) -> Verdict {
    let pods = live.len() + unlisted;
    let young = live.iter().filter(|pod| pod.age.is_some_and(|age| age < YOUNG)).count();
    let limit = budget.limit(pods);
    let after = young + ROTATED;
    let reason = format!(
        "{young} of {pods} pods are younger than 6 h, {ROTATED} more make {after}, {limit} are allowed"
    );
    Verdict::new(Check::ChurnBudget, Standing::held_if(after > limit), reason)
        .with(after as f64, limit as f64)
}

/// Like [`churn_budget`], for a pod that is replaced because it is ill: counts only pods replaced as a cure
/// within six hours, as far as the cluster shows, not those of a rollout or a resize.
pub fn churn_of_cures(facts: &Facts<'_>, budget: ChurnBudget) -> Verdict {
    let limit = budget.limit(facts.live.len() + facts.unlisted);
    let cures = facts.cures.known().into_iter().flatten().filter(|cure| cure.ago < YOUNG).count();
    let reason = format!(
        "{cures} pods were replaced as a cure within 6 h, one more makes {}, {limit} are allowed",
        cures + 1
    );
    Verdict::new(Check::ChurnBudget, Standing::held_if(cures + 1 > limit), reason)
        .with((cures + 1) as f64, limit as f64)
}
