//! Reads the owners of pods: replica counts, and how far a rollout has come.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::GetParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, Controller, OwnerStatus, PAUSED};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::cluster::Cluster;
use super::fields::{OwnerReference, moment, null_is_empty};
use super::list::unsendable;

/// Maximum number of controllers to read. A selector that matches more is not of one workload, and a rotation
/// is withheld if a controller is unknown.
pub(super) const MAX_CONTROLLERS: usize = 8;

/// The parts of an owner that are read.
#[derive(Deserialize)]
pub(super) struct Object {
    #[serde(default)]
    pub(super) metadata: Meta,
    #[serde(default, deserialize_with = "null_is_empty")]
    spec: Spec,
    #[serde(default, deserialize_with = "null_is_empty")]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) uid: String,
    /// Those of this program: others can be larger than the rest of the object.
    #[serde(deserialize_with = "own_annotations")]
    pub(super) annotations: BTreeMap<String, String>,
    generation: Option<i64>,
    #[serde(deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    managed_fields: Vec<Managed>,
    #[serde(deserialize_with = "null_is_empty")]
    owner_references: Vec<OwnerReference>,
}

/// Who set which fields, and when last. A completed resize leaves no other trace.
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
#[serde(rename_all = "camelCase", default)]
struct Spec {
    replicas: Option<u32>,
    #[serde(deserialize_with = "null_is_empty")]
    update_strategy: UpdateStrategy,
    selector: Option<LabelSelector>,
}

/// How a `StatefulSet` is updated.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct UpdateStrategy {
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    rolling_update: RollingUpdate,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RollingUpdate {
    partition: Option<u32>,
}

/// The server omits counts of zero.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: Option<Generation>,
    replicas: u32,
    updated_replicas: u32,
    current_revision: Option<String>,
    update_revision: Option<String>,
    #[serde(rename = "stableRS")]
    stable_rs: Option<String>,
    current_pod_hash: Option<String>,
}

/// Argo writes the number as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Generation {
    Number(i64),
    Text(String),
}

impl Generation {
    fn number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

/// The kinds whose status this program understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Deployment,
    Rollout,
    ReplicaSet,
    StatefulSet,
    ReplicationController,
}

impl Kind {
    /// The kind of a direct controller of pods. Not a `Deployment`, which creates no pods: such a pod is
    /// somebody else's and not in its counts. Kinds with these names in other groups, such as the
    /// `StatefulSet` of `apps.kruise.io`, are custom.
    fn of_pods(controller: &Controller) -> Option<Self> {
        let kinds = [Self::ReplicaSet, Self::StatefulSet, Self::ReplicationController];
        kinds.into_iter().find(|kind| kind.is_of(controller))
    }

    /// The kind of a controller of replica sets.
    fn of_replica_sets(controller: &Controller) -> Option<Self> {
        [Self::Deployment, Self::Rollout].into_iter().find(|kind| kind.is_of(controller))
    }

    fn is_of(self, controller: &Controller) -> bool {
        let (group, kind) = match self {
            Self::Deployment => ("apps", "Deployment"),
            Self::Rollout => ("argoproj.io", "Rollout"),
            Self::ReplicaSet => ("apps", "ReplicaSet"),
            Self::StatefulSet => ("apps", "StatefulSet"),
            Self::ReplicationController => ("", "ReplicationController"),
        };
        controller.is(group, kind)
    }

    pub(super) const fn path(self) -> (&'static str, &'static str) {
        match self {
            Self::Deployment => ("/apis/apps/v1", "deployments"),
            Self::Rollout => ("/apis/argoproj.io/v1alpha1", "rollouts"),
            Self::ReplicaSet => ("/apis/apps/v1", "replicasets"),
            Self::StatefulSet => ("/apis/apps/v1", "statefulsets"),
            Self::ReplicationController => ("/api/v1", "replicationcontrollers"),
        }
    }

    const fn plural(self) -> &'static str {
        self.path().1
    }
}

impl Cluster {
    /// Reads each of these controllers and its owner, with one request per object. A controller that no
    /// longer exists is left out.
    ///
    /// # Errors
    /// If the server refuses, naming a missing permission, or does not answer.
    pub(super) fn owner_statuses(
        &self,
        controllers: &BTreeSet<&Controller>,
    ) -> Result<Vec<OwnerStatus>, ApiFailure> {
        let mut tops: BTreeMap<String, OwnerStatus> = BTreeMap::new();
        let mut facts: Vec<OwnerStatus> = Vec::new();
        for controller in controllers.iter().take(MAX_CONTROLLERS) {
            facts.extend(self.facts_of(controller, &mut tops)?);
        }
        for known in &mut facts {
            known.named = self.allows(&known.controller) || self.allows(&known.top);
        }
        Ok(facts)
    }

