//! What both servers answer about a live workload at one moment.

use std::thread;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{ApiFailure, Budget, Cure, Fact, Target, Workload};
use rebalancer_io::driver::Look as _;
use rebalancer_io::facts::FactFinder;
use rebalancer_io::kubernetes::Observer;
use rebalancer_io::metrics::{FactQueries, OriginQueries, QuerySet, QuerySettings};
use rebalancer_io::origin::one_origin;
use rebalancer_io::podstate::{Aggregator, Answers};
use rebalancer_io::recording::Recording;

use crate::failure::Failure;
use crate::pipeline::ages::of_known_age;
use crate::pipeline::clocks::{self, now};
use crate::pipeline::history::look::Subject;
use crate::pipeline::live::{AskedOf, Client, Live, owner};
use crate::pipeline::saver::{Keep, Saver};
use crate::report::WorkloadReport;
use crate::settings::decision::DecisionSettings;
use crate::telemetry::notes::Stage;

/// The answers of both servers at one moment, and the means to query more about it.
pub struct Observation<'a> {
    /// The live pods and their owners.
    pub workload: Workload,
    /// The answers of the metrics server.
    pub answers: Answers,
    /// The workload as described in the report.
    pub described: WorkloadReport,
    /// What is not clear about where the metrics come from.
    unclear: Vec<String>,
    /// Warnings about the servers' clocks; an error if they are too far from this machine's.
    clocks: Result<Vec<String>, String>,
    client: Client,
    /// When the pods were listed.
    listed_at: Timestamp,
    settings: QuerySettings,
    queries: QuerySet,
    facts: FactQueries,
    recorder: Option<Saver>,
    observer: Observer<'a>,
}

impl Observation<'_> {
    /// Warnings about the moment of the answers.
    ///
    /// # Errors
    /// Clocks that are too far apart; with guards on, also an own query whose samples have an unknown age.
    pub fn of_now(&self, decision: &DecisionSettings) -> Result<Vec<String>, Failure> {
        let mut told = self.clocks.clone().map_err(anyhow::Error::msg)?;
        told.extend(of_known_age(&self.answers, decision)?);
        told.extend(self.unclear.iter().cloned());
        Ok(told)
    }

    /// The finder for facts besides the loads.
    pub fn finder(&self) -> FactFinder<'_> {
        FactFinder::new(&self.client, &self.facts, self.answers.at)
    }

    /// Saves everything queried so far, if it is to be recorded.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self) -> Result<(), Failure> {
        self.recorder.as_ref().map_or(Ok(()), |saver| saver.save(&self.workload))
    }

    /// The budgets that cover any of these pods.
    ///
    /// # Errors
    /// If the cluster refuses or does not answer.
    pub fn budgets(&mut self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure> {
        self.observer.list_budgets(targets)
    }

    /// The pods of the workload that were replaced as a cure, as far as the cluster still shows.
    pub fn cures(&self) -> Fact<Vec<Cure>> {
        self.observer.cures(&self.workload)
    }

    /// Everything queried so far; `None` if nothing is kept, or if it cannot be written as JSON.
    pub fn recording(&self) -> Option<Recording> {
        self.recorder.as_ref()?.recording(&self.workload).ok()
    }

    /// What the past of the workload is asked by.
    pub fn into_subject(self) -> Subject {
        let Self { workload, listed_at, described, settings, queries, .. } = self;
        Subject { workload, listed_at, described, settings, queries }
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
        let listed_at = now();
        let workload = self
            .notes
            .time(Stage::Discover, || observer.workload().context("cannot list the workload"))
            .map_err(Failure::Run)?;
        self.notes.found(owner(&workload), workload.pods.len());
        let AskedOf { settings, found, mut unclear } =
            self.notes.time(Stage::Discover, || self.asked_of(&workload))?;
        let queries = QuerySet::new(&settings).map_err(|error| Failure::Usage(error.into()))?;
        let facts = FactQueries::new(&queries, &settings).map_err(|error| Failure::Usage(error.into()))?;
        let seen = self.notes.time(Stage::Query, || self.look_at_kafka(&settings, &workload))?;
        let at = now();
        let (client, recorder) = self.recording_client(keep, at, seen.as_ref())?;
        let origins = OriginQueries::new(&settings);
        let (answers, origin) = self.notes.time(Stage::Query, || {
            thread::scope(|scope| {
                let origin = scope.spawn(|| one_origin(&client, &origins, &workload.pods, at));
                let answers = Aggregator::new(&client, &queries).fetch(at);
                (answers, origin.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })
        });
        if let (true, Some(saver)) = (answers.is_err() || origin.is_err(), &recorder) {
            saver.save(&workload)?;
        }
        let answers = answers.context("cannot read the metrics")?;
        origin.context("cannot tell whose series these are")?;
        unclear.extend(seen.iter().flat_map(|seen| seen.answers.remarks().iter().cloned()));
        let described = self.describe(&workload, found);
        let clocks = clocks::held_against(&self.clocks()).map_err(|error| error.to_string());
        Ok(Observation {
            workload,
            answers,
            described,
            unclear,
            clocks,
            client,
            listed_at,
            settings,
            queries,
            facts,
            recorder,
            observer,
        })
    }
}
