//! The settings that the queries of a run depend on.

use std::collections::BTreeSet;
use std::time::Duration;

use rebalancer_core::{Metric, PerMetric};

use super::alert_pattern::AlertPattern;
use super::matchers::Matchers;
use crate::promql::{literal, regex, text_of};

/// The settings that the queries of a run depend on. [`QuerySettings::new`] has the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySettings {
    /// Namespace of the pods.
    pub namespace: String,
    /// Whether there is a metrics server. Without one presets write no queries for it: CPU and memory have none.
    pub has_server: bool,
    /// Names of the pods, for `{{pods_regex}}`; needed where [`QuerySettings::names_pods`].
    pub pods: Vec<String>,
    /// Pattern of the workload's pod names, from [`super::pod_pattern`]; presets select by it. `None` selects
    /// every pod of the namespace.
    pub pod_pattern: Option<String>,
    /// The namespaces whose pods presets select: for one workload, its own.
    pub reach: Reach,
    /// Added to every selector of presets, and used for `{{matchers}}`.
    pub matchers: Matchers,
    /// Window of rates; at least four scrape intervals.
    pub window: Duration,
    /// Consumer group, for presets and `{{group}}`.
    pub group: Option<String>,
    /// The groups that presets select: for one workload, its own.
    pub groups: Reach,
    /// The one container to measure; all of them if `None`.
    pub container: Option<String>,
    /// Age from which presets leave a sample out; `None` leaves that to the server's lookback.
    pub max_sample_age: Option<Duration>,
    /// Where lag and rate come from.
    pub preset: KafkaPreset,
    /// The user's own `PromQL` instead of a preset's.
    pub own: PerMetric<Option<String>>,
    /// The user's own `PromQL` for messages per second by pod, topic and partition.
    pub own_partition_load: Option<String>,
    /// The user's own `PromQL` for the number of partitions by pod.
    pub own_assigned_partitions: Option<String>,
    /// Own `PromQL` each of whose samples forbids a rotation.
    pub veto_query: Option<String>,
    /// The alerts that forbid a rotation while they fire.
    pub veto_alerts: Option<AlertPattern>,
    /// Label that holds the pod in the answers to own `PromQL`.
    pub pod_label: String,
}

impl QuerySettings {
    /// 5 m: the rate window that fits scrape intervals of 15 to 60 seconds.
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(300);

    /// 180 s: three missed scrapes of a minute; shorter than the five minutes for which Prometheus returns
    /// the last sample of an exporter with its own timestamps.
    pub const DEFAULT_MAX_SAMPLE_AGE: Duration = Duration::from_secs(180);

    /// Whether an own query has the names of the pods in it.
    pub fn names_pods(&self) -> bool {
        let others = [&self.own_partition_load, &self.own_assigned_partitions, &self.veto_query];
        let own = Metric::ALL.into_iter().map(|metric| &self.own[metric]).chain(others);
        own.flatten().any(|promql| promql.contains("pods_regex"))
    }

    /// The matcher of the groups that presets select, where `label` names the group; `None` if none is set.
    pub(super) fn of_groups(&self, label: &str) -> Option<String> {
        let is_known = self.group.is_some() || self.groups != Reach::One;
        is_known.then(|| self.groups.matcher(label, self.group.as_deref().unwrap_or_default()))
    }

    /// The defaults for the pods of one namespace.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            has_server: true,
            pods: Vec::new(),
            pod_pattern: None,
            reach: Reach::default(),
            matchers: Matchers::default(),
            window: Self::DEFAULT_WINDOW,
            group: None,
            groups: Reach::default(),
            container: None,
            max_sample_age: Some(Self::DEFAULT_MAX_SAMPLE_AGE),
            preset: KafkaPreset::default(),
            own: PerMetric::default(),
            own_partition_load: None,
            own_assigned_partitions: None,
            veto_query: None,
            veto_alerts: None,
            pod_label: "pod".into(),
        }
    }
}

/// The namespaces whose pods a query selects, or the consumer groups.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Reach {
    /// The one of [`QuerySettings::namespace`], or of [`QuerySettings::group`] if that is set.
    #[default]
    One,
    /// These.
    Several(Vec<String>),
    /// All that there are.
    All,
}

