//! Two runs at once end at most one pair of pods, with guards off too.

use std::time::Duration;

use e2e::{ControlPlane, Running, require, workload};
use rebalancer_sim::metrics_server::MetricsServer;

use crate::scene::{LIMIT, Scene, assert_says};

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
    e2e::wait_until("the other run has planned", LIMIT, || !other.requests().is_empty());

    let first = Running::start(scene.eviction().env("PACING", "wait-ready"));
    scene.wait_ended(&[scene.busiest()]);
    other.release();
    let late = late.wait(LIMIT);
    assert_eq!((late.json()["outcome"].as_str(), late.code), (Some("withheld"), Some(0)), "{late}");
    assert_says(&late, "since the plan");
    let first = first.wait(LIMIT);
    assert_eq!(first.json()["outcome"], "rotated", "{first}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}
