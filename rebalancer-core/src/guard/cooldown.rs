//! Cooldown: pods that were just replaced must settle before the next rotation.

use alloc::format;
use core::time::Duration;

use crate::guard::verdict::{Check, Standing, Verdict};
use crate::input::live_pod::LivePod;
use crate::wording::lasting;

/// Holds while any live pod, warm or not, is younger than `limit`.
///
/// The value is the age of the youngest pod in seconds. An unknown age counts as old enough. A
/// container restart does not make a pod younger here.
pub fn cooldown(live: &[LivePod], limit: Duration) -> Verdict {
    let youngest = live.iter().filter_map(|pod| Some((pod.age?, pod))).min_by_key(|(age, _)| *age);
    let holds = youngest.is_some_and(|(age, _)| age < limit);
    let reason = match youngest {
        Some((age, pod)) => {
            format!("the youngest pod, {}, is {} old, {} are needed", pod.name, lasting(age), lasting(limit))
        }
        None => "no age is known; the pods count as old enough".into(),
    };
    Verdict::new(Check::Cooldown, Standing::held_if(holds), reason)
        .with(youngest.map(|(age, _)| age.as_secs_f64()), limit.as_secs_f64())
}