impl Reach {
    /// Longest list of groups that is written into a query, in bytes, with the matchers beside it; the longest query, about sources
    /// that disagree, names it eleven times. `VictoriaMetrics` refuses queries over 16,384 bytes.
    const MOST_TEXT: usize = 1_000;

    /// Longest list of groups that is written into a query beside these matchers, in bytes.
    pub(crate) fn most_text(matchers: &Matchers) -> usize {
        Self::MOST_TEXT.saturating_sub(matchers.to_string().len())
    }

    /// These groups, or all where their names are too long for a query with these matchers.
    pub fn of_groups<'n>(names: impl IntoIterator<Item = &'n str>, matchers: &Matchers) -> Self {
        let names: BTreeSet<&str> = names.into_iter().collect();
        let bytes: usize = names.iter().copied().map(text_of).sum();
        if bytes > Self::most_text(matchers) {
            return Self::All;
        }
        Self::Several(names.into_iter().map(str::to_owned).collect())
    }

    /// The matcher of `label`, where `own` is the one.
    pub(super) fn matcher(&self, label: &str, own: &str) -> String {
        match self {
            Self::One => format!("{label}=\"{}\"", literal(own)),
            Self::Several(names) => {
                let names: Vec<String> = names.iter().map(|name| regex(name)).collect();
                format!("{label}=~\"{}\"", literal(&names.join("|")))
            }
            Self::All => format!("{label}!=\"\""),
        }
    }
}

/// Where lag and rate come from.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, strum::Display, strum::IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
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
    /// klag, if `client.id` is the pod's name, with or without `-N` after it: lag and committed messages per
    /// second. Pods of a `StatefulSet` need the `-N`, because their names end in a number.
    ClientId,
    /// `kafka_exporter`, joined by the partitions that Micrometer reports for a pod; rate from Micrometer.
    KafkaExporter,
    /// kminion, joined by the partitions that Micrometer reports for a pod; rate from Micrometer.
    Kminion,
    /// The OpenTelemetry Java agent, with `target_info` naming the pod: lag and rate.
    OtelJava,
    /// The group asked directly: lag, rate, members and offsets as Kafka itself tells them.
    Kafka,
    /// No Kafka.
    None,
}

impl KafkaPreset {
    /// All presets.
    pub const ALL: [Self; 10] = [
        Self::Kafka,
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

    /// The presets that ask nobody but the metrics server.
    pub fn of_series() -> impl DoubleEndedIterator<Item = Self> {
        Self::ALL.into_iter().filter(|preset| *preset != Self::Kafka)
    }

    /// Its name in `METRICS_PRESET`.
    pub fn name(self) -> &'static str {
        self.into()
    }
}

/// A query that cannot be built from the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// A required setting is missing.
    #[error("{needed_by} needs {setting}, which is not set")]
    Missing {
        /// The missing setting.
        setting: &'static str,
        /// What needs it.
        needed_by: String,
    },
    /// An unknown name in double braces.
    #[error(
        "{variable}: {{{{{name}}}}} is no placeholder; there are {{{{namespace}}}}, {{{{pods_regex}}}}, {{{{pods_pattern}}}}, {{{{window}}}}, {{{{group}}}}, {{{{container}}}} and {{{{matchers}}}}"
    )]
    UnknownPlaceholder {
        /// The setting that holds the query.
        variable: String,
        /// The name.
        name: String,
    },
    /// Double braces that are not closed.
    #[error("{variable}: a placeholder opened with {{{{ is not closed with }}}}")]
    UnclosedPlaceholder {
        /// The setting that holds the query.
        variable: String,
    },
    /// `{{pods_regex}}` with so many pods that servers refuse the query.
    #[error(
        "{variable}: {{{{pods_regex}}}} of {pods} pods makes it {bytes} bytes long, and servers refuse queries over 16,384 bytes: write pod=~\"{{{{pods_pattern}}}}\" in its place, which matches the names that the workload's controllers give to pods"
    )]
    TooLong {
        /// The setting that holds the query.
        variable: String,
        /// Length of the query with the names.
        bytes: usize,
        /// Number of the names.
        pods: usize,
    },
    /// `{{pods_regex}}` without any pods.
    #[error("{variable}: {{{{pods_regex}}}} has no value, since no pod was found")]
    NoPods {
        /// The setting that holds the query.
        variable: String,
    },
}
