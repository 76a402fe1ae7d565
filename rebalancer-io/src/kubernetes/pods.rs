//! Reads lists of pods, and keeps for each pod only what a decision needs.
//!
//! A pod in a full list takes four kilobytes or more. Kept are its identity, phase, readiness, ages,
//! controller, local volumes, and what protects it.

use core::fmt;
use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerState, EmptyDirVolumeSource, PersistentVolumeClaimVolumeSource, PodIP,
};
use rebalancer_core::{ApiFailure, Controller, FailureKind, LivePod, LocalVolume, Phase};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::fields::{controlling, elapsed, moment, null_is_empty, timestamp};
use super::protections;
use super::volumes::unlocated;

/// Largest `pods.json` that is read, in bytes: 25,000 pods of twenty kilobytes, five times the largest
/// intended workload.
pub const MAX_PODS_BYTES: u64 = 512 << 20;

/// Maximum number of pods in one list: twenty times the largest intended workload. A pod takes about four
/// hundred bytes of memory, however short its text.
const MAX_ITEMS: usize = 100_000;

/// Why a list of pods could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PodsError {
    /// Not JSON, truncated, or a field with another type than in the API.
    #[error("not a list of pods in JSON; write one with `kubectl get pods -o json`")]
    Malformed(#[source] serde_json::Error),
    /// The input could not be read to its end.
    #[error("the list of pods could not be read")]
    Read(#[source] io::Error),
    /// More than [`MAX_PODS_BYTES`].
    #[error("the list of pods is larger than {} MiB; select one workload by a label", MAX_PODS_BYTES >> 20)]
    TooLarge,
    /// JSON of another kind, an item that is no pod, or two items with one name.
    #[error("{0}")]
    Unfit(String),
}

impl PodsError {
    /// Two items have this name, so it is unclear which one the metrics mean.
    pub(super) fn duplicate(name: &str) -> Self {
        Self::Unfit(format!("pod {name} is listed twice; list the pods of one namespace, once"))
    }
}

impl From<PodsError> for ApiFailure {
    fn from(error: PodsError) -> Self {
        Self::new(FailureKind::UnreadableAnswer, error.to_string())
    }
}

/// Reads the pods of a saved list: a `PodList` or `List` of full pods, or a
/// `PartialObjectMetadataList`.
///
/// An item without `status` counts as Running and Ready. Ages are relative to `now`; a creation after `now`
/// gives an age of zero. Only `emptyDir` and `hostPath` volumes are seen: a list of pods does not show where
/// persistent volumes are.
///
/// # Errors
/// Anything that is not such a list, is larger than [`MAX_PODS_BYTES`], or names a pod twice.
///
/// # Examples
/// ```
/// use jiff::Timestamp;
/// use rebalancer_io::kubernetes::live_pods;
///
/// let saved = br#"{"kind": "PodList", "items": [{"metadata": {"name": "orders-0"}}]}"#;
/// let pods = live_pods(saved.as_slice(), Timestamp::UNIX_EPOCH)?;
/// assert!(pods[0].ready, "nothing is said against it");
/// # Ok::<(), rebalancer_io::kubernetes::PodsError>(())
/// ```
pub fn live_pods(json: impl Read, now: Timestamp) -> Result<Vec<LivePod>, PodsError> {
    live_pods_within(json, now, MAX_PODS_BYTES)
}

fn live_pods_within(json: impl Read, now: Timestamp, limit_bytes: u64) -> Result<Vec<LivePod>, PodsError> {
    let mut input = json.take(limit_bytes.saturating_add(1));
    let parsed: Result<PodList, serde_json::Error> = serde_json::from_reader(BufReader::new(&mut input));
    if input.limit() == 0 {
        return Err(PodsError::TooLarge);
    }
    let list = parsed.map_err(|error| {
        if error.is_io() { PodsError::Read(error.into()) } else { PodsError::Malformed(error) }
    })?;
    let mut pods: Vec<LivePod> = list.into_pods(now)?.into_iter().map(|listed| listed.pod).collect();
    for pod in &mut pods {
        pod.local_storage.retain(LocalVolume::is_known);
    }
    let mut names: BTreeSet<&str> = BTreeSet::new();
    match pods.iter().find(|pod| !names.insert(&pod.name)) {
        Some(pod) => Err(PodsError::duplicate(&pod.name)),
        None => Ok(pods),
    }
}

/// A pod, and what else a list shows about it.
#[derive(Debug)]
pub(super) struct ListedPod {
    pub pod: LivePod,
    /// Its namespace.
    pub namespace: String,
    /// The labels by which budgets and workloads select it.
    pub labels: BTreeMap<String, String>,
}

/// A saved list.
#[derive(Deserialize)]
struct PodList {
    kind: Option<String>,
    #[serde(default, deserialize_with = "some_items")]
    items: Vec<ListItem>,
    message: Option<String>,
}

impl PodList {
    /// The pods of the list, with ages as of `now`.
    fn into_pods(self, now: Timestamp) -> Result<Vec<ListedPod>, PodsError> {
        match self.kind.as_deref() {
            Some("PodList" | "List" | "PartialObjectMetadataList") => {}
            kind => {
                let found = match (kind, self.message) {
                    (Some(kind), Some(message)) => format!("a {kind}: {message}"),
                    (Some(kind), None) => format!("a {kind}"),
                    (None, _) => "an object without a kind".to_owned(),
                };
                let advice = "write one with `kubectl get pods -o json`";
                return Err(PodsError::Unfit(format!("expected a list of pods, found {found}; {advice}")));
            }
        }
        listed(self.items, now)
    }
}

/// The pods of a list, with ages as of `now`.
pub(super) fn listed(items: Vec<ListItem>, now: Timestamp) -> Result<Vec<ListedPod>, PodsError> {
    let pod = |(index, ListItem(item)): (usize, ListItem)| {
        item.map(|read| read.at(now))
            .map_err(|problem| PodsError::Unfit(format!("item {index} of the list of pods {problem}")))
    };
    items.into_iter().enumerate().map(pod).collect()
}

/// An item of a list: a pod, or what is wrong with it. It is read to its end before the next one, so that the memory for
/// what is not kept of it is used again.
#[derive(Deserialize)]
#[serde(from = "Item")]
pub(super) struct ListItem(Result<ReadPod, String>);

impl From<Item> for ListItem {
    fn from(item: Item) -> Self {
        Self(item.read())
    }
}

/// A pod whose ages are not known yet.
struct ReadPod {
    listed: ListedPod,
    created: Option<Timestamp>,
    started: Option<Timestamp>,
    annotations: BTreeMap<String, String>,
    priority_class: Option<String>,
}

impl ReadPod {
    fn at(self, now: Timestamp) -> ListedPod {
        let Self { mut listed, created, started, annotations, priority_class } = self;
        listed.pod.age = created.map(|created| elapsed(created, now));
        listed.pod.uptime = started.map(|started| elapsed(started, now));
        listed.pod.protections =
            protections::protections(&annotations, priority_class.as_deref(), listed.pod.age);
        listed
    }
}

/// The parts of an item that are read; everything else is skipped.
#[derive(Deserialize)]
struct Item {
    kind: Option<String>,
    #[serde(default)]
    metadata: Meta,
    #[serde(default, deserialize_with = "null_is_empty")]
    spec: Spec,
    status: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Meta {
    name: String,
    namespace: String,
    uid: String,
    #[serde(deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "moment")]
    deletion_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "protections::known")]
    annotations: BTreeMap<String, String>,
    #[serde(rename = "ownerReferences", deserialize_with = "controlling")]
    controller: Option<Controller>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    priority_class_name: Option<String>,
    node_name: Option<String>,
    host_network: Option<bool>,
    #[serde(deserialize_with = "null_is_empty")]
    volumes: Vec<Volume>,
}

