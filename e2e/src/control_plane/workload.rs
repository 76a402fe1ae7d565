//! Manifests of what the tests rotate.

use serde_json::{Value, json};

/// A Deployment of pods labelled `app=NAME`.
pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": name } },
            "template": template(name),
        },
    })
}

/// A `StatefulSet` of pods labelled `app=NAME`, started all at once.
pub fn stateful_set(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "Parallel",
            "selector": { "matchLabels": { "app": name } },
            "template": template(name),
        },
    })
}

/// A `DaemonSet` of pods labelled `app=NAME`, one on each node.
pub fn daemon_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet",
        "metadata": { "name": name, "labels": { "app": name } },
        "spec": { "selector": { "matchLabels": { "app": name } }, "template": template(name) },
    })
}

/// A pod labelled `app=APP` that nothing would recreate.
pub fn bare_pod(name: &str, app: &str) -> Value {
    let template = template(app);
    let mut metadata = template["metadata"].clone();
    metadata["name"] = name.into();
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// A `PodDisruptionBudget` over the pods labelled `app=APP` that lets `max_unavailable` of them be away.
pub fn budget(name: &str, app: &str, max_unavailable: u32) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": name },
        "spec": { "maxUnavailable": max_unavailable, "selector": { "matchLabels": { "app": app } } },
    })
}

fn template(name: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": name } },
        "spec": {
            "automountServiceAccountToken": false,
            "terminationGracePeriodSeconds": 30,
            "containers": [{ "name": "app", "image": "example.invalid/consumer:1" }],
        },
    })
}
