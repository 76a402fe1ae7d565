//! The queries of a run: one by metric, from a preset or in the user's own words.

use std::time::Duration;

use rebalancer_core::Metric;

use super::fresh::{self, UnknownAge};
use super::kafka::KafkaPreset;
use super::matchers::Matchers;
use super::{cpu, memory, template};
use crate::prometheus::Wanted;

/// A query whose answer has one series a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricQuery {
    /// What it asks for, in messages and recordings: `cpu`, `memory`, `lag`, `rate`.
    pub name: String,
    /// The query, ready to send.
    pub promql: String,
    /// Namespace of the pods; series that name another one are left out.
    pub namespace: Option<String>,
    /// Name of the label that holds the pod, `pod` by default.
    pub pod_label: String,
}

impl MetricQuery {
    /// A query that labels its series `pod`.
    pub fn new(name: impl Into<String>, promql: impl Into<String>) -> Self {
        Self { name: name.into(), promql: promql.into(), namespace: None, pod_label: "pod".into() }
    }

    /// The same query for the pods of one namespace.
    #[must_use]
    pub fn in_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The same query, with the pod in another label.
    #[must_use]
    pub fn with_pod_label(mut self, label: impl Into<String>) -> Self {
        self.pod_label = label.into();
        self
    }

    pub(crate) fn wanted(&self, max_bytes: u64) -> Wanted<'_> {
        Wanted { pod_label: &self.pod_label, namespace: self.namespace.as_deref(), max_bytes }
    }
}

/// What the queries of a run depend on. [`QuerySettings::new`] holds the defaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySettings {
    /// Namespace of the pods.
    pub namespace: String,
    /// Names of the pods, for `{{pods_regex}}`.
    pub pods: Vec<String>,
    /// The names that pods of the workload have, as [`super::pod_pattern`] makes it; presets select by
    /// it, or every pod of the namespace if `None`.
    pub pod_pattern: Option<String>,
    /// What goes into every selector, for presets and `{{matchers}}`.
    pub matchers: Matchers,
    /// Window of rates; at least four scrape intervals.
    pub window: Duration,
    /// Consumer group, for presets and `{{group}}`.
    pub group: Option<String>,
    /// The one container to measure; all of them if `None`.
    pub container: Option<String>,
    /// Age from which presets leave a sample out; `None` leaves that to the server's lookback.
    pub max_sample_age: Option<Duration>,
    /// Where lag and rate come from.
    pub preset: KafkaPreset,
    /// Own `PromQL` in place of a preset's, by [`Metric::index`].
    pub own: [Option<String>; 4],
    /// Own `PromQL` for messages per second by pod, topic and partition.
    pub own_partition_load: Option<String>,
    /// Own `PromQL` for the number of partitions by pod.
    pub own_assigned_partitions: Option<String>,
    /// Label that holds the pod in the answers to own `PromQL`.
    pub pod_label: String,
}

impl QuerySettings {
    /// 5 m: the rate window that fits scrape intervals of 15 to 60 seconds.
    pub const DEFAULT_WINDOW: Duration = Duration::from_secs(300);

    /// 180 s: three missed scrapes of a minute, less than the five minutes for which Prometheus shows
    /// the last sample of an exporter with timestamps of its own.
    pub const DEFAULT_MAX_SAMPLE_AGE: Duration = Duration::from_secs(180);

    /// The defaults for the pods of one namespace.
    pub fn new(namespace: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            pods: Vec::new(),
            pod_pattern: None,
            matchers: Matchers::default(),
            window: Self::DEFAULT_WINDOW,
            group: None,
            container: None,
            max_sample_age: Some(Self::DEFAULT_MAX_SAMPLE_AGE),
            preset: KafkaPreset::default(),
            own: [const { None }; 4],
            own_partition_load: None,
            own_assigned_partitions: None,
            pod_label: "pod".into(),
        }
    }

    /// The user's own query of a metric.
    fn own(&self, metric: Metric) -> Result<Option<MetricQuery>, SettingError> {
        let Some(own) = &self.own[metric.index()] else {
            return Ok(None);
        };
        let promql = template::fill(own, variable(metric), self)?;
        Ok(Some(MetricQuery::new(metric.name(), promql).with_pod_label(&self.pod_label)))
    }
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

