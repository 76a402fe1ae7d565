//! Whether a rollout is in progress: what owners report, and what the pods' own revisions show.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::input::live_pod::Controller;
use crate::rotation::disturbance::Disturbance;
use crate::rotation::eligibility::storage_words;
use crate::rotation::workload::{OwnerStatus, Workload};

/// How far the newest specification of an owner has been rolled out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// All pods have it, or the owner does not say.
    Settled,
    /// It is paused: the pods below the partition of a `StatefulSet` keep the previous revision.
    Partitioned,
    /// It has not been applied, or not to all pods.
    UnderWay,
}

/// How far the newest specification of `owner` has been rolled out.
pub(super) fn progress(owner: &OwnerStatus, workload: &Workload) -> Progress {
    if owner.generation.is_some() && owner.generation != owner.observed_generation {
        return Progress::UnderWay;
    }
    let is_stateful: bool = owner.top.is("apps", "StatefulSet");
    if owner.current_revision != owner.update_revision {
        return if is_stateful { of_stateful_set(owner, workload) } else { Progress::UnderWay };
    }
    // A `StatefulSet` counts a terminating pod among its replicas but not among the updated ones, so only its
    // revisions are reliable.
    if !is_stateful && owner.updated_replicas.is_some() && owner.updated_replicas != owner.current_replicas {
        return Progress::UnderWay;
    }
    Progress::Settled
}

/// A `StatefulSet` whose two revisions differ. With `OnDelete` they differ for ever, even when all pods are
/// updated; with a partition, until it is removed.
fn of_stateful_set(owner: &OwnerStatus, workload: &Workload) -> Progress {
    let pods = workload.under(&owner.top.uid);
    let revisions: Option<Vec<&str>> = pods.map(|pod| pod.revision.as_deref()).collect();
    if owner.on_delete {
        let all_updated: bool =
            owner.updated_replicas.is_some() && owner.updated_replicas == owner.current_replicas;
        let all_alike: bool = revisions.is_some_and(|all| all.iter().collect::<BTreeSet<_>>().len() == 1);
        return if all_updated || all_alike { Progress::Settled } else { Progress::UnderWay };
    }
    let update: Option<&str> = owner.update_revision.as_deref();
    let by_pods: Option<usize> =
        revisions.map(|all| all.iter().filter(|revision| Some(**revision) != update).count());
    // After an eviction the owner counts one updated pod less; its pods still show the truth.
    let by_counts: Option<usize> = difference(owner.current_replicas, owner.updated_replicas);
    let stay: usize = usize::try_from(owner.partition).unwrap_or(usize::MAX);
    if stay > 0 && [by_pods, by_counts].into_iter().flatten().any(|behind| behind <= stay) {
        return Progress::Partitioned;
    }
    Progress::UnderWay
}

fn difference(all: Option<u32>, part: Option<u32>) -> Option<usize> {
    usize::try_from(all?.saturating_sub(part?)).ok()
}

/// Pods of several revisions under one owner: a rollout that the owner may not report. Not if the owner says
/// that both are to stay. A pod without a revision counts as another one if others have one.
pub(super) fn of_several_revisions(workload: &Workload) -> Vec<Disturbance> {
    let resting: BTreeSet<&str> = partitioned(workload).map(|owner| owner.top.uid.as_str()).collect();
    let mut by_owner: BTreeMap<&str, (&Controller, BTreeSet<Option<&str>>)> = BTreeMap::new();
    for pod in workload.living() {
        let Some(controller) = &pod.controller else { continue };
        let top: &Controller = workload.owner_of(pod).map_or(controller, |owner| &owner.top);
        if !resting.contains(top.uid.as_str()) {
            let (_, revisions) = by_owner.entry(&top.uid).or_insert_with(|| (top, BTreeSet::new()));
            revisions.insert(pod.revision.as_deref());
        }
    }
    let several = by_owner.into_values().filter(|(_, revisions)| revisions.len() > 1);
    let told = several.map(|(top, revisions)| Disturbance::RevisionsDiffer {
        owner: top.title(),
        revisions: revisions.into_iter().map(|revision| revision.unwrap_or("none").into()).collect(),
    });
    told.collect()
}

/// The owners whose pods stay at two revisions.
fn partitioned(workload: &Workload) -> impl Iterator<Item = &OwnerStatus> {
    workload.owners.iter().filter(|owner| progress(owner, workload) == Progress::Partitioned)
}

/// An objection if `targets` have different revisions and their owner keeps two side by side: their loads may
/// differ because of it, and each pod comes back with its own revision.
pub fn divided_targets(workload: &Workload, targets: &[&str]) -> Option<Disturbance> {
    let is_one_revision = |owner: &&OwnerStatus| {
        let chosen = workload.under(&owner.top.uid).filter(|pod| targets.contains(&pod.name.as_str()));
        let revisions: Vec<Option<&str>> = chosen.map(|pod| pod.revision.as_deref()).collect();
        match revisions.as_slice() {
            [] | [_] => true,
            [first, rest @ ..] => first.is_some() && rest.iter().all(|revision| revision == first),
        }
    };
    let divided: &OwnerStatus = partitioned(workload).find(|owner| !is_one_revision(owner))?;
    Some(Disturbance::Partitioned(divided.top.title()))
}

/// What a reader should know before `targets` are evicted, although it holds nothing back, one sentence each:
/// what is lost with them, and what their owner does not reveal.
pub fn remarks(workload: &Workload, targets: &[&str]) -> Vec<String> {
    let tops: BTreeMap<&str, &OwnerStatus> =
        workload.owners.iter().map(|owner| (owner.top.uid.as_str(), owner)).collect();
    let of_owners = tops.into_values().filter_map(|owner| remark(owner, workload));
    let of_targets = workload
        .living()
        .filter(|pod| targets.contains(&pod.name.as_str()) && !pod.local_storage.is_empty())
        .map(|pod| format!("pod {} {}", pod.name, storage_words(&pod.local_storage)));
    of_owners.chain(of_targets).collect()
}

fn remark(owner: &OwnerStatus, workload: &Workload) -> Option<String> {
    let title: String = owner.top.title();
    if owner.is_silent() {
        return Some(format!("{title}: rollout not visible, but for pods of different revisions"));
    }
    let (current, update) = (owner.current_revision.as_deref(), owner.update_revision.as_deref()?);
    if current == Some(update) {
        return None;
    }
    if progress(owner, workload) == Progress::Partitioned {
        return Some(format!("{title} is partitioned: only pods of one revision are rotated"));
    }
    let waits: bool = workload.under(&owner.top.uid).any(|pod| pod.revision.as_deref() != Some(update));
    (owner.on_delete && waits)
        .then(|| format!("{title} is updated on deletion: an evicted pod comes back at revision {update}"))
}
