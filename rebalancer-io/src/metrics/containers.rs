//! CPU (in cores) and memory (the working set, in bytes) by pod from cAdvisor. Every container counts once.

use rebalancer_core::Metric;

use super::preset::{fresh_pods, in_namespace};
use super::settings::QuerySettings;
use crate::prometheus::MetricQuery;
use crate::promql::{duration, literal};

pub(super) fn cpu(settings: &QuerySettings) -> MetricQuery {
    let window = duration(settings.window);
    let sum = by_pod(settings, "container_cpu_usage_seconds_total", |selector| {
        format!("rate({selector}[{window}])")
    });
    MetricQuery::new(Metric::Cpu.name(), sum)
}

pub(super) fn memory(settings: &QuerySettings) -> MetricQuery {
    let sum = by_pod(settings, "container_memory_working_set_bytes", of_the_running_container);
    MetricQuery::new(Metric::Memory.name(), sum)
}

/// For minutes after a restart, the server returns the last value of the old container beside that of the new
/// one; the newest counts.
fn of_the_running_container(selector: &str) -> String {
    let container = "(namespace, pod, container)";
    format!(
        "({selector} and timestamp({selector}) \
         == on {container} group_left () max by {container} (timestamp({selector})))"
    )
}

/// Sums a cAdvisor metric by pod.
///
/// Two scrape jobs report a container twice: `max` takes one. A node without container labels reports only
/// the whole pod: `or` takes that. If the user names a container, there is no such fallback and the pods of
/// that node are missing.
fn by_pod(settings: &QuerySettings, metric: &str, each: impl Fn(&str) -> String) -> String {
    let sum = |labels: &str| {
        let each = each(&in_namespace(metric, labels, settings));
        format!("sum by (namespace, pod) (max by (namespace, pod, container) ({each}))")
    };
    let expression = if let Some(container) = &settings.container {
        sum(&format!("container=\"{}\"", literal(container)))
    } else {
        let containers = sum("container!=\"\", container!=\"POD\"");
        let whole_pod = each(&in_namespace(metric, "container=\"\", pod!=\"\"", settings));
        format!("{containers} or max by (namespace, pod) ({whole_pod})")
    };
    fresh_pods(&expression, &[&in_namespace(metric, "pod!=\"\"", settings)], settings)
}
