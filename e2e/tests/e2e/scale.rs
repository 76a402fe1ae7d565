//! Large workloads on a real API server, the largest with a real Prometheus: the requests a run may
//! send, the memory it may take, and that it decides as a replay of what it saw.

mod group;
mod many;

use std::ops::RangeInclusive;
use std::process::Command;
use std::time::{Duration, Instant};

use e2e::{
    ControlPlane, Finished, Fleet, Gate, MetricServer, Namespace, released, require, wait_until, workload,
};
use rebalancer_core::Metric;
use rebalancer_sim::metrics_server::MetricsServer;
use serde_json::{Value, json};

/// Ten thousand pods take two minutes on an idle machine.
const LIMIT: Duration = Duration::from_secs(900);

/// A ninth of what an informer keeps of 10,000 pods (35 KiB each), with the hour behind each of them in three
/// metrics, of which means are kept. For the program as it is released: ten megabytes are pages of its file.
const MOST_MEMORY_BYTES: u64 = 40_000_000;

/// A rotation lists the pods twice more, and loads the code that evicts.
const MOST_MEMORY_OF_A_RUN_BYTES: u64 = 45_000_000;

/// What a plan of 10,000 pods may take that finds its preset and its group: it reads the last hour of 10,000 partitions too.
const MOST_MEMORY_TO_FIND_BYTES: u64 = 60_000_000;

/// What the memory may grow by when the answers grow sixfold, by 20 megabytes: half of that, and less
/// than three of the four of them. They come sooner, so more of them are read at once.
const MOST_GROWTH_BYTES: u64 = 10_000_000;

/// Everything but the lists of pods: claims, budgets, Deployment and `ReplicaSet` three times, two
/// dry-runs, two evictions, three Events.
const REQUESTS_BESIDE_LISTS: u64 = 15;

const PODS_PER_PAGE: u64 = 500;

