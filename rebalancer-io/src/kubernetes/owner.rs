//! What the owners of pods say of themselves: rollouts and replica counts.

use core::time::Duration;
use std::collections::BTreeMap;
use std::mem;

use jiff::{SignedDuration, Timestamp};
use kube::api::GetParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, Controller, OwnerFacts};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::cluster::Cluster;
use super::list::unsendable;
use super::pods::{Owner, OwnerRef, moment, null_is_empty};

/// Controllers that are asked about. More of them under one selector is no workload, and a rotation
/// withholds for those it knows nothing of.
const MAX_CONTROLLERS: usize = 8;

/// The part of an owner that is read.
#[derive(Deserialize)]
struct Object {
    #[serde(default)]
    metadata: Meta,
    #[serde(default, deserialize_with = "null_is_empty")]
    spec: Spec,
    #[serde(default, deserialize_with = "null_is_empty")]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    uid: String,
    generation: Option<i64>,
    #[serde(deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    managed_fields: Vec<Managed>,
    #[serde(deserialize_with = "null_is_empty")]
    owner_references: Vec<Owner>,
}

/// Who set which fields, and when last: the only trace a finished change of size leaves.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Managed {
    #[serde(deserialize_with = "moment")]
    time: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    fields_v1: Fields,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    #[serde(rename = "f:spec", deserialize_with = "null_is_empty")]
    spec: SpecFields,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct SpecFields {
    #[serde(rename = "f:replicas")]
    replicas: Option<IgnoredAny>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Spec {
    replicas: Option<u32>,
    parallelism: Option<u32>,
}

/// A count that is zero is left out by the server.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: Option<i64>,
    replicas: u32,
    updated_replicas: u32,
    active: u32,
    current_revision: Option<String>,
    update_revision: Option<String>,
}

/// The kinds whose status is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deployment,
    ReplicaSet,
    StatefulSet,
    ReplicationController,
    Job,
}

impl Kind {
    /// Kinds of the same name in other groups, such as the `StatefulSet` of `apps.kruise.io`, are custom.
    fn of(owner: &OwnerRef) -> Option<Self> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        match (group, owner.controller.kind.as_str()) {
            ("apps", "Deployment") => Some(Self::Deployment),
            ("apps", "ReplicaSet") => Some(Self::ReplicaSet),
            ("apps", "StatefulSet") => Some(Self::StatefulSet),
            ("", "ReplicationController") => Some(Self::ReplicationController),
            ("batch", "Job") => Some(Self::Job),
            _ => None,
        }
    }

    const fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Deployment => ("/apis/apps/v1", "deployments"),
            Self::ReplicaSet => ("/apis/apps/v1", "replicasets"),
            Self::StatefulSet => ("/apis/apps/v1", "statefulsets"),
            Self::ReplicationController => ("/api/v1", "replicationcontrollers"),
            Self::Job => ("/apis/batch/v1", "jobs"),
        }
    }

    const fn plural(self) -> &'static str {
        self.path().1
    }
}

impl Cluster {
    /// What is known of each of these controllers, with one request for each object. One that does
    /// not exist any more is left out: nothing can be known of it.
    ///
    /// # Errors
    /// A missing permission names its verb in the server's words; every other failure as it came.
    pub(super) fn owner_facts(&self, controllers: &[OwnerRef]) -> Result<Vec<OwnerFacts>, ApiFailure> {
        let mut tops: BTreeMap<String, OwnerFacts> = BTreeMap::new();
        let mut facts: Vec<OwnerFacts> = Vec::new();
        for owner in controllers.iter().take(MAX_CONTROLLERS) {
            facts.extend(self.facts_of(owner, &mut tops)?);
        }
        Ok(facts)
    }

    fn facts_of(
        &self,
        owner: &OwnerRef,
        tops: &mut BTreeMap<String, OwnerFacts>,
    ) -> Result<Option<OwnerFacts>, ApiFailure> {
        let controller = &owner.controller;
        let Some(kind) = Kind::of(owner) else {
            return Ok(Some(OwnerFacts::silent(controller.clone(), controller.clone())));
        };
        let Some(mut object) = self.owner(owner, kind)? else { return Ok(None) };
        // Of the ReplicaSet also below a Deployment: it is resized with it, and with a time.
        let now = Timestamp::now();
        let rollout_ago = object.metadata.age(now).filter(|_| kind == Kind::ReplicaSet);
        let resized_ago = object.metadata.resized_ago(now);
        let resized_ago = resized_ago.filter(|ago| *ago < self.metrics_window());
        let above = Owner::controlling(mem::take(&mut object.metadata.owner_references));
        let deployment = above.filter(|above| Kind::of(above) == Some(Kind::Deployment));
        let Some(deployment) = deployment else {
            let facts = object.facts(kind, controller, controller);
            return Ok(Some(OwnerFacts { resized_ago, rollout_ago, ..facts }));
        };
        if let Some(known) = tops.get(&deployment.controller.uid) {
            let controller = controller.clone();
            return Ok(Some(OwnerFacts { controller, resized_ago, rollout_ago, ..known.clone() }));
        }
        let Some(top) = self.owner(&deployment, Kind::Deployment)? else { return Ok(None) };
        let facts = top.facts(Kind::Deployment, controller, &deployment.controller);
        tops.insert(deployment.controller.uid, facts.clone());
        Ok(Some(OwnerFacts { resized_ago, rollout_ago, ..facts }))
    }

