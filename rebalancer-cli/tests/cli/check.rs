//! `check`: whether a run would work, without trying one.

use rebalancer_core::Metric;
use serde_json::Value;

use crate::program::Done;
use crate::servers::Servers;

/// Result and hint of the check whose description contains `words`.
#[track_caller]
fn found(done: &Done, words: &str) -> (String, String) {
    let report = done.json();
    let checks = report["categories"].as_array().into_iter().flatten();
    let mut checks = checks.flat_map(|category| category["checks"].as_array().into_iter().flatten());
    let said = |check: &Value, key: &str| check[key].as_str().unwrap_or_default().to_owned();
    let check = checks.find(|check| said(check, "description").contains(words));
    let check = check.unwrap_or_else(|| panic!("nothing is said of {words}: {done}"));
    (said(check, "result"), said(check, "hint"))
}

#[test]
fn a_run_that_would_work_passes_and_nothing_is_changed() {
    let servers = Servers::start();
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(done.json()["success"], true);
    assert_eq!(found(&done, "12 pods, 12 of them Ready").0, "success");
    assert_eq!(found(&done, "Deployment/orders-consumer").0, "success");
    assert_eq!(found(&done, "lag: 11 series, 11 of 12 live pods").0, "warning");
    let changing = servers.asked().into_iter().filter(|asked| !asked.starts_with("GET"));
    assert!(changing.into_iter().all(|asked| asked.contains("selfsubjectaccessreviews")));
}

#[test]
fn the_missing_permission_is_named() {
    let servers = Servers::start();
    servers.cluster.deny("create pods/eviction");
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    let (result, hint) = found(&done, "pods/eviction");
    assert_eq!(result, "error", "{done}");
    assert!(hint.contains("tiny"), "{hint}");
}

#[test]
fn each_side_is_checked_though_the_other_fails() {
    let servers = Servers::start();
    servers.metrics.answer_body(Metric::Cpu, "<html>Sign in</html>");
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert_eq!(found(&done, "cpu").0, "error");
    assert_eq!(found(&done, "lag: 11").0, "warning");
    assert_eq!(found(&done, "12 pods").0, "success");
    servers.cluster.expire_token();
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(found(&done, "list the workload").1.contains("Unauthorized"), "{done}");
}
