//! Servers that die, hang or come back while a run is at work: it ends in time and reports what
//! happened to each pod, no more and no less.
//!
//! The control plane of these tests is their own, and they take turns.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use e2e::{ControlPlane, Running, Webhook, require, wait_until, workload};
use serde_json::{Value, json};

use super::scene::{LIMIT, Scene, assert_says};

/// How much later than its deadline a run may end: a look at an eviction without an answer gets
/// five seconds whatever the time, and the machine may be busy.
const MARGIN: Duration = Duration::from_secs(20);

fn plane() -> MutexGuard<'static, ControlPlane> {
    static PLANE: OnceLock<Mutex<ControlPlane>> = OnceLock::new();
    PLANE.get_or_init(|| Mutex::new(ControlPlane::start(&[]))).lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_server_killed_between_the_evictions_leaves_a_partial_rotation() {
    require!(ControlPlane);
    let mut plane = plane();
    let (names, run) = {
        let scene = Scene::of(&plane, "killed", 4, &[workload::deployment("orders", 4)]);
        // Nothing replaces the first pod, so that the second eviction does not come before the end.
        plane.controller_manager().pause();
        let run = Running::start(scene.eviction().env("PACING", "wait-ready").env("LOG_LEVEL", "debug"));
        // The server has answered: an answer that the kill cuts off is another test's.
        run.wait_said(r#""action":"wait""#, LIMIT);
        (scene.names(), run)
    };
    plane.apiserver().kill();
    let run = run.wait(LIMIT);
    plane.restart_apiserver();
    plane.controller_manager().resume();
    let report = run.json();
    assert_eq!((report["outcome"].as_str(), run.code), (Some("partial"), Some(1)), "{run}");
    assert_eq!(report["rotation"]["deleted"], json!([names[0]]), "{run}");
    assert_eq!(report["rotation"]["skipped"][&names[1]]["code"], "unreachable", "{run}");
    assert!(alive(&plane, "killed", &names[1]) && !alive(&plane, "killed", &names[0]), "{run}");
}

#[test]
fn a_server_that_comes_back_between_the_evictions_is_reported_truthfully() {
    require!(ControlPlane);
    let mut plane = plane();
    let (names, run) = {
        let scene = Scene::of(&plane, "back", 4, &[workload::deployment("orders", 4)]);
        let run = Running::start(scene.eviction().env("PACING", "wait-ready").env("LOG_LEVEL", "debug"));
        // The server has answered: an answer that the kill cuts off is another test's.
        run.wait_said(r#""action":"wait""#, LIMIT);
        (scene.names(), run)
    };
    plane.apiserver().kill();
    plane.restart_apiserver();
    let run = run.wait(LIMIT);
    // Whether the server is back by the time of the next look is the machine's affair.
    let report = run.json();
    let deleted = match (report["outcome"].as_str(), run.code) {
        (Some("rotated"), Some(0)) => &names[..2],
        (Some("partial"), Some(1)) => &names[..1],
        other => panic!("{other:?} {run}"),
    };
    assert_eq!(report["rotation"]["deleted"], json!(deleted), "{run}");
    for name in &names {
        assert_eq!(alive(&plane, "back", name), !deleted.contains(name), "{name} {run}");
    }
}

/// The server dies while a webhook decides about the real eviction: whether it happened cannot be
/// known, and the run says so.
#[test]
fn a_server_killed_during_an_eviction_leaves_its_fate_unknown_and_the_second_pod_alone() {
    require!(ControlPlane);
    let mut plane = plane();
    let (names, _kept, run, deciding) = {
        let scene = Scene::of(&plane, "during", 4, &[workload::deployment("orders", 4)]);
        let (tell, deciding) = mpsc::channel();
        let webhook = Webhook::start(plane.pki(), move |request: &Value| {
            // The test may have ended.
            let _unheard = tell.send(request["dryRun"] == true);
            if request["dryRun"] != true {
                std::thread::sleep(Duration::from_secs(15));
            }
            Ok(())
        });
        let object = webhook.of_evictions(&scene.namespace, plane.pki(), "Fail");
        let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        plane.admin().post(path, &object).success();
        wait_until("the webhook is asked", LIMIT, || {
            let eviction = json!({
                "apiVersion": "policy/v1", "kind": "Eviction", "metadata": { "name": scene.names()[3] },
            });
            let path = scene.namespace.path("v1", &format!("pods/{}/eviction?dryRun=All", scene.names()[3]));
            plane.admin().post(&path, &eviction);
            deciding.try_recv().is_ok()
        });
        let run = Running::start(&mut scene.eviction());
        (scene.names(), (webhook, scene.metrics), run, deciding)
    };
    loop {
        match deciding.recv_timeout(Duration::from_secs(30)) {
            Ok(true) => {}
            Ok(false) => break,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                panic!("no eviction: {}", run.wait(LIMIT))
            }
        }
    }
    plane.apiserver().kill();
    let run = run.wait(LIMIT);
    plane.restart_apiserver();
    let report = run.json();
    assert_eq!((report["outcome"].as_str(), run.code), (Some("failed"), Some(1)), "{run}");
    assert_eq!(report["rotation"]["attempted"], json!([names[0]]), "{run}");
    assert_eq!(report["rotation"]["deleted"], json!([]), "{run}");
    assert_eq!(report["rotation"]["errors"][&names[0]]["code"], "unresolved", "{run}");
    assert!(names.iter().all(|name| alive(&plane, "during", name)), "{run}");
}

#[test]
fn a_server_that_hangs_does_not_outlast_the_deadline() {
    require!(ControlPlane);
    let plane = plane();
    let scene = Scene::of(&plane, "hangs", 4, &[workload::deployment("orders", 4)]);
    let slow = |scene: &Scene<'_>| {
        let mut command = scene.eviction();
        command.env("RUN_TIMEOUT", "40s").env("KUBE_TIMEOUT", "15s");
        command
    };
    // It hangs from the first request on.
    plane.etcd().pause();
    let run = Running::start(slow(&scene).env("RUN_TIMEOUT", "6s")).wait(LIMIT);
    plane.etcd().resume();
    assert_eq!((run.code, run.stdout.as_str()), (Some(1), ""), "{run}");
    assert!(run.stderr.contains("no answer came"), "{run}");
    assert!(run.elapsed < Duration::from_secs(6) + MARGIN, "{:?} {run}", run.elapsed);

    // It hangs after the plan.
    wait_until("the server serves again", LIMIT, || plane.admin().get("/readyz").status == 200);
    scene.metrics.hold();
    let asked = scene.metrics.requests().len();
    let run = Running::start(&mut slow(&scene));
    wait_until("the run has planned", LIMIT, || scene.metrics.requests().len() > asked);
    plane.etcd().pause();
    scene.metrics.release();
    let run = run.wait(LIMIT);
    plane.etcd().resume();
    assert!(run.elapsed < Duration::from_secs(40) + MARGIN, "{:?} {run}", run.elapsed);
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("failed"), Some(1)), "{run}");
    assert_says(&run, "no answer came");
    wait_until("the server serves again", LIMIT, || plane.admin().get("/readyz").status == 200);
    assert_eq!(scene.ended(), Vec::<String>::new());
}

