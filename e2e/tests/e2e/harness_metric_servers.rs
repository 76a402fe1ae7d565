//! Every metric server answers with the loads a fleet was given.

use std::collections::BTreeMap;
use std::env;
use std::process::Command;
use std::thread;
use std::time::Duration;

use e2e::{Fleet, Gate, Level, MetricServer, Release, on_each_metric_server, require};

const CPU: &str =
    r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="streams",container="app"}[2m]))"#;
const CPU_BEFORE: &str = r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="streams",container="app"}[2m] offset 20m))"#;
const CPU_OF_CGROUP: &str =
    r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="streams",container=""}[2m]))"#;
const MEMORY: &str =
    r#"sum by (pod) (container_memory_working_set_bytes{namespace="streams",container="app"})"#;
const LAG: &str = r#"sum by (pod) (kafka_consumer_fetch_manager_records_lag{namespace="streams"} >= 0)"#;
const RATE: &str =
    r#"sum by (pod) (rate(kafka_consumer_fetch_manager_records_consumed_total{namespace="streams"}[5m]))"#;
const PARTITIONS: &str =
    r#"sum by (pod) (kafka_consumer_coordinator_assigned_partitions{namespace="streams"})"#;

on_each_metric_server!(answers_with_the_loads);

/// What `.ci/run` counts, in the words of a test that runs where its server is missing.
#[test]
fn a_test_that_lacks_its_server_is_seen_to_be_skipped() {
    let run = |env: &[(&str, &str)]| {
        let this = env::current_exe().expect("a test knows where it is");
        let mut command = Command::new(this);
        command
            .args(["harness_metric_servers::pushgateway_starts", "--exact"])
            .env_clear()
            .envs(env.iter().copied());
        let output = command.output().expect("a test can be run");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), text.concat())
    };
    let skipped = ": prometheus-pushgateway not found on PATH";
    for env in [&[][..], &[("E2E_REQUIRED", "1"), ("E2E_OPTIONAL", "thanos,prometheus-pushgateway")]] {
        let (success, text) = run(env);
        assert!(success && text.contains("SKIPPED ") && text.contains(skipped), "{text}");
    }
    let (success, text) = run(&[("E2E_REQUIRED", "1"), ("E2E_OPTIONAL", "thanos")]);
    assert!(!success && !text.contains("SKIPPED "), "{text}");
}

#[test]
fn pushgateway_starts() {
    require!(Pushgateway);
    let gateway = MetricServer::pushgateway();
    let metrics = ureq::get(format!("{}/metrics", gateway.url())).call();
    let text = metrics
        .and_then(|mut answer| answer.body_mut().read_to_string())
        .expect("a Pushgateway shows its metrics");
    assert!(text.contains("pushgateway_build_info"), "{text}");
}

#[test]
fn a_gate_counts_what_passes_and_what_was_under_way_at_once() {
    require!(Pushgateway);
    let server = MetricServer::pushgateway();
    for (together, threads) in [(1, 1), (3, 3)] {
        let gate = Gate::before(&server, together);
        let ask = || {
            let answer = ureq::get(format!("{}/metrics", gate.url())).call();
            assert_eq!(answer.expect("the server answers through the gate").status(), 200);
        };
        thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(ask))));
        ask();
        assert_eq!(gate.requests(), (threads + 1, threads), "one after the other, or {threads} at once");
    }
}

fn answers_with_the_loads(release: Release) {
    let mut fleet = Fleet::even("streams", "orders", 12).busiest(7).least_busy(3);
    fleet.pods[5].lag = None;
    fleet.pods[6].cpu = Some(Level::from(0.25).then(Duration::from_secs(900), 3.5));
    let server = MetricServer::start(release, &fleet, &[]);

    let name = |position: usize| fleet.pods[position].name.as_str();
    let cpu = server.by_pod(CPU);
    assert_eq!(cpu.len(), 12);
    near(&cpu, name(7), 1.8);
    near(&cpu, name(3), 0.01);
    near(&cpu, name(6), 3.5);
    near(&server.by_pod(CPU_BEFORE), name(6), 0.25);
    near(&server.by_pod(CPU_OF_CGROUP), name(7), 1.8001);

    let memory = server.by_pod(MEMORY);
    assert_eq!(memory.len(), 12);
    near(&memory, name(0), 380.0 * 1_048_576.0);

    let lag = server.by_pod(LAG);
    assert_eq!(lag.len(), 11, "the pod without lag has no series");
    near(&lag, name(7), 45_000.0);
    near(&lag, name(3), 3.0);

    near(&server.by_pod(RATE), name(7), 2_900.0);
    near(&server.by_pod(PARTITIONS), name(7), 3.0);
}

/// Servers store decimals and extrapolate: a millionth off is the same number.
#[track_caller]
fn near(loads: &BTreeMap<String, f64>, pod: &str, expected: f64) {
    let load = loads[pod];
    assert!((load - expected).abs() <= 1e-6 * expected, "{pod}: {load}, not {expected}");
}
