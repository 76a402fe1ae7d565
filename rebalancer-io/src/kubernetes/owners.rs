//! Reads the owners of pods: replica counts, and how far a rollout has come.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSetUpdateStrategy;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use rebalancer_core::{ApiFailure, Controller, OwnerStatus, PAUSED};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::cluster::Cluster;
use super::fields::{annotations_where, controlling, elapsed, moment, null_is_empty};
use super::requests::get;

/// Maximum number of controllers to read. A selector that matches more is not of one workload, and a rotation
/// is withheld if a controller is unknown.
const MAX_CONTROLLERS: usize = 8;

/// The parts of an owner that are read.
#[derive(Deserialize)]
pub(super) struct Object {
    #[serde(default)]
    pub(super) metadata: Meta,
    #[serde(default, deserialize_with = "null_is_empty")]
    pub(super) spec: Spec,
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
    #[serde(rename = "ownerReferences", deserialize_with = "controlling")]
    pub(super) controller: Option<Controller>,
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
pub(super) struct Spec {
    replicas: Option<u32>,
    /// Of a `StatefulSet`.
    update_strategy: Option<StatefulSetUpdateStrategy>,
    /// The labels by which it finds its pods.
    pub(super) selector: Option<LabelSelector>,
    /// The workload from which a `Rollout` may take its pod template, and then its selector too.
    pub(super) workload_ref: Option<WorkloadRef>,
}

#[derive(Deserialize)]
pub(super) struct WorkloadRef {
    pub(super) kind: String,
    pub(super) name: String,
}

/// The server omits counts of zero.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    #[serde(deserialize_with = "generation")]
    observed_generation: Option<i64>,
    replicas: u32,
    updated_replicas: u32,
    current_revision: Option<String>,
    update_revision: Option<String>,
    #[serde(rename = "stableRS")]
    stable_rs: Option<String>,
    current_pod_hash: Option<String>,
}

/// Argo writes the number as a string.
fn generation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let written = Value::deserialize(deserializer)?;
    Ok(written.as_i64().or_else(|| written.as_str()?.parse().ok()))
}

/// The kinds of workloads and of what is between them and their pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkloadKind {
    /// Of the group `apps`.
    Deployment,
    /// Of Argo.
    Rollout,
    /// Of the group `apps`; a Deployment or a rollout controls it.
    ReplicaSet,
    /// Of the group `apps`.
    StatefulSet,
    /// Of the core group.
    ReplicationController,
}

impl WorkloadKind {
    const ALL: [Self; 5] =
        [Self::Deployment, Self::Rollout, Self::ReplicaSet, Self::StatefulSet, Self::ReplicationController];

    /// Group and version of its API, its name, and its name in a path.
    const fn names(self) -> [&'static str; 3] {
        match self {
            Self::Deployment => ["apps/v1", "Deployment", "deployments"],
            Self::Rollout => ["argoproj.io/v1alpha1", "Rollout", "rollouts"],
            Self::ReplicaSet => ["apps/v1", "ReplicaSet", "replicasets"],
            Self::StatefulSet => ["apps/v1", "StatefulSet", "statefulsets"],
            Self::ReplicationController => ["v1", "ReplicationController", "replicationcontrollers"],
        }
    }

    pub(super) const fn api_version(self) -> &'static str {
        self.names()[0]
    }

    pub(super) const fn name(self) -> &'static str {
        self.names()[1]
    }

    pub(super) const fn plural(self) -> &'static str {
        self.names()[2]
    }

    /// Where its objects are, in one namespace or in all.
    pub(super) fn path(self, namespace: Option<&str>) -> String {
        let root = if self.api_version().contains('/') { "apis" } else { "api" };
        path(&format!("/{root}/{}", self.api_version()), namespace, self.plural())
    }

    /// The kind of an object. Kinds with these names in other groups, such as the `StatefulSet` of `apps.kruise.io`,
    /// are custom.
    pub(super) fn of(object: &Controller) -> Option<Self> {
        let group = |kind: Self| kind.api_version().split_once('/').map_or("", |(group, _)| group);
        Self::ALL.into_iter().find(|kind| object.is(group(*kind), kind.name()))
    }

    /// The kind of a direct controller of pods. Not a `Deployment`, which creates no pods: such a pod is
    /// somebody else's and not in its counts.
    fn of_pods(controller: &Controller) -> Option<Self> {
        let controls = [Self::ReplicaSet, Self::StatefulSet, Self::ReplicationController];
        Self::of(controller).filter(|kind| controls.contains(kind))
    }

    /// The kind of a controller of replica sets.
    fn of_replica_sets(controller: &Controller) -> Option<Self> {
        Self::of(controller).filter(|kind| matches!(kind, Self::Deployment | Self::Rollout))
    }
}

/// Where objects are, in one namespace or in all.
pub(super) fn path(prefix: &str, namespace: Option<&str>, plural: &str) -> String {
    match namespace {
        Some(namespace) => format!("{prefix}/namespaces/{namespace}/{plural}"),
        None => format!("{prefix}/{plural}"),
    }
}

