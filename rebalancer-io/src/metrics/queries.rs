//! The queries of a run: one per metric, from a preset or written by the user.

use std::time::Duration;

use rebalancer_core::{Metric, PerMetric};

use super::fresh::{self, UnknownAge};
use super::settings::{QuerySettings, SettingError};
use super::{containers, template};
use crate::prometheus::MetricQuery;

/// The queries of a run. With a metrics server CPU and memory always have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySet {
    queries: PerMetric<Option<MetricQuery>>,
    /// Which of them the user wrote.
    own: PerMetric<bool>,
    max_sample_age: Option<Duration>,
}

impl QuerySet {
    /// Builds the queries.
    ///
    /// # Errors
    /// If a query contains an unknown placeholder, or one whose setting is missing.
    pub fn new(settings: &QuerySettings) -> Result<Self, SettingError> {
        let mut queries = PerMetric::default();
        for metric in Metric::ALL {
            let query = match own(settings, metric)? {
                None => of_preset(settings, metric)?,
                own => own,
            };
            queries[metric] = query.map(|query: MetricQuery| query.in_namespace(&settings.namespace));
        }
        Ok(Self {
            queries,
            own: PerMetric::from_fn(|metric| settings.own[metric].is_some()),
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
            (Some(query), Some(limit)) if self.own[metric] => fresh::questions(query, limit),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether the user wrote the metric's query.
    pub fn is_own(&self, metric: Metric) -> bool {
        self.own[metric]
    }

    /// The query of a metric; `None` if it has no source.
    pub fn get(&self, metric: Metric) -> Option<&MetricQuery> {
        self.queries[metric].as_ref()
    }
}

/// The preset's query of a metric; `None` where the preset has none.
pub(crate) fn of_preset(
    settings: &QuerySettings,
    metric: Metric,
) -> Result<Option<MetricQuery>, SettingError> {
    match metric {
        Metric::Cpu => Ok(settings.has_server.then(|| containers::cpu(settings))),
        Metric::Memory => Ok(settings.has_server.then(|| containers::memory(settings))),
        Metric::Lag => settings.preset.lag(settings),
        Metric::Rate => settings.preset.rate(settings),
    }
}

/// The user's own query of a metric.
fn own(settings: &QuerySettings, metric: Metric) -> Result<Option<MetricQuery>, SettingError> {
    let Some(own) = &settings.own[metric] else {
        return Ok(None);
    };
    let promql = template::fill(own, &query_variable(metric), settings)?;
    Ok(Some(MetricQuery::new(metric.name(), promql).with_pod_label(&settings.pod_label)))
}

/// The setting that holds the user's own query of a metric, such as `QUERY_CPU`.
pub fn query_variable(metric: Metric) -> String {
    format!("QUERY_{}", metric.name().to_uppercase())
}
