//! The two requests that remove a pod, always with its UID as precondition, and the look at what is there.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::Resource;
use kube::api::DeleteParams;
use kube::core::Request;
use rebalancer_core::{ApiFailure, EvictionRequest, Method, Presence, Target};

use super::answer::Reply;
use super::cluster::Cluster;
use super::fields::Identified;
use super::requests::{Built, Effect, create, get, unsendable};

impl Cluster {
    /// Sends an eviction or deletion once.
    pub(super) fn end_pod(&self, request: &EvictionRequest, effect: Effect) -> Result<(), ApiFailure> {
        let http = match request.method {
            Method::Evict => eviction(self.namespace(), request, effect),
            Method::Delete => deletion(self.namespace(), request, effect),
        }?;
        let reply = match effect {
            Effect::DryRun => self.exchange(http),
            Effect::Real => self.exchange_to_the_end(http),
        }?;
        if !reply.is_success() {
            return Err(reply.failure());
        }
        if reply.says_success() || (request.method == Method::Delete && is_pod(&reply, &request.target)) {
            return Ok(());
        }
        Err(reply.unreadable("neither a Status of success nor the pod"))
    }

    /// Looks for the pod that now has the target's name.
    pub(super) fn look_up(&self, target: &Target) -> Result<Presence, ApiFailure> {
        let reply = self.exchange_to_the_end(get(pods(self.namespace()), &target.name)?)?;
        if reply.is_absent("pods") {
            return Ok(Presence::Absent);
        }
        let Identified { kind, metadata: ObjectMeta { name, uid, deletion_timestamp, .. } } = reply.read()?;
        let is_it =
            matches!(kind.as_str(), "Pod" | "PartialObjectMetadata") && name.as_ref() == Some(&target.name);
        let Some(uid) = uid.filter(|_| is_it) else {
            return Err(reply.unreadable("not the pod that was asked for"));
        };
        Ok(Presence::Present { uid, terminating: deletion_timestamp.is_some() })
    }
}

/// Whether the answer is the pod, as for a deletion.
fn is_pod(reply: &Reply, target: &Target) -> bool {
    let found: Result<Identified, ApiFailure> = reply.read();
    found.is_ok_and(|found| found.metadata.uid.as_ref() == Some(&target.uid))
}

fn pods(namespace: &str) -> String {
    Pod::url_path(&(), Some(namespace))
}

/// The client library's `evict` writes `delete_options`, a field that the server ignores. The precondition
/// would silently be lost, so the object is written here.
fn eviction(namespace: &str, request: &EvictionRequest, effect: Effect) -> Built {
    let target = &request.target;
    let object = Eviction {
        metadata: ObjectMeta {
            name: Some(target.name.clone()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions {
            grace_period_seconds: request.grace_period_s.map(i64::from),
            preconditions: Some(Preconditions { uid: Some(target.uid.clone()), resource_version: None }),
            ..DeleteOptions::default()
        }),
    };
    create(format!("{}/{}/eviction", pods(namespace), target.name), &object, effect)
}

fn deletion(namespace: &str, request: &EvictionRequest, effect: Effect) -> Built {
    let params = DeleteParams {
        dry_run: effect == Effect::DryRun,
        grace_period_seconds: request.grace_period_s,
        preconditions: Some(kube::api::Preconditions {
            uid: Some(request.target.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let http = Request::new(pods(namespace)).delete(&request.target.name, &params);
    http.map_err(|error| unsendable(&error))
}
