//! A look at all workloads against real metric servers: its joint queries give each workload the verdict of `plan`.

use e2e::{Finished, Fleet, MetricServer, Release, Series, on_each_metric_server, pod_rebalancer};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};
use serde_json::Value;

on_each_metric_server!(every_workload_has_the_verdict_of_plan);

/// The workloads, each with its name: two of one name and with pods of one name, and one whose name begins as another.
fn fleets() -> Vec<(&'static str, Fleet)> {
    vec![
        ("orders", Fleet::even("streams", "orders", 12).busiest(7).least_busy(3)),
        ("orders-api", Fleet::even("streams", "orders-api", 4)),
        ("orders", Fleet::even("billing", "orders", 6)),
        ("pair", Fleet::even("billing", "pair", 2)),
    ]
}

fn every_workload_has_the_verdict_of_plan(release: Release) {
    let fleets = fleets();
    // What exporters outside of the pods tell is of one group, and has the same labels for each fleet.
    let names_a_pod = |series: &Series| series.labels.iter().any(|(label, _)| label == "pod");
    let series: Vec<Series> =
        fleets.iter().flat_map(|(_, fleet)| fleet.series().filter(names_a_pod)).collect();
    let server = MetricServer::filled(release, series, &[]);
    let workloads = fleets.iter().map(|(name, fleet)| {
        let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
        Workload { namespace: fleet.namespace.clone(), ..Workload::named(name, &names) }
    });
    let cluster = ApiServer::start_all(workloads.collect());
    let scan = program(&cluster, &server, &["scan", "--all-namespaces", "--details"]);
    assert_eq!(scan.code, Some(0), "{scan}");
    let report = scan.json();
    let rows = report["workloads"].as_array().expect("rows");
    assert_eq!(rows.len(), fleets.len(), "{scan}");
    assert_eq!((&rows[0]["namespace"], &rows[0]["name"]), (&"streams".into(), &"orders".into()), "{scan}");
    for row in rows {
        let text = |key: &str| row[key].as_str().unwrap_or_default().to_owned();
        let target = format!("deployment/{}", text("name"));
        let plan = program(&cluster, &server, &["plan", &target, "--namespace", &text("namespace")]);
        assert_same(&row["report"], &plan.json(), &target);
    }
    // The preset, four loads, the origin and the number of partitions; for each of four workloads its group; then for the
    // one over a threshold three histories, lead, owners, who owns what and how much, and the windows of its last
    // replacement; and for the others lead and owners.
    let asked = report["requests"]["prometheus"].as_u64().unwrap_or_default();
    assert!((14..=30).contains(&asked), "each joint query is answered: {asked} requests");
}

/// Two reports of one workload, a moment apart.
fn assert_same(scanned: &Value, planned: &Value, target: &str) {
    for part in ["outcome", "should_rebalance", "targets", "outliers", "coverage", "obstacles"] {
        assert_eq!(scanned[part], planned[part], "{target}: {part}");
    }
    let guards = |report: &Value| -> Vec<Value> {
        let all = report["guards"].as_array().into_iter().flatten();
        all.flat_map(|guard| [guard["name"].clone(), guard["verdict"].clone()]).collect()
    };
    assert_eq!(guards(scanned), guards(planned), "{target}");
    assert_eq!(scanned["diagnosis"]["cause"]["code"], planned["diagnosis"]["cause"]["code"], "{target}");
    assert_eq!(scanned["diagnosis"]["remedy"], planned["diagnosis"]["remedy"], "{target}");
    for metric in ["cpu", "memory", "lag", "rate"] {
        let cv = |report: &Value| report["statistics"][metric]["cv"].as_f64();
        match (cv(scanned), cv(planned)) {
            (Some(one), Some(other)) => {
                assert!((one - other).abs() < 1e-3, "{target}: {metric} {one} {other}");
            }
            (one, other) => assert_eq!(one, other, "{target}: {metric}"),
        }
    }
}

fn program(cluster: &ApiServer, server: &MetricServer, arguments: &[&str]) -> Finished {
    let mut command = pod_rebalancer(arguments);
    command
        .args(["--output", "json", "--kubeconfig"])
        .arg(cluster.kubeconfig_path())
        .env("PROMETHEUS_ENDPOINT", server.url());
    Finished::of(&mut command)
}
