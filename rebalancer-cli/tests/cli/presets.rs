//! `METRICS_PRESET=auto`: preset and group are found by the series of the metrics server, and said.

use rebalancer_sim::apiserver::Fleet;
use serde_json::{Value, json};

use crate::program::Done;
use crate::servers::{BUSIEST, Servers};

const AUTO: (&str, &str) = ("METRICS_PRESET", "auto");

/// The questions, by a part of each.
const KNOWN: &str = "count by (series)";
const TOPICS: &str = "count by (pod, topic, client_id, clientid)";
const BY_TOPIC: &str = "count by (group_id, topic_name)";

/// An answer with these labels.
fn vector(series: &[Value]) -> String {
    let series = series.iter().map(|labels| json!({"metric": labels, "value": [1_795_410_000, "3"]}));
    json!({"status": "success", "data": {"resultType": "vector", "result": series.collect::<Vec<Value>>()}})
        .to_string()
}

fn known(names: &[&str]) -> String {
    vector(&names.iter().map(|name| json!({ "series": name })).collect::<Vec<Value>>())
}

fn found(done: &Done) -> Vec<String> {
    let found = done.json()["workload"]["found"].as_array().cloned().unwrap_or_default();
    let text = |found: &Value, key: &str| found[key].as_str().unwrap_or_default().to_owned();
    found.iter().map(|found| format!("{}={}", text(found, "setting"), text(found, "value"))).collect()
}

/// Clients in the pods, and kminion beside them, which knows the groups of a topic.
fn beside_kminion(groups: &[&str]) -> Servers {
    let servers = Servers::start();
    let names =
        ["kafka_consumer_fetch_manager_records_lag", "kminion_kafka_consumer_group_topic_partition_lag"];
    servers.metrics.answer_queries_with(KNOWN, known(&names));
    servers.metrics.answer_queries_with(
        TOPICS,
        vector(&[json!({"pod": BUSIEST, "topic": "orders_eu", "client_id": "c"})]),
    );
    let groups = groups.iter().map(|group| json!({"group_id": group, "topic_name": "orders.eu"}));
    servers.metrics.answer_queries_with(BY_TOPIC, vector(&groups.collect::<Vec<Value>>()));
    servers
}

#[test]
fn the_preset_is_found_by_one_query_and_said() {
    let servers = Servers::start();
    let set = servers.run(&["plan"], &[]).json();
    let asked = servers.metrics.requests().len();
    let done = servers.run(&["plan"], &[AUTO]);
    assert_eq!(found(&done), ["METRICS_PRESET=micrometer"], "{done}");
    assert_eq!(done.json()["targets"], set["targets"], "it decides as the preset that is set");
    assert_eq!(servers.metrics.requests().len(), 2 * asked + 1, "one query more");
    let done = servers.run(&["plan"], &[AUTO, ("OUTPUT", "table")]);
    assert!(done.stdout.starts_with("Found: METRICS_PRESET=micrometer"), "{done}");
    let done = servers.run(&["check"], &[AUTO, ("OUTPUT", "table")]);
    assert!(done.stdout.contains("METRICS_PRESET=micrometer was found"), "{done}");
}

