//! From a live workload to the report of what would be done, for `plan`, and for `run` before it acts.

use std::thread;

use anyhow::Context as _;
use rebalancer_core::{BudgetProblem, RotationOptions, Target, budget_problems};
use rebalancer_io::driver::Look as _;
use rebalancer_io::facts::FactFinder;
use rebalancer_io::kubernetes::Observer;
use rebalancer_io::metrics::{FactQueries, OriginQueries};
use rebalancer_io::origin::one_origin;
use rebalancer_io::podstate::{Aggregator, Answers};
use rebalancer_io::recording::Recording;

use crate::failure::Failure;
use crate::pipeline::clocks::{self, now, of_known_age};
use crate::pipeline::decide::{Known, Purpose, decide};
use crate::pipeline::live::{Client, Live, Subject};
use crate::pipeline::recorded::{Keep, Saver};
use crate::report::{Report, TargetReport};
use crate::settings::decision::DecisionSettings;
use crate::telemetry::notes::Stage;

/// The answers of both servers at one moment, and the means to query more about it.
pub struct Observation<'a> {
    /// The workload, and where its metrics come from.
    pub subject: Subject,
    /// The queries of the facts.
    facts: FactQueries,
    /// The answers of the metrics server.
    pub answers: Answers,
    /// What is not clear about where the metrics come from.
    unclear: Vec<String>,
    /// Warnings about the servers' clocks; an error if they are too far from this machine's.
    clocks: Result<Vec<String>, String>,
    client: Client,
    recorder: Option<Saver>,
    observer: Observer<'a>,
}

impl Observation<'_> {
    /// The finder for facts besides the loads.
    pub fn finder(&self) -> FactFinder<'_> {
        FactFinder::new(&self.client, &self.facts, self.answers.at)
    }

    /// Saves everything queried so far, if it is to be recorded.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self) -> Result<(), Failure> {
        self.recorder.as_ref().map_or(Ok(()), |saver| saver.save(&self.subject.workload))
    }

    /// Everything queried so far; `None` if nothing is kept, or if it cannot be written as JSON.
    pub fn recording(&self) -> Option<Recording> {
        self.recorder.as_ref()?.recording(&self.subject.workload).ok()
    }

    /// Requests sent to the metrics server so far.
    pub fn requests(&self) -> u64 {
        self.client.requests()
    }
}

impl Live {
    /// Lists the workload, then queries all metrics at one moment. If an answer is unusable, the recording is
    /// saved at once; else by [`Observation::save`].
    ///
    /// # Errors
    /// A server that does not answer, or returns only part of the answer.
    pub fn observe(&self, keep: Keep<'_>) -> Result<Observation<'_>, Failure> {
        let mut observer = self.cluster.observer(self.selector.clone());
        let (subject, mut unclear) = self.notes.time(Stage::Discover, || self.subject(&mut observer))?;
        let (queries, facts) = subject.all_queries()?;
        let Subject { workload, settings, .. } = &subject;
        let seen = self.notes.time(Stage::Query, || self.look_at_kafka(settings, workload))?;
        let at = now();
        let (client, recorder) = self.recording_client(keep, at, seen.as_ref())?;
        let origins = OriginQueries::new(settings);
        let (answers, origin) = self.notes.time(Stage::Query, || {
            thread::scope(|scope| {
                let origin = scope.spawn(|| one_origin(&client, &origins, &workload.pods, at));
                let answers = Aggregator::new(&client, &queries).fetch(at);
                (answers, origin.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        });
        if let (true, Some(saver)) = (answers.is_err() || origin.is_err(), &recorder) {
            saver.save(workload)?;
        }
        let answers = answers.context("cannot read the metrics")?;
        origin.context("cannot tell whose series these are")?;
        unclear.extend(seen.iter().flat_map(|seen| seen.answers.remarks().iter().cloned()));
        let clocks = clocks::held_against(&self.clocks()).map_err(|error| error.to_string());
        Ok(Observation { subject, facts, answers, unclear, clocks, client, recorder, observer })
    }
}

/// The report of an observation. Saves the observation if it is to be recorded.
///
/// # Errors
/// As for [`decide`], clocks or ages that forbid a decision, and if the recording cannot be written.
pub fn report(
    decision: &DecisionSettings,
    observation: &Observation<'_>,
    purpose: Purpose<'_>,
) -> Result<Report, Failure> {
    let clocks = observation.clocks.clone().map_err(anyhow::Error::msg);
    let told = clocks.and_then(|clocks| Ok([clocks, of_known_age(&observation.answers, decision)?].concat()));
    if told.is_err() {
        observation.save()?;
    }
    let told = [told?, observation.unclear.clone()].concat();
    let Subject { workload, described, .. } = &observation.subject;
    let cures = || observation.observer.cures(workload);
    let known = Known {
        described: described.clone(),
        cures: Some(&cures),
        ..Known::of(&observation.answers, workload, decision.freshness())?
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
        let pod = observation.subject.workload.pods.iter().find(|of| of.name == *pod)?;
        Some(Target { role: *role, name: pod.name.clone(), uid: pod.uid.clone() })
    };
    let targets: Vec<Target> = report.targets.iter().filter_map(target).collect();
    match observation.observer.list_budgets(&targets) {
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
