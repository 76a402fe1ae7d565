//! The queries of a run: one per metric, from a preset or written by the user.

use std::time::Duration;

use rebalancer_core::Metric;

use super::fresh::{self, UnknownAge};
use super::settings::{QuerySettings, SettingError};
use super::{cpu, memory, template};
use crate::prometheus::MetricQuery;

/// The queries of a run. CPU and memory always have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySet {
    cpu: MetricQuery,
    memory: MetricQuery,
    lag: Option<MetricQuery>,
    rate: Option<MetricQuery>,
    /// Which of them the user wrote, by [`Metric::index`].
    own: [bool; 4],
    max_sample_age: Option<Duration>,
}

impl QuerySet {
    /// Builds the queries.
    ///
    /// # Errors
    /// If a query contains an unknown placeholder, or one whose setting is missing.
    pub fn new(settings: &QuerySettings) -> Result<Self, SettingError> {
        let scoped = |query: MetricQuery| query.in_namespace(&settings.namespace);
        let cpu = own(settings, Metric::Cpu)?.unwrap_or_else(|| cpu::preset(settings));
        let memory = own(settings, Metric::Memory)?.unwrap_or_else(|| memory::preset(settings));
        let lag = match own(settings, Metric::Lag)? {
            None => settings.preset.lag(settings)?,
            own => own,
        };
        let rate = match own(settings, Metric::Rate)? {
            None => settings.preset.rate(settings)?,
            own => own,
        };
        Ok(Self {
            cpu: scoped(cpu),
            memory: scoped(memory),
            lag: lag.map(scoped),
            rate: rate.map(scoped),
            own: settings.own.each_ref().map(Option::is_some),
            max_sample_age: settings.max_sample_age,
        })
    }

    /// The freshness checks of an own query; empty for a preset, which leaves stale samples out itself. See
    /// [`mark_stale`](super::mark_stale).
    ///
    /// # Errors
    /// If the query reads too many series to check.
    pub fn freshness_of(&self, metric: Metric) -> Result<Vec<MetricQuery>, UnknownAge> {
        match (self.get(metric), self.max_sample_age) {
            (Some(query), Some(limit)) if self.own[metric.index()] => fresh::questions(query, limit),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether the user wrote the metric's query.
    pub fn is_own(&self, metric: Metric) -> bool {
        self.own[metric.index()]
    }

    /// The CPU query.
    pub fn cpu(&self) -> &MetricQuery {
        &self.cpu
    }

    /// The memory query.
    pub fn memory(&self) -> &MetricQuery {
        &self.memory
    }

    /// The query of a metric; `None` if it has no source.
    pub fn get(&self, metric: Metric) -> Option<&MetricQuery> {
        match metric {
            Metric::Cpu => Some(&self.cpu),
            Metric::Memory => Some(&self.memory),
            Metric::Lag => self.lag.as_ref(),
            Metric::Rate => self.rate.as_ref(),
        }
    }
}

/// The user's own query of a metric.
fn own(settings: &QuerySettings, metric: Metric) -> Result<Option<MetricQuery>, SettingError> {
    let Some(own) = &settings.own[metric.index()] else {
        return Ok(None);
    };
    let promql = template::fill(own, variable(metric), settings)?;
    Ok(Some(MetricQuery::new(metric.name(), promql).with_pod_label(&settings.pod_label)))
}

/// The setting that holds the user's own query of a metric.
fn variable(metric: Metric) -> &'static str {
    match metric {
        Metric::Cpu => "QUERY_CPU",
        Metric::Memory => "QUERY_MEMORY",
        Metric::Lag => "QUERY_LAG",
        Metric::Rate => "QUERY_RATE",
    }
}