#[test]
fn without_series_of_kafka_the_cpu_decides() {
    let servers = Servers::start();
    servers.metrics.answer_queries_with(KNOWN, known(&[]));
    let done = servers.run(&["plan"], &[AUTO]);
    assert_eq!(found(&done), ["METRICS_PRESET=none"], "{done}");
    assert_eq!(done.json()["statistics"]["lag"], Value::Null, "{done}");
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn the_only_group_that_reads_the_topics_of_the_pods_is_theirs() {
    let done = beside_kminion(&["orders"]).run(&["plan"], &[AUTO]);
    assert_eq!(found(&done), ["METRICS_PRESET=micrometer", "KAFKA_GROUP=orders"], "{done}");
    let done = beside_kminion(&["orders"]).run(&["plan"], &[AUTO, ("KAFKA_GROUP", "mine")]);
    assert_eq!(found(&done), ["METRICS_PRESET=micrometer"], "what is set is not looked for: {done}");
}

#[test]
fn of_several_groups_none_is_chosen() {
    let servers = beside_kminion(&["audit", "orders"]);
    let done = servers.run(&["plan"], &[AUTO]);
    assert_eq!(found(&done), ["METRICS_PRESET=micrometer"], "{done}");
    let warnings = done.json()["warnings"].to_string();
    assert!(warnings.contains("none is chosen: audit, orders; set KAFKA_GROUP"), "{done}");
    let done = servers.run(&["check"], &[AUTO, ("OUTPUT", "table")]);
    assert!(done.stdout.contains("audit, orders"), "{done}");
}

/// klag, which tells that a group has a member in each of these pods, or one with this name, and how many members it has.
fn beside_klag(servers: Servers, members: &[Value], counts: &[(&str, u32)]) -> Servers {
    servers.metrics.answer_queries_with(KNOWN, known(&["klag_consumer_lag"]));
    let (by_pod, by_client): (Vec<Value>, Vec<Value>) =
        members.iter().cloned().partition(|member| member.get("pod").is_some());
    servers.metrics.answer_queries_with("count by (consumer_group, pod)", vector(&by_pod));
    servers.metrics.answer_queries_with("count by (consumer_group, client_id)", vector(&by_client));
    let counts = counts.iter().map(|(group, count)| {
        json!({"metric": {"consumer_group": group}, "value": [1_795_410_000, count.to_string()]})
    });
    let counts: Vec<Value> = counts.collect();
    let counts = json!({"status": "success", "data": {"resultType": "vector", "result": counts}});
    servers.metrics.answer_queries_with("count by (consumer_group) (", counts.to_string());
    servers
}

fn found_group(servers: &Servers) -> Done {
    servers.run(&["config", "found"], &[AUTO, ("OUTPUT", "table")])
}

/// Without clients in the pods, an exporter that names members tells preset and group.
#[test]
fn an_exporter_whose_members_are_the_pods_is_taken() {
    let pods = Servers::start().pods();
    let member = |group: &str, pod: &str| json!({"consumer_group": group, "pod": pod});
    let half = |group: &str| pods.iter().take(pods.len().div_ceil(2)).map(|pod| member(group, pod)).collect();
    let mut members: Vec<Value> = half("orders");
    members.extend([member("other", "other-0"), member("console-consumer-7", BUSIEST)]);
    let done = found_group(&beside_klag(Servers::start(), &members, &[]));
    assert!(done.stdout.contains("METRICS_PRESET=klag-ip\nKAFKA_GROUP=orders\n"), "{done}");

    members.extend::<Vec<Value>>(half("audit"));
    let servers = beside_klag(Servers::start(), &members, &[]);
    let done = servers.run(&["run", "--yes"], &[AUTO]);
    assert!(done.assert_one_error(64).contains("needs KAFKA_GROUP, which is not clear"), "{done}");
    servers.assert_untouched();
}

/// The pods of a stateful set of another namespace have the same names.
#[test]
fn a_name_that_ends_in_a_number_names_no_pod() {
    let theirs = json!({"consumer_group": "orders", "client_id": format!("{BUSIEST}-1")});
    let done = found_group(&beside_klag(Servers::start(), &[theirs], &[("orders", 1)]));
    assert!(done.stdout.contains("METRICS_PRESET=client-id\nKAFKA_GROUP=orders\n"), "{done}");

    let pods = ["orders-consumer-0", "orders-consumer-1"];
    let fleet = Fleet { namespace: "tiny".to_owned(), ..Fleet::named("orders-consumer", &pods) };
    let numbered = json!({"consumer_group": "orders", "client_id": "orders-consumer-0-1"});
    let done = found_group(&beside_klag(Servers::over(fleet), &[numbered], &[("orders", 1)]));
    assert!(done.stdout.contains("METRICS_PRESET=none\n"), "{done}");
}

/// With fewer partitions than pods, an exporter tells of few members. A pod of another workload at the address of one of
/// them proves nothing.
#[test]
fn a_group_is_that_of_few_pods_only_if_it_has_few_members() {
    for (count, is_theirs) in [(1, true), (2, true), (3, false)] {
        let met = json!({"consumer_group": "orders", "pod": BUSIEST});
        let done = found_group(&beside_klag(Servers::start(), &[met], &[("orders", count)]));
        assert_eq!(done.stdout.contains("KAFKA_GROUP=orders\n"), is_theirs, "{count}: {done}");
    }
}

#[test]
fn a_lost_answer_is_no_answer_without_series() {
    let servers = Servers::start();
    servers
        .metrics
        .answer_queries_with(KNOWN, r#"{"status":"error","errorType":"timeout","error":"too slow"}"#);
    let done = servers.run(&["run", "--yes"], &[AUTO]);
    assert!(done.assert_one_error(1).contains("METRICS_PRESET=auto"), "{done}");
    servers.assert_untouched();
}

/// What asks about no load needs no query of it.
#[test]
fn a_workload_without_pods_is_found_whatever_its_own_queries_need() {
    let servers = Servers::start();
    let none = ("KUBE_LABEL_SELECTOR", "app=nothing");
    let cpu = ("QUERY_CPU", "max by (pod) (cpu{pod=~\"{{pods_regex}}\"})");
    let done = servers.run(&["config", "found"], &[AUTO, none, cpu, ("OUTPUT", "table")]);
    assert!(done.code == Some(0) && done.stdout.contains("KUBE_LABEL_SELECTOR=app=nothing"), "{done}");
    let veto = ("VETO_QUERY", "deploys{pod=~\"{{pods_regex}}\"}");
    let done = servers.run(&["history", "--from", "1d"], &[none, veto]);
    assert_eq!(done.code, Some(0), "{done}");
}
