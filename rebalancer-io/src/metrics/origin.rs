//! Queries that find out whether the series of one pod or partition have one source: a server may hold
//! several clusters, and aggregating by pod merges whatever has the same names.

use rebalancer_core::Metric;

use super::preset::{in_namespace, select};
use super::queries::container_metrics;
use super::settings::QuerySettings;
use crate::prometheus::MetricQuery;
use crate::promql::{duration, joined_by_or, literal};

/// Maximum number of pods or partitions to examine one by one, those that differ most first.
pub(crate) const MOST_LOOKED_AT: usize = 50;

/// The same where many workloads are examined together. A series with all its labels takes up to a kB, and 4 MiB are read.
pub(crate) const MOST_OF_SEVERAL: usize = 500;

/// Name of the query that shows whether any pod or partition has several series.
const SEVERAL: &str = "sources";

/// What the names of the queries for suspects and for times end in.
const SUSPECTS: &str = ", suspects";
const TIMES: &str = ", times";

/// Label of its answer: the metric with several series.
pub(crate) const METRIC_LABEL: &str = "metric";

/// A kind of series that presets merge.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    pub(crate) metric: &'static str,
    /// Which of the metric's series are meant, if it has others.
    part: &'static str,
    /// The labels of one thing: series with equal values are merged.
    pub(crate) keys: &'static [&'static str],
    /// Labels that may change while the thing stays the same.
    pub(crate) passing: &'static [&'static str],
    kind: SeriesKind,
}

/// How far two series of the same thing may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SeriesKind {
    /// Grows steadily.
    Counter,
    /// Grows, sometimes by a whole window of messages between two scrapes.
    Offset,
    /// Goes up and down.
    Gauge,
}

const CPU: &str = "container_cpu_usage_seconds_total";
const CADVISOR_KEYS: &[&str] = &["namespace", "pod", "container", "cpu"];
const CADVISOR_PASSING: &[&str] = &["id", "name", "image"];
const CLIENT_KEYS: &[&str] = &["namespace", "pod", "container", "client_id", "clientid", "topic"];
const PARTITION_KEYS: &[&str] =
    &["namespace", "pod", "container", "client_id", "clientid", "topic", "partition"];
pub(super) const MEMBER: &[&str] = &["member_host", "member_id", "consumer_id", "client_id"];

const WHOLE_PODS: &str = " of whole pods";

static FAMILIES: [Family; 15] = [
    counter(CPU, CADVISOR_KEYS, CADVISOR_PASSING),
    // containerd reports the pause container beside the whole pod, with an image and without a name.
    Family { part: WHOLE_PODS, ..counter(CPU, CADVISOR_KEYS, CADVISOR_PASSING) },
    counter("kafka_consumer_fetch_manager_records_consumed_total", CLIENT_KEYS, &[]),
    counter("kafka_consumer_consumer_fetch_manager_metrics_records_consumed_total", CLIENT_KEYS, &[]),
    counter("kafka_consumer_consumer_fetch_manager_metrics_records_consumed", CLIENT_KEYS, &[]),
    gauge("kafka_consumer_fetch_manager_records_lag", PARTITION_KEYS, &[]),
    gauge("kafka_consumer_consumer_fetch_manager_metrics_records_lag", PARTITION_KEYS, &[]),
    gauge("kafka_consumergroup_lag", &["consumergroup", "topic", "partition"], MEMBER),
    gauge(
        "kminion_kafka_consumer_group_topic_partition_lag",
        &["group_id", "topic_name", "partition_id"],
        MEMBER,
    ),
    gauge("kafka_consumergroup_group_lag", &["group", "topic", "partition"], MEMBER),
    gauge("klag_consumer_lag", &["consumer_group", "topic", "partition"], MEMBER),
    // Groups with the same name in two Kafka clusters may lag alike, but their committed offsets differ.
    offset("kafka_consumergroup_current_offset", &["consumergroup", "topic", "partition"]),
    offset("kminion_kafka_consumer_group_topic_offset_sum", &["group_id", "topic_name"]),
    offset("kafka_consumergroup_group_offset", &["group", "topic", "partition"]),
    offset("klag_consumer_committed_offset", &["consumer_group", "topic", "partition"]),
];

