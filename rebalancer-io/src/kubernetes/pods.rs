//! Pods as lists of the API name them, read into the little of each that a decision needs.
//!
//! One item of a full list is four kilobytes and more; what is kept of it here is its identity, its
//! phase and readiness, its ages, its controller and what protects it.

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read};

use jiff::Timestamp;
use rebalancer_core::{Controller, LivePod, LocalVolume, Phase};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::list::Page;
use super::protections;

/// Largest `pods.json` that is read, in bytes: full pods of twenty kilobytes in a list of 25,000,
/// five times the largest workload this program is meant for.
pub const MAX_PODS_BYTES: u64 = 512 << 20;

/// Most pods of one list: twenty times the largest workload this program is meant for. Each takes some
/// four hundred bytes, however short its text is.
const MAX_ITEMS: usize = 100_000;

/// Why a list of pods could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PodsError {
    /// Not JSON, cut off, or a field of another type than the API gives it.
    #[error("not a list of pods in JSON; write one with `kubectl get pods -o json`")]
    Malformed(#[source] serde_json::Error),
    /// The input could not be read to its end.
    #[error("the list of pods could not be read")]
    Read(#[source] io::Error),
    /// More than [`MAX_PODS_BYTES`].
    #[error("the list of pods is larger than {} MiB; select one workload by a label", MAX_PODS_BYTES >> 20)]
    TooLarge,
    /// JSON of another kind.
    #[error("expected a list of pods, found {found}; write one with `kubectl get pods -o json`")]
    WrongKind {
        /// The kind that was found, and the message when it is a `Status`.
        found: String,
    },
    /// An item of the list is not a pod.
    #[error("item {index} of the list of pods {problem}")]
    Item {
        /// Position in the list, from 0.
        index: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// Two items have one name; which of them the metrics mean cannot be told.
    #[error("pod {0} is listed twice; list the pods of one namespace, once")]
    Duplicate(String),
}

/// Reads the pods of a saved list: a `PodList` or `List` of full pods, or a
/// `PartialObjectMetadataList`.
///
/// An item without `status` counts as Running and Ready. Ages are measured against `now`; a
/// creation that lies after `now` is age zero.
///
/// # Errors
/// Anything that is not such a list, larger than [`MAX_PODS_BYTES`], or that names a pod twice.
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
    let mut input = Bounded { inner: json, left: limit_bytes, exceeded: false };
    let parsed: Result<PodList, serde_json::Error> = serde_json::from_reader(BufReader::new(&mut input));
    if input.exceeded {
        return Err(PodsError::TooLarge);
    }
    let list = parsed.map_err(|error| {
        if error.is_io() { PodsError::Read(error.into()) } else { PodsError::Malformed(error) }
    })?;
    let pods: Vec<LivePod> = list.into_pods(now)?.into_iter().map(|listed| listed.pod).collect();
    refuse_duplicates(pods.iter())?;
    Ok(pods)
}

/// Fails when two pods have one name.
fn refuse_duplicates<'a>(mut pods: impl Iterator<Item = &'a LivePod>) -> Result<(), PodsError> {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    match pods.find(|pod| !names.insert(&pod.name)) {
        Some(pod) => Err(PodsError::Duplicate(pod.name.clone())),
        None => Ok(()),
    }
}

/// A pod and the labels by which budgets select it.
#[derive(Debug)]
pub(super) struct ListedPod {
    pub pod: LivePod,
    pub labels: BTreeMap<String, String>,
}

/// A page of a list, or a whole one.
#[derive(Deserialize)]
pub(super) struct PodList {
    kind: Option<String>,
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default, deserialize_with = "some_items")]
    items: Option<Vec<Item>>,
    message: Option<String>,
}

#[derive(Deserialize, Default)]
pub(super) struct ListMeta {
    #[serde(rename = "continue")]
    pub continue_token: Option<String>,
}

impl Page for PodList {
    fn next(&self) -> Option<String> {
        self.metadata.continue_token.clone()
    }
}

impl PodList {
    /// The pods of the list, with ages as of `now`.
    pub(super) fn into_pods(self, now: Timestamp) -> Result<Vec<ListedPod>, PodsError> {
        match self.kind.as_deref() {
            Some("PodList" | "List" | "PartialObjectMetadataList") => {}
            kind => {
                let found = match (kind, self.message) {
                    (Some(kind), Some(message)) => format!("a {kind}: {message}"),
                    (Some(kind), None) => format!("a {kind}"),
                    (None, _) => "an object without a kind".to_owned(),
                };
                return Err(PodsError::WrongKind { found });
            }
        }
        let items = self.items.unwrap_or_default();
        items.into_iter().enumerate().map(|(index, item)| item.into_pod(index, now)).collect()
    }
}

/// What is read of one item; everything else is skipped.
#[derive(Deserialize)]
pub(super) struct Item {
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
    uid: String,
    #[serde(deserialize_with = "moment")]
    creation_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "moment")]
    deletion_timestamp: Option<Timestamp>,
    #[serde(deserialize_with = "null_is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "protections::known")]
    annotations: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_is_empty")]
    owner_references: Vec<Owner>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Owner {
    #[serde(default)]
    api_version: String,
    kind: String,
    name: String,
    uid: String,
    #[serde(default)]
    controller: Option<bool>,
}

