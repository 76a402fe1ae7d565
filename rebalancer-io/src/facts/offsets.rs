//! The past of the group's partitions: offsets and owners, which reveal standing partitions.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{
    Fact, Grid, InvalidOffsets, LivePod, OffsetKind, Offsets, PartitionPast, one_spelling,
};

use super::finder::{FactFinder, lacking, unusable};
use super::past::time_range;
use crate::metrics::kafka_direct::is_of_kafka;
use crate::metrics::{Few, MetricQuery, MetricsSource, Past, Place, in_threads};
use crate::prometheus::{ErrorKind, QueryError, Series, TimeRange};

/// Maximum number of partitions to query: an hour of a hundred thousand exceeds servers' defaults.
const MOST_PARTITIONS: f64 = 20_000.0;

/// Maximum number of standing partitions to examine. If more stand at once, no single partition is the cause.
const MOST_STANDING: usize = 100;

/// Maximum bytes of their topic names, which appear up to fifteen times in a query; servers refuse queries
/// longer than 16,384 bytes. Those with the largest backlog come first.
const MOST_TOPIC_BYTES: usize = 600;

/// Steps for which a partition must stand before other groups' offsets are queried.
const STANDING_STEPS: usize = 5;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The range that holds the last hour of the partitions.
pub(crate) fn offsets_range(at: Timestamp) -> TimeRange {
    time_range(grid(at, HOUR, MINUTE))
}

/// The instants from `window` before `at` to then; on whole steps, so that servers that align ranges answer for them.
fn grid(at: Timestamp, window: Duration, step: Duration) -> Grid {
    let at_s = at.as_millisecond() as f64 / 1000.0;
    let step_s = step.as_secs_f64();
    Grid::ending((at_s / step_s).floor() * step_s, window, step)
}

