//! A plan that is saved, and carried out only if everything is as it was.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::Done;
use crate::servers::{BUSIEST, LEAST_BUSY, Servers, fleet};

/// A folder with a plan for these servers, and the path of the plan.
fn planned(servers: &Servers, env: &[(&str, &str)]) -> (TempDir, String) {
    let folder = TempDir::new().expect("a folder for temporary files");
    let path = folder.path().join("plan.json").to_str().expect("a path of ours").to_owned();
    let done = servers.run(&["plan", "--out", &path], env);
    assert_eq!(done.code, Some(0), "{done}");
    (folder, path)
}

fn carried_out(servers: &Servers, path: &str, env: &[(&str, &str)]) -> Done {
    servers.run(&["run", "--yes", "--plan", path], env)
}

/// Fails unless nothing was evicted and the report says `words`.
#[track_caller]
fn withheld(servers: &Servers, path: &str, env: &[(&str, &str)], words: &str) {
    let done = carried_out(servers, path, env);
    let report = done.json();
    assert_eq!((&report["outcome"], done.code), (&"withheld".into(), Some(0)), "{done}");
    let reason = report["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("does not hold any more: ") && reason.contains(words), "{words}: {reason}");
    assert_eq!(report["targets"], json!([]));
    assert_eq!(servers.evictions(), Vec::<String>::new(), "{words}");
}

/// Changes the file.
fn rewrite(path: &str, change: impl FnOnce(&mut Value)) {
    let mut plan: Value = serde_json::from_slice(&fs::read(path).expect("the plan")).expect("JSON");
    change(&mut plan);
    fs::write(path, plan.to_string()).expect("a file of ours");
}

#[test]
fn a_plan_is_carried_out_if_everything_is_as_it_was_and_only_once() {
    let servers = Servers::start();
    let (_folder, path) = planned(&servers, &[]);
    assert_eq!(servers.evictions(), Vec::<String>::new(), "a plan only reads");
    let text = fs::read_to_string(&path).expect("the plan");
    let saved: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(saved["format"], "pod-rebalancer/plan/v1");
    let uid = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    let targets = json!([
        {"pod": BUSIEST, "uid": uid(11), "role": "busiest"},
        {"pod": LEAST_BUSY, "uid": uid(7), "role": "least_busy"},
    ]);
    assert_eq!(saved["targets"], targets);
    // Neither namespace nor selector need to be set again, and other ones of the environment do not count.
    let done =
        carried_out(&servers, &path, &[("KUBE_LABEL_SELECTOR", "app=other"), ("KUBE_NAMESPACE", "other")]);
    assert_eq!((done.json()["outcome"].clone(), done.code), ("rotated".into(), Some(0)), "{done}");
    assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY]);
    let again = carried_out(&servers, &path, &[("GUARDS", "off")]);
    assert_eq!(again.json()["outcome"], "withheld", "{again}");
    let words = format!("pod {BUSIEST} is gone since the plan");
    assert!(again.json()["reason"].as_str().is_some_and(|reason| reason.contains(&words)), "{again}");
    assert_eq!(servers.evictions().len(), 2);
}

#[test]
fn what_changed_withholds_and_is_said() {
    let servers = Servers::start();
    let (_folder, path) = planned(&servers, &[]);
    withheld(&servers, &path, &[("COOLDOWN", "100h")], "the decision is withheld now");
    withheld(
        &servers,
        &path,
        &[("CPU_VARIANCE_THRESHOLD", "9"), ("LAG_VARIANCE_THRESHOLD", "9")],
        "the decision is balanced now",
    );
    withheld(
        &servers,
        &path,
        &[("STRATEGY", "by_cause")],
        "it is by STRATEGY=rotate_outliers, this run by by_cause",
    );
    let (_other_folder, other) = planned(&servers, &[]);
    let third = "orders-consumer-g5zn5h759-28w4l";
    rewrite(&other, |plan| {
        let uid = plan["workload"]["uids"][third].clone();
        plan["targets"][1] = json!({"pod": third, "uid": uid, "role": "least_busy"});
    });
    let words = format!(
        "it is to evict {BUSIEST} (busiest) and {third} (least_busy), and now that would be {BUSIEST} (busiest) and {LEAST_BUSY} (least_busy)"
    );
    withheld(&servers, &other, &[], &words);

    // A pod that has nothing to do with the plan was replaced under its name.
    servers.cluster.change(|fleet| fleet.pods[0].uid = "another".to_owned());
    withheld(&servers, &path, &[], "was replaced since the plan");
    let servers = Servers::start();
    servers.cluster.change(|fleet| fleet.replicas = 13);
    withheld(
        &servers,
        &path,
        &[("GUARDS", "off")],
        "asks for another number of pods than in the plan, now 13",
    );
    let servers = Servers::start();
    servers
        .cluster
        .change(|fleet| fleet.annotations.extend([("pod-rebalancer/paused".to_owned(), "ada".to_owned())]));
    withheld(&servers, &path, &[], "is paused by its annotation");
}

