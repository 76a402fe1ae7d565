//! Classifies what a partition does: it moves, it is idle, it stands while messages arrive, or its offsets do
//! not show which.

use alloc::vec::Vec;
use core::time::Duration;

use libm::ceil;

use crate::diagnosis::unclear::Unclear;
use crate::input::history::Grid;
use crate::input::offsets::{OffsetKind, PartitionPast, Tenure};

/// A shorter stand may be normal: commits, a rebalance or a slow message take this long.
const LEAST_STAND: Duration = Duration::from_secs(5 * 60);

/// Messages must have arrived within this time for the partition to count as standing now.
const LATELY: Duration = Duration::from_secs(10 * 60);

/// An offset whose newest sample is older than this counts as no longer reported.
const STALE: Duration = Duration::from_secs(3 * 60);

/// Percentage of a stand's steps at which the committed offset must be known.
const LEAST_KNOWN: usize = 80;

/// If only the client reports on the partition, a stand may just be a lack of messages. It counts only if the
/// partition moved before that for at least this time, and at this percentage of the steps.
const STEADY: Duration = Duration::from_secs(20 * 60);
const STEADY_SHARE: usize = 95;

/// What a partition does now. Times are steps of its grid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Movement {
    /// Its committed offset moves, or everything has been read; with the longest time that messages waited before it moved.
    Moves(usize),
    /// No message arrives, so nothing can move.
    Idle,
    /// Its committed offset stands while messages arrive.
    Stands(Stand),
    /// It seems to stand, but other evidence contradicts it.
    Doubtful(Stand, Unclear),
    /// Its offsets do not show what it does, or have not been watched for long enough.
    Unclear,
}

/// A partition that stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stand {
    /// The committed offset, or the client's lead if nothing else is reported.
    pub offset: f64,
    /// The first step at which it stood while a message was waiting.
    pub from: usize,
    /// The newest step with a committed offset or lead.
    pub to: usize,
    /// Messages waiting; `None` if only the client reports on the partition.
    pub backlog: Option<f64>,
    /// The longest earlier time that messages waited before it moved, in steps.
    pub longest_wait: usize,
}

impl Stand {
    /// How long it has stood, in steps.
    pub const fn steps(&self) -> usize {
        self.to - self.from
    }
}

/// The number of steps of `grid` in a time, at least one.
pub(super) fn steps(grid: &Grid, time: Duration) -> usize {
    let steps = ceil(time.as_secs_f64() / grid.step.as_secs_f64().max(f64::MIN_POSITIVE));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
    (steps as usize).max(1)
}

/// What a partition does.
pub(super) fn movement(past: &PartitionPast, grid: &Grid) -> Movement {
    let committed = past.column(OffsetKind::Committed);
    let Some(to) = newest(committed) else { return by_lead(past, grid) };
    let ends = past.column(OffsetKind::End);
    let Some(newest_end) = newest(ends) else { return Movement::Unclear };
    let (offset, end) = (committed[to], ends[newest_end]);
    let first = first_of_run(committed, to);
    let longest_wait = waits(committed, ends).iter().map(|(from, to)| to - from).max().unwrap_or(0);
    let late = grid.steps.saturating_sub(1 + steps(grid, STALE));
    if to < late || newest_end < late {
        let stand = Stand { offset, from: first, to, backlog: None, longest_wait };
        return Movement::Doubtful(stand, Unclear::Stale);
    }
    let otherwise = if first > 0 { Movement::Moves(longest_wait) } else { Movement::Idle };
    let Some(from) = (first..=to).find(|step| ends.get(*step).is_some_and(|end| *end > offset)) else {
        // Past the end, it stands only if messages arrive, which it would have to read again.
        let is_past = offset > end && rises(ends, first, newest_end);
        let stand = Stand { offset, from: first, to, backlog: None, longest_wait };
        return if is_past { Movement::Doubtful(stand, Unclear::PastTheEnd) } else { otherwise };
    };
    if to - from < steps(grid, LEAST_STAND) {
        return if first > 0 { otherwise } else { Movement::Unclear };
    }
    let lately = newest_end.saturating_sub(steps(grid, LATELY)).max(from);
    if !rises(ends, lately, newest_end) {
        return Movement::Idle;
    }
    let known = committed[from..=to].iter().filter(|offset| !offset.is_nan()).count();
    let stand = Stand { offset, from, to, backlog: Some(end - offset), longest_wait };
    match contradiction(past, &stand, 100 * known < LEAST_KNOWN * (to - from + 1)) {
        Some(why) => Movement::Doubtful(stand, why),
        None => Movement::Stands(stand),
    }
}

