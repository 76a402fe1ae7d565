//! Kafka client metrics from the OpenTelemetry Java agent. `target_info` maps `job` and `instance` of a
//! process to its pod. Prometheus 3 may keep dots in all names: such a metric is selected by `__name__`, and
//! such a label is given to functions as a string, which older servers can read too.

use super::preset::{all_of, fresh, fresh_times, select};
use super::settings::{QuerySettings, Reach};
use super::topic::one_spelling;
use crate::promql::{duration, literal, regex};

/// Labels that identify a partition of a process.
const PARTITION: &str = "job, instance, topic, partition, client_id";

/// Labels that identify a topic of a process.
const TOPIC: &str = "job, instance, topic, client_id";

/// Lag by pod.
pub(super) fn lag(metric: &str, settings: &QuerySettings) -> String {
    summed(metric, PARTITION, "pod, topic, partition, client_id", settings, |lag| format!("{lag} >= 0"))
}

/// Messages per second by pod.
pub(super) fn rate(metric: &str, settings: &QuerySettings) -> String {
    let window = duration(settings.window);
    summed(metric, TOPIC, "pod, topic, client_id", settings, |consumed| format!("rate({consumed}[{window}])"))
}

/// Sums what `each` makes of a metric by pod. Of series with equal `labels` one counts, and once they have a pod, of those with
/// equal `kept`.
fn summed(
    metric: &str,
    labels: &str,
    kept: &str,
    settings: &QuerySettings,
    each: impl Fn(&str) -> String,
) -> String {
    let series = |selector: &str| fresh(&each(selector), selector, settings);
    let series = one_spelling(labels, |topic| both(metric, topic, settings, series));
    format!("sum by (pod) (max by ({kept}) ({}))", with_pod(&series, settings))
}

/// Applies `series` to a selector, for both spellings of the metric.
pub(super) fn both(
    metric: &str,
    labels: &str,
    settings: &QuerySettings,
    series: impl Fn(&str) -> String,
) -> String {
    // With dots, the names of the agent's metrics are `kafka.consumer.` and the rest.
    let named = format!("__name__=\"{}\"", metric.replacen('_', ".", 2));
    let dotted = series(&select("", &all_of(&[&named, labels]), settings));
    let dotted = format!(r#"label_replace({dotted}, "client_id", "$1", "client-id", "(.+)")"#);
    format!("({} or {dotted})", series(&select(metric, labels, settings)))
}

/// The series of the workload's pods, with the label `pod`. The first join only makes the query fail if two
/// pods share a `job` and `instance`: in the second join, `VictoriaMetrics` would assign the series to both.
pub(super) fn with_pod(series: &str, settings: &QuerySettings) -> String {
    let processes = processes(settings);
    let certain = format!("({series} + on (job, instance) group_left () {processes})");
    format!("(({certain} + on (job, instance) group_left (pod) {processes}) unless on (pod) vector(0))")
}

/// A zero for each process, with its pod; the pod is empty if it is not part of the workload. Of two
/// processes of one pod, the younger one counts. Where the settings reach several namespaces, the pod has its namespace
/// before it: `shop/orders-0`.
fn processes(settings: &QuerySettings) -> String {
    let info = fresh_times(&select("target_info", "", settings), settings);
    let place = [("k8s_namespace_name", "k8s.namespace.name"), ("k8s_pod_name", "k8s.pod.name")];
    let info = place.into_iter().fold(format!("({info})"), |info, (label, dotted)| {
        format!(r#"label_replace({info}, "{label}", "$1", "{dotted}", "(.+)")"#)
    });
    let info = format!(r#"label_join({info}, "place", "/", "k8s_namespace_name", "k8s_pod_name")"#);
    let running = format!("topk by (job, place) (1, {info})");
    let pod = settings.pod_pattern.as_deref().unwrap_or(".+");
    let place = match &settings.reach {
        Reach::One => format!("{}/({pod})|.*", regex(&settings.namespace)),
        Reach::Several(names) => {
            let names: Vec<String> = names.iter().map(|name| regex(name)).collect();
            format!("((?:{})/(?:{pod}))|.*", names.join("|"))
        }
        Reach::All => format!("(.+/(?:{pod}))|.*"),
    };
    let place = literal(&place);
    format!(
        r#"(0 * max by (job, instance, pod) (label_replace({running}, "pod", "$1", "place", "{place}")))"#
    )
}
