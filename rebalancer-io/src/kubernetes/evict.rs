//! The two requests that remove a pod, always with its UID as precondition, and the look at what is there.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::policy::v1::Eviction;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{DeleteOptions, ObjectMeta, Preconditions};
use kube::Resource;
use kube::api::{DeleteParams, GetParams, PostParams};
use kube::core::{Request, request};
use rebalancer_core::{ApiFailure, EvictionRequest, Method, Presence, Target};
use serde::Deserialize;

use super::answer::Reply;
use super::cluster::Cluster;
use super::list::unsendable;

/// Whether a request changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// The server checks permission, admission, precondition and budgets, but changes nothing.
    DryRun,
    /// The server does what is asked.
    Real,
}

/// The parts of a pod that are read.
#[derive(Deserialize)]
struct Found {
    kind: String,
    metadata: FoundMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FoundMeta {
    name: String,
    uid: String,
    deletion_timestamp: Option<String>,
}

impl Cluster {
    /// Sends an eviction or deletion once.
    pub(super) fn end_pod(&self, request: &EvictionRequest, effect: Effect) -> Result<(), ApiFailure> {
        let http = match request.method {
            Method::Evict => eviction(self.namespace(), request, effect),
            Method::Delete => deletion(self.namespace(), request, effect),
        };
        let http = http.map_err(|error| unsendable(&error))?;
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
        let request = Request::new(pods(self.namespace())).get(&target.name, &GetParams::default());
        let reply = self.exchange(request.map_err(|error| unsendable(&error))?)?;
        if reply.is_absent("pods") {
            return Ok(Presence::Absent);
        }
        let found: Found = reply.read()?;
        let is_pod = matches!(found.kind.as_str(), "Pod" | "PartialObjectMetadata");
        if !is_pod || found.metadata.name != target.name {
            return Err(reply.unreadable("not the pod that was asked for"));
        }
        Ok(Presence::Present {
            uid: found.metadata.uid,
            terminating: found.metadata.deletion_timestamp.is_some(),
        })
    }
}

/// Whether the answer is the pod, as for a deletion.
fn is_pod(reply: &Reply, target: &Target) -> bool {
    let found: Result<Found, ApiFailure> = reply.read();
    found.is_ok_and(|found| found.metadata.uid == target.uid)
}

fn pods(namespace: &str) -> String {
    Pod::url_path(&(), Some(namespace))
}

/// The client library's `evict` writes `delete_options`, a field that the server ignores. The precondition
/// would silently be lost, so the object is written here.
fn eviction(
    namespace: &str,
    request: &EvictionRequest,
    effect: Effect,
) -> Result<http::Request<Vec<u8>>, request::Error> {
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
    let body = serde_json::to_vec(&object).map_err(request::Error::SerializeBody)?;
    let params = PostParams { dry_run: effect == Effect::DryRun, ..PostParams::default() };
    Request::new(pods(namespace)).create_subresource("eviction", &target.name, &params, body)
}

fn deletion(
    namespace: &str,
    request: &EvictionRequest,
    effect: Effect,
) -> Result<http::Request<Vec<u8>>, request::Error> {
    let params = DeleteParams {
        dry_run: effect == Effect::DryRun,
        grace_period_seconds: request.grace_period_s,
        preconditions: Some(kube::api::Preconditions {
            uid: Some(request.target.uid.clone()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    Request::new(pods(namespace)).delete(&request.target.name, &params)
}
