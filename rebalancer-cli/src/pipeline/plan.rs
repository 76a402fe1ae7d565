//! From an observation to the report of what would be done, for `plan`, and for `run` before it acts.

use rebalancer_core::{BudgetProblem, RotationOptions, Target, budget_problems};

use crate::failure::Failure;
use crate::pipeline::decide::{Known, Purpose, decide};
use crate::pipeline::observation::Observation;
use crate::report::{Report, TargetReport};
use crate::settings::decision::DecisionSettings;

/// The report of an observation. Saves the observation if it is to be recorded.
///
/// # Errors
/// As for [`decide`] and [`Observation::of_now`], and if the recording cannot be written.
pub fn report(
    decision: &DecisionSettings,
    observation: &Observation<'_>,
    purpose: Purpose<'_>,
) -> Result<Report, Failure> {
    let told = observation.of_now(decision);
    if told.is_err() {
        observation.save()?;
    }
    let told = told?;
    let cures = || observation.cures();
    let known = Known {
        described: observation.described.clone(),
        cures: Some(&cures),
        ..Known::of(&observation.answers, &observation.workload, decision.freshness())?
    };
    let report = decide(decision, &known, Some(&observation.finder()), purpose);
    observation.save()?;
    let mut report = report?;
    report.warnings.splice(..0, told);
    report.requests.insert("prometheus".to_owned(), observation.requests());
    Ok(report)
}

/// Warns about budgets that would block the rotation, if it is carried out as the `options` say. A run checks again
/// before it acts.
pub fn warn_of_budgets(observation: &mut Observation<'_>, report: &mut Report, options: &RotationOptions) {
    if !report.acts() {
        return;
    }
    let target = |TargetReport { pod, role }: &TargetReport| {
        let pod = observation.workload.pods.iter().find(|of| of.name == *pod)?;
        Some(Target { role: *role, name: pod.name.clone(), uid: pod.uid.clone() })
    };
    let targets: Vec<Target> = report.targets.iter().filter_map(target).collect();
    match observation.budgets(&targets) {
        Ok(budgets) => {
            report.warnings.extend(budget_problems(options, &targets, &budgets).iter().map(blocked));
        }
        Err(failure) => {
            report.warnings.push(format!("the PodDisruptionBudgets could not be read: {failure}"));
        }
    }
}

fn blocked(problem: &BudgetProblem) -> String {
    let (problem, unless) = match problem {
        BudgetProblem::Exhausted { budget, allowed, needed } => {
            let disruptions = if *allowed == 1 { "disruption" } else { "disruptions" };
            let problem =
                format!("PodDisruptionBudget {budget} allows {allowed} {disruptions} now, {needed} needed");
            (problem, if *allowed > 0 { " unless PACING=wait-ready" } else { "" })
        }
        other => (other.to_string(), ""),
    };
    format!("{problem}: `run` would be blocked{unless}")
}