/// The parts of a volume that show whether it is on the node.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: String,
    empty_dir: Option<EmptyDirVolumeSource>,
    host_path: Option<IgnoredAny>,
    persistent_volume_claim: Option<PersistentVolumeClaimVolumeSource>,
    /// A claim created for the pod.
    ephemeral: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<Phase>,
    #[serde(default, deserialize_with = "null_is_empty")]
    conditions: Vec<Condition>,
    #[serde(default, deserialize_with = "null_is_empty")]
    container_statuses: Vec<Container>,
    #[serde(rename = "podIPs", default, deserialize_with = "null_is_empty")]
    pod_ips: Vec<PodIP>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Deserialize)]
struct Container {
    state: Option<ContainerState>,
}

impl Item {
    /// The pod, or what is wrong with the item.
    fn read(self) -> Result<ReadPod, String> {
        if let Some(kind) = self.kind.filter(|kind| kind != "Pod" && kind != "PartialObjectMetadata") {
            return Err(format!("is a {kind}, not a pod"));
        }
        let meta = self.metadata;
        if meta.name.is_empty() {
            return Err("has no metadata.name".to_owned());
        }
        // The address of a node is also that of other pods, and of what leaves the cluster through it.
        let has_own_address = self.spec.host_network != Some(true);
        let (mut local_storage, mut claims) = (Vec::new(), Vec::new());
        for volume in self.spec.volumes {
            if protections::may_lose(&meta.annotations, &volume.name) {
                continue;
            }
            claims.extend(volume.claim(&meta.name).map(unlocated));
            local_storage.extend(volume.local());
        }
        local_storage.append(&mut claims);
        let pod = LivePod {
            uid: meta.uid,
            phase: self.status.as_ref().map_or(Phase::Running, |of| of.phase.unwrap_or(Phase::Unknown)),
            ready: self.status.as_ref().is_none_or(Status::is_ready),
            terminating: meta.deletion_timestamp.is_some(),
            ips: self.status.as_ref().filter(|_| has_own_address).map_or_else(Vec::new, Status::ips),
            controller: meta.controller,
            node: self.spec.node_name.filter(|node| !node.is_empty()),
            revision: revision(&meta.labels),
            local_storage,
            ..LivePod::assumed(meta.name)
        };
        Ok(ReadPod {
            listed: ListedPod { pod, namespace: meta.namespace, labels: meta.labels },
            created: meta.creation_timestamp,
            started: self.status.and_then(|status| status.latest_start()),
            annotations: meta.annotations,
            priority_class: self.spec.priority_class_name,
        })
    }
}

