//! Four workloads whose load is uneven for four reasons, on real metric servers with every guard at
//! its default: only the sick pod is rotated away, and the rest is explained.

use std::time::Duration;

use e2e::{Finished, Fleet, Level, MetricServer, Release, on_each_metric_server, pod_rebalancer};
use jiff::Timestamp;
use rebalancer_sim::apiserver::{ApiServer, Fleet as Workload};
use serde_json::{Value, json};

const PODS: usize = 12;
const CASE: usize = 7;

on_each_metric_server!(
    a_sick_pod_is_rotated_away,
    the_owner_of_a_stuck_partition_is_replaced_alone,
    a_hot_partition_is_left_alone,
    noise_is_left_alone,
    an_idle_fleet_is_left_alone,
    a_large_fleet_is_judged_by_the_same_numbers,
    a_backtest_and_a_plan_of_one_moment_agree,
);

/// Three times the CPU for the same messages.
fn a_sick_pod_is_rotated_away(release: Release) {
    let mut fleet = fleet();
    fleet.pods[CASE].cpu = Some(Level::from(0.8));
    let cluster = cluster(&fleet);
    let run = run(&fleet, &MetricServer::start(release, &fleet, &[]), &cluster, &[]);
    let report = run.json();
    assert_eq!(report["outcome"], "rotated", "{run}");
    assert_eq!(report["diagnosis"]["cause"]["code"], "sick_pod", "{run}");
    assert_eq!(report["diagnosis"]["cause"]["pod"], json!(fleet.pods[CASE].name), "{run}");
    assert_eq!(report["rotation"]["deleted"][0], json!(fleet.pods[CASE].name), "{run}");
    assert_eq!(report["rotation"]["deleted"].as_array().map(Vec::len), Some(2), "{run}");
    assert!(report["guards"].as_array().is_some_and(|guards| guards.len() == 8), "{run}");
    assert!(!cluster.pods().iter().any(|pod| pod.name == fleet.pods[CASE].name), "{run}");
}

/// One of the partitions of a healthy pod stands since half an hour; no spread shows it.
fn the_owner_of_a_stuck_partition_is_replaced_alone(release: Release) {
    let mut fleet = fleet();
    fleet.pods[CASE].stuck = Some(Duration::from_secs(30 * 60));
    let cluster = cluster(&fleet);
    let server = MetricServer::start(release, &fleet, &[]);
    let settings =
        [("METRICS_PRESET", "kafka-exporter"), ("KAFKA_GROUP", "orders"), ("STRATEGY", "by_cause")];
    let run = run(&fleet, &server, &cluster, &settings);
    let report = run.json();
    assert_eq!(report["outcome"], "rotated", "{run}");
    assert_eq!(report["should_rebalance"], false, "{run}");
    assert_eq!(report["rotation"]["deleted"], json!([fleet.pods[CASE].name]), "{run}");
    let cause = &report["diagnosis"]["cause"];
    assert_eq!(cause["code"], "stuck_partition", "{run}");
    assert_eq!((&cause["topic"], &cause["partition"]), (&json!("orders"), &json!(3 * CASE)), "{run}");
    assert_eq!(report["diagnosis"]["remedy"], "replace_pod", "{run}");
    assert_eq!(report["alternative"]["pods"], json!([]), "the plain rule would do nothing: {run}");
}

/// One partition that carries five times what whole pods do, under an assignor that deals blocks.
fn a_hot_partition_is_left_alone(release: Release) {
    let mut fleet = fleet();
    let hot = &mut fleet.pods[CASE];
    (hot.cpu, hot.rate, hot.lag) =
        (Some(Level::from(1.25)), Some(Level::from(2000.0)), Some(Level::from(20_000.0)));
    hot.first_share = 0.9;
    let cluster = cluster(&fleet);
    let server = MetricServer::start(release, &fleet, &[]);
    let run =
        run(&fleet, &server, &cluster, &[("METRICS_PRESET", "kafka-exporter"), ("KAFKA_GROUP", "orders")]);
    let report = left_alone(&run, &cluster, "hot_partition");
    let cause = &report["diagnosis"]["cause"];
    assert_eq!((&cause["topic"], &cause["partition"]), (&json!("orders"), &json!(3 * CASE)), "{run}");
    assert_eq!(report["diagnosis"]["assignor"], "range", "recognised by who owns what: {run}");
    let spread = &report["diagnosis"]["spread"];
    assert_eq!(spread["now"], spread["expected"], "range deals the same loads again: {run}");
    assert!(spread["best"].as_f64() > Some(0.8), "nothing splits a partition: {run}");
    assert!(!report["diagnosis"]["advice"].as_array().is_none_or(Vec::is_empty), "{run}");
}

