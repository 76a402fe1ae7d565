//! What the owners of pods say of themselves: rollouts and replica counts.

use std::collections::BTreeMap;
use std::mem;

use kube::api::GetParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, Controller, OwnerFacts};
use serde::Deserialize;

use super::cluster::Cluster;
use super::list::unsendable;
use super::pods::{Owner, OwnerRef, null_is_empty};

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
    #[serde(deserialize_with = "null_is_empty")]
    owner_references: Vec<Owner>,
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
        let above = Owner::controlling(mem::take(&mut object.metadata.owner_references));
        let deployment = above.filter(|above| Kind::of(above) == Some(Kind::Deployment));
        let Some(deployment) = deployment else {
            return Ok(Some(object.facts(kind, controller, controller)));
        };
        if let Some(known) = tops.get(&deployment.controller.uid) {
            return Ok(Some(OwnerFacts { controller: controller.clone(), ..known.clone() }));
        }
        let Some(top) = self.owner(&deployment, Kind::Deployment)? else { return Ok(None) };
        let facts = top.facts(Kind::Deployment, controller, &deployment.controller);
        tops.insert(deployment.controller.uid, facts.clone());
        Ok(Some(facts))
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