/// The labels in which controllers write the template version of a pod.
const REVISION_LABELS: [&str; 3] =
    ["controller-revision-hash", "pod-template-hash", "rollouts-pod-template-hash"];

/// All that the labels say about the template version; controllers of some kinds write two labels.
fn revision(labels: &BTreeMap<String, String>) -> Option<String> {
    let known = REVISION_LABELS.iter().filter_map(|label| labels.get(*label));
    let known: Vec<&str> = known.map(String::as_str).filter(|value| !value.is_empty()).collect();
    (!known.is_empty()).then(|| known.join(","))
}

impl Volume {
    /// An `emptyDir` in memory is not storage: nobody expects to find it again.
    fn local(self) -> Option<LocalVolume> {
        match (self.empty_dir, self.host_path) {
            (Some(dir), _) if dir.medium.as_deref() != Some("Memory") => {
                Some(LocalVolume::EmptyDir { volume: self.name })
            }
            (None, Some(_)) => Some(LocalVolume::HostPath { volume: self.name }),
            _ => None,
        }
    }

    /// The name of the claim; that of an ephemeral volume is named after the pod and the volume.
    fn claim(&self, pod: &str) -> Option<String> {
        match (&self.persistent_volume_claim, &self.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(format!("{pod}-{}", self.name)),
            (None, None) => None,
        }
    }
}

impl Status {
    /// Its addresses; what is none is left out.
    fn ips(&self) -> Vec<IpAddr> {
        self.pod_ips.iter().filter_map(|of| of.ip.parse().ok()).collect()
    }

    fn is_ready(&self) -> bool {
        self.conditions.iter().any(|of| of.kind == "Ready" && of.status == "True")
    }

    /// When the most recently started running container started.
    fn latest_start(&self) -> Option<Timestamp> {
        let started = |container: &Container| {
            timestamp(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0)
        };
        self.container_statuses.iter().filter_map(started).max()
    }
}

/// The items of a list, at most [`MAX_ITEMS`].
fn some_items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ListItem>, D::Error> {
    deserializer.deserialize_any(ItemsVisitor)
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Vec<ListItem>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_ITEMS} pods")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == MAX_ITEMS {
                return Err(A::Error::invalid_length(MAX_ITEMS + 1, &self));
            }
            items.push(item);
        }
        Ok(items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_without_an_end_is_cut_off() {
        let endless = br#"{"kind": "PodList", "items": ["#.chain(io::repeat(b' '));
        let error = live_pods_within(endless, Timestamp::UNIX_EPOCH, 1 << 20).expect_err("endless");
        assert!(matches!(error, PodsError::TooLarge), "{error:?}");
    }

    #[test]
    fn input_of_just_the_limit_is_read() {
        let json = br#"{"kind": "PodList"}"#;
        let limit = json.len() as u64;
        assert!(live_pods_within(json.as_slice(), Timestamp::UNIX_EPOCH, limit).is_ok());
        let error =
            live_pods_within(json.as_slice(), Timestamp::UNIX_EPOCH, limit - 1).expect_err("one too many");
        assert!(matches!(error, PodsError::TooLarge), "{error:?}");
    }
}
