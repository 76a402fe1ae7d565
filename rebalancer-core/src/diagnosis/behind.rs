//! Partitions that fall behind: hot ones, or ones whose messages take long.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::diagnosis::cause::{Behind, Cause, messages};
use crate::diagnosis::movement::{Movement, movement, steps};
use crate::facts::Facts;
use crate::input::offsets::{OffsetKind, Offsets, PartitionPast};

/// The time over which messages read are compared with messages written.
const LOOKED_AT: Duration = Duration::from_secs(30 * 60);

/// The shortest part of that time that is enough to judge by.
const LEAST_LOOK: Duration = Duration::from_secs(10 * 60);

/// A partition falls behind when it reads less than this share of what arrives.
const READ_SHARE: f64 = 0.95;

/// A smaller backlog is ignored; equals the floor of lag.
const LEAST_BACKLOG: f64 = 1000.0;

/// If more than this share of the partitions fall behind, there are too few consumers and no single partition
/// is to blame.
const MOST_BEHIND: f64 = 0.25;

/// A partition that falls behind while the pod's other partitions keep up.
#[derive(Debug, Clone, PartialEq)]
pub struct FallingBehind {
    /// The pod that owns it.
    pub pod: String,
    /// Messages read of it for each that is written to it.
    pub read_share: f64,
    /// Which it is, and how far it is behind.
    pub cause: Cause,
}

struct Flow<'a> {
    past: &'a PartitionPast,
    pod: Option<&'a str>,
    written: f64,
    read: f64,
    backlog: f64,
    /// Messages that arrive during the longest gap between two moves; `None` if it does not move.
    at_once: Option<f64>,
}

impl Flow<'_> {
    /// Growth that one gap between commits can explain is no backlog.
    fn is_behind(&self) -> bool {
        let grown = self.written - self.read;
        self.at_once.is_some_and(|at_once| grown > 2.0 * at_once)
            && self.read > 0.0
            && self.read < READ_SHARE * self.written
            && self.backlog >= LEAST_BACKLOG
    }
}

/// The partitions that fall behind, largest backlog first; empty if many do.
pub(super) fn falling_behind(facts: &Facts<'_>) -> Vec<FallingBehind> {
    let Some(offsets) = facts.offsets.known() else { return Vec::new() };
    let flows: Vec<(Flow<'_>, f64)> = offsets.partitions().filter_map(|past| flow(past, offsets)).collect();
    let behind = flows.iter().filter(|(flow, _)| flow.is_behind()).count();
    if behind as f64 > (MOST_BEHIND * flows.len() as f64).max(1.0) {
        return Vec::new();
    }
    let total: f64 = flows.iter().map(|(flow, _)| flow.written).sum();
    let mut pods: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for (flow, _) in &flows {
        let (behind, written) = pods.entry(flow.pod.unwrap_or_default()).or_default();
        *behind += usize::from(flow.is_behind());
        *written += flow.written;
    }
    let described = |(flow, seconds): &(Flow<'_>, f64)| {
        let pod = flow.pod?;
        let (behind, of_pod) = pods[pod];
        let [written_per_second, read_per_second] = [flow.written, flow.read].map(|count| count / seconds);
        let backlog = messages(flow.backlog);
        (behind == 1).then(|| FallingBehind {
            pod: pod.to_string(),
            read_share: read_per_second / written_per_second,
            cause: Cause::HotPartition {
                topic: flow.past.topic().to_string(),
                partition: flow.past.number(),
                share: flow.written / total,
                share_of_busiest: flow.written / of_pod,
                behind: Some(Behind { backlog, written_per_second, read_per_second }),
            },
        })
    };
    let mut behind: Vec<&(Flow<'_>, f64)> = flows.iter().filter(|(flow, _)| flow.is_behind()).collect();
    behind.sort_by(|(a, _), (b, _)| b.backlog.total_cmp(&a.backlog));
    behind.into_iter().filter_map(described).collect()
}

/// Whether the pod reads what arrives for it: its owned partitions, taken together, do not fall behind. False
/// if their offsets are unknown, or their past is inferred, which tells nothing of what was read.
pub(super) fn keeps_up(facts: &Facts<'_>, pod: &str) -> bool {
    let Some(offsets) = facts.offsets.known().filter(|offsets| !offsets.is_inferred) else { return false };
    let is_own = |past: &&PartitionPast| past.owner().is_some_and(|tenure| tenure.pod == pod);
    let flows = offsets.partitions().filter(is_own).filter_map(|past| flow(past, offsets));
    let (written, read) =
        flows.fold((0.0, 0.0), |(written, read), (flow, _)| (written + flow.written, read + flow.read));
    written > 0.0 && read >= READ_SHARE * written
}

/// Messages written to and read from a partition over the last half hour, and the seconds covered; `None` if
/// too little is known or an offset went back.
fn flow<'a>(past: &'a PartitionPast, offsets: &'a Offsets) -> Option<(Flow<'a>, f64)> {
    let grid = offsets.grid();
    let (committed, ends) = (past.column(OffsetKind::Committed), past.column(OffsetKind::End));
    let from = grid.steps.saturating_sub(1 + steps(grid, LOOKED_AT));
    let known = |step: &usize| {
        let is_known = |column: &[f64]| column.get(*step).is_some_and(|offset| !offset.is_nan());
        is_known(committed) && is_known(ends)
    };
    let first = (from..grid.steps).find(known)?;
    let last = (from..grid.steps).rfind(known)?;
    if last - first < steps(grid, LEAST_LOOK) {
        return None;
    }
    let (written, read) = (ends[last] - ends[first], committed[last] - committed[first]);
    let backlog = ends[last] - committed[last];
    let seconds = grid.step.as_secs_f64() * (last - first) as f64;
    let pod = past.owner().map(|tenure| tenure.pod.as_str());
    let at_once = match movement(past, grid) {
        Movement::Moves(longest_wait) => Some(written * longest_wait as f64 / (last - first) as f64),
        _ => None,
    };
    let flow = Flow { past, pod, written, read, backlog, at_once };
    (written > 0.0 && read >= 0.0).then_some((flow, seconds))
}
