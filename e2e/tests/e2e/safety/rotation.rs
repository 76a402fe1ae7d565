//! A rotation that nothing speaks against, and the dry runs of it.

use std::process::Command;

use e2e::{ControlPlane, Finished, Running, require, workload};
use serde_json::{Value, json};

use super::scene::{LIMIT, Scene, annotated, assert_untouched, least_role};

/// Three lists (to plan, before each eviction), one of claims, one of budgets, Deployment and
/// `ReplicaSet` three times, two dry-runs, two evictions, three Events.
const MOST_REQUESTS: u64 = 18;

#[test]
fn exactly_the_two_targets_of_twelve_are_replaced() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "twelve", 12, &[workload::deployment("orders", 12)]);
    let run = scene.run();
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("rotated"), Some(0)), "{run}");
    let targets = [scene.busiest(), scene.least_busy()];
    let report = run.json();
    assert_eq!(report["rotation"]["deleted"], json!(targets), "{run}");
    assert!(report["requests"]["kubernetes"].as_u64().is_some_and(|sent| sent <= MOST_REQUESTS), "{run}");

    scene.namespace.wait_ready("app=orders", 12, LIMIT);
    assert_eq!(scene.ended(), targets, "the other ten are the pods they were");
    events_tell_of_all(&scene);
}

/// With the API, and as `kubectl` shows them to people.
fn events_tell_of_all(scene: &Scene<'_>) {
    let events = scene.events();
    assert_eq!(events.len(), 3, "{events:?}");
    assert_eq!(
        (&events[0]["reason"], &events[0]["regarding"]["name"]),
        (&json!("RotationStarted"), &json!("orders"))
    );
    for (event, pod) in events[1..].iter().zip([scene.busiest(), scene.least_busy()]) {
        assert_eq!((&event["reason"], &event["type"]), (&json!("Rotated"), &json!("Normal")), "{event}");
        assert_eq!(event["regarding"]["kind"], "Deployment", "{event}");
        assert_eq!(event["regarding"]["name"], "orders", "{event}");
        assert_eq!(
            (&event["related"]["kind"], &event["related"]["name"]),
            (&json!("Pod"), &json!(pod)),
            "{event}"
        );
        assert!(event["note"].as_str().is_some_and(|note| note.contains(pod)), "{event}");
    }
    let kubeconfig = scene.plane.admin_kubeconfig(scene.namespace.name());
    // Of the control plane's folder where it has one, else of PATH.
    let assets = std::env::var("KUBEBUILDER_ASSETS").unwrap_or_default();
    let path = format!("{assets}:{}", std::env::var("PATH").unwrap_or_default());
    let kubectl = Command::new("kubectl")
        .args(["events", "--for", "deployment/orders", "--kubeconfig"])
        .arg(kubeconfig)
        .env("PATH", path)
        .output()
        .expect("kubectl belongs to the control plane");
    let shown = String::from_utf8_lossy(&kubectl.stdout);
    for pod in [scene.busiest(), scene.least_busy()] {
        assert!(
            shown.contains(&format!("evicting pod {}", scene.busiest()))
                && shown.contains(&format!("evicted {pod}")),
            "{shown}{}",
            String::from_utf8_lossy(&kubectl.stderr)
        );
    }
}

#[test]
fn a_stateful_set_is_rotated_too() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "stateful", 4, &[workload::stateful_set("orders", 4)]);
    let run = scene.run();
    assert_eq!(run.json()["outcome"], "rotated", "{run}");
    scene.namespace.wait_ready("app=orders", 4, LIMIT);
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()], "by UID: the names live on");
    assert_eq!(scene.events()[0]["regarding"]["kind"], "StatefulSet");
}

#[test]
fn a_dry_run_changes_nothing_and_writes_no_event() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "dry-run", 4, &[workload::deployment("orders", 4)]);
    for arguments in [&["plan"][..], &["run", "--dry-run"], &["run", "--dry-run=server"]] {
        let run = Finished::of(&mut scene.program(arguments));
        assert_untouched(&scene, &run, "planned", 0);
        assert_eq!(run.json()["targets"][0]["pod"], scene.busiest(), "{run}");
    }
    scene.namespace.apply(&workload::budget("none", "orders", 0));
    scene.plane.wait_budget(&scene.namespace, "none", 0);
    let run = Finished::of(&mut scene.program(&["run", "--dry-run=server"]));
    assert_untouched(&scene, &run, "blocked", 0);
    assert_eq!(scene.events(), Vec::<Value>::new());
}

