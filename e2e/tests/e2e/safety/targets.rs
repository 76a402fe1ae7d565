//! A workload given by its name, and the rights of another account looked at with one's own.

use e2e::{ControlPlane, Finished, require, workload};
use serde_json::{Value, json};

use super::access::permissions;
use super::scene::{Scene, least_role};

/// A command over the workload named by `target`, as `account` of the scene's namespace if there is one.
fn named(scene: &Scene<'_>, command: &str, target: &str, account: Option<&str>) -> Finished {
    let mut program = scene.program(&[command, target]);
    if let Some(account) = account {
        let user = format!("system:serviceaccount:{}:{account}", scene.namespace.name());
        program.args(["--as", &user]);
        program.env("KUBECONFIG", scene.plane.admin_kubeconfig(scene.namespace.name()));
    }
    Finished::of(program.env("KUBE_LABEL_SELECTOR", ""))
}

#[test]
fn a_workload_is_found_by_its_name() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    for (name, kind, manifest) in [
        ("by-name", "Deployment", workload::deployment("orders", 4)),
        ("by-name-set", "StatefulSet", workload::stateful_set("orders", 4)),
    ] {
        let scene = Scene::of(plane, name, 4, &[manifest]);
        let target = format!("{}/orders", kind.to_lowercase());
        let check = named(&scene, "check", &target, None);
        assert_eq!(check.code, Some(0), "{check}");
        let plan = named(&scene, "plan", &target, None);
        assert_eq!(plan.code, Some(0), "{plan}");
        let report = plan.json();
        assert_eq!(report["workload"]["owner"], format!("{kind}/orders"), "{plan}");
        assert_eq!(report["workload"]["selector"], "app=orders", "{plan}");
        assert_eq!(report["targets"][0]["pod"], scene.busiest(), "{plan}");
        let nodes = report["pods"].as_array().expect("pods").iter().map(|pod| pod["node"].is_string());
        assert!(nodes.into_iter().all(|is_known| is_known), "each pod is on a node: {plan}");

        let absent = named(&scene, "plan", "deployment/payments", None);
        assert_eq!((absent.code, absent.stdout.as_str()), (Some(64), ""), "{absent}");
        let words = format!("there is no deployment/payments in namespace {}", scene.namespace.name());
        assert!(absent.stderr.contains(&words), "{absent}");
    }
}

/// From a laptop, before the job is scheduled: what may its account do, and what will it come to?
#[test]
fn the_rights_of_the_jobs_account_are_tried_from_a_laptop() {
    require!(ControlPlane);
    let scene = Scene::of(ControlPlane::shared(), "as-account", 4, &[workload::deployment("orders", 4)]);
    let deny = |account: &str, resource: &str| {
        let rules = least_role().as_array().expect("rules").clone();
        let rules: Vec<Value> = rules.into_iter().filter(|rule| rule["resources"][0] != resource).collect();
        scene.namespace.service_account(account, &json!(rules));
    };
    deny("no-evictions", "pods/eviction");
    deny("no-pods", "pods");
    deny("no-owners", "replicasets");

    let target = "deployment/orders";
    let check = named(&scene, "check", target, Some("rebalancer"));
    assert_eq!(check.code, Some(0), "its Role is enough: {check}");
    assert!(permissions(&check).iter().all(|check| check["result"] == "success"), "{check}");
    let plan = named(&scene, "plan", target, Some("rebalancer"));
    assert_eq!((plan.code, &plan.json()["outcome"]), (Some(0), &json!("planned")), "{plan}");

    let check = named(&scene, "check", target, Some("no-evictions"));
    assert_eq!(check.code, Some(1), "{check}");
    let lacking: Vec<Value> =
        permissions(&check).into_iter().filter(|check| check["result"] != "success").collect();
    assert_eq!(lacking.len(), 1, "{check}");
    assert_eq!(lacking[0]["description"], "may not create pods/eviction", "{check}");
    assert_eq!(named(&scene, "plan", target, Some("no-evictions")).code, Some(0), "a plan evicts nothing");

    for (account, words) in
        [("no-pods", r#"cannot list resource "pods""#), ("no-owners", r#"cannot get resource "deployments""#)]
    {
        let plan = named(&scene, "plan", target, Some(account));
        assert_eq!((plan.code, plan.stdout.as_str()), (Some(1), ""), "{plan}");
        let user = format!("system:serviceaccount:{}:{account}", scene.namespace.name());
        assert!(plan.stderr.replace('\\', "").contains(words), "{account}: {plan}");
        assert!(plan.stderr.contains(&user), "who lacks it is named: {plan}");
        assert_eq!(named(&scene, "check", target, Some(account)).code, Some(1), "{account}");
    }
    // Who may not impersonate is told so.
    let mut program = scene.program(&["plan", "--as", "system:serviceaccount:other:one"]);
    let refused = Finished::of(&mut program);
    assert_eq!(refused.code, Some(1), "{refused}");
    assert!(refused.stderr.contains("cannot impersonate"), "{refused}");
    assert_eq!(scene.ended(), Vec::<String>::new());
}