impl FactFinder<'_> {
    /// The offsets and owners of the partitions of the `live` pods' group over the last hour.
    ///
    /// Queried even if no threshold is passed: a standing partition may not move any spread.
    pub fn offsets(&self, live: &[LivePod]) -> Fact<Offsets> {
        match self.number_of_partitions() {
            Fact::Absent => self.without_partitions(),
            counted => counted.and_then(|count| {
                if count > MOST_PARTITIONS {
                    return unusable(format!(
                        "the group has {count} partitions, and the past of more than {MOST_PARTITIONS} is not judged"
                    ));
                }
                self.offsets_of_hour(live)
            }),
        }
    }

    /// Kafka itself tells of no partition while the group deals them; that it does so is told.
    fn without_partitions(&self) -> Fact<Offsets> {
        if !self.queries.offsets.rebalance().is_some_and(|query| is_of_kafka(&query.promql)) {
            return Fact::Absent;
        }
        match self.in_rebalance() {
            Ok(true) => {
                let mut offsets = Offsets::new(grid(self.at, HOUR, MINUTE));
                offsets.is_in_rebalance = true;
                Fact::Known(offsets)
            }
            Ok(false) => Fact::Absent,
            Err(error) => lacking(&error),
        }
    }

    fn offsets_of_hour(&self, live: &[LivePod]) -> Fact<Offsets> {
        self.past_of(None, grid(self.at, HOUR, MINUTE), live).and_then(|mut offsets| {
            match self.in_rebalance().and_then(|in_rebalance| Ok((in_rebalance, self.watch_needed()?))) {
                Ok((in_rebalance, needed)) => {
                    (offsets.is_in_rebalance, offsets.watch_needed) = (in_rebalance, needed);
                    self.with_other_groups(offsets)
                }
                Err(error) => lacking(&error),
            }
        })
    }

    /// The same over the last day, for the partitions that stood for that whole hour.
    pub fn offsets_of_day(&self, live: &[LivePod], hour: &Offsets) -> Fact<Offsets> {
        let standing = standing(hour, hour.grid().steps);
        if standing.is_empty() {
            return Fact::Absent;
        }
        self.past_of(Some(&standing), grid(self.at, DAY, QUARTER), live)
    }

    fn number_of_partitions(&self) -> Fact<f64> {
        match self.one(self.queries.offsets.count()) {
            Ok(count) => count.map_or(Fact::Absent, Fact::Known),
            Err(error) => lacking(&error),
        }
    }

    /// The one number that a query gives; `None` if it gives none, or is not asked.
    fn one(&self, query: Option<MetricQuery>) -> Result<Option<f64>, QueryError> {
        let Some(query) = query else { return Ok(None) };
        let answer = self.source.labelled(&query, &NO_POD, self.at)?;
        Ok(answer.first().map(|sample| sample.value))
    }

    fn in_rebalance(&self) -> Result<bool, QueryError> {
        Ok(self.one(self.queries.offsets.rebalance())?.is_some())
    }

    /// How long a partition must be watched before it counts as standing, where the group itself was asked.
    fn watch_needed(&self) -> Result<Option<Duration>, QueryError> {
        let needed = self.one(self.queries.offsets.watch_needed())?;
        // A number that is no time cannot be reached.
        Ok(needed.map(|seconds| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)))
    }

    /// The past of all partitions, or of only a few. What only some of them need is asked last: the oldest
    /// offset matters where one stands, the client's lead where nobody reports a commit.
    fn past_of(&self, few: Option<&Few>, grid: Grid, live: &[LivePod]) -> Fact<Offsets> {
        let committed = self.queries.offsets.past(Past::Offset(OffsetKind::Committed), few);
        let is_inferred = committed.is_some_and(|query| is_of_kafka(&query.promql));
        let mut offsets = Offsets::new(grid);
        offsets.is_inferred = is_inferred;
        let read = Mutex::new(Reading { offsets, wrong: None });
        let ask = |past: Past| -> Result<(), QueryError> {
            let Some(query) = self.queries.offsets.past(past, few) else { return Ok(()) };
            self.each(&query, grid, &mut |series| {
                locked(&read).take(past, series, few, |pod| self.born_s(pod, live));
            })
        };
        let ask_all = |pasts: &[Past]| in_threads(pasts, |past| ask(*past)).into_iter().find_map(Result::err);
        let [committed, end, start, lead] =
            [OffsetKind::Committed, OffsetKind::End, OffsetKind::Start, OffsetKind::Lead].map(Past::Offset);
        let mut error = ask_all(&[committed, end, Past::Owners]);
        if error.is_none() {
            let needed = {
                let read = locked(&read);
                let partitions = || read.offsets.partitions();
                let lacks_commits = partitions().len() == 0 || partitions().any(|past| !has_committed(past));
                let may_stand = partitions().any(may_stand);
                [(lead, lacks_commits), (start, may_stand), (Past::Watched, is_inferred && may_stand)]
            };
            let needed = needed.into_iter().filter_map(|(past, needed)| needed.then_some(past));
            error = ask_all(&needed.collect::<Vec<Past>>());
        }
        match error {
            Some(error) => not_had(&error),
            None => read.into_inner().unwrap_or_else(PoisonError::into_inner).finish(),
        }
    }

    fn each(&self, query: &MetricQuery, grid: Grid, each: &mut dyn FnMut(&Series)) -> Result<(), QueryError> {
        self.source.range_by_series(query, time_range(grid), &mut |series| each(&series))
    }

    /// When a live pod was created, in seconds since the Unix epoch, and its UID.
    fn born_s<'l>(&self, pod: &str, live: &'l [LivePod]) -> Option<(f64, &'l str)> {
        let pod = live.iter().find(|known| known.name == pod)?;
        let at_s = self.at.as_millisecond() as f64 / 1000.0;
        let uid = Some(pod.uid.as_str()).filter(|uid| !uid.is_empty())?;
        Some((at_s - pod.age?.as_secs_f64(), uid))
    }

    /// Adds what other groups have committed for the standing partitions.
    fn with_other_groups(&self, mut offsets: Offsets) -> Fact<Offsets> {
        let standing = standing(&offsets, STANDING_STEPS);
        let query = self.queries.offsets.elsewhere(&standing).filter(|_| !standing.is_empty());
        let Some(query) = query else { return Fact::Known(offsets) };
        let mut wrong: Option<InvalidOffsets> = None;
        let asked = self.each(&query, *offsets.grid(), &mut |series| {
            let Some(place) = Place::parse(&series.pod).filter(|place| is_among(&standing, place)) else {
                return;
            };
            wrong = offsets
                .add_other_group(place.topic, place.partition, place.of, points(series))
                .err()
                .or(wrong.take());
        });
        match (asked, wrong) {
            (Err(error), _) => not_had(&error),
            (Ok(()), Some(error)) => unusable(error),
            (Ok(()), None) => Fact::Known(offsets),
        }
    }
}

/// With this label requested, the pod label becomes optional.
const NO_POD: [&str; 1] = ["group"];

/// The past, while being read.
struct Reading {
    offsets: Offsets,
    wrong: Option<InvalidOffsets>,
}

impl Reading {
    fn take<'l>(
        &mut self,
        past: Past,
        series: &Series,
        few: Option<&Few>,
        born_s: impl FnOnce(&str) -> Option<(f64, &'l str)>,
    ) {
        let Some(place) = Place::parse(&series.pod) else { return };
        if self.wrong.is_some() || few.is_some_and(|few| !is_among(few, &place)) {
            return;
        }
        let added = match past {
            Past::Owners => self.owner(&place, series, born_s(place.of)),
            Past::Watched => {
                let seconds = points(series).map(|(_, seconds)| seconds).fold(0.0, f64::max);
                let watched = Duration::try_from_secs_f64(seconds).unwrap_or_default();
                self.offsets.add_watched(place.topic, place.partition, watched)
            }
            Past::Offset(kind) => self.offsets.add(kind, place.topic, place.partition, points(series)),
        };
        self.wrong = added.err();
    }

