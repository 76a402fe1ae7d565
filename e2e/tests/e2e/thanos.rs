//! The program before a real Thanos: its notes, its aligned ranges, its dead stores, its replicas, and
//! two clusters whose pods have the same names.

use std::thread;
use std::time::Duration;

use e2e::{Finished, Fleet, Level, MetricServer, Sidecar, Thanos, pod_rebalancer, require};
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};
use serde_json::json;

const PODS: usize = 12;
const CASE: usize = 7;

/// Thanos puts into `warnings` what `PromQL` only notes, such as the rate of what is not named `_total`.
#[test]
fn what_promql_notes_is_no_missing_data() {
    require!(NewestPrometheus, Thanos);
    let mut fleet = even();
    let hot = &mut fleet.pods[CASE];
    (hot.cpu, hot.rate, hot.lag) =
        (Some(Level::from(1.25)), Some(Level::from(2000.0)), Some(Level::from(20_000.0)));
    hot.first_share = 0.9;
    let thanos = Thanos::start(&[only(&fleet)], &[]);
    let cluster = cluster(&fleet);
    let settings = [("METRICS_PRESET", "kafka-exporter"), ("KAFKA_GROUP", "orders")];
    let run = program(thanos.querier(), &cluster, &["run", "--yes"], &settings);
    let report = run.json();
    assert_eq!((run.code, &report["outcome"]), (Some(0), &json!("withheld")), "{run}");
    let cause = &report["diagnosis"]["cause"];
    assert_eq!((&cause["code"], &cause["partition"]), (&json!("hot_partition"), &json!(3 * CASE)), "{run}");
}

/// The query-frontend answers with samples at whole steps, whatever moments it is asked for.
#[test]
fn a_run_works_behind_a_query_frontend_that_aligns_ranges() {
    require!(NewestPrometheus, Thanos);
    let fleet = sick();
    let thanos = Thanos::start(&[only(&fleet)], &[]);
    let cluster = cluster(&fleet);
    let run = program(thanos.frontend(), &cluster, &["run", "--yes"], &[]);
    let report = run.json();
    assert_eq!(report["outcome"], "rotated", "{run}");
    assert_eq!(report["diagnosis"]["cause"]["code"], "sick_pod", "{run}");
    assert_eq!(report["rotation"]["deleted"][0], json!(fleet.pods[CASE].name), "{run}");
}

#[test]
fn replicas_count_once_whether_or_not_thanos_merges_them() {
    require!(NewestPrometheus, Thanos);
    let fleet = sick();
    let [one, other] = ["a", "b"].map(|replica| [("cluster", "eu-1"), ("prometheus_replica", replica)]);
    let sidecars = [&one, &other].map(|labels| Sidecar { fleet: &fleet, labels });
    for flags in [&["--query.replica-label=prometheus_replica"][..], &[]] {
        let thanos = Thanos::start(&sidecars, flags);
        let cluster = cluster(&fleet);
        let plan = program(thanos.querier(), &cluster, &["plan"], &[]);
        let report = plan.json();
        assert_eq!(report["outcome"], "planned", "{flags:?}: {plan}");
        let lag = report["statistics"]["lag"]["mean"].as_f64().expect("lag has a mean");
        assert!((1_400.0..1_600.0).contains(&lag), "{flags:?}: a pod has some 1,500 messages, not {lag}");
    }
}

