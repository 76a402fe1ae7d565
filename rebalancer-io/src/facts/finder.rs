//! Fetches the facts about one workload at one moment, concurrently.

use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::guard::Persistence;
use rebalancer_core::{Fact, Facts, LivePod, Metric, PerMetric};

use super::history::Kept;
use crate::metrics::{AT_ONCE, AtMost, FactQueries, MetricsSource};
use crate::prometheus::{ErrorKind, QueryError, TransportError};

/// Fetches the facts about one workload at one moment from a source.
pub struct FactFinder<'a> {
    pub(super) source: AtMost<'a>,
    pub(super) queries: &'a FactQueries,
    pub(super) at: Timestamp,
}

impl<'a> FactFinder<'a> {
    /// A finder over `source` for the moment `at`, that of the loads.
    pub fn new(source: &'a dyn MetricsSource, queries: &'a FactQueries, at: Timestamp) -> Self {
        Self { source: AtMost::new(source, AT_ONCE), queries, at }
    }

    /// The facts about the `live` pods, whose template changed `rollout_age` ago, if known: the history of
    /// `metrics` over the window of `rule`, with single samples of the `kept` pods, and everything exported
    /// about the group. Facts from the cluster or the settings stay as in [`Facts::new`].
    pub fn find<'l>(
        &self,
        live: &'l [LivePod],
        rollout_age: Option<Duration>,
        metrics: &[Metric],
        rule: &Persistence,
        kept: &Kept<'_>,
    ) -> Facts<'l> {
        let mut facts = Facts { rollout_age, ..Facts::new(live) };
        facts.asked =
            Metric::ALL.into_iter().filter(|metric| self.queries.metric(*metric).is_some()).collect();
        thread::scope(|scope| {
            let past = PerMetric::from_fn(|metric| {
                metrics.contains(&metric).then(|| scope.spawn(move || self.past(metric, live, rule, kept)))
            });
            let last_replacement = scope.spawn(|| self.last_replacement(live));
            let past_spread = Metric::TRIGGERS
                .map(|metric| (metric, scope.spawn(move || self.past_spread(metric, live, rollout_age))));
            let partitions = scope.spawn(|| self.partitions(live));
            let exported_assignor = scope.spawn(|| self.assignor());
            let vetoes = scope.spawn(|| self.vetoes());
            let told_identity = scope.spawn(|| self.told_identity());
            let members = scope.spawn(|| self.members(live));
            let (assigned, consumers) = self.assigned_partitions(live);
            facts.past = past.map(|handle| handle.map_or(Fact::Absent, finished));
            facts.last_replacement = finished(last_replacement);
            facts.vetoes = finished(vetoes);
            facts.told_identity = finished(told_identity);
            facts.members = finished(members);
            for (metric, found) in past_spread {
                facts.past_spread[metric] = finished(found);
            }
            let (partitions, recognised) = finished(partitions);
            facts.partitions = partitions;
            facts.assigned_partitions = assigned;
            facts.consumers_per_pod = consumers;
            facts.exported_assignor = match (finished(exported_assignor), &recognised) {
                (Fact::Absent | Fact::Unusable(_), Fact::Failed(why)) => Fact::Failed(why.clone()),
                (exported, _) => exported,
            };
            facts.recognised_assignor = recognised;
        });
        facts
    }
}

/// The result of a thread; a panic in it aborts the program.
fn finished<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().expect("a thread that panics aborts the program")
}

/// The fact for a failed query: absent if a recording lacks it, unusable if the answer has another shape,
/// failed if the server refused it or did not answer.
pub(super) fn lacking<T>(error: &QueryError) -> Fact<T> {
    if is_not_recorded(error) {
        return Fact::Absent;
    }
    if error.was_answered() {
        return unusable(error);
    }
    Fact::Failed(format!("could not be had: {error}"))
}

pub(super) fn is_not_recorded(error: &QueryError) -> bool {
    matches!(*error.kind, ErrorKind::Transport(TransportError::NotRecorded(_)))
}

pub(super) fn unusable<T>(why: impl std::fmt::Display) -> Fact<T> {
    Fact::Unusable(format!("cannot be used: {why}"))
}
