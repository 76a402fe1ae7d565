//! The versions of a workload's pod template that the cluster still has: replica sets, controller revisions.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use rebalancer_core::{ApiFailure, Controller};
use serde::Deserialize;

use super::cluster::Cluster;
use super::fields::{ListMeta, OwnerReference, moment, null_is_empty};
use super::list::Page;
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

#[derive(Deserialize)]
struct RevisionPage {
    #[serde(default, deserialize_with = "null_is_empty")]
    metadata: ListMeta,
    #[serde(deserialize_with = "null_is_empty")]
    items: Vec<Object>,
}

impl Page for RevisionPage {
    fn next(&self) -> Option<String> {
        self.metadata.continue_token.clone()
    }
}

/// A replica set has its template in `spec`, a controller revision in `data`.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Object {
    metadata: Meta,
    #[serde(deserialize_with = "null_is_empty")]
    spec: Spec,
    #[serde(deserialize_with = "null_is_empty")]
    data: Data,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: String,
    #[serde(deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    owner_references: Vec<OwnerReference>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Data {
    #[serde(deserialize_with = "null_is_empty")]
    spec: Spec,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    #[serde(deserialize_with = "null_is_empty")]
    template: Template,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    #[serde(deserialize_with = "null_is_empty")]
    metadata: TemplateMeta,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TemplateMeta {
    #[serde(deserialize_with = "null_is_empty")]
    annotations: BTreeMap<String, String>,
}

impl Object {
    /// The version, if the object is one of `top`.
    fn revision(self, top: &Controller) -> Option<Revision> {
        let created = self.metadata.creation_timestamp?;
        let owner = OwnerReference::controlling(self.metadata.owner_references)?;
        let restarted = [&self.spec, &self.data.spec]
            .into_iter()
            .find_map(|spec| spec.template.metadata.annotations.get(RESTARTED_AT)?.parse::<Timestamp>().ok());
        let is_restart = restarted.is_some_and(|at| created.duration_since(at).abs() <= RESTART_TAKES);
        (owner.uid == top.uid).then_some(Revision { name: self.metadata.name, created, is_restart })
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
        self.list(&path, Some(selector), |page: RevisionPage| {
            found.extend(page.items.into_iter().filter_map(|object| object.revision(top)));
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
