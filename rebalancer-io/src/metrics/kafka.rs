//! Kafka lag and message rate by pod, for each supported exporter.

use rebalancer_core::Metric;

use super::client::{Client, JMX_DEFAULT, MICROMETER};
use super::kafka_direct;
use super::otel;
use super::preset::{all_of, fresh, in_namespace, newest, select};
use super::settings::{KafkaPreset, QuerySettings, SettingError};
use super::topic::underscored;
use crate::prometheus::MetricQuery;
use crate::promql::duration;

/// Labels that identify a partition, for an exporter that knows the group.
const PARTITION: &str = "topic, partition";

/// Matches series whose member the exporter names, by address or by its own name.
pub(super) const MEMBER_HOST: &str = r#"member_host!="""#;
pub(super) const CLIENT_ID: &str = r#"client_id!="""#;

impl KafkaPreset {
    /// The lag query.
    pub(super) fn lag(self, settings: &QuerySettings) -> Result<Option<MetricQuery>, SettingError> {
        let promql = match self {
            Self::Micrometer => MICROMETER.lag(settings),
            Self::JmxDefault => JMX_DEFAULT.lag(settings),
            Self::OtelJava => otel::lag(settings),
            Self::KafkaLagExporterIp | Self::KlagIp => {
                let lag = self.group_lag(MEMBER_HOST, settings)?;
                by_pod_ip(&newest(&format!("{lag} >= 0"), &lag, PARTITION, settings), settings)
            }
            Self::ClientId => {
                let lag = self.group_lag(CLIENT_ID, settings)?;
                by_client(&newest(&format!("{lag} >= 0"), &lag, PARTITION, settings), settings)
            }
            Self::KafkaExporter | Self::Kminion => {
                let lag = self.group_lag("", settings)?;
                by_owner(&self.partitions(&fresh(&format!("{lag} >= 0"), &lag, settings)), settings)
            }
            Self::Kafka => self.with_group(settings).map(|_| kafka_direct::LAG.to_owned())?,
            Self::None => return Ok(None),
        };
        Ok(Some(MetricQuery::new(Metric::Lag.name(), promql)))
    }

    /// The rate query.
    pub(super) fn rate(self, settings: &QuerySettings) -> Result<Option<MetricQuery>, SettingError> {
        let promql = match self {
            Self::Micrometer | Self::KafkaExporter | Self::Kminion => MICROMETER.rate(settings),
            Self::JmxDefault => JMX_DEFAULT.rate(settings),
            Self::OtelJava => otel::rate(settings),
            Self::KafkaLagExporterIp | Self::KlagIp => {
                by_pod_ip(&self.group_rate(MEMBER_HOST, settings)?, settings)
            }
            Self::ClientId => by_client(&self.group_rate(CLIENT_ID, settings)?, settings),
            Self::Kafka => self.with_group(settings).map(|_| kafka_direct::RATE.to_owned())?,
            Self::None => return Ok(None),
        };
        Ok(Some(MetricQuery::new(Metric::Rate.name(), promql)))
    }

    /// The exporter's lag of each group, and the label with the group's name; `None` if the preset does not
    /// query by group.
    fn lag_by_group(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::KafkaLagExporterIp => Some(("kafka_consumergroup_group_lag", "group")),
            Self::KlagIp | Self::ClientId => Some(("klag_consumer_lag", "consumer_group")),
            Self::KafkaExporter => Some(("kafka_consumergroup_lag", "consumergroup")),
            Self::Kminion => Some(("kminion_kafka_consumer_group_topic_partition_lag", "group_id")),
            Self::Micrometer | Self::JmxDefault | Self::OtelJava | Self::Kafka | Self::None => None,
        }
    }

    /// The query for the consumer groups that this preset's source knows, and the label with their names;
    /// `None` if it does not query by group.
    pub fn groups(self, settings: &QuerySettings) -> Option<(MetricQuery, &'static str)> {
        let (metric, label) = self.lag_by_group()?;
        let series = select(metric, &format!("{label}!=\"\""), settings);
        Some((MetricQuery::new("groups", format!("count by ({label}) ({series})")), label))
    }

    /// The lag of the group's partitions, under the exporter's name for it.
    pub(super) fn group_lag(self, labels: &str, settings: &QuerySettings) -> Result<String, SettingError> {
        let (metric, group) = self.lag_by_group().unwrap_or(("kafka_consumergroup_lag", "consumergroup"));
        self.of_group(metric, group, labels, settings)
    }

    /// Messages per second that the group commits, under the exporter's name: one series per partition and
    /// member, possibly twice.
    pub(super) fn group_rate(self, labels: &str, settings: &QuerySettings) -> Result<String, SettingError> {
        let (metric, group) = match self {
            Self::KafkaLagExporterIp => ("kafka_consumergroup_group_offset", "group"),
            Self::KlagIp | Self::ClientId => ("klag_consumer_committed_offset", "consumer_group"),
            _ => ("kafka_consumergroup_current_offset", "consumergroup"),
        };
        let committed = self.of_group(metric, group, labels, settings)?;
        Ok(fresh(&format!("rate({committed}[{}])", duration(settings.window)), &committed, settings))
    }

    /// The series with labels `topic` and `partition`, which kminion names differently.
    fn partitions(self, series: &str) -> String {
        if self == Self::Kminion { kminion_partitions(series) } else { series.to_owned() }
    }

    /// The label that names the group in the series of this preset's exporter.
    pub(super) fn group_label(self) -> Option<&'static str> {
        self.lag_by_group().map(|(_, label)| label)
    }

    /// The group, which this preset needs.
    fn with_group(self, settings: &QuerySettings) -> Result<&str, SettingError> {
        settings.group.as_deref().ok_or_else(|| SettingError::Missing {
            setting: "KAFKA_GROUP",
            needed_by: format!("METRICS_PRESET={self}"),
        })
    }

    /// `metric` of the groups, which are in the label `label`.
    fn of_group(
        self,
        metric: &str,
        label: &str,
        labels: &str,
        settings: &QuerySettings,
    ) -> Result<String, SettingError> {
        let Some(group) = settings.of_groups(label) else {
            return self.with_group(settings).map(str::to_owned);
        };
        Ok(select(metric, &all_of(&[&group, labels]), settings))
    }
}

