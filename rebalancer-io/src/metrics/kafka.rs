//! Kafka lag and message rate by pod, for each of the exporters that are in use.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use rebalancer_core::Metric;

use super::MetricsSource;
use super::preset::{fresh_pods, fresh_series, in_namespace, of_pods_by, select};
use super::query::{MetricQuery, QuerySet, QuerySettings, SettingError};
use super::template::{duration, literal};
use crate::prometheus::{InstantAnswer, QueryError};

/// Fetches lag and message rate of every pod; either may have no source.
#[derive(Clone, Copy)]
pub struct KafkaFetcher<'a> {
    source: &'a dyn MetricsSource,
    queries: &'a QuerySet,
}

impl<'a> KafkaFetcher<'a> {
    /// Fetches by the Kafka queries of a set.
    pub fn new(source: &'a dyn MetricsSource, queries: &'a QuerySet) -> Self {
        Self { source, queries }
    }

    /// Lag in messages at one moment; `None` where the preset has none.
    ///
    /// # Errors
    /// As [`MetricsSource::instant`].
    pub fn lag(&self, at: Timestamp) -> Result<Option<InstantAnswer>, QueryError> {
        self.fetch(Metric::Lag, at)
    }

    /// Consumed messages per second at one moment; `None` where the preset has none.
    ///
    /// # Errors
    /// As [`MetricsSource::instant`].
    pub fn rate(&self, at: Timestamp) -> Result<Option<InstantAnswer>, QueryError> {
        self.fetch(Metric::Rate, at)
    }

    fn fetch(&self, metric: Metric, at: Timestamp) -> Result<Option<InstantAnswer>, QueryError> {
        self.queries.get(metric).map(|query| self.source.instant(query, at)).transpose()
    }
}

/// Where lag and rate come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum KafkaPreset {
    /// Spring Boot, Quarkus and others by Micrometer: lag and rate of the pod's own client.
    #[default]
    Micrometer,
    /// The JMX exporter with its default names: lag and rate of the pod's own client.
    JmxDefault,
    /// kafka-lag-exporter, joined to pods by their IP: lag and committed messages per second.
    KafkaLagExporterIp,
    /// klag, joined to pods by their IP: lag and committed messages per second.
    KlagIp,
    /// klag where `client.id` is the pod's name, with or without `-N` behind it: lag and committed
    /// messages per second. A pod of a `StatefulSet` needs the `-N`, since its own name ends in a number.
    ClientId,
    /// `kafka_exporter`, joined by the partitions that Micrometer says a pod owns; rate by Micrometer.
    KafkaExporter,
    /// kminion, joined by the partitions that Micrometer says a pod owns; rate by Micrometer.
    Kminion,
    /// The OpenTelemetry Java agent, with `target_info` naming the pod: lag and rate.
    OtelJava,
    /// No Kafka.
    None,
}

impl KafkaPreset {
    /// All presets.
    pub const ALL: [Self; 9] = [
        Self::Micrometer,
        Self::JmxDefault,
        Self::KafkaLagExporterIp,
        Self::KlagIp,
        Self::ClientId,
        Self::KafkaExporter,
        Self::Kminion,
        Self::OtelJava,
        Self::None,
    ];

