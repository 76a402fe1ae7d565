//! Whose pods may be evicted, and which rollouts are seen.

use std::time::Duration;

use rebalancer_core::{
    Controller, Disturbance, LocalVolume, Objection, OwnerStatus, Role, RotationOptions, RotationPlan,
    Workload, disturbances, objections, remarks,
};

use super::fleet;

const BOTH: [(Role, &str); 2] = [(Role::Busiest, "a"), (Role::LeastBusy, "d")];

fn options() -> RotationOptions {
    RotationOptions::until(Duration::from_secs(60))
}

/// An owner of this kind, group and name `orders`.
fn owner(full_kind: &str) -> Controller {
    let (kind, group) = full_kind.split_once('.').unwrap_or((full_kind, ""));
    Controller { group: Some(group.to_string()), ..fleet::owner(kind, "orders") }
}

/// The code of what speaks against pods of `controller` under `top`; empty when nothing does.
fn verdict(controller: &str, top: &str, named: bool) -> &'static str {
    let (controller, top) = (owner(controller), owner(top));
    let pod = fleet::pod("a", &controller);
    let facts = OwnerStatus { named, ..OwnerStatus::silent(controller, top) };
    objections(&pod, &[facts], Duration::ZERO).first().map_or("", Objection::code)
}

#[test]
fn only_controllers_known_to_replace_their_pods_are_allowed() {
    let replica_set = "ReplicaSet.apps";
    for (controller, top, objection) in [
        (replica_set, replica_set, ""),
        (replica_set, "Deployment.apps", ""),
        (replica_set, "Rollout.argoproj.io", ""),
        (replica_set, "Application.example.com", "unknown_controller"),
        (replica_set, "Deployment.example.com", "unknown_controller"),
        ("StatefulSet.apps", "StatefulSet.apps", ""),
        ("StatefulSet.apps.kruise.io", "StatefulSet.apps.kruise.io", "unknown_controller"),
        ("ReplicationController", "ReplicationController", ""),
        ("CloneSet.apps.kruise.io", "CloneSet.apps.kruise.io", "unknown_controller"),
        ("StrimziPodSet.core.strimzi.io", "StrimziPodSet.core.strimzi.io", "unknown_controller"),
        ("Workflow.argoproj.io", "Workflow.argoproj.io", "unknown_controller"),
        ("Deployment.apps", "Deployment.apps", "no_replica"),
        ("DaemonSet.apps", "DaemonSet.apps", "not_recreated"),
        ("Job.batch", "Job.batch", "work_lost"),
        ("Job.batch.volcano.sh", "Job.batch.volcano.sh", "work_lost"),
        ("Pod", "Pod", "work_lost"),
    ] {
        assert_eq!(verdict(controller, top, false), objection, "{controller} under {top}");
        let named = if objection == "unknown_controller" { "" } else { objection };
        assert_eq!(verdict(controller, top, true), named, "{controller} under {top}, named");
    }
}

#[test]
fn without_facts_of_its_owner_a_pod_is_judged_by_its_controller_alone() {
    let code = |controller: &Controller| {
        let pod = fleet::pod("a", controller);
        objections(&pod, &[], Duration::ZERO).first().map_or("", Objection::code)
    };
    assert_eq!(code(&owner("ReplicaSet.apps")), "");
    assert_eq!(code(&owner("ReplicaSet")), "unknown_controller", "a kind of the core group");
    assert_eq!(code(&fleet::owner("ReplicaSet", "orders")), "", "a group that was not recorded");
    assert_eq!(code(&fleet::owner("CloneSet", "orders")), "unknown_controller");
}

#[test]
fn the_words_name_the_owner_and_its_kind() {
    let words = |controller: &str| {
        let pod = fleet::pod("a", &owner(controller));
        let found = objections(&pod, &[], Duration::ZERO);
        found.iter().map(ToString::to_string).collect::<Vec<String>>().join("; ")
    };
    assert_eq!(
        words("Job.batch"),
        "is owned by Job orders, which waits for its work: that would be lost or fail"
    );
    assert_eq!(
        words("Deployment.apps"),
        "is owned by Deployment orders directly, so it is not one of the replicas of its owner"
    );
    assert_eq!(
        words("CloneSet.apps.kruise.io"),
        "is owned by CloneSet orders, and CloneSet.apps.kruise.io is not among the controllers that are allowed"
    );
}

