//! Kafka client metrics from the OpenTelemetry Java agent. `target_info` maps `job` and `instance` of a
//! process to its pod. Prometheus 3 may keep dots in all names: such a metric is selected by `__name__`, and
//! such a label is given to functions as a string, which older servers can read too.

use super::members::of_the_group;
use super::preset::{all_of, fresh, fresh_times, select};
use super::settings::{QuerySettings, Reach};
use super::topic::one_spelling;
use crate::promql::{duration, literal, regex};

/// Labels that identify a partition of a process.
const PARTITION: &str = "job, instance, topic, partition, client_id";

/// Labels that identify a topic of a process.
const TOPIC: &str = "job, instance, topic, client_id";

/// The lag of a client; with underscores, and with dots.
const LAG: [&str; 2] = ["kafka_consumer_records_lag", "kafka.consumer.records_lag"];

/// How far a client is past the oldest message; with underscores, and with dots.
const LEAD: [&str; 2] = ["kafka_consumer_records_lead", "kafka.consumer.records_lead"];

/// What a client has consumed; with underscores, and with dots.
const CONSUMED: [&str; 2] =
    ["kafka_consumer_records_consumed_total", "kafka.consumer.records_consumed_total"];

/// The number of partitions of a client; with underscores, and with dots. It exists even at zero.
const ASSIGNED: [&str; 2] = ["kafka_consumer_assigned_partitions", "kafka.consumer.assigned_partitions"];

/// Lag by pod.
pub(super) fn lag(settings: &QuerySettings) -> String {
    let partitions = one_spelling(PARTITION, |topic| {
        both(LAG, topic, settings, |lag| fresh(&format!("{lag} >= 0"), lag, settings))
    });
    let partitions = with_pod(&partitions, settings);
    or_idle(&format!("sum by (pod) (max by (pod, topic, partition, client_id) ({partitions}))"), settings)
}

/// Messages per second by pod.
pub(super) fn rate(settings: &QuerySettings) -> String {
    let window = duration(settings.window);
    let topics = one_spelling(TOPIC, |topic| {
        both(CONSUMED, topic, settings, |consumed| {
            fresh(&format!("rate({consumed}[{window}])"), consumed, settings)
        })
    });
    let topics = with_pod(&topics, settings);
    or_idle(&format!("sum by (pod) (max by (pod, topic, client_id) ({topics}))"), settings)
}

/// `expression` by pod, and zero for a pod whose clients are members without partitions.
fn or_idle(expression: &str, settings: &QuerySettings) -> String {
    let assigned = both(ASSIGNED, "", settings, |assigned| fresh(assigned, assigned, settings));
    format!("{expression} or 0 * (sum by (pod) ({}) == 0)", with_pod(&assigned, settings))
}

/// Number of partitions of each of the group's clients.
pub(super) fn assigned(settings: &QuerySettings) -> String {
    let assigned = of_clients(ASSIGNED, settings, |client| {
        both(ASSIGNED, client, settings, |assigned| fresh(assigned, assigned, settings))
    });
    format!("max by (pod, client_id) ({})", with_pod(&assigned, settings))
}

/// One series per partition that a client of the group fetches. A partition that the client has lost stays
/// for minutes, or is `NaN`; an unknown lag is -1.
pub(super) fn owners(settings: &QuerySettings) -> String {
    owners_of("", settings)
}

/// Like [`owners`], for the partitions that `labels` select.
pub(super) fn owners_of(labels: &str, settings: &QuerySettings) -> String {
    format!("0 * max by (pod, topic, partition) ({}) + 1", claims(labels, settings))
}

/// The same with all labels of the clients, and their lag.
pub(super) fn claims(labels: &str, settings: &QuerySettings) -> String {
    let claims = of_clients(LAG, settings, |client| {
        both(LAG, &all_of(&[labels, client]), settings, |lag| fresh(&format!("{lag} >= -1"), lag, settings))
    });
    with_pod(&claims, settings)
}

/// How far each client of the group is past the oldest message of the partitions that `labels` select.
pub(super) fn lead(labels: &str, settings: &QuerySettings) -> String {
    let leads = of_clients(LEAD, settings, |client| {
        both(LEAD, &all_of(&[labels, client]), settings, |lead| fresh(lead, lead, settings))
    });
    with_pod(&leads, settings)
}

/// Applies `series` to a matcher of clients that write a metric: see [`of_the_group`]. Not every server can
/// match a dotted label, so with dots all clients count.
fn of_clients([metric, _]: [&str; 2], settings: &QuerySettings, series: impl Fn(&str) -> String) -> String {
    of_the_group(settings, |client| with_pod(&select(metric, client, settings), settings), series)
}

/// Applies `series` to a selector, for both spellings of the metric.
fn both(
    [metric, dotted]: [&str; 2],
    labels: &str,
    settings: &QuerySettings,
    series: impl Fn(&str) -> String,
) -> String {
    let named = format!("__name__=\"{dotted}\"");
    let dotted = series(&select("", &all_of(&[&named, labels]), settings));
    let dotted = format!(r#"label_replace({dotted}, "client_id", "$1", "client-id", "(.+)")"#);
    format!("({} or {dotted})", series(&select(metric, labels, settings)))
}

/// The series of the workload's pods, with the label `pod`. The first join only makes the query fail if two
/// pods share a `job` and `instance`: in the second join, `VictoriaMetrics` would assign the series to both.
fn with_pod(series: &str, settings: &QuerySettings) -> String {
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
