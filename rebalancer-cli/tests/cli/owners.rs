//! Whose pods may be evicted: what `run`, `plan` and `check` make of the owners of pods.

use rebalancer_sim::apiserver::{Fleet, WorkloadKind};
use serde_json::{Value, json};

use crate::program::Done;
use crate::servers::{BUSIEST, LEAST_BUSY, Servers, fleet};

const RUN: [&str; 2] = ["run", "--yes"];
const PLAIN: (&str, &str) = ("GUARDS", "off");

/// The fleet, its pods owned by an object of this API and kind that no server knows.
fn owned_by(api: &str, kind: &str) -> Fleet {
    let reference =
        json!({"apiVersion": api, "kind": kind, "name": "orders", "uid": "o-1", "controller": true});
    Fleet { owner_reference: Some(reference), ..fleet() }
}

/// Its pods with this label, the first `others` with the other value.
fn labelled(mut fleet: Fleet, label: &str, others: usize) -> Fleet {
    for (number, pod) in fleet.pods.iter_mut().enumerate() {
        let revision = if number < others { "r2" } else { "r1" };
        pod.labels.insert(label.to_owned(), revision.to_owned());
    }
    fleet
}

/// Why nothing was done.
#[track_caller]
fn reason(done: &Done, outcome: &str) -> String {
    let report = done.json();
    assert_eq!(report["outcome"], outcome, "{done}");
    assert_eq!(done.code, Some(0), "{done}");
    format!("{} {}", report["reason"], report["obstacles"])
}

/// Result and hint of the check whose description contains `words`.
#[track_caller]
fn checked(done: &Done, words: &str) -> (String, String) {
    let report = done.json();
    let categories = report["categories"].as_array().into_iter().flatten();
    let mut checks = categories.flat_map(|category| category["checks"].as_array().into_iter().flatten());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let check = checks.find(|check| text(&check["description"]).contains(words));
    let check = check.unwrap_or_else(|| panic!("nothing is said of {words}: {done}"));
    (text(&check["result"]), text(&check["hint"]))
}

#[test]
fn pods_whose_work_would_be_lost_or_that_nothing_replaces_stay() {
    for (api, kind, words) in [
        ("batch/v1", "Job", "is owned by Job orders, which waits for its work"),
        ("v1", "Pod", "is owned by Pod orders, which waits for its work"),
        ("apps/v1", "Deployment", "it is not one of the replicas of its owner"),
        ("apps.kruise.io/v1alpha1", "CloneSet", "CloneSet.apps.kruise.io is not among the controllers"),
        ("argoproj.io/v1alpha1", "Workflow", "Workflow.argoproj.io is not among the controllers"),
    ] {
        let servers = Servers::over(owned_by(api, kind));
        for command in [&RUN[..], &["plan"]] {
            let done = servers.run(command, &[PLAIN]);
            assert!(reason(&done, "blocked").contains(words), "{kind}: {done}");
        }
        let done = servers.run(&["check"], &[]);
        assert_eq!(done.code, Some(1), "{done}");
        let (result, hint) = checked(&done, "12 of 12 pods are never evicted");
        assert_eq!((result.as_str(), hint.contains("every run is blocked")), ("error", true), "{done}");
        let named = hint.contains(&format!("ALLOWED_CONTROLLERS={kind}."));
        assert_eq!(named, words.contains("not among"), "{done}");
        servers.assert_untouched();
    }
}

#[test]
fn a_controller_that_is_named_is_allowed_and_its_rollout_is_not_visible() {
    let named = ("ALLOWED_CONTROLLERS", "Cluster.postgresql.cnpg.io, StatefulSet.apps.kruise.io");
    let custom = || labelled(fleet().of_kind(WorkloadKind::Custom), "controller-revision-hash", 0);
    let servers = Servers::over(custom());
    let done = servers.run(&["check"], &[named]);
    assert_eq!(done.code, Some(0), "{done}");
    let words = "owned by StatefulSet/orders-consumer, rollout not visible";
    assert_eq!(checked(&done, words).0, "warning", "{done}");
    let plan = servers.run(&["plan"], &[PLAIN, named]);
    assert_eq!(plan.json()["outcome"], "planned", "{plan}");
    assert!(plan.json()["warnings"].to_string().contains("rollout not visible"), "{plan}");
    let done = servers.run(&RUN, &[PLAIN, named, ("PACING", "wait-ready")]);
    assert_eq!(servers.evictions().first().map(String::as_str), Some(BUSIEST), "{done}");

    let servers = Servers::over(labelled(custom(), "controller-revision-hash", 4));
    let done = servers.run(&RUN, &[PLAIN, named]);
    assert!(reason(&done, "withheld").contains("are of 2 revisions (r1; r2)"), "{done}");
    let done = servers.run(&["check"], &[named]);
    assert_eq!(checked(&done, "are of 2 revisions").0, "warning", "{done}");
    servers.assert_untouched();
}

