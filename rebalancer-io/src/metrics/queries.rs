//! The queries of a run: one per metric, from a preset or written by the user.

use std::time::Duration;

use rebalancer_core::{Metric, PerMetric};

use super::containers::ContainerSeries;
use super::fresh::{self, UnknownAge};
use super::settings::{KafkaPreset, QuerySettings, SettingError};
use super::template;
use crate::prometheus::MetricQuery;

/// The queries of a run. With a metrics server those of containers always have one.
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

/// Where a metric comes from, unless the user wrote its query.
enum Source {
    /// From the containers of the pod.
    Containers(ContainerSeries),
    /// From Kafka, by the preset's `PromQL`, if it has any.
    Kafka(fn(KafkaPreset, &QuerySettings) -> Result<Option<String>, SettingError>),
}

/// Where each metric comes from.
const fn source(metric: Metric) -> Source {
    match metric {
        Metric::Cpu => Source::Containers(ContainerSeries::Counter("container_cpu_usage_seconds_total")),
        Metric::Memory => Source::Containers(ContainerSeries::Gauge("container_memory_working_set_bytes")),
        Metric::Lag => Source::Kafka(KafkaPreset::lag),
        Metric::Rate => Source::Kafka(KafkaPreset::rate),
    }
}

/// Whether a metric comes from Kafka, not from the containers of the pod.
pub const fn is_kafka_metric(metric: Metric) -> bool {
    matches!(source(metric), Source::Kafka(_))
}

/// The metrics that come from Kafka.
pub(crate) fn kafka_metrics() -> impl Iterator<Item = Metric> {
    Metric::ALL.into_iter().filter(|metric| is_kafka_metric(*metric))
}

/// The metrics that come from the containers of the pod.
pub(crate) fn container_metrics() -> impl Iterator<Item = Metric> {
    Metric::ALL.into_iter().filter(|metric| !is_kafka_metric(*metric))
}

/// The preset's query of a metric; `None` where the preset has none.
pub(crate) fn of_preset(
    settings: &QuerySettings,
    metric: Metric,
) -> Result<Option<MetricQuery>, SettingError> {
    let promql = match source(metric) {
        Source::Containers(series) => settings.has_server.then(|| series.by_pod(settings)),
        Source::Kafka(by_preset) => by_preset(settings.preset, settings)?,
    };
    Ok(promql.map(|promql| MetricQuery::new(metric.name(), promql)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_metrics_server_and_without_kafka_no_preset_has_a_query() {
        for metric in Metric::ALL {
            let of = |has_server, preset| {
                let settings = QuerySettings { has_server, preset, ..QuerySettings::new("shop") };
                of_preset(&settings, metric).expect("settings of Micrometer").is_some()
            };
            assert!(of(true, KafkaPreset::Micrometer), "{metric}");
            assert_eq!(of(true, KafkaPreset::None), !is_kafka_metric(metric), "{metric}");
            assert_eq!(of(false, KafkaPreset::Micrometer), is_kafka_metric(metric), "{metric}");
        }
    }
}