    /// Its name in `METRICS_PRESET`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Micrometer => "micrometer",
            Self::JmxDefault => "jmx-default",
            Self::KafkaLagExporterIp => "kafka-lag-exporter-ip",
            Self::KlagIp => "klag-ip",
            Self::ClientId => "client-id",
            Self::KafkaExporter => "kafka-exporter",
            Self::Kminion => "kminion",
            Self::OtelJava => "otel-java",
            Self::None => "none",
        }
    }

    /// The lag query.
    pub(super) fn lag(self, settings: &QuerySettings) -> Result<Option<MetricQuery>, SettingError> {
        let promql = match self {
            Self::Micrometer => own_lag(&MICROMETER, settings),
            Self::JmxDefault => own_lag(&JMX_DEFAULT, settings),
            Self::KafkaLagExporterIp => {
                let selector = self.of_group("kafka_consumergroup_group_lag", "group", settings)?;
                by_pod_ip(&fresh_series(&format!("{selector} >= 0"), &selector, settings), settings)
            }
            Self::KlagIp => {
                let selector = self.of_group("klag_consumer_lag", "consumer_group", settings)?;
                by_pod_ip(&fresh_series(&format!("{selector} >= 0"), &selector, settings), settings)
            }
            Self::ClientId => {
                let selector = self.of_group("klag_consumer_lag", "consumer_group", settings)?;
                let series = fresh_series(&format!("{selector} >= 0"), &selector, settings);
                format!("sum by (pod) ({})", of_client(&series))
            }
            Self::KafkaExporter => {
                let selector = self.of_group("kafka_consumergroup_lag", "consumergroup", settings)?;
                by_owner(&fresh_series(&format!("{selector} >= 0"), &selector, settings), settings)
            }
            Self::Kminion => {
                let metric = "kminion_kafka_consumer_group_topic_partition_lag";
                let selector = self.of_group(metric, "group_id", settings)?;
                let series = fresh_series(&format!("{selector} >= 0"), &selector, settings);
                let topic = format!(r#"label_replace({series}, "topic", "$1", "topic_name", "(.+)")"#);
                by_owner(
                    &format!(r#"label_replace({topic}, "partition", "$1", "partition_id", "(.+)")"#),
                    settings,
                )
            }
            Self::OtelJava => {
                let selector = select("kafka_consumer_records_lag", "", settings);
                by_target_info(&fresh_series(&format!("{selector} >= 0"), &selector, settings), settings)
            }
            Self::None => return Ok(None),
        };
        Ok(Some(MetricQuery::new(Metric::Lag.name(), promql)))
    }

    /// The rate query.
    pub(super) fn rate(self, settings: &QuerySettings) -> Result<Option<MetricQuery>, SettingError> {
        let window = duration(settings.window);
        let promql = match self {
            Self::Micrometer | Self::KafkaExporter | Self::Kminion => own_rate(&MICROMETER, settings),
            Self::JmxDefault => own_rate(&JMX_DEFAULT, settings),
            Self::KafkaLagExporterIp => {
                let selector = self.of_group("kafka_consumergroup_group_offset", "group", settings)?;
                by_pod_ip(
                    &fresh_series(&format!("rate({selector}[{window}])"), &selector, settings),
                    settings,
                )
            }
            Self::KlagIp => {
                let selector = self.of_group("klag_consumer_committed_offset", "consumer_group", settings)?;
                by_pod_ip(
                    &fresh_series(&format!("rate({selector}[{window}])"), &selector, settings),
                    settings,
                )
            }
            Self::ClientId => {
                let selector = self.of_group("klag_consumer_committed_offset", "consumer_group", settings)?;
                // A partition that nobody reads has an empty client.
                let selector = selector.replacen('{', "{client_id!=\"\", ", 1);
                let series = fresh_series(&format!("rate({selector}[{window}])"), &selector, settings);
                format!("sum by (pod) ({})", of_client(&series))
            }
            Self::OtelJava => {
                let selector = select("kafka_consumer_records_consumed_total", r#"topic!="""#, settings);
                by_target_info(
                    &fresh_series(&format!("rate({selector}[{window}])"), &selector, settings),
                    settings,
                )
            }
            Self::None => return Ok(None),
        };
        Ok(Some(MetricQuery::new(Metric::Rate.name(), promql)))
    }

    /// Asks which consumer groups the source of this preset knows, and the label that names them;
    /// `None` where it does not ask by group.
    pub fn groups(self, settings: &QuerySettings) -> Option<(MetricQuery, &'static str)> {
        let (metric, label) = match self {
            Self::KafkaLagExporterIp => ("kafka_consumergroup_group_lag", "group"),
            Self::KlagIp | Self::ClientId => ("klag_consumer_lag", "consumer_group"),
            Self::KafkaExporter => ("kafka_consumergroup_lag", "consumergroup"),
            Self::Kminion => ("kminion_kafka_consumer_group_topic_partition_lag", "group_id"),
            Self::Micrometer | Self::JmxDefault | Self::OtelJava | Self::None => return None,
        };
        let series = select(metric, &format!("{label}!=\"\""), settings);
        Some((MetricQuery::new("groups", format!("count by ({label}) ({series})")), label))
    }

    pub(super) fn of_group(
        self,
        metric: &str,
        label: &str,
        settings: &QuerySettings,
    ) -> Result<String, SettingError> {
        let group = settings.group.as_deref().ok_or_else(|| SettingError::Missing {
            setting: "KAFKA_GROUP",
            needed_by: format!("METRICS_PRESET={self}"),
        })?;
        Ok(select(metric, &format!("{label}=\"{}\"", literal(group)), settings))
    }
}

impl fmt::Display for KafkaPreset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KafkaPreset {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        if text == "jmx" {
            return Ok(Self::JmxDefault);
        }
        let found = Self::ALL.into_iter().find(|preset| preset.name() == text);
        found.ok_or_else(|| SettingError::UnknownPreset(text.to_owned()))
    }
}

/// How an exporter inside the pod names the metrics of its client.
pub(super) struct Names {
    pub(super) lag: &'static str,
    consumed: &'static str,
    /// Labels of `consumed` that leave out totals over all topics.
    consumed_labels: &'static str,
    /// Exists at zero too: it tells an idle member from a pod that is not scraped.
    pub(super) assigned: &'static str,
}

pub(super) const MICROMETER: Names = Names {
    lag: "kafka_consumer_fetch_manager_records_lag",
    consumed: "kafka_consumer_fetch_manager_records_consumed_total",
    consumed_labels: "",
    assigned: "kafka_consumer_coordinator_assigned_partitions",
};

pub(super) const JMX_DEFAULT: Names = Names {
    lag: "kafka_consumer_consumer_fetch_manager_metrics_records_lag",
    consumed: "kafka_consumer_consumer_fetch_manager_metrics_records_consumed_total",
    consumed_labels: "topic!=\"\"",
    assigned: "kafka_consumer_consumer_coordinator_metrics_assigned_partitions",
};

/// Lag that the pod's client knows; one `NaN` or `-1` must not poison the sum.
fn own_lag(names: &Names, settings: &QuerySettings) -> String {
    let lag = in_namespace(names.lag, "", settings);
    or_idle(&format!("{lag} >= 0"), &lag, names, settings)
}

fn own_rate(names: &Names, settings: &QuerySettings) -> String {
    let consumed = in_namespace(names.consumed, names.consumed_labels, settings);
    or_idle(&format!("rate({consumed}[{}])", duration(settings.window)), &consumed, names, settings)
}

/// Sums by pod, with a zero for each pod that is a member without partitions.
fn or_idle(series: &str, selector: &str, names: &Names, settings: &QuerySettings) -> String {
    let assigned = in_namespace(names.assigned, "", settings);
    let expression =
        format!("sum by (namespace, pod) ({series}) or 0 * sum by (namespace, pod) ({assigned})");
    fresh_pods(&expression, &[selector, &assigned], settings)
}

/// Sums by the pod whose IP the exporter names.
fn by_pod_ip(series: &str, settings: &QuerySettings) -> String {
    let series = with_pod_ip(series);
    let pods = running_pods(settings);
    format!("sum by (namespace, pod) (sum by (pod_ip) ({series}) * on (pod_ip) group_right () {pods})")
}

/// Sums by pod, topic and partition, the pod being the one whose IP the exporter names.
pub(super) fn partitions_by_pod_ip(series: &str, settings: &QuerySettings) -> String {
    let series = with_pod_ip(series);
    let pods = running_pods(settings);
    format!(
        "sum by (namespace, pod, topic, partition) (sum by (pod_ip, topic, partition) ({series}) \
         * on (pod_ip) group_left (namespace, pod) {pods})"
    )
}

fn with_pod_ip(series: &str) -> String {
    format!("label_replace({series}, \"pod_ip\", \"$1\", \"member_host\", \"/?(.+)\")")
}

/// 1 for each running pod, with its IP. A pod that ended may have left its IP to another one and
/// would make a join ambiguous.
fn running_pods(settings: &QuerySettings) -> String {
    let info = in_namespace("kube_pod_info", r#"pod_ip!="", host_network!="true""#, settings);
    let phase = in_namespace("kube_pod_status_phase", r#"phase="Running""#, settings);
    format!(
        "max by (namespace, pod, pod_ip) ({info} \
         * on (namespace, pod) group_left () (max by (namespace, pod) ({phase}) == 1))"
    )
}

/// The series with the pod that `client.id` names, perhaps with `-N` behind it.
pub(super) fn of_client(series: &str) -> String {
    format!(r#"label_replace({series}, "pod", "$1", "client_id", "(.+?)(?:-[0-9]+)?")"#)
}

/// Sums by the pod that owns the partition. Two exporters show a partition twice: `max` takes one.
fn by_owner(series: &str, settings: &QuerySettings) -> String {
    let owned = in_namespace(MICROMETER.lag, "", settings);
    format!(
        "sum by (namespace, pod) (max by (topic, partition) ({series}) \
         * on (topic, partition) group_right () \
         count by (namespace, pod, topic, partition) ({owned}))"
    )
}

/// Sums by the pod that `target_info` names for the series' job and instance.
fn by_target_info(series: &str, settings: &QuerySettings) -> String {
    format!("sum by (namespace, pod) ({})", of_target(series, settings))
}

/// The series with the pod that `target_info` names for their job and instance.
pub(super) fn of_target(series: &str, settings: &QuerySettings) -> String {
    let labels = ("k8s_namespace_name", "k8s_pod_name");
    let info = of_pods_by(labels, "target_info", r#"k8s_pod_name!="""#, settings);
    format!(
        "label_replace(label_replace({series} \
         * on (job, instance) group_left (k8s_namespace_name, k8s_pod_name) \
         max by (job, instance, k8s_namespace_name, k8s_pod_name) \
         ({info}), \
         \"pod\", \"$1\", \"k8s_pod_name\", \"(.+)\"), \"namespace\", \"$1\", \"k8s_namespace_name\", \"(.+)\")"
    )
}