    fn facts_of(
        &self,
        controller: &Controller,
        tops: &mut BTreeMap<String, OwnerStatus>,
    ) -> Result<Option<OwnerStatus>, ApiFailure> {
        let Some(kind) = Kind::of_pods(controller) else {
            return Ok(Some(OwnerStatus::silent(controller.clone(), controller.clone())));
        };
        let Some(mut object) = self.owner(controller, kind)? else { return Ok(None) };
        let (rollout_ago, resized_ago) = self.changes(kind, &object.metadata);
        let paused = object.metadata.paused();
        let above = object.metadata.take_controller();
        // Whatever owns a StatefulSet or a ReplicationController changes them, not their pods.
        let Some(above) = above.filter(|_| kind == Kind::ReplicaSet) else {
            let facts = object.facts(kind, controller, controller);
            return Ok(Some(OwnerStatus { resized_ago, rollout_ago, ..facts }));
        };
        let Some(kind_above) = Kind::of_replica_sets(&above) else {
            // The counts are right, but rollouts are made by the owner above, which is not read.
            let facts = object.facts(kind, controller, &above);
            let unseen = OwnerStatus { generation: None, observed_generation: None, ..facts };
            return Ok(Some(OwnerStatus { resized_ago, rollout_ago, ..unseen }));
        };
        if let Some(known) = tops.get(&above.uid) {
            let controller = controller.clone();
            let paused = known.paused.clone().or(paused);
            return Ok(Some(OwnerStatus { controller, paused, resized_ago, rollout_ago, ..known.clone() }));
        }
        let Some(top) = self.owner(&above, kind_above)? else { return Ok(None) };
        let facts = top.facts(kind_above, controller, &above);
        tops.insert(above.uid, facts.clone());
        let paused = facts.paused.clone().or(paused);
        Ok(Some(OwnerStatus { paused, resized_ago, rollout_ago, ..facts }))
    }

    /// How long ago the template of an owner's pods last changed, and their number. A `ReplicaSet` is resized with its
    /// Deployment, and only the `ReplicaSet` has a time for it.
    pub(super) fn changes(&self, kind: Kind, of: &Meta) -> (Option<Duration>, Option<Duration>) {
        let now = Timestamp::now();
        let rollout_ago = of.age(now).filter(|_| kind == Kind::ReplicaSet);
        (rollout_ago, of.resized_ago(now).filter(|ago| *ago < self.metrics_window()))
    }

    /// The object; `None` if it is gone or another one has its name.
    fn owner(&self, owner: &Controller, kind: Kind) -> Result<Option<Object>, ApiFailure> {
        let (prefix, plural) = kind.path();
        let path = format!("{prefix}/namespaces/{}/{plural}", self.namespace());
        let request = Request::new(path).get(&owner.name, &GetParams::default());
        let reply = self.exchange(request.map_err(|error| unsendable(&error))?)?;
        if reply.is_absent(kind.plural()) {
            return Ok(None);
        }
        let object: Object = reply.read()?;
        Ok((object.metadata.uid == owner.uid).then_some(object))
    }
}

impl Object {
    /// The labels by which it finds its pods. They are forgotten here.
    pub(super) fn take_selector(&mut self) -> Option<LabelSelector> {
        self.spec.selector.take()
    }

    pub(super) fn facts(self, kind: Kind, controller: &Controller, top: &Controller) -> OwnerStatus {
        let Self { metadata, spec, status } = self;
        let updates = matches!(kind, Kind::Deployment | Kind::Rollout | Kind::StatefulSet);
        let (current_revision, update_revision) = match kind {
            Kind::Rollout => (status.stable_rs, status.current_pod_hash),
            _ => (status.current_revision, status.update_revision),
        };
        OwnerStatus {
            generation: metadata.generation,
            observed_generation: status.observed_generation.as_ref().and_then(Generation::number),
            desired_replicas: spec.replicas,
            current_replicas: Some(status.replicas),
            updated_replicas: updates.then_some(status.updated_replicas),
            current_revision,
            update_revision,
            partition: spec.update_strategy.rolling_update.partition.unwrap_or(0),
            on_delete: spec.update_strategy.kind.as_deref() == Some("OnDelete"),
            paused: metadata.paused(),
            ..OwnerStatus::silent(controller.clone(), top.clone())
        }
    }
}

impl Meta {
    /// What the annotation that pauses a workload says, if it does not say "false".
    pub(super) fn paused(&self) -> Option<String> {
        self.annotations.get(PAUSED).cloned().filter(|text| text != "false")
    }

    /// What controls the object, which is forgotten here.
    pub(super) fn take_controller(&mut self) -> Option<Controller> {
        OwnerReference::controlling(mem::take(&mut self.owner_references))
    }

    /// Time since the object was created.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        Some(Duration::try_from(now.duration_since(self.creation_timestamp?)).unwrap_or_default())
    }

    /// Time since the number of pods last changed after the object was created.
    ///
    /// The server keeps one time per manager for all its fields, and none for a change through the
    /// subresource `scale`. For such a change, the time of the last change to the object or its status
    /// counts. So the real change may be longer ago, but never more recent.
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

fn own_annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    let mut all: BTreeMap<String, String> = null_is_empty(deserializer)?;
    all.retain(|name, _| name.starts_with("pod-rebalancer/"));
    Ok(all)
}

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
