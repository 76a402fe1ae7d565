//! Admission: policies and webhooks that refuse, fail, or let the world change while they decide.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use e2e::{ControlPlane, Webhook, require, wait_until, workload};
use serde_json::{Value, json};

use super::scene::{LIMIT, Scene, assert_says, assert_untouched};

const ADMISSION: &str = "/apis/admissionregistration.k8s.io/v1";

/// Installs a policy about every eviction in the namespace of the scene, and waits until it is in
/// force: an eviction without a precondition is refused by each of these policies.
fn install_policy(scene: &Scene<'_>, expression: &str) {
    let name = scene.namespace.name();
    let admin = scene.plane.admin();
    let policy = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy",
        "metadata": { "name": name },
        "spec": {
            "matchConstraints": { "resourceRules": [{
                "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"],
            }] },
            "validations": [{ "expression": expression, "message": "this policy says no" }],
        },
    });
    admin.post(&format!("{ADMISSION}/validatingadmissionpolicies"), &policy).success();
    let binding = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": { "name": name },
        "spec": {
            "policyName": name, "validationActions": ["Deny"],
            "matchResources": { "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": name } } },
        },
    });
    admin.post(&format!("{ADMISSION}/validatingadmissionpolicybindings"), &binding).success();
    wait_until("the policy is in force", LIMIT, || dry_eviction(scene, scene.busiest()) == 422);
}

/// The status of an eviction without a precondition, tried out.
fn dry_eviction(scene: &Scene<'_>, pod: &str) -> u16 {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": pod, "namespace": scene.namespace.name() },
    });
    let path = scene.namespace.path("v1", &format!("pods/{pod}/eviction?dryRun=All"));
    scene.plane.admin().post(&path, &eviction).status
}

#[test]
fn a_policy_that_demands_a_precondition_lets_the_program_evict() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "policy-uid", 4, &[workload::stateful_set("orders", 4)]);
    install_policy(
        &scene,
        "has(object.deleteOptions) && has(object.deleteOptions.preconditions) && has(object.deleteOptions.preconditions.uid)",
    );
    let run = scene.run();
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("rotated"), Some(0)), "{run}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

#[test]
fn a_policy_against_the_second_target_saves_the_first_too() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "policy-no", 4, &[workload::deployment("orders", 4)]);
    let protected = scene.least_busy();
    install_policy(&scene, &format!("has(object.deleteOptions) && object.metadata.name != '{protected}'"));
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    assert_says(&run, "an admission policy or webhook refused");
    assert_says(&run, "this policy says no");
    assert_eq!(run.json()["rotation"]["reason"]["code"], "refused_by_admission", "{run}");
}

/// Installs the webhook and waits until it is asked: `asked` is raised by its first request.
pub fn install_webhook(scene: &Scene<'_>, webhook: &Webhook, asked: &AtomicBool) {
    let object = webhook.of_evictions(&scene.namespace, scene.plane.pki(), "Fail");
    scene.plane.admin().post(&format!("{ADMISSION}/validatingwebhookconfigurations"), &object).success();
    let other = scene.names()[3].clone();
    wait_until("the webhook is asked", LIMIT, || {
        dry_eviction(scene, &other);
        asked.load(Ordering::Relaxed)
    });
}

#[test]
fn a_webhook_that_refuses_blocks_in_its_own_words() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "webhook-no", 4, &[workload::deployment("orders", 4)]);
    let (asked, protected) = (Arc::new(AtomicBool::new(false)), scene.least_busy().to_owned());
    let seen = Arc::clone(&asked);
    let webhook = Webhook::start(scene.plane.pki(), move |request: &Value| {
        seen.store(true, Ordering::Relaxed);
        if request["name"] == protected.as_str() { Err("it holds the ledger".to_owned()) } else { Ok(()) }
    });
    install_webhook(&scene, &webhook, &asked);
    for code in [403, 429, 500, 503, 404] {
        webhook.deny_with(code);
        let run = scene.run();
        assert_untouched(&scene, &run, "blocked", 0);
        assert_says(&run, "it holds the ledger");
        assert_eq!(run.json()["rotation"]["reason"]["code"], "refused_by_admission", "{code}: {run}");
    }
}

