//! When pods were there, were created and were started, as a metrics server remembers it.

use rebalancer_core::Controller;

use super::preset::in_namespace;
use super::settings::QuerySettings;
use crate::prometheus::MetricQuery;
use crate::promql::literal;

/// The queries about the lives of a workload's pods. Each may have no answer: not every cluster exports each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifeQueries {
    /// The pods that cAdvisor reports.
    pub presence: MetricQuery,
    /// When each pod was created, in seconds since the Unix epoch, from kube-state-metrics.
    pub created: MetricQuery,
    /// When a container of the pod was last started, in seconds since the Unix epoch, from cAdvisor.
    pub started: MetricQuery,
    /// When a run of this program that evicted pods of the workload ended, in seconds since the Unix epoch,
    /// from the metrics that runs deliver. Its one series has a pod of no meaning.
    pub runs: Option<MetricQuery>,
}

impl LifeQueries {
    /// The queries for the pods of these settings, which belong to `top`.
    pub fn new(settings: &QuerySettings, top: Option<&Controller>) -> Self {
        let newest = |name: &str, metric: &str, labels: &str| {
            let promql = format!("max by (namespace, pod) ({})", in_namespace(metric, labels, settings));
            MetricQuery::new(name, promql).in_namespace(&settings.namespace)
        };
        let containers = "container!=\"\", container!=\"POD\"";
        Self {
            presence: newest("presence", "container_cpu_usage_seconds_total", "pod!=\"\""),
            created: newest("created", "kube_pod_created", ""),
            started: newest("started", "container_start_time_seconds", containers),
            runs: top.map(|top| runs(settings, top)),
        }
    }
}

fn runs(settings: &QuerySettings, top: &Controller) -> MetricQuery {
    let target = format!(
        "target_namespace=\"{}\", target_kind=\"{}\", target_name=\"{}\"",
        literal(&settings.namespace),
        literal(&top.kind),
        literal(&top.name)
    );
    let ended = format!("pod_rebalancer_last_run_timestamp_seconds{{{target}}}");
    let evicted = format!("pod_rebalancer_last_run_evictions{{{target}, result=\"evicted\"}} > 0");
    let of_run = format!("max({ended} and on (target_namespace, target) ({evicted}))");
    MetricQuery::new("runs", format!("label_replace({of_run}, \"pod\", \"runs\", \"\", \"\")"))
}
