//! A run over all workloads that opted in, against real metric servers: the ill are cured first, each by settings of its own,
//! and what is even, idle or has not opted in is left alone.

use std::time::Duration;

use e2e::{Finished, Fleet, Level, MetricServer, Release, Series, on_each_metric_server, pod_rebalancer};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};
use serde_json::{Value, json};

on_each_metric_server!(the_ill_are_cured_first_and_the_others_left_alone);

const CASE: usize = 7;

/// A workload, its loads, and its annotations below `pod-rebalancer/`.
type Case = (&'static str, Fleet, Vec<(&'static str, &'static str)>);

fn cases() -> Vec<Case> {
    let even = |namespace: &str, name: &str, pods: usize| Fleet {
        history: Duration::from_secs(2 * 3600),
        ..Fleet::even(namespace, name, pods)
    };
    let sick = |namespace: &str, name: &str| {
        let mut fleet = even(namespace, name, 12);
        fleet.pods[CASE].cpu = Some(Level::from(0.8));
        fleet
    };
    let mut stuck = even("billing", "stuck", 12);
    stuck.pods[CASE].stuck = Some(Duration::from_secs(30 * 60));
    let mut idle = even("shop", "idle", 6);
    for (position, pod) in idle.pods.iter_mut().enumerate() {
        let load = 1.0 + position as f64;
        (pod.cpu, pod.rate) = (Some(Level::from(0.001 * load)), Some(Level::from(1.6 * load)));
        pod.lag = Some(Level::from(3.0 * load));
    }
    let opted_in = ("enabled", "true");
    vec![
        ("sick", sick("streams", "sick"), vec![opted_in]),
        ("stuck", stuck, vec![opted_in, ("metrics-preset", "kafka-exporter"), ("kafka-group", "orders")]),
        ("even", even("streams", "even", 8), vec![opted_in]),
        ("idle", idle, vec![opted_in]),
        ("pair", even("shop", "pair", 2), vec![opted_in]),
        ("wrong", sick("shop", "wrong"), vec![opted_in, ("cooldown", "soon")]),
        ("apart", sick("streams", "apart"), Vec::new()),
    ]
}

fn the_ill_are_cured_first_and_the_others_left_alone(release: Release) {
    let cases = cases();
    // What exporters outside of the pods tell has the same labels for each fleet: one alone has such series.
    let is_told = |name: &str, series: &Series| {
        name == "stuck" || series.labels.iter().any(|(label, _)| label == "pod")
    };
    let series =
        cases.iter().flat_map(|(name, fleet, _)| fleet.series().filter(|series| is_told(name, series)));
    let server = MetricServer::filled(release, series.collect::<Vec<Series>>(), &[]);
    let ill = |number: usize| format!("{}/{}", cases[number].1.namespace, cases[number].1.pods[CASE].name);
    for (limit, cured) in [("1", vec![ill(0)]), ("2", vec![ill(0), ill(1)]), ("9", vec![ill(0), ill(1)])] {
        let cluster = cluster(&cases);
        let run = program(&cluster, &server, limit);
        assert_eq!(evictions(&cluster), cured, "at most {limit}: {run}");
        assert_eq!(run.code, Some(64), "an annotation is wrong: {run}");
        let report = run.json();
        assert_eq!(report["run"]["rotations"], cured.len(), "{run}");
        assert_eq!(report["run"]["not_opted_in"], 1, "{run}");
        let row = |name: &str| -> Value {
            let mut rows = report["workloads"].as_array().into_iter().flatten();
            rows.find(|row| row["name"] == name).cloned().unwrap_or_else(|| panic!("no row {name}: {run}"))
        };
        let found = [row("sick")["cause"].clone(), row("stuck")["cause"].clone()];
        assert_eq!(found, ["sick_pod", "stuck_partition"], "{run}");
        let second = if limit == "1" { "withheld" } else { "rotated" };
        let expected = [
            ("sick", json!("rotated")),
            ("stuck", json!(second)),
            ("even", json!("balanced")),
            ("pair", json!("insufficient_data")),
            ("wrong", Value::Null),
        ];
        for (name, outcome) in expected {
            assert_eq!(row(name)["outcome"], outcome, "{name}: {run}");
        }
        assert_ne!(row("idle")["outcome"], "rotated", "{run}");
        assert!(row("wrong")["reason"].to_string().contains("pod-rebalancer/cooldown"), "{run}");
    }
}

/// A cluster with these pods, two days old.
fn cluster(cases: &[Case]) -> ApiServer {
    let workloads = cases.iter().map(|(name, fleet, annotations)| {
        let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
        let annotation =
            |(name, value): &(&str, &str)| (format!("pod-rebalancer/{name}"), (*value).to_owned());
        Workload {
            namespace: fleet.namespace.clone(),
            annotations: annotations.iter().map(annotation).collect(),
            ..Workload::named(name, &names)
        }
    });
    ApiServer::start_all(workloads.collect())
}

/// What the API server was asked to evict for real, as `NAMESPACE/POD`.
fn evictions(cluster: &ApiServer) -> Vec<String> {
    let asked = cluster.requests().into_iter().filter(|request| {
        request.path().ends_with("/eviction")
            && request.query("dryRun").is_none()
            && !String::from_utf8_lossy(&request.body).contains("dryRun")
    });
    let name =
        |path: &str| path.replace("/api/v1/namespaces/", "").replace("/pods/", "/").replace("/eviction", "");
    asked.map(|request| name(request.path())).collect()
}

fn program(cluster: &ApiServer, server: &MetricServer, limit: &str) -> Finished {
    let mut command = pod_rebalancer(["run", "--all", "--all-namespaces", "--yes", "--output", "json"]);
    command
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig_path())
        .env("PROMETHEUS_ENDPOINT", server.url())
        .env("METRICS_PRESET", "micrometer")
        .env("STRATEGY", "by_cause")
        .env("MAX_ROTATIONS", limit);
    Finished::of(&mut command)
}
