//! What has to hold before the next eviction, as pure questions about a fresh list.

use super::answers::Budget;
use super::report::{BudgetProblem, Reason};
use crate::plan::changes_since;
use crate::{
    Disturbance, IneligiblePod, LivePod, Method, Pacing, RotationPlan, Target, Workload, disturbances,
};
use alloc::string::String;
use alloc::vec::Vec;

/// Compares a fresh list with the plan, of whose targets the first `evicted` have been evicted.
///
/// `Ok(None)`: the next target may be evicted. `Ok(Some(_))`: the workload has not recovered yet.
/// `Err(_)`: the plan is void. Before the first eviction nothing can be recovering.
pub(super) fn recheck(
    plan: &RotationPlan,
    evicted: usize,
    workload: &Workload,
) -> Result<Option<Reason>, Reason> {
    let (gone, remaining) = plan.targets().split_at(evicted);
    let mut found: Vec<Disturbance> = changes_since(plan.facts(), workload);
    found.extend(disturbances(workload, plan.options()));
    let (planned, living) = (plan.facts().uids.len(), workload.living().count());
    if living < planned && evicted > 0 {
        found.push(Disturbance::ReplacementMissing { planned, found: living });
    }
    found.sort();

    let newcomers_expected: bool = newcomers(plan, workload) <= gone.len();
    let mut pending: Vec<Disturbance> = Vec::new();
    let mut void: Vec<Disturbance> = Vec::new();
    for disturbance in found {
        match meaning(&disturbance, gone, newcomers_expected) {
            Meaning::Expected => {}
            Meaning::Recovering => pending.push(disturbance),
            Meaning::Void => void.push(disturbance),
        }
    }
    if !void.is_empty() {
        return Err(Reason::Unsettled(void));
    }
    if !pending.is_empty() {
        return Ok(Some(Reason::Unsettled(pending)));
    }
    eligible(plan, remaining, workload)?;
    Ok(None)
}

/// What a disturbance means after `gone` have been evicted.
enum Meaning {
    /// A consequence of the eviction that stays.
    Expected,
    /// A consequence of the eviction that passes.
    Recovering,
    /// Someone else acts on the workload.
    Void,
}

fn meaning(disturbance: &Disturbance, gone: &[Target], newcomers_expected: bool) -> Meaning {
    let is_gone = |pod: &str| gone.iter().any(|target| target.name == pod);
    match disturbance {
        _ if gone.is_empty() => Meaning::Void,
        Disturbance::PodGone { pod } if is_gone(pod) => Meaning::Expected,
        Disturbance::PodReplaced { pod } if is_gone(pod) && newcomers_expected => Meaning::Expected,
        Disturbance::PodNew { .. } if newcomers_expected => Meaning::Expected,
        Disturbance::PodTerminating { pod } if is_gone(pod) => Meaning::Recovering,
        Disturbance::PodNotReady { .. }
        | Disturbance::TooFewReady { .. }
        | Disturbance::ReplicasDiffer { .. }
        | Disturbance::ReplacementMissing { .. } => Meaning::Recovering,
        _ => Meaning::Void,
    }
}

fn newcomers(plan: &RotationPlan, workload: &Workload) -> usize {
    let planned = |pod: &&LivePod| plan.facts().uids.get(&pod.name) == Some(&pod.uid);
    workload.living().count() - workload.living().filter(planned).count()
}

fn eligible(plan: &RotationPlan, targets: &[Target], workload: &Workload) -> Result<(), Reason> {
    let ineligible: Vec<IneligiblePod> = targets
        .iter()
        .filter_map(|target| workload.living().find(|pod| pod.uid == target.uid))
        .filter_map(|pod| IneligiblePod::judge(pod, &workload.owners, plan.options().eligibility()))
        .collect();
    if ineligible.is_empty() { Ok(()) } else { Err(Reason::Ineligible(ineligible)) }
}

/// Asks whether the budgets allow evicting `targets`: all of them at once, or one if the
/// workload recovers in between.
///
/// # Errors
///
/// All problems of all budgets that cover a target.
pub(super) fn budgets_allow(
    plan: &RotationPlan,
    targets: &[Target],
    budgets: &[Budget],
) -> Result<(), Reason> {
    let mut problems: Vec<BudgetProblem> = Vec::new();
    for budget in budgets {
        let covered: usize = targets.iter().filter(|target| budget.covers.contains(&target.name)).count();
        let needed: usize = match plan.options().pacing {
            Pacing::Sequential => covered,
            Pacing::WaitReady => covered.min(1),
        };
        if needed == 0 {
            continue;
        }
        if budget.observed_generation != budget.generation {
            problems.push(BudgetProblem::NotObserved { budget: budget.name.clone() });
        }
        let allowed: i32 = budget.disruptions_allowed;
        if usize::try_from(allowed).is_ok_and(|allowed| allowed >= needed) {
            continue;
        }
        problems.push(BudgetProblem::Exhausted { budget: budget.name.clone(), allowed, needed });
    }
    // Only the eviction API fails on several budgets; each has been asked above.
    if plan.options().method == Method::Evict {
        problems.extend(targets.iter().filter_map(|target| several_on(target, budgets)));
    }
    if problems.is_empty() { Ok(()) } else { Err(Reason::Budgets(problems)) }
}

fn several_on(target: &Target, budgets: &[Budget]) -> Option<BudgetProblem> {
    let covering: Vec<String> = budgets
        .iter()
        .filter(|budget| budget.covers.contains(&target.name))
        .map(|budget| budget.name.clone())
        .collect();
    (covering.len() > 1)
        .then(|| BudgetProblem::SeveralOnOnePod { pod: target.name.clone(), budgets: covering })
}