/// Sums by the pod whose IP the exporter reports, counting each partition once.
fn by_pod_ip(series: &str, settings: &QuerySettings) -> String {
    let partitions = with_pod_ip(series);
    let pods = running_pods(settings);
    let sums = format!(
        "sum by (namespace, pod) (sum by (pod_ip) ({partitions}) * on (pod_ip) group_right () {pods})"
    );
    format!("{sums} or {}", idle("namespace, pod", &[MICROMETER, JMX_DEFAULT], settings))
}

/// A zero for each pod whose clients say that they are members without partitions: exporters with one series
/// per partition do not mention them.
fn idle(labels: &str, clients: &[Client], settings: &QuerySettings) -> String {
    let assigned: Vec<String> = clients.iter().map(|client| client.assigned_to_the_group(settings)).collect();
    format!("0 * (sum by ({labels}) ({}) == 0)", assigned.join(" or "))
}

/// Sums by pod, topic and partition; the pod is the one whose IP the exporter reports.
pub(super) fn partitions_by_pod_ip(series: &str, settings: &QuerySettings) -> String {
    let partitions = with_pod_ip(series);
    let pods = running_pods(settings);
    format!(
        "sum by (namespace, pod, topic, partition) ({partitions} \
         * on (pod_ip) group_left (namespace, pod) {pods})"
    )
}

/// One series per partition of a member, with the member's IP in Kubernetes' spelling.
fn with_pod_ip(series: &str) -> String {
    by_ip(series, "topic, partition")
}

/// One series for each member's IP, spelled as Kubernetes spells it, and each value of these labels.
pub(super) fn by_ip(series: &str, labels: &str) -> String {
    let ip = format!(r#"label_replace({series}, "pod_ip", "$1", "member_host", "/?(.+)")"#);
    let (pattern, short) = without_zeros();
    let ip = format!(r#"label_replace({ip}, "pod_ip", "{short}", "member_host", "/?(?:{pattern})")"#);
    format!("max by (pod_ip, {labels}) ({ip})")
}

/// Java writes all eight numbers of an IPv6 address; Kubernetes writes `::` for the longest run of zeros.
/// Returns a pattern for the numbers before and after that run, longest run first, and the replacement.
fn without_zeros() -> (String, String) {
    const NUMBER: &str = "[0-9a-f]{1,4}";
    let rows = (2..=6).rev();
    let of_row = |zeros: usize| format!("((?:{NUMBER}:)+?)0(?::0){{{}}}((?::{NUMBER})+)", zeros - 1);
    let pattern: Vec<String> = rows.map(of_row).collect();
    let short: Vec<String> = (1..=2 * pattern.len()).map(|group| format!("${{{group}}}")).collect();
    (pattern.join("|"), short.concat())
}

/// 1 for each running pod, with its IP. An ended pod may have passed its IP on to another one and would make
/// a join ambiguous.
pub(super) fn running_pods(settings: &QuerySettings) -> String {
    let info = in_namespace("kube_pod_info", r#"pod_ip!="", host_network!="true""#, settings);
    let phase = in_namespace("kube_pod_status_phase", r#"phase="Running""#, settings);
    format!(
        "max by (namespace, pod, pod_ip) ({info} \
         * on (namespace, pod) group_left () (max by (namespace, pod) ({phase}) == 1))"
    )
}

/// Sums by the pod named in `client.id`, counting each partition once.
fn by_client(series: &str, settings: &QuerySettings) -> String {
    let idle = idle("pod", &[MICROMETER, JMX_DEFAULT], settings);
    format!("sum by (pod) ({}) or {idle}", partitions_by_client(series))
}

/// One series per partition, with the pod named in `client.id`, which may end in `-N`.
pub(super) fn partitions_by_client(series: &str) -> String {
    let named = format!(r#"label_replace({series}, "pod", "$1", "client_id", "(.+?)(?:-[0-9]+)?")"#);
    format!("max by (pod, topic, partition) ({named})")
}

/// The series with kminion's topic and partition.
pub(super) fn kminion_partitions(series: &str) -> String {
    let topic = format!(r#"label_replace({series}, "topic", "$1", "topic_name", "(.+)")"#);
    format!(r#"label_replace({topic}, "partition", "$1", "partition_id", "(.+)")"#)
}

/// Sums by the pod that owns the partition. Its client spells the topic differently. If two exporters report
/// a partition, `max` takes one.
fn by_owner(series: &str, settings: &QuerySettings) -> String {
    let lag = underscored(series);
    let owner = MICROMETER.owner(settings);
    let sums = format!(
        "sum by (namespace, pod) (max by (topic, partition) ({lag}) \
         + on (topic, partition) group_right () {owner})"
    );
    format!("{sums} or {}", idle("namespace, pod", &[MICROMETER], settings))
}
