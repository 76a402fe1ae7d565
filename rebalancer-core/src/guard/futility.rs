//! Futility: if the busiest pod is itself a recent replacement, replacing pods does not help.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::live_pod::LivePod;
use crate::measure::outliers::Role;
use crate::wording::lasting;

/// Holds when the pod to be replaced, the busiest or an ill one, is younger than `limit` although most pods are not.
///
/// If the median pod is younger, a rollout has just replaced all pods and the age of one says nothing. The
/// value is the age of that pod in seconds; an unknown age counts as old enough.
pub fn futility(live: &[LivePod], role: Role, name: &str, limit: Duration) -> Verdict {
    let age = live.iter().find(|pod| pod.name == name).and_then(|pod| pod.age);
    let mut ages: Vec<Duration> = live.iter().filter_map(|pod| pod.age).collect();
    ages.sort_unstable();
    let young_fleet = ages.get(ages.len() / 2).is_some_and(|median| *median < limit);
    let young = age.is_some_and(|age| age < limit);
    let what = if role == Role::Ill { "ill" } else { "busiest" };
    let reason = match age {
        None => format!("the age of the {what} pod, {name}, is not known; it counts as old enough"),
        Some(age) if young && young_fleet => {
            format!("the {what} pod, {name}, is {} old, as young as most pods of the workload", lasting(age))
        }
        Some(age) if young => format!(
            "the {what} pod, {name}, was replaced {} ago and is {what} again; replacing it does not help",
            lasting(age)
        ),
        Some(age) => {
            format!("the {what} pod, {name}, is {} old, {} are needed", lasting(age), lasting(limit))
        }
    };
    Verdict::new(Check::Futility, Standing::held_if(young && !young_fleet), reason)
        .with(age.map(|age| age.as_secs_f64()), limit.as_secs_f64())
}
