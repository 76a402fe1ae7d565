//! The queries about many workloads at once: those of the presets over all of their pods and groups. What tells the
//! rows of an answer apart, such as namespace and pod, is joined in one label, the place, so that the answer is read as that
//! of one workload.

use std::collections::BTreeMap;

use rebalancer_core::{Metric, OffsetKind};

use super::group::{ASSIGNED, LOAD, OWNERS, assignors, loads};
use super::kafka::running_pods;
use super::offsets::{LEAD, OWNED, OffsetQueries, Past};
use super::preset::{fresh, joined, newest};
use super::queries::{container_metrics, kafka_metrics, of_preset};
use super::settings::{KafkaPreset, QuerySettings, Reach};
use crate::prometheus::MetricQuery;

/// Label of an answer that names namespace and pod.
const PLACE_LABEL: &str = "place";

/// What is asked about the pods of all workloads, whatever they read.
pub(crate) fn container_queries(settings: &QuerySettings) -> Vec<(Metric, MetricQuery)> {
    container_metrics().filter_map(|metric| Some((metric, of_all(metric, settings)?))).collect()
}

/// The query of a metric of all pods in reach; `None` where the preset has none, or the user wrote it.
fn of_all(metric: Metric, settings: &QuerySettings) -> Option<MetricQuery> {
    let query = of_preset(settings, metric).ok().flatten().filter(|_| settings.own[metric].is_none())?;
    Some(by_place(&query.name, &query.promql, &[], settings))
}

/// Queries by their names.
pub(crate) type Queries = BTreeMap<String, MetricQuery>;

fn by_name(queries: impl IntoIterator<Item = Option<MetricQuery>>) -> Queries {
    queries.into_iter().flatten().map(|query| (query.name.clone(), query)).collect()
}

/// The queries of a preset about the clients in all pods that the settings reach, whatever group they are members of: lag, rate and
/// the number of partitions ([`OffsetQueries::COUNT`]) by `NAMESPACE/POD`; [`LEAD`], and 1 for who owns what over a range
/// ([`OWNED`]) and now ([`OWNERS`]), by `NAMESPACE/POD/TOPIC/PARTITION/CLIENT`; [`ASSIGNED`] by `NAMESPACE/POD/CLIENT`. Absent
/// is one that the preset has none of, that is the user's own, and that is about one group.
pub(crate) fn client_queries(preset: KafkaPreset, settings: &QuerySettings) -> Queries {
    let settings = &QuerySettings { preset, group: None, groups: Reach::One, ..settings.clone() };
    let by_partition = |name: &str, series: &str| {
        by_place(name, &one_client_label(series), &["topic", "partition", "client_id"], settings)
    };
    let owned = |name: &str| {
        let claims = preset.client()?.claims("", settings);
        let MetricQuery { promql, .. } = by_partition(name, &claims);
        Some(MetricQuery::new(name, format!("0 * {promql} + 1")).with_pod_label(PLACE_LABEL))
    };
    let assigned =
        preset.assigned_partitions(settings).filter(|_| settings.own_assigned_partitions.is_none());
    let partitions = preset.leads(settings).map(|leads| {
        let each = format!("max by (namespace, pod, topic, partition) ({leads})");
        by_place(OffsetQueries::COUNT, &format!("count by (namespace, pod) ({each})"), &[], settings)
    });
    let loads = kafka_metrics().map(|metric| of_all(metric, settings));
    by_name(loads.chain([
        partitions,
        preset.leads(settings).map(|leads| by_partition(LEAD, &leads)),
        owned(OWNED),
        owned(OWNERS),
        assigned.map(|series| by_place(ASSIGNED, &series, &["client_id"], settings)),
    ]))
}

/// The queries of a preset about the partitions of these consumer groups, as exporters outside the pods tell of them: [`COMMITTED`]
/// and [`LOAD`] by `TOPIC/PARTITION/GROUP`, the latter maybe without the group; [`END`] and [`START`] by `TOPIC/PARTITION`;
/// [`ASSIGNOR`] by `GROUP/PROTOCOL`; and the groups that are in a rebalance ([`REBALANCE`]).
///
/// [`COMMITTED`]: super::COMMITTED
/// [`END`]: super::END
/// [`START`]: super::START
/// [`ASSIGNOR`]: super::ASSIGNOR
/// [`REBALANCE`]: super::REBALANCE
pub(crate) fn group_queries(preset: KafkaPreset, groups: Reach, settings: &QuerySettings) -> Queries {
    let settings = QuerySettings { groups, preset, ..settings.clone() };
    let offsets = OffsetQueries::Live(Box::new(settings.clone()));
    let past = |kind: OffsetKind| offsets.past(Past::Offset(kind), None);
    by_name([
        past(OffsetKind::Committed),
        past(OffsetKind::End),
        past(OffsetKind::Start),
        loads(&settings).filter(|_| settings.own_partition_load.is_none()),
        assignors(&settings),
        OffsetQueries::rebalances(&settings),
    ])
}