const fn counter(
    metric: &'static str,
    keys: &'static [&'static str],
    passing: &'static [&'static str],
) -> Family {
    Family { metric, part: "", keys, passing, kind: SeriesKind::Counter }
}

const fn gauge(
    metric: &'static str,
    keys: &'static [&'static str],
    passing: &'static [&'static str],
) -> Family {
    Family { metric, part: "", keys, passing, kind: SeriesKind::Gauge }
}

const fn offset(metric: &'static str, keys: &'static [&'static str]) -> Family {
    Family { metric, part: "", keys, passing: MEMBER, kind: SeriesKind::Offset }
}

/// The queries that show which sources are merged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginQueries {
    /// The metrics with several series for one thing: empty in most servers. One query, except where many groups are named.
    pub(crate) several: Vec<MetricQuery>,
    pub(crate) families: Vec<FamilyQueries>,
}

/// The queries about one metric that has several series for one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FamilyQueries {
    pub(crate) family: &'static Family,
    /// One of the things whose series may disagree; empty if all duplicates come from replicas. Half as
    /// expensive as `apart`. Older recordings lack it.
    pub(crate) suspects: Option<MetricQuery>,
    /// The series that disagree, in units of the tolerance: two that differ by more than 1 do not measure the
    /// same thing.
    pub(crate) apart: MetricQuery,
    /// The times of their newest samples, in seconds since 1970.
    pub(crate) times: MetricQuery,
}

impl OriginQueries {
    /// The queries of a live run, about every metric that its presets read.
    pub fn new(settings: &QuerySettings) -> Self {
        Self::naming(MOST_LOOKED_AT, std::slice::from_ref(settings))
    }

    /// The queries about every metric that the presets of any of these settings read.
    pub fn of_all(all: &[QuerySettings]) -> Self {
        Self::naming(MOST_OF_SEVERAL, all)
    }

    fn naming(most: usize, all: &[QuerySettings]) -> Self {
        let mut found: Vec<(&Family, String, &QuerySettings)> = Vec::new();
        for settings in all {
            for family in &FAMILIES {
                let Some(selector) = selector(family, settings) else { continue };
                if !found.iter().any(|(_, known, _)| *known == selector) {
                    found.push((family, selector, settings));
                }
            }
        }
        let several = found.iter().map(|(family, selector, _)| {
            let keys = family.keys.join(", ");
            format!(
                "label_replace(max(count by ({keys}) ({selector})) > 1, \"{METRIC_LABEL}\", \"{}\", \"\", \"\")",
                family.name()
            )
        });
        Self {
            several: joined_by_or(several, usize::MAX)
                .into_iter()
                .map(|(text, _)| MetricQuery::new(SEVERAL, text))
                .collect(),
            families: found
                .iter()
                .map(|(family, selector, settings)| family.queries(selector, most, settings))
                .collect(),
        }
    }

    /// The queries of a recorded run: `promql` returns the query recorded under a name, `None` if there was
    /// none.
    pub fn recorded<'r>(promql: impl Fn(&str) -> Option<&'r str>) -> Self {
        let asked = |name: &str| Some(MetricQuery::new(name, promql(name)?));
        let families = FAMILIES.iter().filter_map(|family| {
            let apart = asked(&family.query_name(""))?;
            // Times are queried only if series disagree.
            let times = asked(&family.query_name(TIMES)).unwrap_or_else(|| MetricQuery::new("", ""));
            Some(FamilyQueries { family, suspects: asked(&family.query_name(SUSPECTS)), apart, times })
        });
        Self { several: asked(SEVERAL).into_iter().collect(), families: families.collect() }
    }

    /// All of them.
    #[cfg(test)]
    pub(crate) fn all(&self) -> impl Iterator<Item = &MetricQuery> {
        let of_families = self
            .families
            .iter()
            .flat_map(|family| [family.suspects.as_ref(), Some(&family.apart), Some(&family.times)]);
        self.several.iter().chain(of_families.flatten())
    }

    /// Whether a query of this name is one of these.
    pub(crate) fn has(name: &str) -> bool {
        name.starts_with(SEVERAL)
    }
}

