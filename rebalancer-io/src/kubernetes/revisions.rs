//! The versions of a workload's pod template that the cluster still has: replica sets, controller revisions.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use rebalancer_core::{ApiFailure, Controller};
use serde::Deserialize;
use serde_json::Value;

use super::cluster::Cluster;
use super::fields::created;
use super::selector::Selector;

/// What `kubectl rollout restart` writes into the template.
const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";

/// Longest time between that and the creation of the version. The annotation stays in all later versions.
const RESTART_TAKES: SignedDuration = SignedDuration::from_secs(60);

/// One version of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Name of its object.
    pub name: String,
    /// When it was created: when a rollout of it first began.
    pub created: Timestamp,
    /// Whether `kubectl rollout restart` made it.
    pub is_restart: bool,
}

/// A replica set has its template in `spec`, a controller revision in `data`.
#[derive(Deserialize)]
struct Object {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    data: Value,
}

impl Object {
    /// The version, if the object is one of `top`.
    fn revision(self, top: &Controller) -> Option<Revision> {
        let created = created(&self.metadata)?;
        let mut owners = self.metadata.owner_references.iter().flatten();
        owners.find(|owner| owner.controller == Some(true) && owner.uid == top.uid)?;
        let template = self.spec.get("template").or_else(|| self.data.get("spec")?.get("template"));
        let restarted =
            template.and_then(|of| of.get("metadata")?.get("annotations")?.get(RESTARTED_AT)?.as_str());
        let restarted: Option<Timestamp> = restarted.and_then(|at| at.parse().ok());
        let is_restart = restarted.is_some_and(|at| created.duration_since(at).abs() <= RESTART_TAKES);
        Some(Revision { name: self.metadata.name.unwrap_or_default(), created, is_restart })
    }
}

impl Cluster {
    /// The versions of the template of `top`, whose pods `selector` selects, the oldest first; none for a kind
    /// that keeps none.
    ///
    /// # Errors
    /// If the server refuses, naming a missing permission, or does not answer.
    pub fn revisions(&self, top: &Controller, selector: &Selector) -> Result<Vec<Revision>, ApiFailure> {
        let plural = match top.kind.as_str() {
            "Deployment" | "Rollout" => "replicasets",
            "StatefulSet" => "controllerrevisions",
            _ => return Ok(Vec::new()),
        };
        let path = format!("/apis/apps/v1/namespaces/{}/{plural}", self.namespace());
        let mut found: Vec<Revision> = Vec::new();
        self.list(&path, Some(selector), |page: Vec<Object>| {
            found.extend(page.into_iter().filter_map(|object| object.revision(top)));
            Ok(())
        })?;
        found.sort_by(|one, other| (one.created, &one.name).cmp(&(other.created, &other.name)));
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(json: &str) -> Option<Revision> {
        let top =
            Controller { group: None, kind: "Deployment".into(), name: "orders".into(), uid: "d".into() };
        let object: Object = serde_json::from_str(json).expect("an object");
        object.revision(&top)
    }

    #[test]
    fn a_restart_is_told_from_later_versions_that_kept_its_mark() {
        let of = |created: &str, template: &str| {
            revision(&format!(
                r#"{{"metadata": {{"name": "orders-7d9", "creationTimestamp": "{created}", "ownerReferences":
                     [{{"apiVersion": "apps/v1", "kind": "Deployment", "name": "orders", "uid": "d", "controller": true}}]}},
                    {template}}}"#
            ))
        };
        let marked = r#"{"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-23T07:00:00+01:00"}}}}"#;
        let is_restart = |revision: Option<Revision>| revision.map(|revision| revision.is_restart);
        let spec = format!(r#""spec": {marked}"#);
        assert_eq!(is_restart(of("2026-11-23T06:00:01Z", &spec)), Some(true));
        assert_eq!(is_restart(of("2026-11-23T09:00:00Z", &spec)), Some(false), "the mark was kept");
        let data = format!(r#""data": {{"spec": {marked}}}"#);
        assert_eq!(is_restart(of("2026-11-23T06:00:01Z", &data)), Some(true), "a controller revision");
        assert_eq!(is_restart(of("2026-11-23T06:00:01Z", r#""spec": null"#)), Some(false));
        assert_eq!(revision(r#"{"metadata": {"creationTimestamp": "2026-11-23T06:00:01Z"}}"#), None);
    }
}
