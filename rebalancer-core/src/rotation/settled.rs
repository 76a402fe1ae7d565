//! Whether a workload is settled: nothing is changing, and it is the one planned for.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::input::live_pod::{Controller, LivePod};
use crate::rotation::disturbance::Disturbance;
use crate::rotation::options::RotationOptions;
use crate::rotation::rollout::{Progress, of_several_revisions, progress};
use crate::rotation::workload::{OwnerStatus, PlannedWorkload, Workload};

/// Lists every reason not to act on `workload`, whatever the plan.
///
/// Every living pod must be Ready and none terminating; at least `min_pods` must be Ready; the pods must have
/// one controller (unless several are allowed), whose owner is known, has finished its rollout, wants exactly
/// the pods there are, and has done so since the window of the metrics began; and nobody
/// may have paused it.
pub fn disturbances(workload: &Workload, options: &RotationOptions) -> Vec<Disturbance> {
    let mut found: Vec<Disturbance> = Vec::new();
    for pod in workload.living() {
        if pod.terminating {
            found.push(Disturbance::PodTerminating(pod.name.clone()));
        } else if !pod.ready {
            found.push(Disturbance::PodNotReady(pod.name.clone()));
        }
    }
    let ready: usize = workload.living().filter(|pod| pod.ready && !pod.terminating).count();
    if ready < options.min_pods {
        found.push(Disturbance::TooFewReady { ready, required: options.min_pods });
    }
    found.extend(of_controllers(workload, options));
    found.extend(of_owners(workload));
    found.extend(of_several_revisions(workload));
    found.sort();
    found
}

/// Lists how `workload` differs from the one a plan was made from.
pub fn changes_since(planned: &PlannedWorkload, workload: &Workload) -> Vec<Disturbance> {
    let now: BTreeMap<&str, &LivePod> = workload.living().map(|pod| (pod.name.as_str(), pod)).collect();
    let mut found: Vec<Disturbance> = Vec::new();
    for (name, uid) in &planned.uids {
        match now.get(name.as_str()) {
            None => found.push(Disturbance::PodGone(name.clone())),
            Some(pod) if pod.uid != *uid => found.push(Disturbance::PodReplaced(name.clone())),
            Some(pod) if pod.controller.as_ref().map(|owner| &owner.uid) != planned.controllers.get(name) => {
                found.push(Disturbance::ControllerChanged(name.clone()));
            }
            Some(_) => {}
        }
    }
    let new = now.keys().filter(|name| !planned.uids.contains_key(**name));
    found.extend(new.map(|name| Disturbance::PodNew((*name).into())));
    found.extend(desired_changes(planned, workload));
    found
}

/// The owners whose desired number of pods has changed since the plan was made.
fn desired_changes(planned: &PlannedWorkload, workload: &Workload) -> Vec<Disturbance> {
    workload
        .owners
        .iter()
        .filter(|owner| planned.desired_replicas.get(&owner.top.uid).copied() != owner.desired_replicas)
        .map(|owner| Disturbance::DesiredChanged { owner: owner.top.title(), now: owner.desired_replicas })
        .collect()
}

fn of_controllers(workload: &Workload, options: &RotationOptions) -> Vec<Disturbance> {
    let controllers: BTreeSet<&Controller> =
        workload.living().filter_map(|pod| pod.controller.as_ref()).collect();
    let mut found: Vec<Disturbance> = Vec::new();
    if controllers.len() > 1 && !options.allow_many_controllers {
        let titles = controllers.iter().map(|controller| controller.title());
        found.push(Disturbance::ControllersDiffer(titles.collect()));
    }
    let known =
        |controller: &Controller| workload.owners.iter().any(|owner| owner.controller.uid == controller.uid);
    let unknown = controllers.iter().filter(|controller| !known(controller));
    found.extend(unknown.map(|controller| Disturbance::OwnerUnknown(controller.title())));
    found
}

/// Rollouts and replica counts; several controllers may share one owner at the top.
fn of_owners(workload: &Workload) -> Vec<Disturbance> {
    let tops: BTreeMap<&str, &OwnerStatus> =
        workload.owners.iter().map(|owner| (owner.top.uid.as_str(), owner)).collect();
    let mut found: Vec<Disturbance> = Vec::new();
    for (uid, owner) in tops {
        if let Some(words) = &owner.paused {
            found.push(Disturbance::Paused { owner: owner.top.title(), words: words.clone() });
        }
        if progress(owner, workload) == Progress::UnderWay {
            found.push(Disturbance::Rollout(owner.top.title()));
        }
        if let Some(ago) = owner.resized_ago {
            found.push(Disturbance::Resized { owner: owner.top.title(), ago_s: ago.as_secs() });
        }
        let Some(desired) = owner.desired_replicas else {
            continue;
        };
        let listed: u32 = u32::try_from(workload.under(uid).count()).unwrap_or(u32::MAX);
        let counts = [owner.current_replicas.unwrap_or(desired), listed];
        if let Some(count) = counts.into_iter().find(|count| *count != desired) {
            found.push(Disturbance::ReplicasDiffer { owner: owner.top.title(), desired, found: count });
        }
    }
    found
}
