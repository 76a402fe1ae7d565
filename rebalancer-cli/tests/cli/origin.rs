//! Whose series a run acts on: what two clusters have under one name is nobody's load.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleets::{Fleets, Spec, rows, told};
use crate::program::{Done, run};
use crate::servers::{BUSIEST, Servers};

fn vector(rows: &[Value]) -> String {
    json!({"status": "success", "data": {"resultType": "vector", "result": rows}}).to_string()
}

/// A server that has a pod's CPU once for each of these values of `label`, and values that are this many
/// tolerances apart.
fn servers(label: &str, apart: f64) -> Servers {
    const CPU: &str = "container_cpu_usage_seconds_total";
    let servers = Servers::start();
    let row = |place: &str, value: f64| {
        let labels = json!({"namespace": "tiny", "pod": BUSIEST, "container": "app", label: place});
        json!({"metric": labels, "value": [1_795_410_000, value.to_string()]})
    };
    // As times, they lie after the creation of every pod.
    let rows = [row("eu-1", 4e9), row("us-1", 4e9 + apart)];
    servers.metrics.answer_queries_with("topk(", vector(&rows));
    let several = json!({"metric": {"metric": CPU}, "value": [1_795_410_000, "2"]});
    servers.metrics.answer_queries_with("max(count by", vector(&[several]));
    servers
}

fn assert_refused(done: &Done) {
    assert_eq!(done.code, Some(1), "{done}");
    let said = format!("{}{}", done.stdout, done.stderr).replace('\\', "");
    for part in [
        "cannot tell whose series these are",
        BUSIEST,
        "cluster",
        "\"eu-1\"",
        "\"us-1\"",
        "PROMETHEUS_MATCHERS",
    ] {
        assert!(
            said.contains(part) || part.starts_with("cannot") && said.contains("whose series"),
            "{part}: {done}"
        );
    }
}

#[test]
fn series_of_two_clusters_are_refused_by_run_plan_and_check() {
    let servers = servers("cluster", 7.0);
    for guards in ["standard", "off"] {
        for command in [&["run", "--yes"][..], &["plan"], &["check"]] {
            assert_refused(&servers.run(command, &[("GUARDS", guards)]));
        }
    }
    servers.assert_untouched();
}

#[test]
fn series_of_two_replicas_are_one() {
    let servers = servers("cluster_of_replicas", 0.5);
    let done = servers.run(&["plan"], &[("GUARDS", "off")]);
    assert_eq!(done.json()["outcome"], "planned", "{done}");
    let done = servers.run(&["check"], &[]);
    assert!(done.stdout.contains("the series of each pod come from one source"), "{done}");
}

/// One answer names fifty things at most. Where all of them are pods that were replaced, others may be left out of it.
#[test]
fn a_scan_looks_at_each_workload_where_one_answer_has_no_room_for_all() {
    const CPU: &str = "container_cpu_usage_seconds_total";
    let many = Spec::stateful_set("shop", "many", vec![0.5; 60]);
    let fleets = Fleets::of(&[many, Spec::deployment("shop", "orders", vec![0.5; 4])]);
    let pair = |pod: &str, value: f64| {
        [("eu-1", value), ("us-1", value + 7.0)].map(|(cluster, value)| {
            let labels = json!({"namespace": "shop", "pod": pod, "container": "app", "cluster": cluster});
            json!({"metric": labels, "value": [1_795_410_000, value.to_string()]})
        })
    };
    // As times, the values lie before the creation of every pod, or after it.
    let replaced: Vec<Value> = (0..50).flat_map(|pod| pair(&format!("many-{pod}"), 1e9)).collect();
    fleets.metrics.answer_queries_with("topk(", vector(&replaced));
    let of_orders = "pod=~\"orders-.+\", container!=\"\", container!=\"POD\"}";
    fleets.metrics.answer_queries_with(of_orders, vector(&pair("orders-0", 4e9)));
    let several = json!({"metric": {"metric": CPU}, "value": [1_795_410_000, "2"]});
    fleets.metrics.answer_queries_with("max(count by", vector(&[several]));
    let done = fleets.run(&["scan"], &[]);
    let row = |name: &str| rows(&done).into_iter().find(|row| row["name"] == name).expect("a row");
    assert_eq!(row("many")["outcome"], "balanced", "{done}");
    assert_eq!(row("orders")["outcome"], Value::Null, "{done}");
    let why = row("orders")["reason"].to_string();
    assert!(why.contains("sources disagree") && why.contains("orders-0"), "{why}");
}