impl Owner {
    /// The one among the owners of an object that controls it.
    pub(super) fn controlling(owners: Vec<Self>) -> Option<Controller> {
        let owner = owners.into_iter().find(|owner| owner.controller == Some(true))?;
        let Self { api_version, kind, name, uid, .. } = owner;
        let group = api_version.split_once('/').map_or("", |(group, _)| group).to_owned();
        Some(Controller { group: Some(group), kind, name, uid })
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    priority_class_name: Option<String>,
    node_name: Option<String>,
    #[serde(deserialize_with = "null_is_empty")]
    volumes: Vec<Volume>,
}

/// Of the kinds of volumes those that lie on the node.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Volume {
    name: String,
    #[serde(default)]
    empty_dir: Option<EmptyDir>,
    #[serde(default)]
    host_path: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct EmptyDir {
    #[serde(default)]
    medium: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    #[serde(default, deserialize_with = "null_is_empty")]
    conditions: Vec<Condition>,
    #[serde(default, deserialize_with = "null_is_empty")]
    container_statuses: Vec<Container>,
}

#[derive(Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

#[derive(Deserialize)]
struct Container {
    #[serde(default)]
    state: ContainerState,
}

#[derive(Deserialize, Default)]
struct ContainerState {
    running: Option<RunningContainer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RunningContainer {
    #[serde(default, deserialize_with = "moment")]
    started_at: Option<Timestamp>,
}

impl Item {
    fn into_pod(self, index: usize, now: Timestamp) -> Result<ListedPod, PodsError> {
        let wrong = |problem: String| PodsError::Item { index, problem };
        if let Some(kind) = self.kind.filter(|kind| kind != "Pod" && kind != "PartialObjectMetadata") {
            return Err(wrong(format!("is a {kind}, not a pod")));
        }
        let meta = self.metadata;
        if meta.name.is_empty() {
            return Err(wrong("has no metadata.name".to_owned()));
        }
        let age = meta.creation_timestamp.map(|created| elapsed(created, now));
        let protections =
            protections::protections(&meta.annotations, self.spec.priority_class_name.as_deref(), age);
        let volumes = self.spec.volumes.into_iter().filter_map(Volume::local);
        let local_storage =
            volumes.filter(|volume| !protections::may_lose(&meta.annotations, volume)).collect();
        let pod = LivePod {
            name: meta.name,
            uid: meta.uid,
            phase: self.status.as_ref().map_or(Phase::Running, Status::phase),
            ready: self.status.as_ref().is_none_or(Status::is_ready),
            terminating: meta.deletion_timestamp.is_some(),
            age,
            uptime: self.status.and_then(|status| status.latest_start()).map(|started| elapsed(started, now)),
            controller: Owner::controlling(meta.owner_references),
            protections,
            node: self.spec.node_name.filter(|node| !node.is_empty()),
            revision: revision(&meta.labels),
            local_storage,
        };
        Ok(ListedPod { pod, labels: meta.labels })
    }
}

/// The labels in which controllers write the version of the template that a pod was made from.
const REVISION_LABELS: [&str; 3] =
    ["controller-revision-hash", "pod-template-hash", "rollouts-pod-template-hash"];

/// All that the labels say of the version of the template; controllers of some kinds write two.
fn revision(labels: &BTreeMap<String, String>) -> Option<String> {
    let known = REVISION_LABELS.iter().filter_map(|label| labels.get(*label));
    let known: Vec<&str> = known.map(String::as_str).filter(|value| !value.is_empty()).collect();
    (!known.is_empty()).then(|| known.join(","))
}

impl Volume {
    /// An `emptyDir` in memory is no storage: nobody expects to find it again.
    fn local(self) -> Option<LocalVolume> {
        let Self { name: volume, empty_dir, host_path } = self;
        match (empty_dir, host_path) {
            (Some(dir), _) if dir.medium.as_deref() != Some("Memory") => {
                Some(LocalVolume::EmptyDir { volume })
            }
            (None, Some(_)) => Some(LocalVolume::HostPath { volume }),
            _ => None,
        }
    }
}

impl Status {
    fn phase(&self) -> Phase {
        match self.phase.as_deref() {
            Some("Pending") => Phase::Pending,
            Some("Running") => Phase::Running,
            Some("Succeeded") => Phase::Succeeded,
            Some("Failed") => Phase::Failed,
            _ => Phase::Unknown,
        }
    }

    fn is_ready(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }

    /// When the most recently started container of those that run started.
    fn latest_start(&self) -> Option<Timestamp> {
        self.container_statuses
            .iter()
            .filter_map(|container| container.state.running.as_ref()?.started_at)
            .max()
    }
}

/// Time from `then` to `now`; clocks differ, so a moment in the future is no time ago.
pub(super) fn elapsed(then: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(then)).unwrap_or_default()
}

pub(super) fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    let Some(text) = text else { return Ok(None) };
    match text.parse() {
        Ok(moment) => Ok(Some(moment)),
        Err(error) => Err(D::Error::custom(format_args!("{text:?} is no time: {error}"))),
    }
}

/// The items of a list, at most [`MAX_ITEMS`].
fn some_items<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Item>>, D::Error> {
    let items: Option<Items> = Option::deserialize(deserializer)?;
    Ok(items.map(|Items(items)| items))
}

struct Items(Vec<Item>);

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX_ITEMS} pods")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Items, A::Error> {
        let mut items: Vec<Item> = Vec::new();
        while let Some(item) = seq.next_element()? {
            if items.len() == MAX_ITEMS {
                return Err(A::Error::invalid_length(MAX_ITEMS + 1, &self));
            }
            items.push(item);
        }
        Ok(Items(items))
    }
}

/// The API writes an empty list or map as absent, some tools as null.
pub(super) fn null_is_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value: Option<T> = Option::deserialize(deserializer)?;
    Ok(value.unwrap_or_default())
}

/// A reader that ends with an error after a number of bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
    exceeded: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let Some(left) = self.left.checked_sub(read as u64) else {
            self.exceeded = true;
            return Err(io::Error::other("more bytes than are read"));
        };
        self.left = left;
        Ok(read)
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
