//! Disruption budgets: both evictions fit, or there is none.

use e2e::{ControlPlane, Finished, require, workload};
use serde_json::json;

use super::scene::{Scene, assert_says, assert_untouched};

fn scene(name: &str, allowed: u32) -> Scene<'static> {
    let plane = ControlPlane::shared();
    let manifests = [workload::budget("keep", "orders", allowed), workload::deployment("orders", 4)];
    let scene = Scene::of(plane, name, 4, &manifests);
    plane.wait_budget(&scene.namespace, "keep", allowed.into());
    scene
}

#[test]
fn a_budget_of_none_blocks() {
    require!(ControlPlane);
    let scene = scene("budget-0", 0);
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    assert_says(&run, "PodDisruptionBudget keep has disruptionsAllowed 0, 2 needed");
    assert_eq!(Finished::of(scene.eviction().arg("--detailed-exitcode")).code, Some(3));
}

#[test]
fn a_budget_of_one_blocks_both_evictions_and_not_only_the_second() {
    require!(ControlPlane);
    let scene = scene("budget-1", 1);
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    assert_says(&run, "PodDisruptionBudget keep has disruptionsAllowed 1, 2 needed");
    let evicts = |step: &serde_json::Value| step["action"] == "evict";
    assert!(!run.json()["rotation"]["steps"].as_array().expect("steps").iter().any(evicts), "{run}");

    let run = Finished::of(scene.eviction().env("PACING", "wait-ready"));
    assert_eq!(run.json()["outcome"], "rotated", "one after the other is within the budget: {run}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

#[test]
fn a_budget_of_two_lets_both_go() {
    require!(ControlPlane);
    let scene = scene("budget-2", 2);
    let run = scene.run();
    assert_eq!((run.json()["outcome"].as_str(), run.code), (Some("rotated"), Some(0)), "{run}");
    assert_eq!(scene.ended(), [scene.busiest(), scene.least_busy()]);
}

#[test]
fn two_budgets_on_one_pod_block_and_are_named() {
    require!(ControlPlane);
    let scene = scene("budgets-two", 2);
    scene.namespace.apply(&workload::budget("twice", "orders", 2));
    scene.plane.wait_budget(&scene.namespace, "twice", 2);
    let run = scene.run();
    assert_untouched(&scene, &run, "blocked", 0);
    assert_says(&run, "is matched by 2 PodDisruptionBudgets (keep, twice)");
    let report = run.json();
    assert_eq!(report["rotation"]["reason"]["code"], "pdb_misconfigured", "{run}");
    assert_eq!(report["rotation"]["attempted"], json!([]), "{run}");
}