    /// A `StatefulSet` reuses names: what was owned before the pod's birth, its predecessor owned.
    fn owner(
        &mut self,
        place: &Place<'_>,
        series: &Series,
        born: Option<(f64, &str)>,
    ) -> Result<(), InvalidOffsets> {
        let (born_s, uid) = born.map_or((f64::INFINITY, None), |(born_s, uid)| (born_s, Some(uid)));
        let (before, since): (Vec<f64>, Vec<f64>) = points(series)
            .filter(|(_, owned)| !owned.is_nan())
            .map(|(timestamp_s, _)| timestamp_s)
            .partition(|timestamp_s| *timestamp_s < born_s);
        let Place { topic, partition, of } = *place;
        self.offsets.add_owner(topic, partition, of, None, before)?;
        self.offsets.add_owner(topic, partition, of, uid, since)
    }

    fn finish(self) -> Fact<Offsets> {
        match self.wrong {
            Some(error) => unusable(error),
            None if self.offsets.partitions().len() == 0 => Fact::Absent,
            None => Fact::Known(self.offsets),
        }
    }
}

/// An answer too large for the program is unusable; other failures are as for any fact.
fn not_had<T>(error: &QueryError) -> Fact<T> {
    match *error.kind {
        ErrorKind::TooLarge { .. } => unusable(error),
        _ => lacking(error),
    }
}

fn points(series: &Series) -> impl Iterator<Item = (f64, f64)> {
    series.points.iter().map(|point| (point.timestamp_ms as f64 / 1000.0, point.value))
}

/// Partitions with messages to read whose position did not change in the last `steps` (as far as known);
/// topics are spelled with underscores. None if too many stand.
fn standing(offsets: &Offsets, steps: usize) -> Few {
    let found = offsets.partitions().filter(|past| stands(past, steps));
    let mut found: Vec<(f64, String, u32)> =
        found.map(|past| (backlog(past).unwrap_or(0.0), one_spelling(past.topic()), past.number())).collect();
    if found.len() > MOST_STANDING {
        return Few::new();
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| (&a.1, a.2).cmp(&(&b.1, b.2))));
    let mut topics: BTreeSet<String> = BTreeSet::new();
    let mut few = Few::new();
    for (_, topic, number) in found {
        let bytes: usize = topics.iter().map(String::len).sum();
        if topics.contains(&topic) || bytes + topic.len() <= MOST_TOPIC_BYTES {
            topics.insert(topic.clone());
            few.insert((topic, number));
        }
    }
    few
}

fn is_among(few: &Few, place: &Place<'_>) -> bool {
    few.contains(&(one_spelling(place.topic), place.partition))
}

fn locked(read: &Mutex<Reading>) -> MutexGuard<'_, Reading> {
    read.lock().unwrap_or_else(PoisonError::into_inner)
}

fn has_committed(past: &PartitionPast) -> bool {
    past.column(OffsetKind::Committed).iter().any(|offset| !offset.is_nan())
}

/// Whether messages may wait that nobody has read lately: no commit of the latest steps differs from another.
fn may_stand(past: &PartitionPast) -> bool {
    let committed = past.column(OffsetKind::Committed);
    let lately = &committed[committed.len().saturating_sub(STANDING_STEPS)..];
    let mut known = lately.iter().filter(|offset| !offset.is_nan());
    let first = known.next();
    known.all(|offset| Some(offset) == first) && backlog(past).is_none_or(|backlog| backlog != 0.0)
}

/// If nobody reports commits, the lead replaces them; whether there is anything to read is then unknown.
fn stands(past: &PartitionPast, steps: usize) -> bool {
    let has_committed = has_committed(past);
    let kind = if has_committed { OffsetKind::Committed } else { OffsetKind::Lead };
    let position = past.column(kind);
    let last = &position[position.len().saturating_sub(steps)..];
    let known: Vec<f64> = last.iter().copied().filter(|offset| !offset.is_nan()).collect();
    let is_enough = known.len() >= 2 && 2 * known.len() >= steps;
    let is_one = known.iter().map(|offset| offset.to_bits()).collect::<BTreeSet<u64>>().len() == 1;
    is_enough && is_one && backlog(past).map_or(!has_committed, |backlog| backlog > 0.0)
}

/// Messages waiting to be read, as far as exporters report.
fn backlog(past: &PartitionPast) -> Option<f64> {
    let newest = |kind: OffsetKind| past.column(kind).iter().rev().copied().find(|offset| !offset.is_nan());
    Some(newest(OffsetKind::End)? - newest(OffsetKind::Committed)?)
}
