//! Rights: the Role is enough, a missing verb is named beforehand, and without it nothing happens.

use e2e::{ControlPlane, Finished, require, wait_until, workload};
use serde_json::{Value, json};

use super::scene::{LIMIT, Scene, assert_says, assert_untouched, least_role};

#[test]
fn check_names_the_verb_that_is_missing() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "verbs", 3, &[workload::deployment("orders", 3)]);
    let check = Finished::of(&mut scene.program(&["check"]));
    assert_eq!(check.code, Some(0), "the Role is enough: {check}");
    let missing = [
        ("pods", &["list pods", "get pods"][..]),
        ("replicasets", &["get replicasets.apps", "get deployments.apps", "get statefulsets.apps"]),
        ("pods/eviction", &["create pods/eviction"]),
        ("poddisruptionbudgets", &["list poddisruptionbudgets.policy"]),
        ("events", &["create events.events.k8s.io", "list events.events.k8s.io"]),
    ];
    for (resource, verbs) in missing {
        let rules: Vec<Value> = least_role()
            .as_array()
            .expect("rules")
            .iter()
            .filter(|rule| rule["resources"][0] != resource)
            .cloned()
            .collect();
        let access =
            scene.namespace.service_account(&format!("no-{}", resource.replace('/', "-")), &json!(rules));
        let check = Finished::of(scene.program(&["check"]).env("KUBECONFIG", access.kubeconfig));
        let not_granted: Vec<Value> = permissions(&check)
            .into_iter()
            .filter(|check| check["result"] != "success")
            .map(|check| check["description"].clone())
            .collect();
        let expected: Vec<String> = verbs.iter().map(|verb| format!("may not {verb}")).collect();
        assert_eq!(not_granted, expected, "{check}");
        assert_eq!(check.code, Some(1), "{check}");
        if resource == "events" {
            // A run that claims nothing does its work without Events.
            let kubeconfig = scene.namespace.service_account("unclaimed", &json!(rules)).kubeconfig;
            let program = &mut scene.program(&["check"]);
            let check = Finished::of(program.env("KUBECONFIG", kubeconfig).env("CLAIM", "off"));
            assert_eq!(check.code, Some(0), "{check}");
        }
    }
}

#[test]
fn check_asks_for_the_verb_of_the_method() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "method", 3, &[workload::deployment("orders", 3)]);
    let check = Finished::of(scene.program(&["check"]).env("EVICTION_METHOD", "delete"));
    assert_eq!(check.code, Some(1), "{check}");
    let asked = permissions(&check);
    let of = |words: &str| asked.iter().find(|check| check["description"] == words);
    assert_eq!(of("may not delete pods").expect("it is asked for")["result"], "error", "{check}");
    assert_eq!(of("may create pods/eviction").or(of("may not create pods/eviction")), None, "{check}");
}

#[test]
fn without_the_right_to_evict_nothing_is_evicted() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "no-evict", 4, &[workload::deployment("orders", 4)]);
    let mut rules = least_role();
    rules[1]["resources"] = json!(["pods/log"]);
    let access = scene.namespace.service_account("reader", &rules);
    let run = Finished::of(scene.eviction().env("KUBECONFIG", access.kubeconfig));
    assert_untouched(&scene, &run, "failed", 1);
    assert_says(&run, "permission is missing");
    assert_says(&run, r#"cannot create resource \"pods/eviction\""#);
    assert_eq!(run.json()["rotation"]["attempted"], json!([]), "{run}");
}

#[test]
fn without_the_right_to_events_nothing_is_evicted_unless_claims_are_off() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "no-events", 4, &[workload::deployment("orders", 4)]);
    let mut rules = least_role();
    rules[4]["resources"] = json!(["nothing"]);
    let access = scene.namespace.service_account("silent", &rules);
    let run = Finished::of(scene.eviction().env("KUBECONFIG", &access.kubeconfig));
    assert_untouched(&scene, &run, "failed", 1);
    assert_says(&run, "CLAIM=off");
    let run = Finished::of(scene.eviction().env("KUBECONFIG", &access.kubeconfig).env("CLAIM", "off"));
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("rotated"), Some(0)), "{run}");
    assert!(run.stderr.contains("cannot write an Event"), "{run}");
    assert!(run.stderr.contains("two runs at once are not kept apart"), "{run}");
    assert_eq!(run.json()["rotation"]["unclaimed"]["code"], "no_claim_wanted", "{run}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

#[test]
fn a_token_whose_time_is_over_is_named_as_the_cause() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let scene = Scene::of(plane, "expired", 3, &[workload::deployment("orders", 3)]);
    let with = |token: &str| {
        let kubeconfig = plane.kubeconfig(scene.namespace.name(), token);
        Finished::of(scene.program(&["run", "--dry-run=server"]).env("KUBECONFIG", kubeconfig))
    };
    let fresh = with(&plane.token(&scene.namespace, "rebalancer", 3000));
    assert_eq!(fresh.code, Some(0), "{fresh}");
    // The server is lenient for some seconds.
    let expired = with(&plane.token(&scene.namespace, "rebalancer", -120));
    assert_eq!((expired.code, expired.stdout.as_str()), (Some(1), ""), "{expired}");
    assert!(expired.stderr.contains("the credentials are not accepted; renew the token"), "{expired}");
    assert!(expired.stderr.contains("HTTP 401"), "{expired}");
    let kubeconfig =
        plane.kubeconfig(scene.namespace.name(), &plane.token(&scene.namespace, "rebalancer", -120));
    let run = Finished::of(scene.eviction().env("KUBECONFIG", kubeconfig));
    assert_eq!((run.code, scene.ended()), (Some(1), Vec::new()), "{run}");
}

#[test]
fn an_account_deleted_since_the_plan_evicts_nothing() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "deleted", 4, &[workload::deployment("orders", 4)]);
    let run = scene.run_until_planned();
    let account = scene.namespace.path("v1", "serviceaccounts/rebalancer");
    scene.plane.admin().delete(&account, &json!({})).success();
    // The server remembers for some seconds that the token was good.
    wait_until("the token is good no more", LIMIT, || {
        // Nobody listens there: it is not for the metrics that this one is run.
        let plan = Finished::of(scene.program(&["plan"]).env("PROMETHEUS_ENDPOINT", "http://127.0.0.1:9"));
        plan.stderr.contains("the credentials are not accepted")
    });
    scene.metrics.release();
    let run = run.wait(LIMIT);
    assert_untouched(&scene, &run, "failed", 1);
    assert_says(&run, "the credentials are not accepted");
}

/// The checks of permissions.
pub fn permissions(check: &Finished) -> Vec<Value> {
    let report = check.json();
    let categories = report["categories"].as_array().expect("categories").iter();
    categories
        .flat_map(|category| category["checks"].as_array().expect("checks"))
        .filter(|check| check["description"].as_str().is_some_and(|words| words.starts_with("may ")))
        .cloned()
        .collect()
}
