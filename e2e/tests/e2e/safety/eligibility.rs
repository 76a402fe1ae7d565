//! Pods that must be left alone are, every reason is told, and nobody is picked in their stead.

use e2e::{ControlPlane, Finished, require, workload};
use serde_json::{Value, json};

use super::scene::{Scene, annotated, assert_says, assert_untouched};

/// The annotations by which other tools are told to leave a pod alone, and our own.
const OPT_OUTS: [(&str, &str); 5] = [
    ("descheduler.alpha.kubernetes.io/prefer-no-eviction", "true"),
    ("karpenter.sh/do-not-disrupt", "true"),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "false"),
    ("scheduling.koordinator.sh/eviction-cost", "2147483647"),
    ("pod-rebalancer/do-not-evict", "true"),
];

#[test]
fn every_opt_out_is_honoured_and_named() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "opt-out", 4, &[workload::deployment("orders", 4)]);
    for (annotation, value) in OPT_OUTS {
        scene.patch_pod(scene.least_busy(), &json!({ "metadata": { "annotations": { annotation: value } } }));
        let run = scene.run();
        assert_untouched(&scene, &run, "blocked", 0);
        let why = format!(
            "{} may not be evicted: opts out by its annotation {annotation}={value}",
            scene.least_busy()
        );
        assert_says(&run, &why);
        scene.patch_pod(scene.least_busy(), &json!({ "metadata": { "annotations": { annotation: null } } }));
    }
    let run = scene.run();
    assert_eq!(run.json()["outcome"], "rotated", "nothing is in the way any more: {run}");
}

#[test]
fn an_opt_out_since_the_plan_is_honoured_too() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "opt-out-late", 4, &[workload::deployment("orders", 4)]);
    let run = scene.run_until_planned();
    let change = json!({ "metadata": { "annotations": { "karpenter.sh/do-not-disrupt": "true" } } });
    scene.patch_pod(scene.busiest(), &change);
    scene.metrics.release();
    let run = run.wait(super::scene::LIMIT);
    assert_untouched(&scene, &run, "blocked", 0);
    assert_says(&run, "opts out by its annotation karpenter.sh/do-not-disrupt=true");
}

#[test]
fn all_reasons_of_both_targets_are_listed() {
    require!(ControlPlane);
    let mut protected = annotated(
        workload::deployment("orders", 4),
        &Value::from_iter(OPT_OUTS.map(|(name, value)| (name, value))),
    );
    protected["spec"]["template"]["spec"]["priorityClassName"] = "system-cluster-critical".into();
    let scene = Scene::of(ControlPlane::shared(), "all-reasons", 4, &[protected]);
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    let obstacles = run.json()["obstacles"].to_string();
    for pod in [scene.busiest(), scene.least_busy()] {
        for (annotation, _) in OPT_OUTS {
            let why = format!("{pod} may not be evicted: opts out by its annotation {annotation}=");
            assert!(obstacles.contains(&why), "{why}\n{run}");
        }
        let why =
            format!("{pod} may not be evicted: has the system's priority class system-cluster-critical");
        assert!(obstacles.contains(&why), "{why}\n{run}");
    }
}

#[test]
fn pods_that_nothing_would_recreate_stay() {
    require!(ControlPlane);
    let pods = [0, 1, 2, 3].map(|number| workload::bare_pod(&format!("bare-{number}"), "orders"));
    let scene = Scene::of(ControlPlane::shared(), "bare", 4, &pods);
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    for pod in [scene.busiest(), scene.least_busy()] {
        assert_says(&run, &format!("{pod} may not be evicted: has no controller that would recreate it"));
    }
}

#[test]
fn pods_of_a_daemon_set_stay() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "daemons", 3, &[workload::daemon_set("orders")]);
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    assert_says(&run, "is owned by DaemonSet orders, which would not recreate it elsewhere");
}

#[test]
fn two_controllers_behind_one_selector_withhold_unless_allowed() {
    require!(ControlPlane);
    let mut other = workload::deployment("orders", 2);
    other["metadata"]["name"] = "others".into();
    other["spec"]["selector"]["matchLabels"]["part"] = "other".into();
    other["spec"]["template"]["metadata"]["labels"]["part"] = "other".into();
    let mut first = workload::deployment("orders", 3);
    first["spec"]["selector"]["matchLabels"]["part"] = "first".into();
    first["spec"]["template"]["metadata"]["labels"]["part"] = "first".into();
    let scene = Scene::of(ControlPlane::shared(), "two-owners", 5, &[first, other]);
    let run = scene.run();
    assert_untouched(&scene, &run, "withheld", 0);
    assert_says(&run, "the selector finds pods of 2 controllers");

    let run = Finished::of(scene.eviction().env("ALLOW_MULTIPLE_CONTROLLERS", "true"));
    assert_eq!(run.json()["outcome"], "rotated", "{run}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

#[test]
fn fewer_pods_than_required_and_an_empty_selector_are_no_reason_to_act() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "few", 3, &[workload::deployment("orders", 3)]);
    let run = Finished::of(scene.eviction().env("MIN_PODS_REQUIRED", "4"));
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("insufficient_data"), Some(0)), "{run}");
    let run = Finished::of(scene.eviction().args(["--selector", " , "]));
    assert_eq!(run.code, Some(64), "{run}");
    assert!(run.stderr.contains("an empty label selector would select every pod"), "{run}");
    assert_eq!(scene.ended(), Vec::<String>::new());
}
