//! Two runs at once end at most one pair of pods, with guards off too.

use std::time::Duration;

use e2e::{ControlPlane, Running, require, wait_until, workload};
use rebalancer_sim::metrics_server::MetricsServer;
use serde_json::{Value, json};

use crate::scene::{LIMIT, Scene, annotated, assert_says};

#[test]
fn two_processes_at_once_end_one_pair() {
    require!(ControlPlane);
    for (name, manifest) in [
        ("two-deployment", workload::deployment("orders", 6)),
        ("two-stateful", workload::stateful_set("orders", 6)),
    ] {
        let mut scene = Scene::of(ControlPlane::shared(), name, 6, &[manifest]);
        for round in 0..3 {
            // Both have listed the same pods before either decides.
            let runs = [scene.run_until_planned(), scene.run_until_planned()];
            std::thread::sleep(Duration::from_millis(300));
            scene.metrics.release();
            let runs = runs.map(|run| run.wait(LIMIT));
            let both = format!("round {round}\n{}\n{}", runs[0], runs[1]);
            let rotated = runs.iter().filter(|run| run.json()["outcome"] == "rotated").count();
            assert!(rotated >= 1, "{both}");
            assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()], "{both}");
            scene.namespace.wait_ready("app=orders", 6, LIMIT);
            scene.look();
        }
    }
}

/// The runs read different metrics servers and mean to end different pods.
#[test]
fn a_run_that_planned_other_pods_sees_the_first_eviction_and_withholds() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "two-pairs", 6, &[workload::deployment("orders", 6)]);
    let other = MetricsServer::start("orders-12-prometheus");
    let mut names = scene.names();
    names.rotate_left(2);
    scene.show(&other, &names);
    other.hold();
    let late = Running::start(scene.eviction().env("PROMETHEUS_ENDPOINT", other.url()));
    wait_until("the other run has planned", LIMIT, || !other.requests().is_empty());

    let first = Running::start(scene.eviction().env("PACING", "wait-ready"));
    scene.wait_ended(&[scene.busiest()]);
    other.release();
    let late = late.wait(LIMIT);
    assert_eq!((late.json()["outcome"].as_str(), late.code), (Some("withheld"), Some(0)), "{late}");
    assert_says(&late, "the workload is not settled");
    let first = first.wait(LIMIT);
    assert_eq!(first.json()["outcome"], "rotated", "{first}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

/// Both have planned when neither has acted, and begin to act at the same moment: what keeps them
/// apart then is the budget, which the server counts down atomically, and up again only when
/// replacements are Ready: these take some seconds, as pods do.
#[test]
fn a_budget_of_two_keeps_two_runs_with_different_targets_to_one_pair() {
    require!(ControlPlane);
    let slow = annotated(workload::deployment("orders", 6), &json!({ "fake-kubelet/ready-delay": "8" }));
    let manifests = [workload::budget("two", "orders", 2), slow];
    let scene = Scene::of(ControlPlane::shared(), "two-budget", 6, &manifests);
    scene.plane.wait_budget(&scene.namespace, "two", 2);
    let other = MetricsServer::start("orders-12-prometheus");
    let mut names = scene.names();
    names.rotate_left(2);
    scene.show(&other, &names);
    other.hold();
    let first = scene.run_until_planned();
    let second = Running::start(scene.eviction().env("PROMETHEUS_ENDPOINT", other.url()));
    wait_until("the other run has planned", LIMIT, || !other.requests().is_empty());
    scene.metrics.release();
    other.release();
    let runs = [first.wait(LIMIT), second.wait(LIMIT)];
    let ended = scene.ended();
    assert!((1..=2).contains(&ended.len()), "{ended:?}\n{}\n{}", runs[0], runs[1]);
    let mut reported: Vec<String> = runs.iter().flat_map(|run| deleted(&run.json())).collect();
    reported.sort_unstable();
    let mut ended_by_name = ended;
    ended_by_name.sort_unstable();
    assert_eq!(reported, ended_by_name, "{}\n{}", runs[0], runs[1]);
}

fn deleted(report: &Value) -> Vec<String> {
    let names = report["rotation"]["deleted"].as_array().cloned().unwrap_or_default();
    names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}