#[test]
fn delete_is_for_this_very_pod_and_needs_no_right_to_evict() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let scene = Scene::of(plane, "delete", 4, &[workload::stateful_set("orders", 4)]);
    let mut rules = least_role();
    rules[0]["verbs"] = json!(["get", "list", "delete"]);
    rules[1] = json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] });
    let access = scene.namespace.service_account("deleter", &rules);
    let run =
        Finished::of(scene.eviction().env("EVICTION_METHOD", "delete").env("KUBECONFIG", access.kubeconfig));
    assert_eq!(run.json()["outcome"], "rotated", "{run}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

#[test]
fn a_pod_keeps_its_own_grace_period_unless_one_is_set() {
    require!(ControlPlane);
    let slow = annotated(workload::deployment("orders", 4), &json!({ "fake-kubelet/term-delay": "300" }));
    let scene = Scene::of(ControlPlane::shared(), "grace", 4, &[slow]);
    let run = scene.run();
    assert_eq!(run.json()["outcome"], "rotated", "{run}");
    let graces: Vec<Value> = scene
        .namespace
        .pods("app=orders")
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_string())
        .map(|pod| pod["metadata"]["deletionGracePeriodSeconds"].clone())
        .collect();
    assert_eq!(graces, [json!(30), json!(30)], "as the manifest says");
}

#[test]
fn wait_ready_evicts_the_second_once_the_first_is_replaced() {
    require!(ControlPlane);
    let late = annotated(workload::deployment("orders", 4), &json!({ "fake-kubelet/ready-delay": "1" }));
    let scene = Scene::of(ControlPlane::shared(), "wait-ready", 4, &[late]);
    let run = Finished::of(scene.eviction().env("PACING", "wait-ready"));
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("rotated"), Some(0)), "{run}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
    let report = run.json();
    let steps: Vec<&str> = report["rotation"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["action"].as_str())
        .collect();
    let between = steps.split(|step| *step == "evict").nth(1).expect("two evictions");
    assert!(between.starts_with(&["wait", "list_workload"]), "{steps:?}");
    assert!(
        between.ends_with(&["list_workload", "list_budgets"]),
        "the last look found it replaced: {steps:?}"
    );
}

#[test]
fn a_stop_between_the_evictions_leaves_the_second_pod_and_is_reported() {
    require!(ControlPlane);
    // The replacement takes its time, so that the stop comes before the second eviction.
    let late = annotated(workload::deployment("orders", 4), &json!({ "fake-kubelet/ready-delay": "20" }));
    let scene = Scene::of(ControlPlane::shared(), "sigterm", 4, &[late]);
    let run = Running::start(scene.eviction().env("PACING", "wait-ready"));
    scene.wait_ended(&[scene.busiest()]);
    run.terminate();
    let run = run.wait(LIMIT);
    let report = run.json();
    assert_eq!((report["outcome"].as_str(), run.code), (Some("partial"), Some(1)), "{run}");
    assert_eq!(report["rotation"]["deleted"], json!([scene.busiest()]), "{run}");
    assert_eq!(report["rotation"]["skipped"][scene.least_busy()]["code"], "stop_requested", "{run}");
    assert_eq!(scene.ended(), [scene.busiest()]);
    let reasons: Vec<Value> = scene.events().iter().map(|event| event["reason"].clone()).collect();
    assert_eq!(reasons, ["RotationStarted", "Rotated", "RotationBlocked"]);
}

#[test]
fn the_guards_hold_back_from_pods_that_have_just_started() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "guarded", 4, &[workload::deployment("orders", 4)]);
    let run = Finished::of(scene.eviction().env("GUARDS", "standard"));
    assert_eq!(run.code, Some(0), "{run}");
    assert!(matches!(run.json()["outcome"].as_str(), Some("withheld" | "insufficient_data")), "{run}");
    assert_eq!(scene.ended(), Vec::<String>::new());
}
