//! Silent pods: they own partitions, but their own message rate is 0.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnosis::cause::Cause;
use crate::diagnosis::illness::stalled;
use crate::diagnosis::movement::rises;
use crate::facts::Facts;
use crate::input::history::STRETCHES;
use crate::input::metric::Metric;
use crate::input::offsets::{OffsetKind, PartitionPast};
use crate::input::pod::Load;
use crate::measure::analysis::Analysis;
use crate::measure::spread::median;

/// If nothing else shows that messages arrive for it, a silent pod must earlier have read at least this share
/// of what the others read.
const READ_BEFORE: f64 = 0.25;

/// The positions of the pods with assigned partitions and a message rate of 0, and for how long they have read nothing, while the others read and messages arrive for
/// them. The rate shows a stall at once; the client's own lag does not, because it changes only when the
/// client polls.
pub(super) fn silent_pods(
    analysis: &Analysis<'_>,
    facts: &Facts<'_>,
) -> Vec<(usize, Cause, Option<Duration>)> {
    let Some(assigned) = facts.assigned_partitions.known() else { return Vec::new() };
    let assigned: BTreeMap<&str, usize> =
        assigned.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    let rate = |position: usize| analysis.load(position, Metric::Rate).map(Load::value);
    let is_silent = |position: &usize| rate(*position) == Some(0.0);
    let silent: Vec<usize> = analysis.candidates().iter().copied().filter(is_silent).collect();
    if silent.is_empty() {
        return Vec::new();
    }
    let typical =
        median(analysis.candidates().iter().copied().filter_map(rate).collect()).unwrap_or_default();
    let pods = silent.into_iter().filter_map(|position| {
        let name = analysis.name(position);
        let partitions = assigned.get(name).copied().filter(|count| *count > 0)?;
        let arrives = messages_arrive(facts, name).unwrap_or_else(|| has_read(facts, name, typical));
        let cause = || stalled(name, Some(0.0), Some(partitions), None);
        (typical > 0.0 && arrives).then(|| (position, cause(), silence(facts, name)))
    });
    pods.collect()
}

/// Whether the end of one of the pod's partitions moves while none of them is read; `None` if no ends or no owners are
/// known: messages in the partitions of others say nothing about this pod.
fn messages_arrive(facts: &Facts<'_>, pod: &str) -> Option<bool> {
    let offsets = facts.offsets.known()?;
    let ends_known = offsets.partitions().any(|past| !past.column(OffsetKind::End).is_empty());
    let owners_known = offsets.partitions().any(|past| past.owner().is_some());
    let is_own = |past: &&PartitionPast| past.owner().is_some_and(|tenure| tenure.pod == pod);
    // In the latest sixth of the history.
    let steps = offsets.grid().steps;
    let from = (steps - steps / STRETCHES).saturating_sub(1);
    let moves = |kind| offsets.partitions().filter(is_own).any(|past| rises(past.column(kind), from, steps));
    (ends_known && owners_known).then(|| !moves(OffsetKind::Committed) && moves(OffsetKind::End))
}

/// Whether the pod read a fair share in at least one stretch of the history.
fn has_read(facts: &Facts<'_>, pod: &str, typical: f64) -> bool {
    let Some(past) = facts.past.rate.known() else { return false };
    let means = (0..STRETCHES).filter_map(|stretch| past.mean(pod, stretch..stretch + 1));
    means.fold(0.0, f64::max) >= READ_BEFORE * typical
}

/// How long the pod has read nothing: the latest stretches without a message.
fn silence(facts: &Facts<'_>, pod: &str) -> Option<Duration> {
    let past = facts.past.rate.known()?;
    let reads = |stretch: &usize| past.mean(pod, *stretch..stretch + 1) != Some(0.0);
    let silent = (0..STRETCHES).rev().take_while(|stretch| !reads(stretch)).count();
    Some(past.grid().time(silent * past.grid().steps / STRETCHES))
}