/// With its controllers frozen, a budget's numbers are older than its specification and a
/// namespace that is being deleted keeps its pods.
#[test]
fn frozen_controllers_are_no_reason_to_trust_old_numbers() {
    require!(ControlPlane);
    let plane = plane();
    let scene = Scene::of(&plane, "frozen", 4, &[workload::deployment("orders", 4)]);
    let kubeconfig = plane.admin_kubeconfig("frozen");
    plane.controller_manager().pause();
    scene.namespace.apply(&workload::budget("unseen", "orders", 3));
    let unseen = scene.run();
    let path = scene.namespace.path("policy/v1", "poddisruptionbudgets/unseen");
    plane.admin().delete(&path, &json!({})).success();
    plane.admin().delete("/api/v1/namespaces/frozen", &json!({})).success();
    let going = Running::start(scene.eviction().env("KUBECONFIG", kubeconfig)).wait(LIMIT);
    let ended = scene.ended();
    plane.controller_manager().resume();

    assert_eq!((unseen.json()["outcome"].as_str(), unseen.code), (Some("blocked"), Some(0)), "{unseen}");
    assert_says(&unseen, "the numbers of PodDisruptionBudget unseen are older than its specification");
    assert_eq!((going.json()["outcome"].as_str(), going.code), (Some("failed"), Some(1)), "{going}");
    assert_says(&going, "the namespace is gone or being terminated");
    assert_eq!(ended, Vec::<String>::new());
}

/// Whether the pod of this name is there and not being terminated. The pods of these tests belong
/// to Deployments, whose replacements have other names.
fn alive(plane: &ControlPlane, namespace: &str, name: &str) -> bool {
    let pod = plane.admin().get(&format!("/api/v1/namespaces/{namespace}/pods/{name}"));
    pod.status == 200 && pod.body["metadata"]["deletionTimestamp"].is_null()
}
