//! Two runs at once end at most one pair of pods, with guards off too.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use e2e::{ControlPlane, Finished, Running, Webhook, require, wait_until, workload};
use rebalancer_sim::metrics_server::MetricsServer;
use serde_json::{Value, json};

use super::admission::install_webhook;
use super::scene::{LIMIT, Scene, annotated, assert_says, assert_untouched, least_role};

/// Metrics that show other pods as outliers, not answered before they are released.
fn other_view(scene: &Scene<'_>, rotated_by: usize) -> MetricsServer {
    let other = MetricsServer::start("orders-12-prometheus");
    let mut names = scene.names();
    names.rotate_left(rotated_by);
    scene.show(&other, &names);
    other.hold();
    other
}

/// Starts two runs, each with metrics of its own, and lets both go on at the same moment, when both
/// have listed the pods.
fn race(scene: &Scene<'_>, other: &MetricsServer) -> [Finished; 2] {
    let first = scene.run_until_planned();
    let second = Running::start(scene.eviction().env("PROMETHEUS_ENDPOINT", other.url()));
    wait_until("the other run has listed the pods", LIMIT, || !other.requests().is_empty());
    scene.metrics.release();
    other.release();
    [first.wait(LIMIT), second.wait(LIMIT)]
}

/// One run has done all of its work, and the other none.
#[track_caller]
fn assert_one_pair(scene: &Scene<'_>, runs: &[Finished; 2]) {
    let both = format!("{}\n{}", runs[0], runs[1]);
    let (rotated, other): (Vec<&Finished>, Vec<&Finished>) =
        runs.iter().partition(|run| run.json()["outcome"] == "rotated");
    assert_eq!((rotated.len(), other.len()), (1, 1), "{both}");
    // It lost the claim, or it saw what the first one did: a terminating pod, a smaller budget.
    assert!(matches!(other[0].json()["outcome"].as_str(), Some("withheld" | "blocked")), "{both}");
    assert_eq!(other[0].code, Some(0), "{both}");
    assert_eq!(other[0].json()["rotation"]["attempted"], json!([]), "{both}");
    let ended: BTreeSet<String> = scene.ended().into_iter().collect();
    assert_eq!(ended, deleted(&rotated[0].json()), "{both}");
    assert_eq!(ended.len(), 2, "{both}");
}