/// Finds an object; `None` if it is gone or another one has its name.
type Find<'f> = &'f mut dyn FnMut(WorkloadKind, &Controller) -> Result<Option<Rc<Object>>, ApiFailure>;

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
        let mut known: BTreeMap<String, Rc<Object>> = BTreeMap::new();
        self.statuses(controllers.iter().copied(), &mut |kind, wanted| {
            if let Some(known) = known.get(&wanted.uid) {
                return Ok(Some(Rc::clone(known)));
            }
            let found = self.object(kind, &wanted.name)?.filter(|found| found.metadata.uid == wanted.uid);
            let found = found.map(Rc::new);
            known.extend(found.iter().map(|found| (wanted.uid.clone(), Rc::clone(found))));
            Ok(found)
        })
    }

    /// How far the rollouts of these controllers have come. A controller that is not found is left out.
    pub(super) fn statuses<'c>(
        &self,
        controllers: impl Iterator<Item = &'c Controller>,
        find: Find<'_>,
    ) -> Result<Vec<OwnerStatus>, ApiFailure> {
        let mut statuses: Vec<OwnerStatus> = Vec::new();
        for controller in controllers.take(MAX_CONTROLLERS) {
            statuses.extend(self.status(controller, find)?);
        }
        for status in &mut statuses {
            status.named = self.allows(&status.controller) || self.allows(&status.top);
        }
        Ok(statuses)
    }

    fn status(&self, controller: &Controller, find: Find<'_>) -> Result<Option<OwnerStatus>, ApiFailure> {
        let Some(kind) = WorkloadKind::of_pods(controller) else {
            return Ok(Some(OwnerStatus::silent(controller.clone(), controller.clone())));
        };
        let Some(object) = find(kind, controller)? else { return Ok(None) };
        let meta = &object.metadata;
        // Whatever owns a StatefulSet or a ReplicationController changes them, not their pods.
        let above = meta.controller.as_ref().filter(|_| kind == WorkloadKind::ReplicaSet);
        let facts = match above.map(|above| (above, WorkloadKind::of_replica_sets(above))) {
            None => object.facts(kind, controller, controller),
            // The counts are right, but rollouts are made by the owner above, which is not read.
            Some((above, None)) => OwnerStatus {
                generation: None,
                observed_generation: None,
                ..object.facts(kind, controller, above)
            },
            Some((above, Some(kind))) => {
                let Some(top) = find(kind, above)? else { return Ok(None) };
                top.facts(kind, controller, above)
            }
        };
        let now = Timestamp::now();
        Ok(Some(OwnerStatus {
            paused: facts.paused.clone().or_else(|| meta.paused()),
            // A ReplicaSet is resized with its Deployment, and only the ReplicaSet has a time for it.
            resized_ago: meta.resized_ago(now).filter(|ago| *ago < self.metrics_window()),
            rollout_ago: meta.age(now).filter(|_| kind == WorkloadKind::ReplicaSet),
            ..facts
        }))
    }

    /// The object of this name, if there is one.
    pub(super) fn object(&self, kind: WorkloadKind, name: &str) -> Result<Option<Object>, ApiFailure> {
        let reply = self.exchange(get(kind.path(Some(self.namespace())), name)?)?;
        if reply.is_absent(kind.plural()) { Ok(None) } else { reply.read().map(Some) }
    }
}

impl Object {
    fn facts(&self, kind: WorkloadKind, controller: &Controller, top: &Controller) -> OwnerStatus {
        let Self { metadata, spec, status } = self;
        let updates =
            matches!(kind, WorkloadKind::Deployment | WorkloadKind::Rollout | WorkloadKind::StatefulSet);
        let (current_revision, update_revision) = match kind {
            WorkloadKind::Rollout => (&status.stable_rs, &status.current_pod_hash),
            _ => (&status.current_revision, &status.update_revision),
        };
        let strategy = spec.update_strategy.as_ref();
        let partition = strategy.and_then(|strategy| strategy.rolling_update.as_ref()?.partition);
        OwnerStatus {
            generation: metadata.generation,
            observed_generation: status.observed_generation,
            desired_replicas: spec.replicas,
            current_replicas: Some(status.replicas),
            updated_replicas: updates.then_some(status.updated_replicas),
            current_revision: current_revision.clone(),
            update_revision: update_revision.clone(),
            partition: partition.and_then(|partition| u32::try_from(partition).ok()).unwrap_or(0),
            on_delete: strategy.is_some_and(|strategy| strategy.type_.as_deref() == Some("OnDelete")),
            paused: metadata.paused(),
            ..OwnerStatus::silent(controller.clone(), top.clone())
        }
    }
}

impl Meta {
    /// What the annotation that pauses a workload says, if it does not say "false".
    fn paused(&self) -> Option<String> {
        self.annotations.get(PAUSED).cloned().filter(|text| text != "false")
    }

    /// Time since the object was created.
    fn age(&self, now: Timestamp) -> Option<Duration> {
        Some(elapsed(self.creation_timestamp?, now))
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
        (!is_creation).then(|| elapsed(last, now))
    }
}

/// Both times are whole seconds, taken one after the other.
const CREATION_TAKES: SignedDuration = SignedDuration::from_secs(1);

fn own_annotations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    annotations_where(deserializer, |name| name.starts_with("pod-rebalancer/"))
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
