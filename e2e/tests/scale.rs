//! Large workloads on a real API server: the requests a run may send, and the memory it may take.

use std::time::Duration;

use e2e::{ControlPlane, Finished, Namespace, pod_rebalancer, require, workload};
use rebalancer_core::Metric;
use rebalancer_sim::metrics_server::MetricsServer;
use serde_json::{Value, json};

/// Five thousand pods take a minute on an idle machine.
const LIMIT: Duration = Duration::from_secs(900);

/// Far below what an informer keeps of 5,000 pods (35 KiB each); one page of 500 full pods is two
/// megabytes. Measured in a build without optimisation.
const MOST_MEMORY_BYTES: u64 = 48 << 20;

/// Everything but the lists of pods: claims, budgets, Deployment and `ReplicaSet` twice, two dry-runs,
/// two evictions, three Events.
const REQUESTS_BESIDE_LISTS: u64 = 13;

const PODS_PER_PAGE: u64 = 500;

#[test]
fn a_thousand_and_five_thousand_pods_are_listed_planned_and_rotated() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    for replicas in [1_000, 5_000] {
        let namespace = plane.namespace(&format!("pods-{replicas}"));
        namespace.apply(&workload::deployment("orders", replicas));
        namespace.wait_ready("app=orders", replicas as usize, LIMIT);
        let names = namespace.pod_names("app=orders");
        let metrics = MetricsServer::start("orders-12-prometheus");
        for metric in Metric::ALL {
            metrics.answer_body(metric, skewed(&names));
        }
        let pages = u64::from(replicas).div_ceil(PODS_PER_PAGE);
        let plan = run(plane, &namespace, &metrics, &["plan"]);
        // Beside the pages: both levels of owners, and the budgets.
        check(&plan, "planned", pages + 3);
        let run = run(plane, &namespace, &metrics, &["run", "--yes"]);
        check(&run, "rotated", 2 * pages + REQUESTS_BESIDE_LISTS);
        assert_eq!(run.json()["rotation"]["deleted"], json!([names[7], names[3]]), "wrong pods");
        let living = namespace.pod_names("app=orders");
        assert_eq!(
            names.iter().filter(|name| !living.contains(name)).count(),
            2,
            "exactly two pods are gone"
        );
    }
}

fn check(run: &Finished, outcome: &str, requests: u64) {
    let report = run.json();
    let (sent, pods) = (&report["requests"]["kubernetes"], &report["workload"]["pods"]);
    println!(
        "{outcome}: {pods} pods, {sent} requests, {:.1} MiB at most, {:.2} s",
        run.peak_memory_bytes as f64 / f64::from(1 << 20),
        run.elapsed.as_secs_f64()
    );
    assert_eq!((report["outcome"].as_str(), run.code), (Some(outcome), Some(0)), "{}", run.stderr);
    assert_eq!(sent.as_u64(), Some(requests), "requests");
    assert!(run.peak_memory_bytes < MOST_MEMORY_BYTES, "{} bytes", run.peak_memory_bytes);
}

fn run(
    plane: &ControlPlane,
    namespace: &Namespace<'_>,
    metrics: &MetricsServer,
    arguments: &[&str],
) -> Finished {
    let mut program = pod_rebalancer(arguments);
    program
        .env("PROMETHEUS_ENDPOINT", metrics.url())
        .env("KUBECONFIG", plane.admin_kubeconfig(namespace.name()))
        .env("KUBE_LABEL_SELECTOR", "app=orders")
        .env("GUARDS", "off")
        .env("OUTPUT", "json");
    Finished::of(&mut program)
}

/// A vector answer in which every pod has the load 1, but two.
fn skewed(names: &[String]) -> String {
    let sample = |(position, name): (usize, &String)| {
        let load = match position {
            7 => "900",
            3 => "0.001",
            _ => "1",
        };
        // The moment of all recorded answers, which the server replaces by the one that is asked for.
        json!({ "metric": { "pod": name }, "value": [1_795_410_000, load] })
    };
    let samples: Vec<Value> = names.iter().enumerate().map(sample).collect();
    json!({ "status": "success", "data": { "resultType": "vector", "result": samples } }).to_string()
}