fn deleted(report: &Value) -> BTreeSet<String> {
    let names = report["rotation"]["deleted"].as_array().cloned().unwrap_or_default();
    names.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn two_processes_at_once_end_one_pair() {
    require!(ControlPlane);
    for (name, manifest) in [
        ("two-deployment", workload::deployment("orders", 6)),
        ("two-stateful", workload::stateful_set("orders", 6)),
    ] {
        for round in 0..3 {
            let scene = Scene::of(
                ControlPlane::shared(),
                &format!("{name}-{round}"),
                6,
                std::slice::from_ref(&manifest),
            );
            let runs = race(&scene, &other_view(&scene, 0));
            assert_one_pair(&scene, &runs);
            assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
        }
    }
}

/// The runs read different metrics servers and mean to end different pods. Replacements are Ready at
/// once, so that neither a budget nor a look at the pods keeps the runs apart for long.
#[test]
fn two_processes_with_different_pairs_end_one_pair() {
    require!(ControlPlane);
    for round in 0..10 {
        let mut manifests = vec![workload::deployment("orders", 6)];
        if round % 2 == 1 {
            manifests.push(workload::budget("two", "orders", 2));
        }
        let scene = Scene::of(ControlPlane::shared(), &format!("two-pairs-{round}"), 6, &manifests);
        if round % 2 == 1 {
            scene.plane.wait_budget(&scene.namespace, "two", 2);
        }
        // Nothing in common, or one pod.
        let rotated_by = 1 + usize::from(round < 6);
        let runs = race(&scene, &other_view(&scene, rotated_by));
        assert_one_pair(&scene, &runs);
    }
}

/// The first eviction of the first run is still being decided about: no pod shows a trace of it, and
/// the other run has all the time to act. Only the claim tells it.
#[test]
fn an_eviction_under_way_is_known_by_its_claim() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "under-way", 6, &[workload::deployment("orders", 6)]);
    let [asked, under_way, decided] = [(); 3].map(|()| Arc::new(AtomicBool::new(false)));
    let flags = [&asked, &under_way, &decided].map(Arc::clone);
    let webhook = Webhook::start(scene.plane.pki(), move |request: &Value| {
        let [asked, under_way, decided] = &flags;
        asked.store(true, Ordering::Relaxed);
        if request["dryRun"] != true {
            under_way.store(true, Ordering::Relaxed);
            wait_until("the other run is over", LIMIT, || decided.load(Ordering::Relaxed));
        }
        Ok(())
    });
    install_webhook(&scene, &webhook, &asked);
    // It has listed the pods before anything happened.
    let other = other_view(&scene, 2);
    let second = Running::start(scene.eviction().env("PROMETHEUS_ENDPOINT", other.url()));
    wait_until("the other run has listed the pods", LIMIT, || !other.requests().is_empty());
    let first = Running::start(&mut scene.eviction());
    wait_until("the first eviction is under way", LIMIT, || under_way.load(Ordering::Relaxed));
    other.release();
    let second = second.wait(LIMIT);
    assert_untouched(&scene, &second, "withheld", 0);
    assert_says(&second, "claimed the workload");
    decided.store(true, Ordering::Relaxed);
    let first = first.wait(LIMIT);
    assert_eq!(first.json()["outcome"], "rotated", "{first}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

/// With claims turned off the look at the workload right before acting is what is left.
#[test]
fn a_run_that_planned_other_pods_sees_the_first_eviction_and_withholds() {
    require!(ControlPlane);
    // The replacement takes its time, so that the other run looks between the evictions.
    let late = annotated(workload::deployment("orders", 6), &json!({ "fake-kubelet/ready-delay": "20" }));
    let scene = Scene::of(ControlPlane::shared(), "two-unclaimed", 6, &[late]);
    let mut rules = least_role();
    rules[4]["resources"] = json!(["nothing"]);
    let access = scene.namespace.service_account("silent", &rules);
    let other = other_view(&scene, 2);
    let mut late = scene.eviction();
    late.env("KUBECONFIG", access.kubeconfig).env("PROMETHEUS_ENDPOINT", other.url()).env("CLAIM", "off");
    let late = Running::start(&mut late);
    wait_until("the other run has planned", LIMIT, || !other.requests().is_empty());

    let first = Running::start(scene.eviction().env("PACING", "wait-ready"));
    scene.wait_ended(&[scene.busiest()]);
    other.release();
    let late = late.wait(LIMIT);
    assert_eq!((late.json()["outcome"].as_str(), late.code), (Some("withheld"), Some(0)), "{late}");
    assert_says(&late, "the workload is not settled");
    assert!(late.stderr.contains("two runs at once are not kept apart"), "{late}");
    let first = first.wait(LIMIT);
    assert_eq!(first.json()["outcome"], "rotated", "{first}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

/// A run that was killed leaves a claim. It names who holds it, runs out by itself, and is followed
/// by the next generation.
#[test]
fn a_claim_left_behind_runs_out() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "left-behind", 4, &[workload::deployment("orders", 4)]);
    let path = scene.namespace.path("apps/v1", "deployments/orders");
    let uid = scene.plane.admin().get(&path).success()["metadata"]["uid"].as_str().expect("a UID").to_owned();
    let claim = json!({
        "apiVersion": "events.k8s.io/v1", "kind": "Event",
        "metadata": {
            "name": format!("pod-rebalancer-{uid}-7"),
            "labels": { "pod-rebalancer/workload": uid },
            "annotations": { "pod-rebalancer/generation": "7", "pod-rebalancer/valid-seconds": "2" },
        },
        "eventTime": "2026-11-23T06:00:16.000000Z", "type": "Normal", "reason": "RotationStarted",
        "action": "Rotate", "reportingController": "pod-rebalancer/pod-rebalancer",
        "reportingInstance": "ada-laptop",
        "regarding": { "kind": "Deployment", "name": "orders", "namespace": scene.namespace.name(), "uid": uid },
    });
    scene.plane.admin().post(&scene.namespace.path("events.k8s.io/v1", "events"), &claim).success();
    let withheld = scene.run();
    assert_untouched(&scene, &withheld, "withheld", 0);
    assert_says(&withheld, "a run on ada-laptop claimed the workload");
    // The claim says two seconds, and a minute is added for what may be under way.
    let mut run = withheld;
    wait_until("the claim has run out", LIMIT, || {
        std::thread::sleep(Duration::from_secs(4));
        run = scene.run();
        run.json()["rotation"]["reason"]["code"] != "claimed"
    });
    assert_eq!(run.json()["outcome"], "rotated", "{run}");
    let generations: Vec<Value> = scene
        .events()
        .iter()
        .filter(|event| event["reason"] == "RotationStarted")
        .map(|event| event["metadata"]["annotations"]["pod-rebalancer/generation"].clone())
        .collect();
    assert_eq!(generations, [json!("7"), json!("8")]);
}