/// Every pod is busy at times, none for long.
fn noise_is_left_alone(release: Release) {
    let mut fleet = fleet();
    let mut random = fastrand::Rng::with_seed(7);
    for pod in &mut fleet.pods {
        let mut loads = || 0.05 + 0.55 * random.f64();
        let steps: Vec<(Duration, f64)> =
            (0..24).map(|step| (Duration::from_secs(300 * (24 - step)), loads())).collect();
        let level = |per_core: f64| {
            let first = Level::from(0.3 * per_core);
            steps.iter().fold(first, |level, (ago, cores)| level.then(*ago, cores * per_core))
        };
        (pod.cpu, pod.rate) = (Some(level(1.0)), Some(level(1600.0)));
    }
    let cluster = cluster(&fleet);
    let run = run(&fleet, &MetricServer::start(release, &fleet, &[]), &cluster, &[]);
    let report = left_alone(&run, &cluster, "uneven_but_noisy");
    assert_eq!(guard(&report, "persistence")["verdict"], "hold", "{run}");
    assert!(guard(&report, "persistence")["value"].as_f64() < Some(80.0), "{run}");
}

/// Thousandths of a core and a few messages: a large spread of nothing.
fn an_idle_fleet_is_left_alone(release: Release) {
    let mut fleet = fleet();
    for (position, pod) in fleet.pods.iter_mut().enumerate() {
        let load = 1.0 + (position * 5 % 12) as f64;
        pod.cpu = Some(Level::from(0.001 * load));
        pod.rate = Some(Level::from(1.6 * load));
        pod.lag = Some(Level::from(3.0 * load * load));
    }
    let cluster = cluster(&fleet);
    let run = run(&fleet, &MetricServer::start(release, &fleet, &[]), &cluster, &[]);
    let report = left_alone(&run, &cluster, "nearly_idle");
    assert_eq!(guard(&report, "floor")["verdict"], "hold", "{run}");
}

/// Ten thousand more pods, without loads, change nothing: the past is reduced while it is read.
fn a_large_fleet_is_judged_by_the_same_numbers(release: Release) {
    let mut fleet = fleet();
    fleet.pods[CASE].cpu = Some(Level::from(0.8));
    let server = MetricServer::start(release, &fleet, &[]);
    let mut names: Vec<String> = fleet.pods.iter().map(|pod| pod.name.clone()).collect();
    names.extend((0..10_000).map(|number| format!("idle-{number}")));
    let mut workload = Workload::named("orders", &names);
    workload.namespace.clone_from(&fleet.namespace);
    let cluster = ApiServer::start(workload);
    let run = run(&fleet, &server, &cluster, &[("MIN_COVERAGE", "0"), ("DRY_RUN", "client")]);
    let report = run.json();
    let persistence = guard(&report, "persistence");
    assert_eq!(persistence["verdict"], "pass", "{}", run.stderr);
    assert_eq!(persistence["value"], 100.0, "busy in every minute: {persistence}");
    assert_eq!(report["diagnosis"]["cause"]["code"], "sick_pod", "{}", run.stderr);
}