/// The queries about the members of several consumer groups, as exporters outside the pods name them: a pod or an address. Which
/// pod has an address is asked apart, so that one address that two pods show spoils no answer about the others.
///
/// Lag and messages per second by `MEMBER/GROUP`; [`LOAD`], and any value for who owns what ([`OWNED`]), by
/// `MEMBER/TOPIC/PARTITION/GROUP`; the names end in [`OF_MEMBERS`]. [`ADDRESSES`], where members are addresses. None where the preset
/// does not read named members.
pub(crate) fn member_queries(
    preset: KafkaPreset,
    groups: Reach,
    settings: &QuerySettings,
) -> Option<Queries> {
    let settings = &QuerySettings { groups, preset, ..settings.clone() };
    let (named, group) = (preset.named_members()?, preset.exporter()?.group);
    let member = if preset == KafkaPreset::ClientId { "pod" } else { "pod_ip" };
    let each = |series: &str| preset.by_member(series, &format!("topic, partition, {group}"));
    let summed = |metric: Metric, series: &str| {
        let sums = format!("sum by ({member}, {group}) ({})", each(series));
        let is_own = settings.own[metric].is_some();
        (!is_own).then(|| placed(&of_members(metric.name()), &sums, "/", &[member, group]))
    };
    let partitions = |name: &str, series: &str| {
        placed(&of_members(name), &each(series), "/", &[member, "topic", "partition", group])
    };
    let lag = preset.group_lag(named, settings).ok()?;
    let newest = newest(&format!("{lag} >= 0"), &lag, &format!("topic, partition, {group}"), settings);
    let loads = preset.group_rate("", settings).ok()?;
    Some(by_name([
        summed(Metric::Lag, &newest),
        summed(Metric::Rate, &preset.group_rate(named, settings).ok()?),
        Some(partitions(LOAD, &loads)).filter(|_| settings.own_partition_load.is_none()),
        Some(partitions(OWNED, &fresh(&lag, &lag, settings))),
        (preset != KafkaPreset::ClientId).then(|| addresses(settings)),
    ]))
}

/// Name of the question for addresses.
pub(crate) const ADDRESSES: &str = "addresses of pods";

/// Asks for the addresses of the pods in reach, by `NAMESPACE/POD/ADDRESS`.
pub(crate) fn addresses(settings: &QuerySettings) -> MetricQuery {
    placed(ADDRESSES, &running_pods(settings), "/", &["namespace", "pod", "pod_ip"])
}

/// The name of a query about members.
pub(crate) fn of_members(name: &str) -> String {
    format!("{name}{OF_MEMBERS}")
}

/// What the names of queries about members end in.
pub(crate) const OF_MEMBERS: &str = " of members";

/// Label of an answer that names the part of the query to which a row belongs, and what tells the row from others of the part.
pub(crate) const ROW_LABEL: &str = "row_of_part";

/// A query as a part of one that has several, with `tag` and these labels in the label [`ROW_LABEL`].
pub(crate) fn tagged(promql: &str, tag: usize, labels: &[&str]) -> String {
    // A user's own query may end in a comment.
    let promql = if promql.contains('#') { format!("\n{promql}\n") } else { promql.to_owned() };
    let tagged = format!("label_replace({promql}, \"query_part\", \"{tag}\", \"\", \"\")");
    joined(&tagged, ROW_LABEL, "/", &[&["query_part"], labels].concat())
}