/// As older webhooks do, it denies only what is no dry run. Nothing is sent twice.
#[test]
fn a_webhook_that_refuses_only_what_is_real_blocks_too() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "webhook-real", 4, &[workload::deployment("orders", 4)]);
    let (asked, real) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (seen, counted) = (Arc::clone(&asked), Arc::clone(&real));
    let webhook = Webhook::start(scene.plane.pki(), move |request: &Value| {
        seen.store(true, Ordering::Relaxed);
        if request["dryRun"] == true {
            return Ok(());
        }
        counted.fetch_add(1, Ordering::Relaxed);
        Err("the operator will roll it".to_owned())
    });
    webhook.deny_with(500);
    install_webhook(&scene, &webhook, &asked);
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    assert_says(&run, "the operator will roll it");
    assert_eq!(real.load(Ordering::Relaxed), 1, "{run}");
}

#[test]
fn a_webhook_that_cannot_be_asked_fails_the_run_and_evicts_nothing() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "webhook-gone", 4, &[workload::deployment("orders", 4)]);
    let asked = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&asked);
    let webhook = Webhook::start(scene.plane.pki(), move |_: &Value| {
        seen.store(true, Ordering::Relaxed);
        // The connection ends without an answer.
        panic!("this webhook is broken on purpose")
    });
    install_webhook(&scene, &webhook, &asked);
    let run = scene.run();
    assert_untouched(&scene, &run, "failed", 1);
    assert_says(&run, "an admission webhook could not be asked; repair it or its failurePolicy");
}

/// The webhook lets every dry-run pass. While it decides about the real eviction the pod is
/// replaced by another of its name: only the precondition on the UID saves that one.
#[test]
fn a_pod_replaced_after_the_preflight_is_saved_by_the_precondition() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "late", 4, &[workload::stateful_set("orders", 4)]);
    let asked = Arc::new(AtomicBool::new(false));
    let (seen, admin) = (Arc::clone(&asked), scene.plane.admin().clone());
    let path = scene.namespace.path("v1", &format!("pods/{}", scene.busiest()));
    let webhook = Webhook::start(scene.plane.pki(), move |request: &Value| {
        seen.store(true, Ordering::Relaxed);
        if request["dryRun"] == true {
            return Ok(());
        }
        let uid = admin.get(&path).success()["metadata"]["uid"].clone();
        admin.delete(&path, &json!({ "gracePeriodSeconds": 0 })).success();
        wait_until("another pod has the name", LIMIT, || {
            let now = admin.get(&path);
            now.status == 200 && now.body["metadata"]["uid"] != uid
        });
        Ok(())
    });
    install_webhook(&scene, &webhook, &asked);
    let run = scene.run();
    let report = run.json();
    // Who ended the pod it meant, it cannot know; the other target is left alone for it.
    assert_eq!((report["outcome"].as_str(), run.code), (Some("partial"), Some(1)), "{run}");
    assert_says(&run, "another pod has taken the name");
    assert_eq!(report["rotation"]["attempted"], json!([scene.busiest()]), "{run}");
    assert_eq!(report["rotation"]["deleted"], json!([scene.busiest()]), "{run}");
    assert_eq!(scene.ended(), [scene.busiest()], "the test itself ended it, and the other target stays");
    let replacement =
        scene.namespace.pods("app=orders").into_iter().find(|pod| pod["metadata"]["name"] == scene.busiest());
    let replacement = replacement.expect("it has a replacement");
    assert!(replacement["metadata"]["deletionTimestamp"].is_null(), "which is not evicted: {replacement}");
}