/// Native Flink: a Deployment owns the pods of its `TaskManagers` itself, and counts its `JobManagers`.
#[test]
fn pods_that_are_not_the_replicas_of_their_owner_are_told_to_be_none() {
    let mut flink = fleet();
    flink.owner_reference = Some(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "fraud",
                                        "uid": "flink-1", "controller": true}));
    flink.objects.insert(
        "deployments/fraud".to_owned(),
        json!({"kind": "Deployment", "apiVersion": "apps/v1",
               "metadata": {"name": "fraud", "uid": "flink-1", "generation": 1}, "spec": {"replicas": 1},
               "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}}),
    );
    let servers = Servers::over(flink);
    let words = "owned by Deployment fraud directly, so it is not one of the replicas of its owner";
    for command in [&RUN[..], &["plan"]] {
        let done = servers.run(command, &[PLAIN]);
        assert!(reason(&done, "blocked").contains(words), "{done}");
    }
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    let (result, hint) = checked(&done, words);
    assert_eq!((result.as_str(), hint.contains("every run is blocked")), ("error", true), "{done}");
    assert!(!done.stdout.contains("until it has settled"), "{done}");
    servers.assert_untouched();
}

/// The pods of two replica sets of a Rollout of Argo, `canary` of them of the newer.
fn rollout(canary: usize) -> Fleet {
    let mut fleet = labelled(fleet(), "rollouts-pod-template-hash", canary);
    let reference = json!([{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "orders",
                            "uid": "rollout-1", "controller": true}]);
    let set = "orders-consumer-58db4d5fb7";
    let pods = fleet.pods.len();
    fleet.objects.insert(format!("replicasets/{set}"), json!({"kind": "ReplicaSet", "apiVersion": "apps/v1",
        "metadata": {"name": set, "uid": "00000000-0000-4000-9000-000000000001", "ownerReferences": reference},
        "spec": {"replicas": pods}, "status": {"replicas": pods}}));
    let current = if canary > 0 { "r2" } else { "r1" };
    let updated = if canary > 0 { canary } else { pods };
    fleet.objects.insert(
        "rollouts/orders".to_owned(),
        json!({"kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1",
        "metadata": {"name": "orders", "uid": "rollout-1", "generation": 3},
        "spec": {"replicas": pods, "selector": {"matchLabels": {"app": "orders-consumer"}}},
        "status": {"observedGeneration": "3", "replicas": pods, "updatedReplicas": updated,
                   "stableRS": "r1", "currentPodHash": current}}),
    );
    fleet
}

#[test]
fn a_rollout_of_argo_is_the_workload_and_can_be_named() {
    let servers = Servers::over(rollout(0));
    let done = servers.run(&["plan", "rollout/orders"], &[("KUBE_LABEL_SELECTOR", "")]);
    let report = done.json();
    assert_eq!(report["outcome"], "planned", "{done}");
    assert_eq!(report["workload"]["owner"], "Rollout/orders", "{done}");
    assert_eq!(report["workload"]["selector"], "app=orders-consumer", "{done}");
    let done = servers.run(&["check"], &[]);
    assert_eq!(checked(&done, "owned by Rollout/orders, 12 of 12 replicas, no rollout").0, "success");

    let servers = Servers::over(rollout(3));
    let done = servers.run(&RUN, &[PLAIN]);
    assert!(reason(&done, "withheld").contains("Rollout orders is in a rollout"), "{done}");
    servers.assert_untouched();
}

#[test]
fn the_right_to_read_the_owner_is_named_when_it_is_missing() {
    let mut controlled = owned_by("v1", "ReplicationController");
    let pods = controlled.pods.len();
    controlled.objects.insert(
        "replicationcontrollers/orders".to_owned(),
        json!({
        "kind": "ReplicationController", "apiVersion": "v1", "metadata": {"name": "orders", "uid": "o-1",
        "generation": 2}, "spec": {"replicas": pods}, "status": {"replicas": pods, "observedGeneration": 2}}),
    );
    let servers = Servers::over(controlled);
    let done = servers.run(&["check"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(checked(&done, "owned by ReplicationController/orders").0, "success", "{done}");
    assert!(!done.stdout.contains("replicationcontrollers"), "what is there is not asked for: {done}");
    for (servers, permission) in
        [(servers, "get replicationcontrollers"), (Servers::over(rollout(0)), "get rollouts.argoproj.io")]
    {
        servers.cluster.deny(permission);
        let done = servers.run(&["check"], &[]);
        assert_eq!(done.code, Some(1), "{done}");
        assert_eq!(checked(&done, &format!("may not {permission}")).0, "error", "{done}");
        assert!(!done.stdout.contains("`check` names"), "it does not refer to itself: {done}");
    }
    // What another missing right explains is not asked for.
    let servers = Servers::start();
    servers.cluster.deny("list pods");
    let done = servers.run(&["check"], &[]);
    assert_eq!(checked(&done, "may not list pods").0, "error", "{done}");
    assert!(!done.stdout.contains("replicationcontrollers"), "{done}");
}

#[test]
fn local_storage_is_named_and_refused_where_that_is_asked_for() {
    let volumes = vec![json!({"name": "rocksdb", "emptyDir": {"sizeLimit": "200Gi"}})];
    let servers = Servers::over(Fleet { volumes, ..fleet() });
    let lost = "has local storage that would be lost: emptyDir rocksdb";
    let plan = servers.run(&["plan"], &[]);
    assert_eq!(plan.json()["outcome"], "planned", "{plan}");
    for pod in [BUSIEST, LEAST_BUSY] {
        assert!(plan.json()["warnings"].to_string().contains(&format!("pod {pod} {lost}")), "{plan}");
    }
    let done = servers.run(&["check"], &[]);
    let (result, _) = checked(&done, "12 of 12 pods have local storage");
    assert_eq!((result.as_str(), done.stdout.contains(lost)), ("warning", true), "{done}");

    let refuse = ("LOCAL_STORAGE", "refuse");
    let done = servers.run(&RUN, &[refuse]);
    let said = reason(&done, "blocked");
    assert!(said.contains("has local storage that would be lost: emptyDir rocksdb"), "{said}");
    servers.assert_untouched();
    let done = servers.run(&["check"], &[refuse]);
    let (result, hint) = checked(&done, "12 of 12 pods are never evicted");
    assert_eq!((result.as_str(), hint.contains("LOCAL_STORAGE=allow")), ("error", true), "{done}");

    let done = servers.run(&RUN, &[]);
    assert_eq!(done.json()["outcome"], "rotated", "{done}");
    assert!(done.json()["warnings"].to_string().contains(lost), "the report of a run says it too: {done}");
}

/// The pods' volume was made by hand and belongs to one node. Nobody but the volume itself tells.
#[test]
fn a_local_persistent_volume_is_named_refused_and_never_taken_for_another() {
    let volumes = vec![json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})];
    let claim = json!({"metadata": {"name": "data"}, "spec": {"volumeName": "pv-1"}});
    let mut fleet = Fleet { volumes, ..fleet() };
    fleet.objects.insert("persistentvolumeclaims/data".to_owned(), claim);
    let volume = json!({"metadata": {"name": "pv-1"}, "spec": {"local": {"path": "/mnt"}}});
    fleet.objects.insert("persistentvolumes/pv-1".to_owned(), volume);
    let servers = Servers::over(fleet);
    let bound = "keeps data on its node, the only one that its replacement can run on: claim data";
    let refuse = ("LOCAL_STORAGE", "refuse");

    let plan = servers.run(&["plan"], &[]);
    assert_eq!(plan.json()["outcome"], "planned", "{plan}");
    assert!(plan.json()["warnings"].to_string().contains(&format!("pod {BUSIEST} {bound}")), "{plan}");
    let done = servers.run(&["check"], &[]);
    assert_eq!(checked(&done, "12 of 12 pods have local storage").0, "warning", "{done}");
    assert!(reason(&servers.run(&RUN, &[refuse]), "blocked").contains(bound));
    servers.assert_untouched();

    for (denied, why) in [
        ("get persistentvolumes", "this account may not get persistentvolumes"),
        ("list persistentvolumeclaims", "this account may not list persistentvolumeclaims"),
    ] {
        servers.cluster.deny(denied);
        let unknown = format!("may keep data on its node: claim data, whose volume is not known: {why}");
        let plan = servers.run(&["plan"], &[]);
        assert_eq!(plan.json()["outcome"], "planned", "{plan}");
        assert!(plan.json()["warnings"].to_string().contains(&unknown), "{plan}");
        let words = "for 12 of 12 pods it is not known whether they have local storage";
        let done = servers.run(&["check"], &[]);
        assert_eq!(checked(&done, words).0, "warning", "{done}");
        assert!(reason(&servers.run(&RUN, &[refuse]), "blocked").contains(&unknown));
        servers.assert_untouched();
    }
}
