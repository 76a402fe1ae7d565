//! Futility: if the busiest pod is itself a recent replacement, replacing pods does not help.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::live_pod::LivePod;
use crate::wording::lasting;

/// Holds when the busiest pod is younger than `limit` although most pods are not.
///
/// If the median pod is younger, a rollout has just replaced all pods and the age of one says nothing. The
/// value is the age of the busiest pod in seconds; an unknown age counts as old enough.
pub fn futility(live: &[LivePod], busiest: &str, limit: Duration) -> Verdict {
    let age = live.iter().find(|pod| pod.name == busiest).and_then(|pod| pod.age);
    let mut ages: Vec<Duration> = live.iter().filter_map(|pod| pod.age).collect();
    ages.sort_unstable();
    let young_fleet = ages.get(ages.len() / 2).is_some_and(|median| *median < limit);
    let young = age.is_some_and(|age| age < limit);
    Verdict {
        check: Check::Futility,
        standing: Standing::held_if(young && !young_fleet),
        failed: false,
        value: age.map(|age| age.as_secs_f64()),
        limit: Some(limit.as_secs_f64()),
        reason: match age {
            None => format!("the age of the busiest pod, {busiest}, is not known; it counts as old enough"),
            Some(age) if young && young_fleet => format!(
                "the busiest pod, {busiest}, is {} old, as young as most pods of the workload",
                lasting(age)
            ),
            Some(age) if young => format!(
                "the busiest pod, {busiest}, was replaced {} ago and is busiest again; replacing it does not help",
                lasting(age)
            ),
            Some(age) => {
                format!("the busiest pod, {busiest}, is {} old, {} are needed", lasting(age), lasting(limit))
            }
        },
    }
}