/// Four pods of one owner with these revisions.
fn revised(kind: &str, revisions: [&str; 4]) -> Workload {
    let mut workload = fleet::workload(kind, &["a", "b", "c", "d"]);
    for (pod, revision) in workload.pods.iter_mut().zip(revisions) {
        pod.revision = (!revision.is_empty()).then(|| revision.to_string());
    }
    workload
}

fn found(workload: &Workload) -> Vec<String> {
    disturbances(workload, &options()).iter().map(ToString::to_string).collect()
}

#[test]
fn pods_of_several_revisions_withhold_whatever_owns_them() {
    let words =
        |kind: &str| vec![format!("pods of {kind} orders are of 2 revisions (r1; r2), as in a rollout")];
    for (kind, title) in
        [("CloneSet", "CloneSet"), ("ReplicaSet", "Deployment"), ("StatefulSet", "StatefulSet")]
    {
        let mut workload = revised(kind, ["r1", "r1", "r1", "r2"]);
        assert_eq!(found(&workload), words(title), "{kind}");
        let facts = &mut workload.owners[0];
        *facts = OwnerStatus::silent(facts.controller.clone(), facts.top.clone());
        assert_eq!(found(&workload), words(title), "{kind} that says nothing");
        assert_eq!(found(&revised(kind, ["r1"; 4])), Vec::<String>::new(), "{kind}");
    }
    let unknown = found(&revised("CloneSet", ["r1", "r1", "r1", ""]));
    assert_eq!(unknown, ["pods of CloneSet orders are of 2 revisions (none; r1), as in a rollout"]);
}

#[test]
fn two_workloads_under_one_selector_are_each_of_one_revision() {
    let mut workload = revised("ReplicaSet", ["r1"; 4]);
    let mut other = revised("StatefulSet", ["r2"; 4]);
    other.pods.iter_mut().for_each(|pod| pod.name.insert(0, 's'));
    workload.pods.extend(other.pods);
    workload.owners.extend(other.owners);
    let allowed = RotationOptions { allow_many_controllers: true, ..options() };
    assert_eq!(disturbances(&workload, &allowed), []);
}

/// A `StatefulSet` whose template was changed from `r1` to `r2`.
fn changed(revisions: [&str; 4], updated: u32, change: impl FnOnce(&mut OwnerStatus)) -> Workload {
    let mut workload = revised("StatefulSet", revisions);
    let facts = &mut workload.owners[0];
    facts.update_revision = Some("r2".to_string());
    facts.updated_replicas = Some(updated);
    change(facts);
    workload
}

const ROLLOUT: &str = "StatefulSet orders is in a rollout";

#[test]
fn a_stateful_set_updated_on_deletion_is_settled_when_its_pods_are() {
    let on_delete = |facts: &mut OwnerStatus| facts.on_delete = true;
    for (revisions, updated, settled) in [
        (["r2"; 4], 4, true),
        ([""; 4], 4, true),
        (["r2"; 4], 0, true),
        (["r1"; 4], 0, true),
        ([""; 4], 3, false),
        (["r1", "r1", "r2", "r2"], 2, false),
        (["r1", "r2", "r2", "r2"], 4, false),
    ] {
        let found = found(&changed(revisions, updated, on_delete));
        assert_eq!(found.is_empty(), settled, "{revisions:?}, {updated} updated: {found:?}");
    }
    assert_eq!(found(&changed(["r2"; 4], 4, |_| {})), [ROLLOUT], "any other waits for its controller");
    let told = |revision| remarks(&changed([revision; 4], 0, on_delete), &[]);
    assert_eq!(told("r2"), Vec::<String>::new());
    assert_eq!(
        told("r1"),
        ["StatefulSet orders is updated on deletion: an evicted pod comes back at revision r2"]
    );
}