/// The series with one label for the client: JMX rules write `clientid`.
fn one_client_label(series: &str) -> String {
    format!(r#"label_replace({series}, "client_id", "$1", "clientid", "(.+)")"#)
}

/// The series with namespace, pod and these labels in one.
fn by_place(name: &str, series: &str, more: &[&str], settings: &QuerySettings) -> MetricQuery {
    // The label `pod` of the agent's series has the namespace already, where several are meant.
    let is_place = settings.preset == KafkaPreset::OtelJava && settings.reach != Reach::One;
    let labels = if is_place { &["pod"][..] } else { &["namespace", "pod"] };
    let query = placed(name, series, "/", &[labels, more].concat());
    let once = format!("max by ({PLACE_LABEL}) ({})", query.promql);
    if more.is_empty() { query } else { MetricQuery { promql: once, ..query } }
}

/// The series with these labels in one.
pub(super) fn placed(name: &str, series: &str, between: &str, labels: &[&str]) -> MetricQuery {
    MetricQuery::new(name, joined(series, PLACE_LABEL, between, labels)).with_pod_label(PLACE_LABEL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Matchers;

    fn settings(reach: Reach) -> QuerySettings {
        QuerySettings { reach, ..QuerySettings::new("shop") }
    }

    #[test]
    fn a_joint_query_selects_the_namespaces_and_joins_the_place() {
        let several = settings(Reach::Several(vec!["a.b".to_owned(), "c".to_owned()]));
        let clients = client_queries(KafkaPreset::Micrometer, &several);
        let containers = container_queries(&several).into_iter().map(|(_, query)| query);
        for query in containers.chain([clients["lag"].clone(), clients["rate"].clone()]) {
            assert!(query.promql.contains(r#"namespace=~"a\\.b|c""#), "{}", query.promql);
            assert!(query.promql.ends_with(r#", "place", "/", "namespace", "pod")"#), "{}", query.promql);
            assert_eq!((query.pod_label.as_str(), &query.namespace), ("place", &None));
        }
        let owned = &clients[OWNED].promql;
        assert!(owned.contains(r#""namespace", "pod", "topic", "partition", "client_id")"#), "{owned}");
        let all = settings(Reach::All);
        assert!(container_queries(&all)[0].1.promql.contains(r#"{namespace!="""#));
        assert!(client_queries(KafkaPreset::None, &all).is_empty());
    }

    #[test]
    fn what_is_the_users_own_or_of_one_group_is_not_asked_of_all_clients() {
        let mut own = settings(Reach::One);
        own.own.cpu = Some("up".to_owned());
        own.group = Some("g".to_owned());
        assert!(container_queries(&own).iter().any(|(metric, _)| *metric == Metric::Memory));
        assert!(container_queries(&own).iter().all(|(metric, _)| *metric != Metric::Cpu));
        let clients = client_queries(KafkaPreset::KafkaExporter, &own);
        assert!(!clients.contains_key("lag"), "an exporter tells the lag of a group");
        assert!(clients.contains_key("rate") && clients.contains_key(ASSIGNED), "which the clients tell");
        let agents = |reach| client_queries(KafkaPreset::OtelJava, &settings(reach))["lag"].clone();
        assert!(agents(Reach::One).promql.ends_with(r#", "namespace", "pod")"#));
        assert!(agents(Reach::All).promql.ends_with(r#", "place", "/", "pod")"#));
    }

    #[test]
    fn groups_are_selected_together_and_told_apart_by_their_places() {
        let groups = Reach::of_groups(["a.b", "c"], &Matchers::default());
        let queries = group_queries(KafkaPreset::Micrometer, groups, &settings(Reach::All));
        let committed = &queries["offset_committed"].promql;
        for label in ["consumergroup", "group_id", "consumer_group"] {
            assert!(committed.contains(&format!(r#"{label}=~"a\\.b|c""#)), "{committed}");
        }
        let many: Vec<String> = (0..200).map(|number| format!("a-group-of-{number}")).collect();
        assert_eq!(Reach::of_groups(many.iter().map(String::as_str), &Matchers::default()), Reach::All);
    }

    #[test]
    fn members_are_told_apart_by_group() {
        let settings = QuerySettings::new("shop");
        let groups = || Reach::of_groups(["g", "h"], &settings.matchers);
        let of = |preset| member_queries(preset, groups(), &settings);
        let by_ip = of(KafkaPreset::KlagIp).expect("queries");
        let lag = &by_ip["lag of members"].promql;
        assert!(lag.contains(r#"consumer_group=~"g|h", member_host!="""#), "{lag}");
        assert!(lag.contains("topk by (topic, partition, consumer_group)"), "{lag}");
        assert!(lag.ends_with(r#""place", "/", "pod_ip", "consumer_group")"#), "{lag}");
        assert!(by_ip.contains_key(ADDRESSES));
        let by_client = of(KafkaPreset::ClientId).expect("queries");
        assert!(!by_client.contains_key(ADDRESSES));
        assert_eq!(of(KafkaPreset::Micrometer), None);
    }
}