/// The queries of a run. CPU and memory always have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuerySet {
    cpu: MetricQuery,
    memory: MetricQuery,
    lag: Option<MetricQuery>,
    rate: Option<MetricQuery>,
    /// Which of them are the user's own, by [`Metric::index`].
    own: [bool; 4],
    max_sample_age: Option<Duration>,
}

impl QuerySet {
    /// Builds the queries.
    ///
    /// # Errors
    /// When a query holds a placeholder that is unknown or whose setting is missing.
    pub fn new(settings: &QuerySettings) -> Result<Self, SettingError> {
        let scoped = |query: MetricQuery| query.in_namespace(&settings.namespace);
        let cpu = settings.own(Metric::Cpu)?.unwrap_or_else(|| cpu::preset(settings));
        let memory = settings.own(Metric::Memory)?.unwrap_or_else(|| memory::preset(settings));
        let lag = match settings.own(Metric::Lag)? {
            None => settings.preset.lag(settings)?,
            own => own,
        };
        let rate = match settings.own(Metric::Rate)? {
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

    /// The questions whether the samples behind an own query are fresh; none for a preset, which leaves
    /// stale ones out itself. See [`mark_stale`](super::mark_stale).
    ///
    /// # Errors
    /// When the query reads too much to be asked about.
    pub fn freshness_of(&self, metric: Metric) -> Result<Vec<MetricQuery>, UnknownAge> {
        match (self.get(metric), self.max_sample_age) {
            (Some(query), Some(limit)) if self.own[metric.index()] => fresh::questions(query, limit),
            _ => Ok(Vec::new()),
        }
    }

    /// Whether a metric is asked for by the user's own query.
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

    /// The query of a metric; `None` where it has no source.
    pub fn get(&self, metric: Metric) -> Option<&MetricQuery> {
        match metric {
            Metric::Cpu => Some(&self.cpu),
            Metric::Memory => Some(&self.memory),
            Metric::Lag => self.lag.as_ref(),
            Metric::Rate => self.rate.as_ref(),
        }
    }
}

/// A query that cannot be built from the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// No preset has this name.
    #[error("METRICS_PRESET is {0:?}; there are {names}", names = preset_names())]
    UnknownPreset(String),
    /// A setting is needed and not set.
    #[error("{needed_by} needs {setting}, which is not set")]
    Missing {
        /// The setting to give.
        setting: &'static str,
        /// What needs it.
        needed_by: String,
    },
    /// A name in double braces that stands for nothing.
    #[error(
        "{variable}: {{{{{name}}}}} is no placeholder; there are {{{{namespace}}}}, {{{{pods_regex}}}}, {{{{pods_pattern}}}}, {{{{window}}}}, {{{{group}}}}, {{{{container}}}} and {{{{matchers}}}}"
    )]
    UnknownPlaceholder {
        /// The setting that holds the query.
        variable: &'static str,
        /// The name.
        name: String,
    },
    /// Double braces that do not end.
    #[error("{variable}: a placeholder opened with {{{{ is not closed with }}}}")]
    UnclosedPlaceholder {
        /// The setting that holds the query.
        variable: &'static str,
    },
    /// `{{pods_regex}}` of so many pods that servers refuse the query.
    #[error(
        "{variable}: {{{{pods_regex}}}} of {pods} pods makes it {bytes} bytes long, and servers refuse queries over 16,384 bytes: write pod=~\"{{{{pods_pattern}}}}\" in its place, which matches the names that the workload's controllers give to pods"
    )]
    TooLong {
        /// The setting that holds the query.
        variable: &'static str,
        /// Length of the query with the names.
        bytes: usize,
        /// Number of the names.
        pods: usize,
    },
    /// `{{pods_regex}}` while there are no pods.
    #[error("{variable}: {{{{pods_regex}}}} has no value, since no pod was found")]
    NoPods {
        /// The setting that holds the query.
        variable: &'static str,
    },
}

fn preset_names() -> String {
    KafkaPreset::ALL.map(KafkaPreset::name).join(", ")
}