#[test]
fn a_partition_at_rest_is_rotated_among_pods_of_one_revision() {
    let partition = |facts: &mut OwnerStatus| facts.partition = 3;
    let canary = changed(["r1", "r1", "r1", "r2"], 1, partition);
    assert_eq!(found(&canary), Vec::<String>::new());
    assert_eq!(
        remarks(&canary, &[]),
        ["StatefulSet orders is partitioned: only pods of one revision are rotated"]
    );
    let refused = RotationPlan::new(&BOTH, &canary, options()).expect_err("of two revisions");
    assert_eq!(
        refused.to_string(),
        "the workload is not settled: StatefulSet orders is partitioned, \
         and the pods to rotate are of different revisions"
    );
    let alike = [(Role::Busiest, "a"), (Role::LeastBusy, "c")];
    assert!(RotationPlan::new(&alike, &canary, options()).is_ok());
    assert!(RotationPlan::new(&BOTH[1..], &canary, options()).is_ok(), "one pod is of one revision");
    let unsaid = changed([""; 4], 1, partition);
    assert!(RotationPlan::new(&BOTH, &unsaid, options()).is_err(), "which pods are the canary is not known");

    let on_its_way = [
        changed(["r1"; 4], 0, partition),
        changed([""; 4], 0, partition),
        changed(["r1", "r1", "r2", "r2"], 2, |_| {}),
    ];
    for workload in on_its_way {
        assert_eq!(found(&workload).first().map(String::as_str), Some(ROLLOUT), "{workload:?}");
    }
    // Its controller counts no terminating pod as updated; the pod itself tells.
    let mut evicted = changed(["r1", "r1", "r1", "r2"], 0, partition);
    evicted.pods[3].terminating = true;
    assert_eq!(disturbances(&evicted, &options()), [Disturbance::PodTerminating("d".to_string())]);
}

#[test]
fn a_rollout_of_argo_is_told_by_its_hashes_and_by_its_counts() {
    let rollout = |current: &str, updated: u32| {
        let mut workload = revised("ReplicaSet", ["r1"; 4]);
        let facts = &mut workload.owners[0];
        facts.top = owner("Rollout.argoproj.io");
        (facts.current_revision, facts.update_revision) = (Some("r1".into()), Some(current.into()));
        facts.updated_replicas = Some(updated);
        found(&workload)
    };
    assert_eq!(rollout("r1", 4), Vec::<String>::new());
    assert_eq!(rollout("r2", 4), ["Rollout orders is in a rollout"]);
    assert_eq!(rollout("r1", 3), ["Rollout orders is in a rollout"]);
}

#[test]
fn what_is_lost_or_cannot_be_seen_is_told() {
    let mut workload = revised("CloneSet", ["r1"; 4]);
    let facts = &mut workload.owners[0];
    *facts = OwnerStatus::silent(facts.controller.clone(), facts.top.clone());
    workload.pods[0].local_storage = vec![
        LocalVolume::EmptyDir { volume: "rocksdb".to_string() },
        LocalVolume::LocalClaim { claim: "data-a".to_string() },
        LocalVolume::UnknownClaim { claim: "logs-a".to_string(), why: "which may not be read".to_string() },
    ];
    let unseen = "CloneSet orders: rollout not visible, but for pods of different revisions";
    assert_eq!(remarks(&workload, &["b"]), [unseen]);
    assert_eq!(
        remarks(&workload, &["a", "b"]),
        [
            unseen,
            "pod a has local storage that would be lost: emptyDir rocksdb; it keeps data on its node, the only \
             one that its replacement can run on: claim data-a; it may keep data on its node: claim logs-a, \
             which may not be read"
        ]
    );
    workload.pods[0].local_storage =
        vec![LocalVolume::UnknownClaim { claim: "logs-a".to_string(), why: String::new() }];
    assert_eq!(remarks(&workload, &["a"])[1], "pod a may keep data on its node: claim logs-a");
}