#[test]
fn the_very_pods_are_evicted_and_no_others_of_their_names() {
    let servers = Servers::start();
    let (_folder, path) = planned(&servers, &[]);
    servers.cluster.change(|fleet| fleet.pod(BUSIEST).uid = "another".to_owned());
    withheld(&servers, &path, &[], &format!("pod {BUSIEST} was replaced since the plan"));
}

#[test]
fn a_plan_that_evicts_nothing_does_nothing() {
    let servers = Servers::start();
    let (_folder, path) = planned(&servers, &[("COOLDOWN", "100h")]);
    withheld(&servers, &path, &[], "it evicts nothing, its outcome was withheld");
}

/// What a damaged file says, and how it is damaged.
type Damage = (&'static str, fn(&mut Value));

#[test]
fn a_file_that_is_no_plan_of_now_is_refused_before_any_server_is_asked() {
    let servers = Servers::start();
    let cases: [Damage; 8] = [
        ("it is no plan", |plan| plan["format"] = "pod-rebalancer/plan/v2".into()),
        ("it is no plan", |plan| *plan = json!([1])),
        ("it is damaged", |plan| plan["targets"] = json!("all")),
        ("it is damaged", |plan| plan["targets"][0]["pod"] = "kube-dns".into()),
        ("it is damaged", |plan| plan["targets"][0]["uid"] = "".into()),
        ("its namespace is no name", |plan| plan["namespace"] = "../kube-system".into()),
        ("a plan is carried out within 60 min", |plan| plan["planned_at"] = "2026-01-01T00:00:00Z".into()),
        ("ahead of this clock", |plan| plan["planned_at"] = "2099-01-01T00:00:00Z".into()),
    ];
    for (words, change) in cases {
        let (_folder, path) = planned(&servers, &[]);
        rewrite(&path, change);
        let asked = servers.asked().len();
        let done = carried_out(&servers, &path, &[]);
        let told = done.assert_one_error(64);
        assert!(told.contains(words) && told.contains("--plan"), "{words}: {told}");
        assert_eq!(servers.asked().len(), asked, "{words}");
    }
    let (folder, path) = planned(&servers, &[]);
    for missing in ["absent.json", ""] {
        let path = folder.path().join(missing);
        carried_out(&servers, path.to_str().expect("a path of ours"), &[]).assert_one_error(64);
    }
    for more in [&["--selector", "app=orders-consumer"][..], &["-n", "tiny"], &["deployment/orders-consumer"]]
    {
        let args = [&["run", "--yes", "--plan", &path][..], more].concat();
        let done = servers.run(&args, &[]);
        assert!(done.assert_one_error(64).contains("the plan names the workload"), "{done}");
    }
    let done = servers.run(&["plan", "--out", "/nowhere/plan.json"], &[]);
    assert!(done.assert_one_error(1).contains("cannot save the plan to /nowhere/plan.json"), "{done}");
    servers.assert_untouched();
}

#[test]
fn a_saved_plan_holds_no_secret_and_can_be_rehearsed() {
    let servers = Servers::over(fleet());
    let secret =
        [("PROMETHEUS_BEARER_TOKEN", "hunter2-long"), ("WEBHOOK_URL", "http://127.0.0.1:9/hunter2hunter2")];
    let (_folder, path) = planned(&servers, &secret);
    let text = fs::read_to_string(&path).expect("the plan");
    assert!(!text.contains("hunter2") && !text.contains("sim-token"), "{text}");
    let done = servers.run(&["run", "--dry-run", "--plan", &path], &[]);
    assert_eq!(done.json()["outcome"], "planned", "{done}");
    servers.assert_untouched();
}