impl Family {
    /// Whether a client in the pod exports it, and so may add labels of its own for its parts.
    pub(crate) fn is_of_client(&self) -> bool {
        self.keys.contains(&"pod") && self.keys.contains(&"client_id")
    }

    /// Whether the presets of these settings read it.
    pub(crate) fn is_read_by(&self, settings: &QuerySettings) -> bool {
        selector(self, settings).is_some()
    }

    /// The name of its series in messages and answers.
    pub(crate) fn name(&self) -> String {
        format!("{}{}", self.metric, self.part)
    }

    /// The name of a query about it; `what` tells it from the others.
    fn query_name(&self, what: &str) -> String {
        format!("{SEVERAL} of {}{what}", self.name())
    }

    /// A counter is compared by its current value: replicas scrape it at different moments, and one may have
    /// missed some. A gauge varies between scrapes, but its mean over the window varies less.
    fn queries(&'static self, selector: &str, most: usize, settings: &QuerySettings) -> FamilyQueries {
        let keys = self.keys.join(", ");
        let window = duration(settings.window);
        let (value, tolerance) = if self.kind == SeriesKind::Gauge {
            let mean = format!("avg_over_time({selector}[{window}])");
            (mean.clone(), format!("(1000 + 0.5 * max by ({keys}) (abs({mean})))"))
        } else {
            // The rate of the series with the most samples.
            let rate = format!("max by ({keys}) (rate({selector}[{window}]))");
            let since = format!("(time() - timestamp({selector})) * on ({keys}) group_left () {rate}");
            let tolerance = if self.kind == SeriesKind::Counter {
                format!("(1 + 90 * {rate})")
            } else {
                format!("(1000 + {} * {rate})", settings.window.as_secs_f64())
            };
            (format!("({selector} + {since})"), tolerance)
        };
        // With up to eight values, the largest is at most four standard deviations from the smallest.
        // `> -Inf` removes NaN, which would make the deviation NaN.
        let suspects = format!("topk(1, 4 * stddev by ({keys}) ({value} > -Inf) > {tolerance})");
        let spread = format!("(max by ({keys}) ({value}) - min by ({keys}) ({value})) / {tolerance}");
        let disagreeing = format!("on ({keys}) topk({most}, {spread} > 1)");
        let apart = format!("({value} / on ({keys}) group_left () {tolerance}) and {disagreeing}");
        let times = format!("timestamp({selector}) and {disagreeing}");
        FamilyQueries {
            family: self,
            suspects: Some(MetricQuery::new(self.query_name(SUSPECTS), suspects)),
            apart: MetricQuery::new(self.query_name(""), apart),
            times: MetricQuery::new(self.query_name(TIMES), times),
        }
    }
}

/// The selector of a family that a run's presets read; `None` if they read none.
fn selector(family: &Family, settings: &QuerySettings) -> Option<String> {
    let is_own = |metric: Metric| settings.own[metric].is_some();
    let (metric, preset) = (family.metric, settings.preset);
    if metric == CPU {
        // Every metric of containers shows the same difference between clusters; this one is no gauge.
        if !settings.has_server || container_metrics().all(is_own) {
            return None;
        }
        let labels = match (&settings.container, family.part) {
            (Some(name), "") => format!("container=\"{}\"", literal(name)),
            (Some(_), _) => return None,
            (None, WHOLE_PODS) => r#"container="", image="""#.to_owned(),
            (None, _) => r#"container!="", container!="POD""#.to_owned(),
        };
        return Some(in_namespace(metric, &labels, settings));
    }
    if family.is_of_client() {
        let client = preset.client()?;
        let gives_rate = !is_own(Metric::Rate) && client.consumed.contains(&metric);
        // Beside an exporter of lag, only who owns what is read of it.
        let gives_lag = !is_own(Metric::Lag) && client.lag == metric && preset.exporter().is_none();
        return (gives_rate || gives_lag).then(|| in_namespace(metric, "", settings));
    }
    let exporter = preset.exporter().filter(|exporter| exporter.lag == metric && !is_own(Metric::Lag));
    let exporter = exporter.or_else(|| preset.exporters().iter().find(|exporter| exporter.told == metric))?;
    Some(select(metric, &settings.of_groups(exporter.group)?, settings))
}
