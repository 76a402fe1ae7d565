//! Measures what a scan costs a metrics server, by the size of the fleet, and prints rows of `docs/performance.md`. It takes
//! minutes: `cargo run -p e2e --example scan-cost`

use std::time::Duration;

use e2e::{
    Fleet, MetricServer, Program, Release, Running, Series, Thanos, busy, check, forget_peak_memory,
    peak_memory, released,
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
    println!("| server | pods | queries | CPU | all answers | memory afterwards, at most |");
    if check(Program::NewestPrometheus) {
        what_a_scan_costs("Prometheus", |series| Asked::alone(Release::NewestPrometheus, series));
    }
    if check(Program::NewestVictoriaMetrics) {
        what_a_scan_costs("VictoriaMetrics", |series| Asked::alone(Release::NewestVictoriaMetrics, series));
    }
    if check(Program::Thanos) {
        what_a_scan_costs("Thanos: querier, Prometheus, sidecar", Asked::thanos);
    }
}

/// The server that a scan asks.
enum Asked {
    Alone(Box<MetricServer>),
    Thanos(Box<Thanos>),
}

impl Asked {
    fn alone(release: Release, series: Vec<Series>) -> Self {
        Self::Alone(Box::new(MetricServer::filled(release, series, &[])))
    }

    fn thanos(series: Vec<Series>) -> Self {
        Self::Thanos(Box::new(Thanos::filled(series, &[("cluster", "eu-1")])))
    }

    fn server(&self) -> &MetricServer {
        match self {
            Self::Alone(server) => server,
            Self::Thanos(thanos) => thanos.querier(),
        }
    }

    /// All that work for an answer.
    fn processes(&mut self) -> Vec<u32> {
        match self {
            Self::Alone(server) => vec![server.server().pid()],
            Self::Thanos(thanos) => thanos.processes(),
        }
    }
}

/// What a scan took of each process.
#[derive(Debug)]
struct Cost {
    queries: u64,
    busy: Vec<Duration>,
    /// All queries one after the other.
    answering_s: f64,
    peak_memory_bytes: Vec<u64>,
}

fn what_a_scan_costs(name: &str, start: impl Fn(Vec<Series>) -> Asked) {
    for pods in FLEETS {
        let fleets: Vec<(String, Fleet)> = (0..pods / PODS).map(fleet).collect();
        let of_clients = fleets.iter().flat_map(|(_, fleet)| fleet.series());
        // Micrometer in the pods tells the lag; an exporter would double the series.
        let of_clients = of_clients.filter(|series| !series.name.starts_with("kafka_consumergroup_"));
        let mut asked = start(of_clients.collect());
        let cluster = ApiServer::start_all(fleets.iter().map(workload).collect());
        let mut costs: Vec<Cost> = (0..SCANS).map(|_| cost(&mut asked, &cluster, pods)).collect();
        costs.remove(0);
        costs.sort_by_key(|cost| cost.busy.iter().sum::<Duration>());
        let processes = asked.processes();
        processes.iter().copied().for_each(forget_peak_memory);
        let Cost { queries, busy, answering_s, peak_memory_bytes } = &costs[costs.len() / 2];
        let seconds = joined(busy, |busy| format!("{:.2}", busy.as_secs_f64()));
        let megabytes = |bytes: &u64| format!("{:.0}", *bytes as f64 / 1e6);
        let afterwards = joined(&processes, |&pid| megabytes(&peak_memory(pid)));
        let most = joined(peak_memory_bytes, megabytes);
        println!(
            "| {name} | {pods} | {queries} | {seconds} s | {answering_s:.2} s | {afterwards} MB, {most} MB |"
        );
    }
}

fn joined<T>(values: &[T], text: impl Fn(&T) -> String) -> String {
    values.iter().map(text).collect::<Vec<_>>().join(" + ")
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

fn cost(asked: &mut Asked, cluster: &ApiServer, pods: usize) -> Cost {
    let processes = asked.processes();
    let server = asked.server();
    processes.iter().copied().for_each(forget_peak_memory);
    let answering_before_s = server.seconds_of_queries();
    let busy_before: Vec<Duration> = processes.iter().copied().map(busy).collect();
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
    let since = |(pid, before): (&u32, Duration)| busy(*pid).saturating_sub(before);
    Cost {
        queries: report["requests"]["prometheus"].as_u64().expect("a count"),
        busy: processes.iter().zip(busy_before).map(since).collect(),
        answering_s: server.seconds_of_queries() - answering_before_s,
        peak_memory_bytes: processes.iter().copied().map(peak_memory).collect(),
    }
}