    /// The object, unless it is gone or another has taken its name.
    fn owner(&self, owner: &OwnerRef, kind: Kind) -> Result<Option<Object>, ApiFailure> {
        let (prefix, plural) = kind.path();
        let path = format!("{prefix}/namespaces/{}/{plural}", self.namespace());
        let request = Request::new(path).get(&owner.controller.name, &GetParams::default());
        let reply = self.exchange(request.map_err(|error| unsendable(&error))?)?;
        if reply.is_absent(kind.plural()) {
            return Ok(None);
        }
        let object: Object = reply.read()?;
        Ok((object.metadata.uid == owner.controller.uid).then_some(object))
    }
}

impl Object {
    fn facts(self, kind: Kind, controller: &Controller, top: &Controller) -> OwnerFacts {
        let Self { metadata, spec, status } = self;
        let silent = OwnerFacts::silent(controller.clone(), top.clone());
        if kind == Kind::Job {
            // A Job has no observed generation.
            return OwnerFacts {
                desired_replicas: spec.parallelism,
                current_replicas: Some(status.active),
                ..silent
            };
        }
        let updates = matches!(kind, Kind::Deployment | Kind::StatefulSet);
        OwnerFacts {
            generation: metadata.generation,
            observed_generation: status.observed_generation,
            desired_replicas: spec.replicas,
            current_replicas: Some(status.replicas),
            updated_replicas: updates.then_some(status.updated_replicas),
            current_revision: status.current_revision,
            update_revision: status.update_revision,
            ..silent
        }
    }
}

impl Meta {
    /// Time since the object was created.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        Some(Duration::try_from(now.duration_since(self.creation_timestamp?)).unwrap_or_default())
    }

    /// Time since the number of pods was set by anyone but who created the object.
    ///
    /// The server keeps one time for all fields of a manager, and none for a change through the
    /// subresource `scale`: there, that of the last change to the object, its status included,
    /// stands for it. So the change may be longer ago than this, never shorter.
    fn resized_ago(&self, now: Timestamp) -> Option<Duration> {
        let created = self.creation_timestamp?;
        let set = self.managed_fields.iter().filter(|fields| fields.fields_v1.spec.replicas.is_some());
        let touched = self.managed_fields.iter().filter_map(|fields| fields.time).max();
        let last = set.filter_map(|fields| fields.time.or(touched)).max()?;
        let is_creation = last.duration_since(created) <= CREATION_TAKES;
        (!is_creation).then(|| Duration::try_from(now.duration_since(last)).unwrap_or_default())
    }
}

/// Both times are whole seconds, taken one after the other.
const CREATION_TAKES: SignedDuration = SignedDuration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    fn resized_ago(managed_fields: &str) -> Option<Duration> {
        let text = format!(
            r#"{{"uid": "d", "creationTimestamp": "2026-11-23T06:00:00Z", "managedFields": {managed_fields}}}"#
        );
        let meta: Meta = serde_json::from_str(&text).expect("metadata");
        meta.resized_ago("2026-11-23T07:00:00Z".parse().expect("a time"))
    }

    #[test]
    fn a_change_of_size_is_told_from_the_creation_and_from_other_changes() {
        let by = |time: &str, spec: &str| {
            format!(r#"{{"manager": "m", "time": "2026-11-23T{time}Z", "fieldsV1": {{"f:spec": {spec}}}}}"#)
        };
        let (sized, other) = (r#"{"f:replicas": {}}"#, r#"{"f:template": {}}"#);
        assert_eq!(resized_ago("null"), None);
        assert_eq!(resized_ago(r#"[{"manager": "old"}]"#), None, "before the server kept times");
        assert_eq!(resized_ago(&format!("[{}]", by("06:00:01", sized))), None, "its creation");
        assert_eq!(resized_ago(&format!("[{}]", by("06:30:00", other))), None, "another field");
        let scaled = format!("[{}, {}]", by("06:00:00", other), by("06:58:00", sized));
        assert_eq!(resized_ago(&scaled), Some(Duration::from_secs(120)));
        let unstamped = format!(r#"[{{"fieldsV1": {{"f:spec": {sized}}}}}, {}]"#, by("06:59:00", other));
        assert_eq!(resized_ago(&unstamped), Some(Duration::from_secs(60)), "through the subresource");
        let ahead = format!("[{}]", by("07:00:30", sized));
        assert_eq!(resized_ago(&ahead), Some(Duration::ZERO), "clocks differ");
    }
}