/// The evidence against a stand, if any.
fn contradiction(past: &PartitionPast, stand: &Stand, has_gaps: bool) -> Option<Unclear> {
    let falls = |kind: OffsetKind| falls(past.column(kind));
    if falls(OffsetKind::Committed) || falls(OffsetKind::End) {
        return Some(Unclear::WentBack);
    }
    // Two sources scraped at different times differ while the offset moves, and once more when it stops.
    if past.disputed_at(OffsetKind::Committed).is_some_and(|step| step > stand.from + 1) {
        return Some(Unclear::Disputed);
    }
    let start = past.column(OffsetKind::Start);
    if newest(start).is_some_and(|step| start[step] > stand.offset) {
        return Some(Unclear::Overtaken);
    }
    has_gaps.then_some(Unclear::Gaps)
}

/// Classifies a partition by its lead alone, when no exporter reports how many messages wait. It stands if it
/// moved steadily before.
fn by_lead(past: &PartitionPast, grid: &Grid) -> Movement {
    let lead = past.column(OffsetKind::Lead);
    let Some(to) = newest(lead) else { return Movement::Unclear };
    if to < grid.steps.saturating_sub(1 + steps(grid, STALE)) {
        return Movement::Unclear;
    }
    let from = first_of_run(lead, to);
    if to - from < steps(grid, LEAST_STAND) {
        return if from > 0 { Movement::Moves(0) } else { Movement::Unclear };
    }
    let before = &lead[..=from];
    let moves = before.windows(2).filter(|pair| pair[1] > pair[0]).count();
    let is_steady = from >= steps(grid, STEADY) && 100 * moves >= STEADY_SHARE * from;
    if !is_steady {
        return Movement::Unclear;
    }
    Movement::Stands(Stand { offset: lead[to], from, to, backlog: None, longest_wait: 0 })
}

/// The newest step with a known number.
fn newest(column: &[f64]) -> Option<usize> {
    column.iter().rposition(|offset| !offset.is_nan())
}

/// The first step of the run of equal numbers that ends at `to`, ignoring gaps.
fn first_of_run(column: &[f64], to: usize) -> usize {
    let differs = |offset: &f64| !offset.is_nan() && *offset != column[to];
    let before = column[..to].iter().rposition(differs);
    let first = before.map_or(0, |step| step + 1);
    (first..=to).find(|step| !column[*step].is_nan()).unwrap_or(to)
}

/// Whether the last known number between two steps is larger than the first.
pub(super) fn rises(column: &[f64], from: usize, to: usize) -> bool {
    let mut known = column.iter().take(to + 1).skip(from).filter(|offset| !offset.is_nan());
    let Some(first) = known.next() else { return false };
    known.next_back().is_some_and(|last| last > first)
}

/// Whether any number is smaller than an earlier one.
fn falls(column: &[f64]) -> bool {
    let mut largest = f64::NEG_INFINITY;
    column.iter().any(|offset| {
        let falls = *offset < largest;
        largest = largest.max(*offset);
        falls
    })
}

/// Each time that messages waited until the committed offset moved: the step at which the wait began, and that of the
/// move.
fn waits(committed: &[f64], ends: &[f64]) -> Vec<(usize, usize)> {
    let (mut stood_at, mut waits_from, mut waits) = (f64::NAN, None, Vec::new());
    for (step, (offset, end)) in committed.iter().zip(ends).enumerate() {
        if offset.is_nan() {
            continue;
        }
        if *offset != stood_at {
            waits.extend(waits_from.map(|from| (from, step)));
            (stood_at, waits_from) = (*offset, None);
        }
        if waits_from.is_none() && end > offset {
            waits_from = Some(step);
        }
    }
    waits
}

/// Marks the steps at which the committed offset, or else the lead, has grown.
pub(super) fn note_moves(past: &PartitionPast, moved: &mut [bool]) {
    let committed = past.column(OffsetKind::Committed);
    let column = if newest(committed).is_some() { committed } else { past.column(OffsetKind::Lead) };
    let mut before = f64::NAN;
    for (offset, moved) in column.iter().zip(moved).filter(|(offset, _)| !offset.is_nan()) {
        *moved |= *offset > before;
        before = *offset;
    }
}

/// Time since the committed offset last moved on after a stand, under another owner than the one it stood
/// under: this is what a cure looks like.
pub(super) fn went_on_ago(past: &PartitionPast, grid: &Grid) -> Option<Duration> {
    let owner_at = |step: usize| {
        let at = |tenure: &&Tenure| (tenure.first..=tenure.last).contains(&step);
        past.owners().iter().rev().find(at).map(|tenure| (&tenure.pod, &tenure.uid))
    };
    let is_cure = |(from, to): &(usize, usize)| {
        let stood = to - from >= steps(grid, LEAST_STAND);
        stood && owner_at(*from).zip(owner_at(*to)).is_some_and(|(before, after)| before != after)
    };
    let waits = waits(past.column(OffsetKind::Committed), past.column(OffsetKind::End));
    let (_, cured) = waits.into_iter().rfind(is_cure)?;
    Some(grid.time(grid.steps - 1 - cured))
}
