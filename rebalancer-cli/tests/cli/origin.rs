//! Whose series a run acts on: what two clusters have under one name is nobody's load.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fleets::{Fleets, QUERIES_OF_A_SCAN, Spec, rows, told};
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

/// One answer names so many things at most. Where all of them are of pods that were replaced, others may be left out of it.
#[test]
fn a_scan_looks_at_each_workload_where_one_answer_has_no_room_for_all() {
    const CPU: &str = "container_cpu_usage_seconds_total";
    let many = Spec::stateful_set("shop", "many", vec![0.5; 60]);
    let fleets = Fleets::of(&[many, Spec::deployment("shop", "orders", vec![0.5; 4])]);
    // As times, the values lie before the creation of every pod, or after it.
    let replaced = (0..500)
        .flat_map(|thing| pair("shop", &format!("many-{}", thing % 50), &format!("app-{thing}"), 1e9, 7.0));
    fleets.metrics.answer_queries_with("topk(", vector(&replaced.collect::<Vec<Value>>()));
    let of_orders = "pod=~\"orders-.+\", container!=\"\", container!=\"POD\"}";
    fleets.metrics.answer_queries_with(of_orders, vector(&pair("shop", "orders-0", "app", 4e9, 7.0)));
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
    fleets.metrics.answer_queries_with("topk(", vector(&pair("shop", "ledger-0", "app", 4e9, 7.0)));
    let several = json!({"metric": {"metric": CPU}, "value": [1_795_410_000, "2"]});
    fleets.metrics.answer_queries_with("max(count by", vector(&[several]));
    let done = fleets.run(&["scan", "-A"], &[]);
    let mut told = told(&done);
    told.sort();
    let expected =
        ["bank/ledger balanced", "shop/ledger null", "shop/orders balanced", "shop/orders-api balanced"];
    assert_eq!(told, expected, "{done}");
    let of_sources = "as ever, and three more about all";
    assert_eq!(done.json()["requests"]["prometheus"], QUERIES_OF_A_SCAN + 3, "{of_sources}: {done}");
}

/// A pair of series of a container in two clusters, with values that are so many tolerances apart.
fn pair(namespace: &str, pod: &str, container: &str, value: f64, apart: f64) -> [Value; 2] {
    [("eu-1", value), ("us-1", value + apart)].map(|(cluster, value)| {
        let labels = json!({"namespace": namespace, "pod": pod, "container": container, "cluster": cluster});
        json!({"metric": labels, "value": [1_795_410_000, value.to_string()]})
    })
}

/// Two clusters with workloads of the same names. More of them are looked at by as many queries, and refused as `plan` does.
#[test]
fn a_scan_tells_of_every_workload_that_two_clusters_have_by_a_fixed_number_of_queries() {
    const CPU: &str = "container_cpu_usage_seconds_total";
    for count in [3, 30] {
        let names = (0..count).map(|number| format!("ledger-of-{number}").leak() as &'static str);
        let names: Vec<&str> = names.collect();
        let specs = names.iter().map(|name| Spec::stateful_set("shop", name, vec![0.5; 3]));
        let fleets = Fleets::of(&specs.collect::<Vec<Spec>>());
        let several = json!({"metric": {"metric": CPU}, "value": [1_795_410_000, "2"]});
        fleets.metrics.answer_queries_with("max(count by", vector(&[several]));
        // The third of each is within the tolerance.
        let pairs = |name: &str| -> Vec<Value> {
            let pods = [(0, 3.0), (1, 9.0), (2, 0.5)];
            pods.iter()
                .flat_map(|(pod, apart)| pair("shop", &format!("{name}-{pod}"), "app", 4e9, *apart))
                .collect()
        };
        let all: Vec<Value> = names.iter().flat_map(|name| pairs(name)).collect();
        fleets.metrics.answer_queries_with("topk(", vector(&all));
        let scan = fleets.run(&["scan"], &[]);
        assert_eq!(scan.json()["requests"]["prometheus"], QUERIES_OF_A_SCAN + 3, "{scan}");
        assert_eq!(rows(&scan).len(), count, "{scan}");
        for name in names.iter().take(3) {
            let of_one = format!(
                "by (namespace, pod, container, cpu) (rate({CPU}{{namespace=\"shop\", pod=~\"{name}-.+\""
            );
            fleets.metrics.answer_queries_with(&of_one, vector(&pairs(name)));
            let plan = fleets.run(&["plan", &format!("statefulset/{name}")], &[]);
            let row = rows(&scan).into_iter().find(|row| row["name"] == *name).expect("a row");
            let why = row["reason"].as_str().unwrap_or_default();
            assert!(why.contains(&format!("{name}-0")) && why.contains("\"us-1\""), "{row}");
            assert!(plan.assert_one_error(1).contains(why), "{why}: {plan}");
        }
    }
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