#[test]
fn two_clusters_are_refused_until_one_is_named() {
    require!(NewestPrometheus, Thanos);
    // The pods of the other cluster have the same names, and one of them is busy.
    let (fleet, other) = (even(), even().busiest(CASE).least_busy(3));
    let labels = [("cluster", "eu-1"), ("cluster", "us-1")];
    let sidecars =
        [Sidecar { fleet: &fleet, labels: &labels[..1] }, Sidecar { fleet: &other, labels: &labels[1..] }];
    let thanos = Thanos::start(&sidecars, &[]);
    let cluster = cluster(&fleet);
    for arguments in [&["run", "--yes"][..], &["check"]] {
        let refused = program(thanos.querier(), &cluster, arguments, &[]);
        assert_eq!(refused.code, Some(1), "{arguments:?}: {refused}");
        let said = format!("{}{}", refused.stdout, refused.stderr);
        for word in ["cluster", "eu-1", "us-1", "PROMETHEUS_MATCHERS"] {
            assert!(said.contains(word), "{arguments:?} does not say {word}: {refused}");
        }
    }
    let own = [("PROMETHEUS_MATCHERS", r#"cluster="eu-1""#)];
    let run = program(thanos.querier(), &cluster, &["run", "--yes"], &own);
    assert_eq!((run.code, &run.json()["outcome"]), (Some(0), &json!("balanced")), "{run}");
    assert_nothing_was_changed(&cluster);
}

#[test]
fn a_dead_store_that_is_strict_is_missing_data() {
    require!(NewestPrometheus, Thanos);
    let fleet = sick();
    let (mut here, mut there) = (fleet.clone(), fleet.clone());
    // Each Prometheus knows one half of the pods.
    here.pods.truncate(PODS / 2);
    there.pods.drain(..PODS / 2);
    let labels = [("shard", "0"), ("shard", "1")];
    let sidecars =
        [Sidecar { fleet: &here, labels: &labels[..1] }, Sidecar { fleet: &there, labels: &labels[1..] }];
    let mut thanos = Thanos::start(&sidecars, &[]);
    let cluster = cluster(&fleet);
    // Each half counts its partitions from 0, so that the series of the group contradict each other.
    let settings = [("MIN_COVERAGE", "0"), ("METRICS_PRESET", "micrometer")];
    let whole = program(thanos.querier(), &cluster, &["plan"], &settings);
    assert_eq!(whole.json()["outcome"], "planned", "{whole}");

    thanos.kill_sidecar(0);
    // By then a store that is not strict has left the list, and nothing tells of it.
    thread::sleep(Duration::from_secs(20));
    let run = program(thanos.querier(), &cluster, &["run", "--yes"], &settings);
    assert_eq!(run.code, Some(1), "{run}");
    assert_nothing_was_changed(&cluster);
}

#[test]
fn check_names_the_setting_that_keeps_a_dead_store() {
    require!(NewestPrometheus, Thanos);
    let fleet = sick();
    let thanos = Thanos::start(&[only(&fleet)], &[]);
    for server in [thanos.querier(), thanos.frontend()] {
        let check = program(server, &cluster(&fleet), &["check"], &[]);
        assert_eq!(check.code, Some(0), "{check}");
        assert!(check.stdout.contains("--endpoint-strict"), "{check}");
    }
}

fn even() -> Fleet {
    Fleet { history: Duration::from_secs(2 * 3600), ..Fleet::even("streams", "orders", PODS) }
}

/// One pod takes three times the CPU for the same messages.
fn sick() -> Fleet {
    let mut fleet = even();
    fleet.pods[CASE].cpu = Some(Level::from(0.8));
    fleet
}

fn only(fleet: &Fleet) -> Sidecar<'_> {
    Sidecar { fleet, labels: &[("cluster", "eu-1")] }
}

fn cluster(fleet: &Fleet) -> ApiServer {
    let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
    let mut workload = Workload::named("orders", &names);
    workload.namespace.clone_from(&fleet.namespace);
    ApiServer::start(workload)
}

/// `check` also posts reviews of its own rights and evictions that are dry runs, which change nothing.
fn assert_nothing_was_changed(cluster: &ApiServer) {
    for request in cluster.requests() {
        let is_harmless = request.method == "GET"
            || request.path().contains("/selfsubject")
            || request.query("dryRun").is_some();
        assert!(is_harmless, "{} {}", request.method, request.path());
    }
}

fn program(
    server: &MetricServer,
    cluster: &ApiServer,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> Finished {
    let mut command = pod_rebalancer(arguments);
    command
        .args(["--output", "json", "--namespace", "streams", "--selector", "app=orders", "--kubeconfig"])
        .arg(cluster.kubeconfig_path())
        .env("PROMETHEUS_ENDPOINT", server.url())
        .envs(settings.iter().copied());
    Finished::of(&mut command)
}
