//! From an observation to the report of what would be done, for `plan`, and for `run` before it acts.

use rebalancer_core::Budget;

use crate::failure::Failure;
use crate::pipeline::decide::{Known, Purpose, decide};
use crate::pipeline::observation::Observation;
use crate::report::Report;
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
    let asked = observation.answers.asked();
    let joined = observation.joined()?;
    let cures = || observation.cures();
    let known = Known {
        joined: &joined,
        workload: &observation.workload,
        asked: &asked,
        evaluation_time: Some(observation.answers.at.to_string()),
        described: observation.described.clone(),
        cures: Some(&cures),
        has_past: true,
    };
    let report = decide(decision, &known, Some(&observation.finder()), purpose);
    observation.save()?;
    let mut report = report?;
    report.warnings.splice(..0, told);
    report.requests.insert("prometheus".to_owned(), observation.requests());
    Ok(report)
}

/// Warns about budgets that would block the rotation. A run checks again before it acts.
pub fn warn_of_budgets(observation: &mut Observation<'_>, report: &mut Report) {
    if !report.acts() {
        return;
    }
    let targets: Vec<&str> = report.targets.iter().map(|target| target.pod.as_str()).collect();
    match observation.budgets(&targets) {
        Ok(budgets) => report.warnings.extend(budgets.iter().filter_map(shortage)),
        Err(failure) => {
            report.warnings.push(format!("the PodDisruptionBudgets could not be read: {failure}"));
        }
    }
}

fn shortage(budget: &Budget) -> Option<String> {
    let Budget { name, covers, disruptions_allowed: allowed, .. } = budget;
    let needed = covers.len();
    let disruptions = if *allowed == 1 { "disruption" } else { "disruptions" };
    let enough = usize::try_from(*allowed).is_ok_and(|allowed| allowed >= needed);
    (!enough).then(|| {
        format!(
            "PodDisruptionBudget {name} allows {allowed} {disruptions} now, {needed} needed: `run` would be blocked"
        )
    })
}
