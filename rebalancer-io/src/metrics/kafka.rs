//! Kafka lag and message rate by pod, for each supported exporter.

use super::client::{Client, JMX_DEFAULT, MICROMETER, OTEL};
use super::exporter::{Exporter, KAFKA_EXPORTER};
use super::kafka_direct;
use super::preset::{all_of, fresh, in_namespace, newest, select};
use super::settings::{KafkaPreset, QuerySettings, SettingError};
use super::topic::underscored;
use crate::prometheus::MetricQuery;
use crate::promql::duration;

/// Labels that identify a partition, for an exporter that knows the group.
const PARTITION: &str = "topic, partition";

impl KafkaPreset {
    /// The lag query.
    pub(super) fn lag(self, settings: &QuerySettings) -> Result<Option<String>, SettingError> {
        let promql = match self {
            Self::Micrometer => MICROMETER.lag(settings),
            Self::JmxDefault => JMX_DEFAULT.lag(settings),
            Self::OtelJava => OTEL.lag(settings),
            Self::KafkaLagExporterIp | Self::KlagIp | Self::ClientId => {
                let lag = self.group_lag(self.named_members().unwrap_or_default(), settings)?;
                self.by_pod(&newest(&format!("{lag} >= 0"), &lag, PARTITION, settings), settings)
            }
            Self::KafkaExporter | Self::Kminion => {
                let lag = self.group_lag("", settings)?;
                by_owner(&self.partitions(&fresh(&format!("{lag} >= 0"), &lag, settings)), settings)
            }
            Self::Kafka => self.with_group(settings).map(|_| kafka_direct::LAG.to_owned())?,
            Self::None => return Ok(None),
        };
        Ok(Some(promql))
    }

    /// The rate query.
    pub(super) fn rate(self, settings: &QuerySettings) -> Result<Option<String>, SettingError> {
        let promql = match self {
            Self::Micrometer | Self::KafkaExporter | Self::Kminion => MICROMETER.rate(settings),
            Self::JmxDefault => JMX_DEFAULT.rate(settings),
            Self::OtelJava => OTEL.rate(settings),
            Self::KafkaLagExporterIp | Self::KlagIp | Self::ClientId => {
                self.by_pod(&self.group_rate(self.named_members().unwrap_or_default(), settings)?, settings)
            }
            Self::Kafka => self.with_group(settings).map(|_| kafka_direct::RATE.to_owned())?,
            Self::None => return Ok(None),
        };
        Ok(Some(promql))
    }

    /// The query for the consumer groups that this preset's source knows, and the label with their names;
    /// `None` if it does not query by group.
    pub fn groups(self, settings: &QuerySettings) -> Option<(MetricQuery, &'static str)> {
        let Exporter { group, lag, .. } = self.exporter()?;
        let series = select(lag, &format!("{group}!=\"\""), settings);
        Some((MetricQuery::new("groups", format!("count by ({group}) ({series})")), group))
    }

    /// The lag of the group's partitions, under the exporter's name for it.
    pub(super) fn group_lag(self, labels: &str, settings: &QuerySettings) -> Result<String, SettingError> {
        let Exporter { group, lag, .. } = self.exporter().unwrap_or(&KAFKA_EXPORTER);
        self.of_group(lag, group, labels, settings)
    }

    /// Messages per second that the group commits, under the exporter's name: one series per partition and
    /// member, possibly twice.
    pub(super) fn group_rate(self, labels: &str, settings: &QuerySettings) -> Result<String, SettingError> {
        let Exporter { group, told, .. } = self.exporter().unwrap_or(&KAFKA_EXPORTER);
        let committed = self.of_group(told, group, labels, settings)?;
        Ok(fresh(&format!("rate({committed}[{}])", duration(settings.window)), &committed, settings))
    }

    /// Sums by the pod that is the member, counting each partition once.
    fn by_pod(self, series: &str, settings: &QuerySettings) -> String {
        if self == Self::ClientId { by_client(series, settings) } else { by_pod_ip(series, settings) }
    }

    /// Sums by pod, topic and partition; the pod is the member.
    pub(super) fn partitions_by_pod(self, series: &str, settings: &QuerySettings) -> String {
        let members = self.by_member(series, "topic, partition");
        if self == Self::ClientId {
            return members;
        }
        let pods = running_pods(settings);
        format!(
            "sum by (namespace, pod, topic, partition) ({members} \
             * on (pod_ip) group_left (namespace, pod) {pods})"
        )
    }

    /// One series for each member, a pod or an IP, and each value of these labels.
    pub(super) fn by_member(self, series: &str, labels: &str) -> String {
        if self == Self::ClientId { by_name(series, labels) } else { by_ip(series, labels) }
    }

    /// The series with labels `topic` and `partition`, which kminion names differently.
    fn partitions(self, series: &str) -> String {
        if self == Self::Kminion { kminion_partitions(series) } else { series.to_owned() }
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
    let partitions = by_ip(series, "topic, partition");
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
    format!("sum by (pod) ({}) or {idle}", by_name(series, "topic, partition"))
}

/// One series for each pod named in `client.id`, which may end in `-N`, and each value of these labels.
fn by_name(series: &str, labels: &str) -> String {
    let named = format!(r#"label_replace({series}, "pod", "$1", "client_id", "(.+?)(?:-[0-9]+)?")"#);
    format!("max by (pod, {labels}) ({named})")
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
