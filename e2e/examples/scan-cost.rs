//! Measures what a scan costs a metrics server, by the size of the fleet, and prints rows of `docs/performance.md`. It takes
//! minutes: `cargo run -p e2e --example scan-cost`

use std::time::Duration;

use e2e::{
    Fleet, MetricServer, Program, Release, Running, busy, check, forget_peak_memory, peak_memory, released,
};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};

/// Pods of all workloads, each of which has a hundred.
const FLEETS: [usize; 3] = [1_000, 10_000, 30_000];
const PODS: usize = 100;
const NAMESPACES: usize = 10;

/// Each hundredth workload is uneven, so that its past is asked for.
const UNEVEN: usize = 100;

/// Scans of each fleet, of which the first makes the server read its files.
const SCANS: usize = 4;

fn main() {
    let servers = [
        (Program::NewestPrometheus, Release::NewestPrometheus),
        (Program::NewestVictoriaMetrics, Release::NewestVictoriaMetrics),
    ];
    for (program, release) in servers {
        if check(program) {
            what_a_scan_costs(release);
        }
    }
}

/// What a scan took of a server.
#[derive(Debug)]
struct Cost {
    queries: u64,
    busy: Duration,
    /// All queries one after the other.
    answering_s: f64,
    peak_memory_bytes: u64,
}

fn what_a_scan_costs(release: Release) {
    println!("| server | pods | queries | CPU | all answers | memory afterwards, at most |");
    for pods in FLEETS {
        let fleets: Vec<(String, Fleet)> = (0..pods / PODS).map(fleet).collect();
        let of_clients = fleets.iter().flat_map(|(_, fleet)| fleet.series());
        // Micrometer in the pods tells the lag; an exporter would double the series.
        let of_clients = of_clients.filter(|series| !series.name.starts_with("kafka_consumergroup_"));
        let mut server = MetricServer::filled(release, of_clients, &[]);
        let cluster = ApiServer::start_all(fleets.iter().map(workload).collect());
        let pid = server.server().pid();
        let mut costs: Vec<Cost> = (0..SCANS).map(|_| cost(&server, &cluster, pid, pods)).collect();
        costs.remove(0);
        costs.sort_by_key(|cost| cost.busy);
        forget_peak_memory(pid);
        let (afterwards, Cost { queries, busy, answering_s, peak_memory_bytes }) =
            (peak_memory(pid), &costs[costs.len() / 2]);
        println!(
            "| {release:?} | {pods} | {queries} | {:.2} s | {answering_s:.2} s | {:.0} MB, {:.0} MB |",
            busy.as_secs_f64(),
            afterwards as f64 / 1e6,
            *peak_memory_bytes as f64 / 1e6,
        );
    }
}

/// Name and pods of the workload of this number, scraped every minute.
fn fleet(number: usize) -> (String, Fleet) {
    let (name, namespace) = (format!("workload-{number:04}"), format!("team-{}", number % NAMESPACES));
    let mut fleet = Fleet::even(&namespace, &name, PODS);
    if number.is_multiple_of(UNEVEN) {
        fleet = fleet.busiest(7).least_busy(3);
    }
    for pod in &mut fleet.pods {
        pod.partitions = 1;
    }
    (fleet.history, fleet.scrape_interval) = (Duration::from_secs(600), Duration::from_secs(60));
    (name, fleet)
}

fn workload((name, fleet): &(String, Fleet)) -> Workload {
    let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
    Workload { namespace: fleet.namespace.clone(), ..Workload::named(name, &names) }
}

fn cost(server: &MetricServer, cluster: &ApiServer, pid: u32, pods: usize) -> Cost {
    forget_peak_memory(pid);
    let (answering_before_s, busy_before) = (server.seconds_of_queries(), busy(pid));
    let mut scan = released(["scan", "-A", "--output", "json", "--kubeconfig"]);
    scan.arg(cluster.kubeconfig_path()).env("PROMETHEUS_ENDPOINT", server.url());
    scan.env("PROMETHEUS_TIMEOUT", "120s").env("RUN_TIMEOUT", "600s");
    let done = Running::start(&mut scan).wait(Duration::from_secs(600));
    assert_eq!(done.code, Some(0), "{done}");
    let report = done.json();
    assert_eq!(report["pods"], pods, "{}", done.stderr);
    let rows = report["workloads"].as_array().expect("rows");
    let uneven = rows.iter().filter(|row| row["should_rebalance"] == true).count();
    assert_eq!(uneven, (pods / PODS).div_ceil(UNEVEN), "{}", done.stderr);
    Cost {
        queries: report["requests"]["prometheus"].as_u64().expect("a count"),
        busy: busy(pid).saturating_sub(busy_before),
        answering_s: server.seconds_of_queries() - answering_before_s,
        peak_memory_bytes: peak_memory(pid),
    }
}