/// Queries whose answers have one series a pod with all labels that cAdvisor and Micrometer give it.
const RAW_QUERIES: [(&str, &str); 4] = [
    (
        "QUERY_CPU",
        r#"rate(container_cpu_usage_seconds_total{namespace="{{namespace}}",container="app"}[5m])"#,
    ),
    ("QUERY_MEMORY", r#"container_memory_working_set_bytes{namespace="{{namespace}}",container="app"}"#),
    ("QUERY_LAG", r#"kafka_consumer_fetch_manager_records_lag{namespace="{{namespace}}"}"#),
    (
        "QUERY_RATE",
        r#"rate(kafka_consumer_fetch_manager_records_consumed_total{namespace="{{namespace}}"}[5m])"#,
    ),
];

#[test]
fn a_thousand_and_five_thousand_pods_are_listed_planned_and_rotated() {
    require!(ControlPlane, Released);
    let plane = ControlPlane::shared();
    for replicas in [1_000, 5_000] {
        let (namespace, names) = workload_of(plane, replicas);
        let metrics = MetricsServer::start("orders-12-prometheus");
        for metric in Metric::ALL {
            metrics.answer_body(metric, skewed(&names));
        }
        let program = || program(plane, &namespace, &metrics.url());
        planned(&finished(program().arg("plan")), replicas);
        rotated(&finished(program().args(["run", "--yes"])), replicas, &namespace, &names);
    }
}

/// The same with a Prometheus that holds the loads of all pods.
#[test]
fn ten_thousand_pods_are_planned_and_rotated_by_the_loads_in_a_prometheus() {
    require!(ControlPlane, Prometheus, Released);
    let plane = ControlPlane::shared();
    let (namespace, names) = workload_of(plane, 10_000);
    let (namespace, names) = (&namespace, names.as_slice());
    let mut fleet = Fleet::of_pods(namespace.name(), names.iter().cloned()).busiest(7).least_busy(3);
    for pod in &mut fleet.pods {
        pod.partitions = 1;
    }
    // As few samples as a rate over five minutes needs.
    (fleet.history, fleet.scrape_interval) = (Duration::from_secs(480), Duration::from_secs(120));
    let start = Instant::now();
    let prometheus = MetricServer::prometheus(&fleet, &[]);
    println!("Prometheus holds the loads after {:.0} s", start.elapsed().as_secs_f64());
    // One pod of ten thousand moves the spread by a few hundredths.
    let asked = |arguments: &mut dyn FnMut(&mut Command)| {
        let gate = Gate::before(&prometheus, Metric::ALL.len());
        let mut program = program(plane, namespace, &gate.url());
        program.env("CPU_VARIANCE_THRESHOLD", "0.05");
        arguments(&mut program);
        let run = finished(&mut program);
        let (requests, at_once) = gate.requests();
        assert_eq!(run.json()["requests"]["prometheus"], requests, "the report counts all requests");
        assert!(at_once >= Metric::ALL.len(), "only {at_once} queries were under way at once");
        run
    };
    let targets = json!([{ "pod": names[7], "role": "busiest" }, { "pod": names[3], "role": "least_busy" }]);

    let plan = asked(&mut |program| {
        program.arg("plan");
    });
    planned(&plan, 10_000);
    assert_eq!(plan.json()["targets"], targets);

    // The preset and the group are found, so the past of the partitions is asked for too.
    let found = asked(&mut |program| {
        program.arg("plan").env("METRICS_PRESET", "auto");
    });
    let requests = pages(10_000) + 3;
    check(&found, "planned", requests..=requests, MOST_MEMORY_TO_FIND_BYTES);
    assert_eq!(found.json()["targets"], targets);

    let raw = asked(&mut |program| {
        program.arg("plan").envs(RAW_QUERIES);
    });
    planned(&raw, 10_000);
    assert_eq!(raw.json()["targets"], targets);
    let growth = raw.peak_memory_bytes.saturating_sub(plan.peak_memory_bytes);
    assert!(growth < MOST_GROWTH_BYTES, "answers that are longer took {growth} bytes more");

    let saved = plane.folder().join("load.jsonl.gz");
    let dry = asked(&mut |program| {
        program.args(["run", "--dry-run", "--record"]).arg(&saved);
    });
    assert_eq!((dry.code, &dry.json()["targets"]), (Some(0), &targets), "{}", dry.stderr);
    let replay = finished(released(["replay", "--output", "json"]).arg(&saved));
    for part in ["should_rebalance", "targets", "statistics", "pods", "thresholds"] {
        assert_eq!(replay.json()[part], dry.json()[part], "the replay has other {part}");
    }

    let run = asked(&mut |program| {
        program.args(["run", "--yes"]);
    });
    rotated(&run, 10_000, namespace, names);
}

/// A workload whose pods are all Ready, and their names.
fn workload_of(plane: &ControlPlane, replicas: u32) -> (Namespace<'_>, Vec<String>) {
    let start = Instant::now();
    let namespace = plane.namespace(&format!("pods-{replicas}"));
    let mut orders = workload::deployment("orders", replicas);
    // Spares the binding of each pod.
    orders["spec"]["template"]["spec"]["nodeName"] = "node-0".into();
    namespace.apply(&orders);
    namespace.wait_ready("app=orders", replicas as usize, LIMIT);
    println!("{replicas} pods are Ready after {:.0} s", start.elapsed().as_secs_f64());
    let names = namespace.pod_names("app=orders");
    (namespace, names)
}

fn program(plane: &ControlPlane, namespace: &Namespace<'_>, metrics: &str) -> Command {
    let mut program = released([""; 0]);
    program
        .env("PROMETHEUS_ENDPOINT", metrics)
        .env("KUBECONFIG", plane.admin_kubeconfig(namespace.name()))
        .env("KUBE_LABEL_SELECTOR", "app=orders")
        .env("GUARDS", "off")
        // A busy machine takes its time; what is counted here is not time.
        .env("RUN_TIMEOUT", "300s")
        .env("PROMETHEUS_TIMEOUT", "120s")
        // A preset that was set, as in a job that evicts.
        .env("METRICS_PRESET", "micrometer")
        .env("OUTPUT", "json");
    program
}

fn finished(program: &mut Command) -> Finished {
    let run = Finished::of(program);
    let report = run.json();
    println!(
        "{}: {} pods, {} requests, {:.1} MB at most, {:.2} s",
        report["outcome"],
        report["workload"]["pods"],
        report["requests"],
        run.peak_memory_bytes as f64 / 1e6,
        run.elapsed.as_secs_f64()
    );
    run
}

/// Beside the pages: both levels of owners, and the budgets.
fn planned(plan: &Finished, replicas: u32) {
    let requests = pages(replicas) + 3;
    check(plan, "planned", requests..=requests, MOST_MEMORY_BYTES);
}

fn rotated(run: &Finished, replicas: u32, namespace: &Namespace<'_>, names: &[String]) {
    let requests = 3 * pages(replicas) + REQUESTS_BESIDE_LISTS;
    // A pod that is being terminated may take a page more.
    check(run, "rotated", requests..=requests + 1, MOST_MEMORY_OF_A_RUN_BYTES);
    assert_eq!(run.json()["rotation"]["deleted"], json!([names[7], names[3]]), "wrong pods");
    let gone = || {
        let living = namespace.pod_names("app=orders");
        names.iter().filter(|name| living.binary_search(name).is_err()).count()
    };
    // A pod that ends is listed until its kubelet has let it go.
    wait_until("the two pods are gone", LIMIT, || gone() == 2);
    assert_eq!(gone(), 2, "exactly two pods are gone");
}

fn check(run: &Finished, outcome: &str, requests: RangeInclusive<u64>, most_bytes: u64) {
    let report = run.json();
    assert_eq!((report["outcome"].as_str(), run.code), (Some(outcome), Some(0)), "{}", run.stderr);
    let sent = report["requests"]["kubernetes"].as_u64().expect("a count");
    assert!(requests.contains(&sent), "{sent} requests to the cluster, not {requests:?}");
    assert!(run.peak_memory_bytes < most_bytes, "{} bytes", run.peak_memory_bytes);
}

fn pages(replicas: u32) -> u64 {
    u64::from(replicas).div_ceil(PODS_PER_PAGE)
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
