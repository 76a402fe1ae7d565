//! The program against real metric servers: it finds the two pods that were loaded to be found.

use e2e::{Finished, Fleet, Level, MetricServer, Release, on_each_metric_server, pod_rebalancer};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};
use serde_json::{Value, json};

const BUSIEST: usize = 7;
const LEAST_BUSY: usize = 3;

on_each_metric_server!(
    the_outliers_are_found,
    a_run_evicts_the_outliers,
    an_even_fleet_is_left_alone,
    a_pod_whose_samples_have_ended_is_not_taken_for_idle,
);

fn a_run_evicts_the_outliers(release: Release) {
    let fleet = skewed();
    let server = MetricServer::start(release, &fleet, &[]);
    let cluster = cluster(&fleet);
    let run = program(&cluster, &server, &["run", "--yes", "--guards", "off"]);
    assert_eq!(run.code, Some(0), "{run}");
    let report = run.json();
    assert_eq!(report["outcome"], "rotated", "{run}");
    let expected = [BUSIEST, LEAST_BUSY].map(|position| fleet.pods[position].name.clone());
    assert_eq!(report["rotation"]["deleted"], json!(expected), "{run}");
    let left: Vec<String> = cluster.pods().into_iter().map(|pod| pod.name).collect();
    assert!(expected.iter().all(|evicted| !left.contains(evicted)), "{left:?}");
    assert_eq!(left.len(), 12, "both were replaced");
}

fn an_even_fleet_is_left_alone(release: Release) {
    let fleet = Fleet::even("streams", "orders", 12);
    let server = MetricServer::start(release, &fleet, &[]);
    let cluster = cluster(&fleet);
    let run = program(&cluster, &server, &["run", "--yes"]);
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(run.json()["outcome"], "balanced", "{run}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"), "nothing but questions");
}

fn a_pod_whose_samples_have_ended_is_not_taken_for_idle(release: Release) {
    let mut fleet = skewed();
    // Its exporter has gone: no series at all, as after a staleness marker.
    fleet.pods[LEAST_BUSY].cpu = None;
    let server = MetricServer::start(release, &fleet, &[]);
    let plan = program(&cluster(&fleet), &server, &["plan", "--guards", "off"]);
    let report = plan.json();
    let name = fleet.pods[LEAST_BUSY].name.as_str();
    assert_eq!(report["outcome"], "planned", "{plan}");
    assert_ne!(report["targets"][1]["pod"], json!(name), "{plan}");
    assert_eq!(pod(&report, name)["verdict"], "missing_metrics", "{plan}");
    assert_eq!(pod(&report, name)["missing"], json!(["cpu"]), "{plan}");
}

fn the_outliers_are_found(release: Release) {
    let fleet = skewed();
    let server = MetricServer::start(release, &fleet, &[]);
    let cluster = cluster(&fleet);
    for arguments in [["plan", "--guards=off"], ["run", "--dry-run"]] {
        let found = program(&cluster, &server, &arguments);
        assert_eq!(found.code, Some(0), "{found}");
        let report = found.json();
        let ends = json!([
            {"pod": fleet.pods[BUSIEST].name, "role": "busiest"},
            {"pod": fleet.pods[LEAST_BUSY].name, "role": "least_busy"},
        ]);
        assert_eq!(report["outliers"], ends, "{found}");
        let withheld = report["outcome"] == "withheld";
        assert_eq!(report["targets"], if withheld { json!([]) } else { ends }, "{found}");
        assert_eq!(report["should_rebalance"], true, "{found}");
        let mean: f64 = report["statistics"]["lag"]["mean"].as_f64().expect("lag has a mean");
        // Ten pods of about 1,500 messages, one of 45,000, one of 3.
        assert!((4_900.0..5_100.0).contains(&mean), "{found}");
    }
    let writes = cluster.requests().into_iter().filter(|request| request.method != "GET").count();
    assert_eq!(writes, 0, "neither plan nor a client dry run writes");
}

fn skewed() -> Fleet {
    let mut fleet = Fleet::even("streams", "orders", 12).busiest(BUSIEST).least_busy(LEAST_BUSY);
    fleet.pods[BUSIEST].memory = Some(Level::from(2.0e9));
    fleet
}

fn cluster(fleet: &Fleet) -> ApiServer {
    let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
    let mut workload = Workload::named("orders", &names);
    workload.namespace.clone_from(&fleet.namespace);
    ApiServer::start(workload)
}

fn program(cluster: &ApiServer, server: &MetricServer, arguments: &[&str]) -> Finished {
    let kubeconfig = cluster.kubeconfig_path();
    let mut command = pod_rebalancer(arguments);
    command
        .args(["--output", "json", "--namespace", "streams", "--selector", "app=orders", "--kubeconfig"])
        .arg(kubeconfig)
        .env("PROMETHEUS_ENDPOINT", server.url());
    Finished::of(&mut command)
}

fn pod<'a>(report: &'a Value, name: &str) -> &'a Value {
    let pods = report["pods"].as_array().expect("a report lists the pods");
    pods.iter().find(|pod| pod["name"] == name).expect("every live pod is listed")
}
