//! Finds the pods that are themselves the cause of an uneven load or of a stopped partition.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnosis::behind::falling_behind;
use crate::diagnosis::illness::{IllPod, IllPods, Illness};
use crate::diagnosis::sick::sick_pods;
use crate::diagnosis::silent::{SilentPod, silent_pods};
use crate::diagnosis::stalled::stalled_pods;
use crate::diagnosis::standing::{Asked, StandingPartition, Standings, standings};
use crate::diagnosis::stretch::stretches;
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
    let found = standing(analysis, facts);
    let mut ill = IllPods {
        poisoned: found.poisoned,
        behind: falling_behind(facts),
        unclear: found.unclear,
        nobody_reads: found.nobody_reads,
        offsets_are_old: found.are_old,
        ..IllPods::default()
    };
    let stalls = found.stalled.into_iter().filter_map(|(pod, standing)| stalled(analysis, &pod, standing));
    let stuck = found.stuck.into_iter().filter_map(|standing| stuck(analysis, standing));
    ill.pods = stalls.chain(stuck).collect();
    ill.pods.sort_by_key(|pod| core::cmp::Reverse(backlog(pod)));
    let is_known = |ill: &IllPods, position: usize| ill.pods.iter().any(|pod| pod.position == position);
    for silent in silent_pods(analysis, facts) {
        let excused = ill.is_poisoned(analysis.name(silent.position)) || ill.nobody_reads;
        if !excused && !is_known(&ill, silent.position) {
            ill.pods.push(silent_pod(silent));
        }
    }
    let stretches = stretches(analysis, facts);
    let lasted = window(facts);
    let (sick, worst_ratio) = sick_pods(&stretches);
    ill.worst_ratio = worst_ratio;
    let by_load = if sick.is_empty() { stalled_pods(analysis, facts, &stretches) } else { sick };
    for (position, illness) in by_load {
        let is_stall = matches!(illness, Illness::Stalled { .. });
        let excused = is_stall && ill.is_poisoned(analysis.name(position));
        if !excused && !is_known(&ill, position) {
            ill.pods.push(IllPod { position, illness, lasted });
        }
    }
    ill
}

/// Whether a closer look is needed: a pod may be ill, or reads nothing while others read.
pub fn may_be_ill(analysis: &Analysis<'_>, facts: &Facts<'_>) -> bool {
    let rates = || {
        let rate = |position| analysis.load(position, Metric::Rate).map(Load::value);
        analysis.candidates().iter().filter_map(rate)
    };
    let is_silent = || rates().any(|rate| rate == 0.0) && rates().any(|rate| rate > 0.0);
    is_silent() || !ill_pods(analysis, facts).pods.is_empty()
}

fn standing(analysis: &Analysis<'_>, facts: &Facts<'_>) -> Standings {
    if facts.offsets.known().is_none() {
        return Standings::default();
    }
    let positions: BTreeMap<&str, usize> =
        (0..analysis.count()).map(|position| (analysis.name(position), position)).collect();
    let rate = |name: &str| {
        let position = *positions.get(name)?;
        Some(analysis.load(position, Metric::Rate).map(Load::value))
    };
    standings(&Asked { facts, rate: &rate })
}

fn position(analysis: &Analysis<'_>, name: &str) -> Option<usize> {
    (0..analysis.count()).find(|position| analysis.name(*position) == name)
}

fn stuck(analysis: &Analysis<'_>, standing: StandingPartition) -> Option<IllPod> {
    let position = position(analysis, standing.pod.as_deref()?)?;
    Some(IllPod { position, lasted: Some(standing.lasted), illness: Illness::Stuck(standing) })
}

/// A pod whose partitions all stand. The stall has lasted since the last of them stopped.
fn stalled(analysis: &Analysis<'_>, pod: &str, all: Vec<StandingPartition>) -> Option<IllPod> {
    let position = position(analysis, pod)?;
    let lasted = all.iter().map(|standing| standing.lasted).min();
    let partitions = Some(all.len());
    let share = analysis.load(position, Metric::Rate).map(Load::value);
    let standing = all.into_iter().max_by_key(|standing| standing.backlog);
    Some(IllPod { position, illness: Illness::Stalled { share, partitions, standing }, lasted })
}

fn silent_pod(silent: SilentPod) -> IllPod {
    let SilentPod { position, partitions, lasted } = silent;
    let illness = Illness::Stalled { share: Some(0.0), partitions: Some(partitions), standing: None };
    IllPod { position, illness, lasted }
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
    let steps = u32::try_from(cpu.grid().steps).unwrap_or(u32::MAX);
    Some(cpu.grid().step.saturating_mul(steps))
}