/// The answer about all names every pod that several sources have, so that no other workload has to be asked about alone.
#[test]
fn a_scan_looks_only_at_those_workloads_whose_series_are_in_doubt() {
    const CPU: &str = "container_cpu_usage_seconds_total";
    let specs = ["orders", "orders-api", "ledger"].map(|name| Spec::deployment("shop", name, vec![0.5; 4]));
    let fleets = Fleets::of(&[&specs[..], &[Spec::deployment("bank", "ledger", vec![0.5; 4])]].concat());
    let pair = [("eu-1", 4e9), ("us-1", 4e9 + 7.0)].map(|(cluster, value)| {
        let labels = json!({"namespace": "shop", "pod": "ledger-0", "container": "app", "cluster": cluster});
        json!({"metric": labels, "value": [1_795_410_000, value.to_string()]})
    });
    fleets.metrics.answer_queries_with("topk(", vector(&pair));
    let several = json!({"metric": {"metric": CPU}, "value": [1_795_410_000, "2"]});
    fleets.metrics.answer_queries_with("max(count by", vector(&[several]));
    let done = fleets.run(&["scan", "-A"], &[]);
    let mut told = told(&done);
    told.sort();
    let expected =
        ["bank/ledger balanced", "shop/ledger null", "shop/orders balanced", "shop/orders-api balanced"];
    assert_eq!(told, expected, "{done}");
    let of_sources = "seven as ever, three more about all, and four about the one in doubt";
    assert_eq!(done.json()["requests"]["prometheus"], 14, "{of_sources}: {done}");
}

/// A recording holds what was answered, and is refused as the run was.
#[test]
fn a_recorded_refusal_is_one_when_it_is_replayed() {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    let path = file.to_str().expect("a path of ours");
    let refused = servers("cluster", 7.0).run(&["record", path], &[]);
    assert_refused(&refused);
    assert_refused(&run(&["replay", path], &[]));
    let done = servers("replica", 0.5).run(&["record", path], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(run(&["replay", path], &[]).code, Some(0));
    assert!(fs::read_to_string(path).expect("a recording").contains("\"sources\""));
    // All their labels may be names.
    let done = servers("replica", 0.5).run(&["record", "--redact", path], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(!fs::read_to_string(path).expect("a recording").contains("sources"));
}

#[test]
fn matchers_are_asked_for_and_own_queries_without_them_are_told() {
    let servers = Servers::start();
    let own = "max by (pod) (memory{pod=~\"{{pods_regex}}\"})";
    let env = [("PROMETHEUS_MATCHERS", "cluster=\"eu-1\""), ("QUERY_MEMORY", own)];
    let done = servers.run(&["check"], &env);
    assert!(done.stdout.contains("QUERY_MEMORY has no {{matchers}}"), "{done}");
    assert!(!done.stdout.contains("QUERY_CPU"), "{done}");
    let asked = servers.metrics.requests();
    let of_cpu = asked.iter().map(|request| String::from_utf8_lossy(&request.body).into_owned());
    let of_cpu: Vec<String> = of_cpu.filter(|body| body.contains("container_cpu_usage")).collect();
    assert!(!of_cpu.is_empty());
    for body in of_cpu {
        assert!(body.contains("cluster%3D%22eu-1%22") && body.contains("orders-consumer-.%2B"), "{body}");
    }
}

/// Pods of other workloads are no news.
#[test]
fn samples_of_other_workloads_are_passed_over_in_silence() {
    let servers = Servers::start();
    let others: Vec<Value> = (0..5)
        .map(|pod| json!({"metric": {"namespace": "tiny", "pod": format!("orders-consumer-api-{pod}")}, "value": [1_795_410_000, "1"]}))
        .collect();
    servers.metrics.answer_queries_with("memory_working_set", vector(&others));
    let done = servers.run(&["plan"], &[("GUARDS", "off")]);
    assert!(!done.stdout.contains("not alive") && !done.stderr.contains("not alive"), "{done}");
}
