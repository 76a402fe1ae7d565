//! The objects of a fleet as the server writes them.

use std::time::SystemTime;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::fleet::{Fleet, SimBudget, SimPod, WorkloadKind};

/// UID of the object that controls the pods.
fn controller_uid(fleet: &Fleet) -> String {
    format!("00000000-0000-4000-9000-{:012}", 10 * fleet.number + 1)
}

/// UID of the Deployment above the replica set.
fn deployment_uid(fleet: &Fleet) -> String {
    format!("00000000-0000-4000-9000-{:012}", 10 * fleet.number + 2)
}

/// The fleet's owners of one kind: the further objects of that kind, else the one that the fleet brings.
pub(super) fn owners(plural: &str, fleet: &Fleet) -> Vec<Value> {
    let of_kind = format!("{plural}/");
    let further = fleet.objects.iter().filter(|(path, _)| path.starts_with(&of_kind));
    let further: Vec<Value> = further.map(|(_, object)| object.clone()).collect();
    if !further.is_empty() {
        return further;
    }
    let name = if plural == "replicasets" { replica_set(fleet) } else { fleet.name.clone() };
    owner(plural, &name, fleet).into_iter().collect()
}

/// A pod, without the parts nobody here reads.
pub(super) fn pod(pod: &SimPod, fleet: &Fleet) -> Value {
    let created = rfc3339(pod.created);
    let ready = if pod.is_ready() { "True" } else { "False" };
    let mut object = json!({
        "metadata": {
            "name": pod.name,
            "namespace": fleet.namespace,
            "uid": pod.uid,
            "resourceVersion": "1",
            "creationTimestamp": created,
            "labels": pod.labels,
            "annotations": pod.annotations,
            "ownerReferences": [controller(fleet)],
        },
        "spec": {"containers": [{"name": fleet.name, "image": "example.invalid/consumer:1"}], "nodeName": "node-1",
                 "volumes": fleet.volumes},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": created}],
            "containerStatuses": [{"name": fleet.name, "ready": pod.is_ready(), "restartCount": 0,
                                   "state": {"running": {"startedAt": created}}}],
        },
    });
    if let Some(ip) = &pod.ip {
        object["status"]["podIPs"] = json!([{"ip": ip}]);
    }
    if pod.gone_from.is_some() {
        object["metadata"]["deletionTimestamp"] = json!(rfc3339(SystemTime::now()));
    }
    object
}

fn controller(fleet: &Fleet) -> Value {
    if let Some(reference) = &fleet.owner_reference {
        return reference.clone();
    }
    let (api, kind, name) = match fleet.kind {
        WorkloadKind::Deployment => ("apps/v1", "ReplicaSet", replica_set(fleet)),
        WorkloadKind::StatefulSet => ("apps/v1", "StatefulSet", fleet.name.clone()),
        WorkloadKind::Custom => ("apps.kruise.io/v1beta1", "StatefulSet", fleet.name.clone()),
    };
    json!({"apiVersion": api, "kind": kind, "name": name, "uid": controller_uid(fleet),
           "controller": true, "blockOwnerDeletion": true})
}

/// What the names of replica sets end in.
pub(super) const TEMPLATE_HASH: &str = "58db4d5fb7";

fn replica_set(fleet: &Fleet) -> String {
    format!("{}-{TEMPLATE_HASH}", fleet.name)
}

/// The owner of this kind and name, where the fleet has one.
pub(super) fn owner(plural: &str, name: &str, fleet: &Fleet) -> Option<Value> {
    if let Some(object) = fleet.objects.get(&format!("{plural}/{name}")) {
        return Some(object.clone());
    }
    let live = fleet.pods.iter().filter(|pod| pod.gone_from.is_none());
    let (replicas, ready) = (live.clone().count(), live.filter(|pod| pod.is_ready()).count());
    let status = json!({
        "observedGeneration": fleet.observed_generation,
        "replicas": replicas,
        "readyReplicas": ready,
        "updatedReplicas": fleet.updated_replicas.unwrap_or(replicas),
    });
    let metadata = |name: &str, uid: &str| json!({"name": name, "namespace": fleet.namespace, "uid": uid, "generation": fleet.generation});
    let top = |name: &str, uid: &str| {
        let mut metadata = metadata(name, uid);
        metadata["annotations"] = json!(fleet.annotations);
        metadata
    };
    let spec = json!({"replicas": fleet.replicas, "selector": {"matchLabels": {"app": fleet.name}}});
    match (plural, fleet.kind) {
        ("deployments", WorkloadKind::Deployment) if name == fleet.name => Some(json!({
            "kind": "Deployment", "apiVersion": "apps/v1",
            "metadata": top(name, &deployment_uid(fleet)), "spec": spec, "status": status,
        })),
        ("replicasets", WorkloadKind::Deployment) if name == replica_set(fleet) => {
            let mut metadata = metadata(name, &controller_uid(fleet));
            metadata["ownerReferences"] = json!([{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": fleet.name,
                "uid": deployment_uid(fleet), "controller": true, "blockOwnerDeletion": true,
            }]);
            Some(json!({
                "kind": "ReplicaSet", "apiVersion": "apps/v1",
                "metadata": metadata, "spec": spec, "status": status,
            }))
        }
        ("statefulsets", WorkloadKind::StatefulSet) if name == fleet.name => {
            let mut status = status;
            status["currentRevision"] = json!("rev-1");
            status["updateRevision"] =
                json!(if fleet.updated_replicas.is_some() { "rev-2" } else { "rev-1" });
            Some(json!({
                "kind": "StatefulSet", "apiVersion": "apps/v1",
                "metadata": top(name, &controller_uid(fleet)), "spec": spec, "status": status,
            }))
        }
        _ => None,
    }
}

/// A budget.
pub(super) fn budget(budget: &SimBudget, fleet: &Fleet) -> Value {
    json!({
        "metadata": {"name": budget.name, "namespace": fleet.namespace, "generation": budget.generation},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": budget.match_labels}},
        "status": {
            "observedGeneration": budget.observed_generation,
            "disruptionsAllowed": budget.disruptions_allowed,
        },
    })
}

pub(super) fn rfc3339(time: SystemTime) -> String {
    let time: Timestamp = time.try_into().expect("the clock is within the years of a timestamp");
    let whole = Timestamp::from_second(time.as_second()).expect("a second of a valid time is valid");
    whole.to_string()
}
