//! A thousand workloads with a hundred thousand pods, looked at and run over together: the requests that it takes, and the
//! memory. Both servers are simulated: they answer what real ones do, and no machine of ours holds so many pods.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use e2e::{Finished, Running, released, require};
use rebalancer_core::{Metric, PerMetric};
use rebalancer_sim::apiserver::{ApiServer, Fleet};
use rebalancer_sim::fleet::TYPICAL;
use rebalancer_sim::metrics_server::{MetricsServer, PodLoads};

const WORKLOADS: usize = 1_000;
const PODS: usize = 100;
/// Each hundredth workload is uneven.
const UNEVEN: usize = 100;
const NAMESPACES: usize = 10;

/// The pages of pods, and those of the Deployments and their replica sets, of which there are a thousand each; no stateful
/// set.
const REQUESTS: u64 = 200 + 2 + 2 + 1;

/// The series that the server has, four loads, partitions, whose series they are; then the history of CPU of the uneven, and
/// what was before and after their last replacements.
const MOST_QUERIES: u64 = 12;

const MOST_MEMORY_BYTES: u64 = 150_000_000;

/// A run of all keeps the report of each workload.
const MOST_MEMORY_OF_A_RUN_BYTES: u64 = 200_000_000;

#[test]
fn a_thousand_workloads_are_looked_at_together() {
    require!(Released);
    let (cluster, metrics) = servers();
    let scan = finished(&cluster, &metrics, &["scan", "-A"]);
    let report = scan.json();
    let rows = report["workloads"].as_array().expect("rows");
    assert_eq!((rows.len(), &report["pods"]), (WORKLOADS, &(WORKLOADS * PODS).into()));
    let uneven = rows.iter().filter(|row| row["should_rebalance"] == true).count();
    assert_eq!(uneven, WORKLOADS / UNEVEN);
    assert_eq!(report["requests"]["kubernetes"], REQUESTS);
    assert!(report["requests"]["prometheus"].as_u64().is_some_and(|asked| asked <= MOST_QUERIES));
    assert!(scan.peak_memory_bytes < MOST_MEMORY_BYTES, "{} bytes", scan.peak_memory_bytes);

    let run = finished(&cluster, &metrics, &["run", "--all", "-A", "--dry-run", "--max-rotations", "1"]);
    assert_eq!(run.json()["run"]["rotations"], 1);
    assert!(run.peak_memory_bytes < MOST_MEMORY_OF_A_RUN_BYTES, "{} bytes", run.peak_memory_bytes);
}

/// Both servers with all workloads, which opted in.
fn servers() -> (ApiServer, MetricsServer) {
    let (mut fleets, mut loads): (Vec<Fleet>, Vec<PodLoads>) = Default::default();
    for number in 0..WORKLOADS {
        // In the order of namespaces and names, as an API server lists them.
        let namespace = format!("team-{}", number * NAMESPACES / WORKLOADS);
        let name = format!("workload-{number:04}");
        let pods: Vec<String> = (0..PODS).map(|pod| format!("{name}-6d5f9c7b84-p{pod:04}")).collect();
        loads.extend(pods.iter().enumerate().map(|(position, pod)| {
            let is_hot = number.is_multiple_of(UNEVEN) && position == 7;
            let cores = if is_hot { 9.0 } else { 0.25 + 0.0001 * position as f64 };
            // The uneven read no Kafka.
            let reads = !number.is_multiple_of(UNEVEN);
            let load = |metric| match metric {
                Metric::Cpu => Some(cores),
                Metric::Lag | Metric::Rate if !reads => None,
                metric => Some(TYPICAL[metric]),
            };
            PodLoads { namespace: namespace.clone(), pod: pod.clone(), loads: PerMetric::from_fn(load) }
        }));
        let annotations = [("pod-rebalancer/enabled".to_owned(), "true".to_owned())];
        let annotations = BTreeMap::from(annotations);
        fleets.push(Fleet { namespace, annotations, ..Fleet::named(&name, &pods) });
    }
    let metrics = MetricsServer::start("orders-12-prometheus");
    metrics.hold_loads(loads);
    (ApiServer::start_all(fleets), metrics)
}

fn finished(cluster: &ApiServer, metrics: &MetricsServer, arguments: &[&str]) -> Finished {
    let mut program: Command = released(arguments);
    program
        .env("KUBECONFIG", cluster.kubeconfig_path())
        .env("PROMETHEUS_ENDPOINT", metrics.url())
        .env("GUARDS", "off")
        .env("PROMETHEUS_TIMEOUT", "120s")
        .env("RUN_TIMEOUT", "600s")
        .env("OUTPUT", "json");
    let done = Running::start(&mut program).wait(Duration::from_secs(600));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    println!(
        "{arguments:?}: {} requests, {:.0} MB at most, {:.2} s of CPU, {:.1} s in all",
        done.json()["requests"],
        done.peak_memory_bytes as f64 / 1e6,
        done.own_cpu.as_secs_f64(),
        done.elapsed.as_secs_f64()
    );
    done
}
