//! A small workload to rotate, and the ways in which it can change under a plan.

use core::time::Duration;
use rebalancer_core::{
    Controller, LivePod, OwnerStatus, Phase, Protection, Role, RotationOptions, RotationPlan, Workload,
};

/// A settled workload of pods with these names, all of one controller of this kind.
pub fn workload(kind: &str, names: &[&str]) -> Workload {
    let controller: Controller = owner(kind, "orders");
    let replicas: Option<u32> = u32::try_from(names.len()).ok();
    let revision: Option<String> = (kind == "StatefulSet").then(|| "r1".to_string());
    Workload {
        pods: names.iter().map(|name| pod(name, &controller)).collect(),
        owners: vec![OwnerStatus {
            controller: controller.clone(),
            top: if kind == "ReplicaSet" { owner("Deployment", "orders") } else { controller.clone() },
            generation: Some(7),
            observed_generation: Some(7),
            desired_replicas: replicas,
            current_replicas: replicas,
            updated_replicas: replicas,
            current_revision: revision.clone(),
            update_revision: revision,
            ..OwnerStatus::silent(controller.clone(), controller)
        }],
    }
}

/// A plan to evict the named pods, busiest first.
pub fn plan(targets: &[&str], workload: &Workload, options: RotationOptions) -> RotationPlan {
    let roles = [Role::Busiest, Role::LeastBusy];
    let targets: Vec<(Role, &str)> = roles.into_iter().zip(targets.iter().copied()).collect();
    RotationPlan::new(&targets, workload, options).expect("the fleet is settled")
}

/// An owner of this kind and name; its UID tells kind and name.
pub fn owner(kind: &str, name: &str) -> Controller {
    Controller { group: None, kind: kind.to_string(), name: name.to_string(), uid: format!("{kind}/{name}") }
}

/// A Ready pod that is an hour old; its UID tells its name.
pub fn pod(name: &str, controller: &Controller) -> LivePod {
    let hour: Duration = Duration::from_secs(3600);
    LivePod {
        uid: format!("uid-{name}"),
        age: Some(hour),
        uptime: Some(hour),
        controller: Some(controller.clone()),
        ..LivePod::assumed(name)
    }
}

/// Changes a workload as one word of a script says; see the first script for the words.
///
/// # Panics
///
/// When the word is none of them, or names a pod that is not there.
pub fn change(workload: &mut Workload, word: &str) {
    if let Some(name) = word.strip_prefix('-') {
        return workload.pods.retain(|pod| pod.name != name);
    }
    if let Some(name) = word.strip_prefix('+') {
        let controller: Controller = workload.owners[0].controller.clone();
        return workload.pods.push(pod(name, &controller));
    }
    if let Some((name, what)) = word.split_once(':') {
        let pod: &mut LivePod = workload
            .pods
            .iter_mut()
            .find(|pod| pod.name == name)
            .unwrap_or_else(|| panic!("{word}: no such pod"));
        return change_pod(pod, what);
    }
    if word == "no_owner" {
        return workload.owners.clear();
    }
    let (fact, value) = word.split_once('=').unwrap_or_else(|| panic!("{word}: not understood"));
    let owner: &mut OwnerStatus = &mut workload.owners[0];
    let number = || Some(value.parse().expect("a count"));
    match fact {
        "generation" => owner.generation = number().map(i64::from),
        "desired" => owner.desired_replicas = number(),
        "current" => owner.current_replicas = number(),
        "updated" => owner.updated_replicas = number(),
        "paused" => owner.paused = Some(value.to_string()),
        "update_revision" => owner.update_revision = Some(value.to_string()),
        _ => panic!("{word}: not understood"),
    }
}

/// Changes one pod as the part of the word after its colon says.
///
/// # Panics
///
/// When the word is not known.
pub fn change_pod(pod: &mut LivePod, what: &str) {
    match what {
        "not_ready" => pod.ready = false,
        "terminating" => pod.terminating = true,
        "replaced" => pod.uid.push_str("-2"),
        "pending" => (pod.phase, pod.ready) = (Phase::Pending, false),
        "failed" => (pod.phase, pod.ready) = (Phase::Failed, false),
        "restarted" => pod.uptime = Some(Duration::from_secs(10)),
        "adopted" => pod.controller = Some(owner("ReplicaSet", "other")),
        "opts_out" => pod.protections.push(Protection::OptOut {
            annotation: "karpenter.sh/do-not-disrupt".to_string(),
            value: "true".to_string(),
        }),
        _ => panic!("{what}: not understood"),
    }
}
