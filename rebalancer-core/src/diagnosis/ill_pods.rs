//! Finds the pods that are themselves the cause of an uneven load or of a stopped partition.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::time::Duration;

use crate::diagnosis::behind::falling_behind;
use crate::diagnosis::illness::{IllPod, IllPods, Illness};
use crate::diagnosis::sick::sick_pods;
use crate::diagnosis::silent::silent_pods;
use crate::diagnosis::stalled::stalled_pods;
use crate::diagnosis::standing::{StandingPartition, standings};
use crate::diagnosis::stretch::stretches;
use crate::facts::Facts;
use crate::input::live_pod::LivePod;
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
/// use rebalancer_core::diagnosis::{Illness, ill_pods};
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
/// assert_eq!((analysis.name(worst.position), &worst.illness), ("b", &Illness::Sick { ratio: 3.0 }));
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
pub fn ill_pods(analysis: &Analysis<'_>, facts: &Facts<'_>) -> IllPods {
    let mut ill = by_offsets(analysis, facts);
    let stretches = stretches(analysis, facts);
    let floor = analysis.thresholds().trigger_floors.cpu;
    let (sick, worst_ratio) = sick_pods(&stretches, floor);
    ill.worst_ratio = worst_ratio;
    let by_load = if sick.is_empty() { stalled_pods(analysis, facts, &stretches) } else { sick };
    let lasted = window(facts);
    let by_load = by_load.into_iter().map(|(position, illness)| IllPod { position, illness, lasted });
    for mut pod in silent_pods(analysis, facts).into_iter().chain(by_load) {
        let name = analysis.name(pod.position);
        let is_excused = matches!(pod.illness, Illness::Stalled { .. }) && ill.explains_stall(name);
        if is_excused || ill.pods.iter().any(|known| known.position == pod.position) {
            continue;
        }
        // A longer history is that of a predecessor, or of containers that have restarted since.
        let warm = facts.live.iter().find(|live| live.name == name).and_then(LivePod::warm_for);
        pod.lasted = pod.lasted.map(|lasted| warm.map_or(lasted, |warm| warm.min(lasted)));
        ill.pods.push(pod);
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
    let positions: BTreeMap<&str, usize> =
        (0..analysis.count()).map(|position| (analysis.name(position), position)).collect();
    let rate = |position: usize| analysis.load(position, Metric::Rate).map(Load::value);
    let rates = positions.iter().map(|(name, position)| (*name, rate(*position))).collect();
    let found = standings(facts, &rates);
    let stalls = found.stalled.into_iter().filter_map(|(pod, all)| {
        let position = *positions.get(pod.as_str())?;
        Some(stalled(position, rate(position), all))
    });
    let stuck = found.stuck.into_iter().filter_map(|standing| {
        let position = *positions.get(standing.pod.as_deref()?)?;
        Some(IllPod { position, lasted: Some(standing.lasted), illness: Illness::Stuck(standing) })
    });
    let mut pods: Vec<IllPod> = stalls.chain(stuck).collect();
    pods.sort_by_key(|pod| Reverse(backlog(pod)));
    IllPods {
        pods,
        worst_ratio: None,
        poisoned: found.poisoned,
        behind: falling_behind(facts),
        unclear: found.unclear,
        nobody_reads: found.nobody_reads,
        offsets_are_old: found.are_old,
    }
}

/// A pod whose partitions all stand. The stall has lasted since the last of them stopped.
fn stalled(position: usize, share: Option<f64>, all: Vec<StandingPartition>) -> IllPod {
    let lasted = all.iter().map(|standing| standing.lasted).min();
    let partitions = Some(all.len());
    let standing = all.into_iter().max_by_key(|standing| standing.backlog);
    IllPod { position, illness: Illness::Stalled { share, partitions, standing }, lasted }
}

fn backlog(ill: &IllPod) -> Option<u64> {
    match &ill.illness {
        Illness::Stuck(standing) => standing.backlog,
        Illness::Stalled { standing, .. } => standing.as_ref().and_then(|standing| standing.backlog),
        Illness::Sick { .. } => None,
    }
}

/// How long a finding that both halves of the history show has lasted: the whole history.
fn window(facts: &Facts<'_>) -> Option<Duration> {
    let (Some(cpu), Some(_)) = (facts.past.cpu.known(), facts.past.rate.known()) else { return None };
    Some(cpu.grid().time(cpu.grid().steps))
}
