//! A workload in motion, before the plan and between the plan and the eviction, is left alone.

use std::thread;
use std::time::Duration;

use e2e::{ControlPlane, Finished, require, wait_until, workload};
use serde_json::{Value, json};

use super::scene::{LIMIT, Scene, annotated, assert_says, assert_untouched};

#[test]
fn a_pod_replaced_since_the_plan_is_not_evicted_for_its_name() {
    require!(ControlPlane);
    let mut scene = Scene::of(ControlPlane::shared(), "replaced", 4, &[workload::stateful_set("orders", 4)]);
    let run = scene.run_until_planned();
    let pod = scene.namespace.path("v1", &format!("pods/{}", scene.busiest()));
    scene.plane.admin().delete(&pod, &json!({ "gracePeriodSeconds": 0 })).success();
    wait_until("the pod is replaced", LIMIT, || {
        scene.namespace.pods("app=orders").len() == 4 && scene.ended() == [scene.busiest()]
    });
    scene.namespace.wait_ready("app=orders", 4, LIMIT);
    let planned = scene.busiest().to_owned();
    scene.look();

    scene.metrics.release();
    let run = run.wait(LIMIT);
    assert_untouched(&scene, &run, "withheld", 0);
    assert_says(&run, &format!("pod {planned} was replaced since the plan"));
}

#[test]
fn a_terminating_pod_withholds() {
    require!(ControlPlane);
    let slow = annotated(workload::deployment("orders", 4), &json!({ "fake-kubelet/term-delay": "300" }));
    let scene = Scene::of(ControlPlane::shared(), "terminating", 4, &[slow]);
    let other = scene.names()[2].clone();
    let run = scene.run_until_planned();
    let path = scene.namespace.path("v1", &format!("pods/{other}"));
    scene.plane.admin().delete(&path, &json!({})).success();
    scene.metrics.release();
    let run = run.wait(LIMIT);
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("withheld"), Some(0)), "{run}");
    assert_says(&run, &format!("pod {other} is being terminated"));

    // Its replacement has no metrics yet.
    let run = Finished::of(scene.eviction().env("MIN_COVERAGE", "0.5"));
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("withheld"), Some(0)), "{run}");
    assert_says(&run, &format!("pod {other} is being terminated"));
    assert_eq!(scene.ended(), [other], "and no other");
}

#[test]
fn a_rollout_withholds() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "rollout", 4, &[workload::deployment("orders", 4)]);
    let stuck = json!({ "spec": { "template": { "metadata": {
        "annotations": { "fake-kubelet/never-ready": "true" },
    } } } });
    let path = scene.namespace.path("apps/v1", "deployments/orders");
    scene.plane.admin().merge(&path, &stuck).success();
    wait_until("a pod of the new template runs", LIMIT, || {
        let never = |pod: &Value| pod["metadata"]["annotations"]["fake-kubelet/never-ready"] == "true";
        scene.namespace.pods("app=orders").iter().any(|pod| never(pod) && pod["status"]["phase"] == "Running")
    });
    // The rollout itself ends a quarter of the old pods, and waits for a new one that is never ready.
    wait_until("the rollout has ended one pod", LIMIT, || scene.ended().len() == 1);
    let before = scene.ended();
    let run = scene.run();
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("withheld"), Some(0)), "{run}");
    assert_says(&run, "Deployment orders is in a rollout");
    assert_eq!(scene.ended(), before);
}

#[test]
fn a_workload_scaled_since_the_plan_is_left_alone() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "scaled", 4, &[workload::deployment("orders", 4)]);
    let run = scene.run_until_planned();
    scene.scale("Deployment", 5);
    scene.namespace.wait_ready("app=orders", 5, LIMIT);
    scene.metrics.release();
    let run = run.wait(LIMIT);
    assert_untouched(&scene, &run, "withheld", 0);
    assert_says(&run, "Deployment orders asks for another number of pods than in the plan, now 5");
    assert_says(&run, "is newer than the plan");
}

#[test]
fn a_workload_resized_within_the_window_of_its_metrics_is_left_alone() {
    require!(ControlPlane);
    for (name, kind, manifest) in [
        ("resized-deployment", "Deployment", workload::deployment("orders", 5)),
        ("resized-stateful", "StatefulSet", workload::stateful_set("orders", 5)),
    ] {
        let mut scene = Scene::of(ControlPlane::shared(), name, 5, &[manifest]);
        // The time of the change is told apart from that of the creation by whole seconds.
        thread::sleep(Duration::from_secs(3));
        scene.scale(kind, 4);
        scene.namespace.wait_ready("app=orders", 4, LIMIT);
        scene.look();
        let run = scene.run();
        assert_untouched(&scene, &run, "withheld", 0);
        assert_says(&run, &format!("{kind} orders was resized"));

        // The controller may go on changing the object's status for a while.
        wait_until("the change was before the window", LIMIT, || {
            thread::sleep(Duration::from_secs(2));
            Finished::of(scene.eviction().env("WINDOW", "2s")).json()["outcome"] == "rotated"
        });
    }
}

#[test]
fn a_namespace_that_is_going_is_left_alone() {
    require!(ControlPlane);
    let slow = annotated(workload::deployment("orders", 4), &json!({ "fake-kubelet/term-delay": "300" }));
    let scene = Scene::of(ControlPlane::shared(), "going", 4, &[slow]);
    // The account of the scene goes with the namespace.
    let kubeconfig = scene.plane.admin_kubeconfig(scene.namespace.name());
    scene.plane.admin().delete("/api/v1/namespaces/going", &json!({})).success();
    wait_until("the pods are being terminated", LIMIT, || scene.ended().len() == 4);
    let run = Finished::of(scene.eviction().env("KUBECONFIG", &kubeconfig));
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("insufficient_data"), Some(0)), "{run}");

    let run =
        Finished::of(scene.eviction().env("KUBECONFIG", &kubeconfig).env("KUBE_NAMESPACE", "never-was"));
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("insufficient_data"), Some(0)), "{run}");
    assert_eq!(run.json()["workload"]["pods"], 0, "{run}");
}
