//! Finds the pods that are themselves the cause of an uneven load or of a stopped partition.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::diagnosis::behind::falling_behind;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::illness::{self, IllPod, IllPods, StandingPartition};
use crate::diagnosis::sick::sick_pods;
use crate::diagnosis::silent::silent_pods;
use crate::diagnosis::stalled::stalled_pods;
use crate::diagnosis::standing::standings;
use crate::diagnosis::stretch::{stretches, warm_for};
use crate::facts::Facts;
use crate::input::metric::Metric;
use crate::input::pod::Load;
use crate::measure::analysis::Analysis;

/// Finds the pods that are themselves the cause: those with standing partitions, silent ones, then sick ones
/// or, if there are none, those that have stalled judging by their lag.
///
/// Sick pods are judged over each half of the history of CPU and rate, so that momentary noise does not look
/// like an illness; without history, by the current loads. Partitions are judged by the history of their
/// offsets.
///
/// ```
/// use rebalancer_core::diagnosis::{Cause, ill_pods};
/// use rebalancer_core::{Engine, Facts, Metric, PodState, Thresholds};
///
/// // Four pods read 100 messages a second each; one spends three times the CPU on them.
/// let cores = [("a", 1.0), ("b", 3.0), ("c", 1.0), ("d", 1.0)];
/// let pod = |(name, cores)| PodState::new(name).with(Metric::Cpu, cores).with(Metric::Rate, 100.0);
/// let pods = cores.map(pod);
/// let analysis = Engine::new(Thresholds::default()).analyze(&pods)?;
///
/// let ill = ill_pods(&analysis, &Facts::new(&[]));
/// let worst = ill.worst().expect("b is sick");
/// assert_eq!(worst.cause, Cause::SickPod { pod: "b".to_string(), ratio: 3.0, limit: 1.6 });
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
pub fn ill_pods(analysis: &Analysis<'_>, facts: &Facts<'_>) -> IllPods {
    let mut ill = by_offsets(analysis, facts);
    let stretches = stretches(analysis, facts);
    let (sick, worst_ratio) = sick_pods(analysis, &stretches);
    ill.worst_ratio = worst_ratio;
    let is_sick = !sick.is_empty();
    let by_load = if is_sick { sick } else { stalled_pods(analysis, facts, &stretches) };
    let silent = silent_pods(analysis, facts);
    if by_load.is_empty() && silent.is_empty() {
        return ill;
    }
    let lasted = window(facts);
    let by_load = by_load.into_iter().map(|(position, number)| {
        let pod = analysis.name(position);
        let cause = if is_sick { illness::sick(pod, number) } else { illness::slow(pod, number) };
        (position, cause, lasted)
    });
    ill.pods.reserve(silent.len() + by_load.len());
    let mut known: BTreeSet<usize> = ill.pods.iter().map(|pod| pod.position).collect();
    let warm = warm_for(facts);
    for (position, cause, lasted) in silent.into_iter().chain(by_load) {
        let name = analysis.name(position);
        let is_excused = matches!(cause, Cause::StalledPod { .. }) && ill.explains_stall(name);
        if is_excused || !known.insert(position) {
            continue;
        }
        // A longer history is that of a predecessor, or of containers that have restarted since.
        let lasted = lasted.map(|lasted| warm.get(name).map_or(lasted, |warm| lasted.min(*warm)));
        ill.pods.push(IllPod { position, cause, lasted, cured_ago: None });
    }
    ill
}

/// Whether a closer look is needed: a pod may be ill, or reads nothing while others read.
pub fn may_be_ill(analysis: &Analysis<'_>, facts: &Facts<'_>) -> bool {
    let rates = || {
        let rate = |position| analysis.load(position, Metric::Rate).map(Load::value);
        analysis.candidates().iter().copied().filter_map(rate)
    };
    let is_silent = || rates().any(|rate| rate == 0.0) && rates().any(|rate| rate > 0.0);
    is_silent() || !ill_pods(analysis, facts).pods.is_empty()
}

/// What the past of the partitions shows; pods with the largest backlog first.
fn by_offsets(analysis: &Analysis<'_>, facts: &Facts<'_>) -> IllPods {
    if facts.offsets.known().is_none() {
        return IllPods { behind: falling_behind(facts), ..IllPods::default() };
    }
    let positions: BTreeMap<&str, usize> =
        (0..analysis.count()).map(|position| (analysis.name(position), position)).collect();
    let rate = |position: usize| analysis.load(position, Metric::Rate).map(Load::value);
    let rates = positions.iter().map(|(name, position)| (*name, rate(*position))).collect();
    let (curable, mut ill) = standings(facts, &rates);
    let (mut stalled, mut stuck): (BTreeMap<String, Vec<StandingPartition>>, Vec<IllPod>) =
        Default::default();
    for standing in curable {
        let StandingPartition { lasted, cured_ago, moving, others, .. } = standing;
        let Some(pod) = standing.pod.clone() else { continue };
        let Some(&position) = positions.get(pod.as_str()) else { continue };
        if moving == 0 {
            stalled.entry(pod).or_default().push(standing);
        } else {
            let cause = Cause::StuckPartition { pod, standing: Box::new(standing.stands), moving, others };
            stuck.push(IllPod { position, cause, lasted: Some(lasted), cured_ago });
        }
    }
    let stalls = stalled.into_iter().filter_map(|(pod, all)| {
        // The stall has lasted since the last of them stopped.
        let lasted = all.iter().map(|standing| standing.lasted).min();
        let partitions = Some(all.len());
        let largest = all.into_iter().max_by_key(|standing| standing.stands.backlog)?;
        let position = *positions.get(pod.as_str())?;
        let cause = illness::stalled(&pod, rate(position), partitions, Some(largest.stands));
        Some(IllPod { position, cause, lasted, cured_ago: largest.cured_ago })
    });
    ill.pods = stalls.chain(stuck).collect();
    ill.pods.sort_by_key(|pod| Reverse(pod.cause.standing().and_then(|standing| standing.backlog)));
    ill.behind = falling_behind(facts);
    ill
}

/// How long a finding that both halves of the history show has lasted: the whole history.
fn window(facts: &Facts<'_>) -> Option<Duration> {
    let (Some(cpu), Some(_)) = (facts.past.cpu.known(), facts.past.rate.known()) else { return None };
    Some(cpu.grid().time(cpu.grid().steps))
}