/// The past holds a sick pod that fell ill an hour ago.
fn a_backtest_and_a_plan_of_one_moment_agree(release: Release) {
    let mut fleet = fleet();
    fleet.pods[CASE].cpu = Some(Level::from(0.25).then(Duration::from_secs(3600), 0.9));
    let (server, cluster) = (MetricServer::start(release, &fleet, &[]), cluster(&fleet));
    let plan = program(&fleet, &server, &cluster, &["plan"], &[]);
    let report = plan.json();
    let at = report["evaluation_time"].as_str().expect("a plan has a moment");
    let backtest = |from: &str| {
        program(&fleet, &server, &cluster, &["backtest", "--from", from, "--to", at, "--every", "10m"], &[])
    };
    let decisions = |backtest: &Finished| backtest.json()["decisions"].as_array().expect("decisions").clone();
    let time =
        |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok()).expect("a time");
    // One moment, the last whole step: a backtest remembers its own rotation of an earlier one, and a plan knows of none.
    let now_s = time(&report["evaluation_time"]).as_second();
    let step = Timestamp::from_second(now_s - 1 - (now_s - 1).rem_euclid(600)).expect("a time");
    let (lately, all) = (backtest(&step.to_string()), backtest("90m"));
    let decided = decisions(&lately);
    let last = decided.last().expect("the last moment");
    // Moments lie on whole steps, so that the last of them is up to one step older than the plan.
    let age_s = time(&report["evaluation_time"]).as_second() - time(&last["time"]).as_second();
    assert!((0..=600).contains(&age_s), "{lately}");
    assert_eq!(last["outcome"], report["outcome"], "{lately}\n{plan}");
    assert_eq!(last["cause"], report["diagnosis"]["cause"]["code"], "{lately}");
    for metric in ["cpu", "lag"] {
        let spread = |value: &Value| value.as_f64().expect("a spread");
        let (then, now) =
            (spread(&last[format!("{metric}_cv")]), spread(&report["statistics"][metric]["cv"]));
        assert!((then - now).abs() < 0.01, "the loads have not changed since: {metric} {then} {now}");
    }
    assert_eq!(last["targets"][0], json!(fleet.pods[CASE].name), "{lately}");
    assert_eq!(last["outcome"], "planned", "{lately}");
    let decided = decisions(&all);
    let before = &decided[0];
    assert_eq!(
        (&before["outcome"], &before["should_rebalance"]),
        (&json!("balanced"), &json!(false)),
        "{all}"
    );
    let is_held = |decision: &&Value| {
        decision["held_by"].as_array().is_some_and(|guards| guards.contains(&json!("persistence")))
    };
    let held = decided.iter().filter(is_held).count();
    assert!(held >= 2, "it is not believed before it lasts: {all}");
}

/// The report of a run that changed nothing although a threshold is passed, and says why.
#[track_caller]
fn left_alone(run: &Finished, cluster: &ApiServer, cause: &str) -> Value {
    let report = run.json();
    assert_eq!((run.code, &report["outcome"]), (Some(0), &json!("withheld")), "{run}");
    assert_eq!(report["should_rebalance"], true, "{run}");
    assert_eq!(report["diagnosis"]["cause"]["code"], cause, "{run}");
    assert!(cluster.requests().iter().all(|request| request.method == "GET"), "nothing but questions");
    report
}

fn guard<'a>(report: &'a Value, name: &str) -> &'a Value {
    let guards = report["guards"].as_array().expect("a report lists the guards");
    guards.iter().find(|guard| guard["name"] == name).expect("every guard that is on is listed")
}

fn fleet() -> Fleet {
    Fleet { history: Duration::from_secs(2 * 3600), ..Fleet::even("streams", "orders", PODS) }
}

/// A cluster with these pods, two days old.
fn cluster(fleet: &Fleet) -> ApiServer {
    let names: Vec<&str> = fleet.pods.iter().map(|pod| pod.name.as_str()).collect();
    let mut workload = Workload::named("orders", &names);
    workload.namespace.clone_from(&fleet.namespace);
    ApiServer::start(workload)
}

fn run(fleet: &Fleet, server: &MetricServer, cluster: &ApiServer, settings: &[(&str, &str)]) -> Finished {
    program(fleet, server, cluster, &["run", "--yes"], settings)
}

fn program(
    fleet: &Fleet,
    server: &MetricServer,
    cluster: &ApiServer,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> Finished {
    let mut command = pod_rebalancer(arguments);
    command
        .args([
            "--output",
            "json",
            "--namespace",
            &fleet.namespace,
            "--selector",
            "app=orders",
            "--kubeconfig",
        ])
        .arg(cluster.kubeconfig_path())
        .env("PROMETHEUS_ENDPOINT", server.url())
        .envs(settings.iter().copied());
    Finished::of(&mut command)
}
