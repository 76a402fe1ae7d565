//! Conditions for the next eviction, as pure functions of a fresh list.

use alloc::string::String;
use alloc::vec::Vec;

use crate::input::live_pod::LivePod;
use crate::rotation::disturbance::Disturbance;
use crate::rotation::eligibility::IneligiblePod;
use crate::rotation::options::{Method, Pacing, RotationOptions};
use crate::rotation::plan::{RotationPlan, Target};
use crate::rotation::protocol::Budget;
use crate::rotation::report::{BudgetProblem, Reason};
use crate::rotation::settled::{changes_since, disturbances};
use crate::rotation::workload::Workload;

/// The evicted target that is still there as it was before.
pub(super) fn untouched<'a>(evicted: &'a [Target], workload: &Workload) -> Option<&'a Target> {
    let is_there = |target: &&Target| {
        workload.living().any(|pod| pod.uid == target.uid && pod.name == target.name && !pod.terminating)
    };
    evicted.iter().find(is_there)
}

/// Compares a fresh list with the plan, whose first `evicted` targets have been evicted.
///
/// `Ok(None)`: the next target may be evicted. `Ok(Some(_))`: the workload has not recovered yet, and the
/// pacing waits for it. `Err(_)`: the plan is void. Before the first eviction nothing can be recovering;
/// after it, only consequences of the eviction are accepted.
pub(super) fn recheck(
    plan: &RotationPlan,
    evicted: usize,
    workload: &Workload,
) -> Result<Option<Reason>, Reason> {
    let (gone, remaining) = plan.targets().split_at(evicted);
    let mut found: Vec<Disturbance> = changes_since(plan.planned(), workload);
    found.extend(disturbances(workload, plan.options()));
    let (planned, living) = (plan.planned().uids.len(), workload.living().count());
    if living < planned && evicted > 0 {
        found.push(Disturbance::ReplacementMissing { planned, found: living });
    }
    found.sort();

    let pending: Vec<Disturbance> =
        if gone.is_empty() { Vec::new() } else { take_recovering(&mut found, plan, gone, workload) };
    if !found.is_empty() {
        return Err(Reason::Unsettled(found));
    }
    if !pending.is_empty() && plan.options().pacing == Pacing::WaitReady {
        return Ok(Some(Reason::Unsettled(pending)));
    }
    eligible(plan, remaining, workload)?;
    Ok(None)
}

/// Takes the consequences of the evictions of `gone` out of what was `found`, and returns the temporary ones. What is
/// left shows that someone else acts on the workload.
fn take_recovering(
    found: &mut Vec<Disturbance>,
    plan: &RotationPlan,
    gone: &[Target],
    workload: &Workload,
) -> Vec<Disturbance> {
    let newcomers: Vec<&str> = newcomers(plan, workload);
    let is_gone = |pod: &str| gone.iter().any(|target| target.name == pod);
    found.retain(|disturbance| match disturbance {
        Disturbance::PodGone(pod) => !is_gone(pod),
        Disturbance::PodReplaced(pod) => !is_gone(pod) || newcomers.len() > gone.len(),
        Disturbance::PodNew(_) => newcomers.len() > gone.len(),
        // For a StatefulSet any change of its status counts, such as the one from the eviction. A changed
        // number of desired pods is a disturbance of its own.
        Disturbance::Resized { .. } => false,
        _ => true,
    });
    let recovering = |disturbance: &mut Disturbance| match disturbance {
        Disturbance::PodTerminating(pod) => is_gone(pod),
        // If the pacing does not wait, only the replacement may be not Ready for now: any other pod is one more
        // that does no work.
        Disturbance::PodNotReady(pod) => {
            plan.options().pacing == Pacing::WaitReady || newcomers.contains(&pod.as_str())
        }
        Disturbance::TooFewReady { .. }
        | Disturbance::ReplicasDiffer { .. }
        | Disturbance::ReplacementMissing { .. } => true,
        _ => false,
    };
    found.extract_if(.., recovering).collect()
}

/// The living pods that are not in the plan.
fn newcomers<'a>(plan: &RotationPlan, workload: &'a Workload) -> Vec<&'a str> {
    let planned = |pod: &&LivePod| plan.planned().uids.get(&pod.name) == Some(&pod.uid);
    workload.living().filter(|pod| !planned(pod)).map(|pod| pod.name.as_str()).collect()
}

fn eligible(plan: &RotationPlan, targets: &[Target], workload: &Workload) -> Result<(), Reason> {
    let ineligible: Vec<IneligiblePod> = targets
        .iter()
        .filter_map(|target| workload.living().find(|pod| pod.uid == target.uid))
        .filter_map(|pod| IneligiblePod::judge(pod, &workload.owners, plan.options().warm_up))
        .collect();
    if ineligible.is_empty() { Ok(()) } else { Err(Reason::Ineligible(ineligible)) }
}

/// What keeps the budgets that cover `targets` from allowing their evictions: all of them at once, or one after the
/// other where the pacing lets the workload recover in between. Empty if nothing does.
pub fn budget_problems(
    options: &RotationOptions,
    targets: &[Target],
    budgets: &[Budget],
) -> Vec<BudgetProblem> {
    let mut problems: Vec<BudgetProblem> = Vec::new();
    for budget in budgets {
        let covered: usize = targets.iter().filter(|target| budget.covers.contains(&target.name)).count();
        let needed: usize = match options.pacing {
            Pacing::Sequential => covered,
            Pacing::WaitReady => covered.min(1),
        };
        if needed == 0 {
            continue;
        }
        if budget.observed_generation != budget.generation {
            problems.push(BudgetProblem::NotObserved(budget.name.clone()));
        }
        let allowed: i32 = budget.disruptions_allowed;
        if usize::try_from(allowed).is_ok_and(|allowed| allowed >= needed) {
            continue;
        }
        problems.push(BudgetProblem::Exhausted { budget: budget.name.clone(), allowed, needed });
    }
    // Only the eviction API fails with several budgets; each one has been checked above.
    if options.method == Method::Evict {
        problems.extend(targets.iter().filter_map(|target| several_on(target, budgets)));
    }
    problems
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
