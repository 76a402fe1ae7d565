//! Memory by pod from cAdvisor: the working set, in bytes.

use jiff::Timestamp;
use rebalancer_core::Metric;

use super::MetricsSource;
use super::cpu::by_pod;
use super::query::{MetricQuery, QuerySet, QuerySettings};
use crate::prometheus::{InstantAnswer, QueryError};

/// Fetches the memory working set of every pod.
#[derive(Clone, Copy)]
pub struct MemoryFetcher<'a> {
    source: &'a dyn MetricsSource,
    query: &'a MetricQuery,
}

impl<'a> MemoryFetcher<'a> {
    /// Fetches by the memory query of a set.
    pub fn new(source: &'a dyn MetricsSource, queries: &'a QuerySet) -> Self {
        Self { source, query: queries.memory() }
    }

    /// Memory working set in bytes at one moment.
    ///
    /// # Errors
    /// As [`MetricsSource::instant`].
    pub fn fetch(&self, at: Timestamp) -> Result<InstantAnswer, QueryError> {
        self.source.instant(self.query, at)
    }
}

/// The preset: every container once, summed by pod.
pub(super) fn preset(settings: &QuerySettings) -> MetricQuery {
    let sum = by_pod(settings, "container_memory_working_set_bytes", of_the_running_container);
    MetricQuery::new(Metric::Memory.name(), sum)
}

/// After a restart the last value of the old container is shown for minutes beside that of the new one:
/// the newest counts.
fn of_the_running_container(selector: &str) -> String {
    let container = "(namespace, pod, container)";
    format!(
        "({selector} and timestamp({selector}) \
         == on {container} group_left () max by {container} (timestamp({selector})))"
    )
}
