//! Standing partitions, whose offset does not move while messages arrive: stuck ones, poisoned ones, and
//! stalled pods, all of whose partitions stand.
//!
//! | | committed offset | other partitions of the pod | earlier owner, other group |
//! |---|---|---|---|
//! | stuck | stands | move | went past it |
//! | poisoned | stands | move or stand | stood at the same offset |
//! | stalled pod | all stand | – | went past them |

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::time::Duration;

use crate::diagnosis::cause::{Stands, messages};
use crate::diagnosis::illness::{IllPods, StandingPartition, Witness};
use crate::diagnosis::movement::{Movement, Stand, movement, note_moves, steps, went_on_ago};
use crate::diagnosis::unclear::Unclear;
use crate::facts::Facts;
use crate::input::live_pod::LivePod;
use crate::input::offsets::{Offsets, OtherGroup, PartitionPast, Tenure};
use crate::input::partitions::one_spelling;
use crate::measure::spread::median;

/// A pod that has owned a partition for less than this may still be starting.
const SETTLED: Duration = Duration::from_secs(5 * 60);

/// An earlier owner counts as a witness if it stood at the same offset for this long: a hand-over takes less.
const STOOD_BEFORE: Duration = Duration::from_secs(5 * 60);

/// A partition is stuck only if it has stood for this many times the longest normal wait of itself or of the
/// pod's other partitions.
const OF_RHYTHM: u32 = 3;

/// Stands in this many pods that began within so many steps have a common cause outside the pods.
const TOGETHER_PODS: usize = 3;
const TOGETHER_STEPS: u32 = 2;

/// A second group is a witness of a poison record if it has stood at the same offset for this many steps.
const OTHER_GROUP_STEPS: usize = 2;

/// One partition: what it does and who owns it.
struct Track<'a> {
    past: &'a PartitionPast,
    movement: Movement,
    owner: Option<&'a str>,
    /// The first step at which the present owner is known to own it.
    held_from: Option<usize>,
}

impl Track<'_> {
    const fn moves(&self) -> bool {
        matches!(self.movement, Movement::Moves(_))
    }

    const fn is_stale(&self) -> bool {
        matches!(self.movement, Movement::Doubtful(_, Unclear::Stale))
    }

    const fn stands(&self) -> bool {
        matches!(self.movement, Movement::Stands(_))
    }
}

/// The message rates, if known, of the pods that take part.
type Rates<'a> = BTreeMap<&'a str, Option<f64>>;

/// Judges every partition that stands. Returns those that a replacement of their pod cures, largest backlog first, and what
/// else there is to say. Where none of a pod's partitions moves, the pod has stalled.
pub(super) fn standings(facts: &Facts<'_>, rates: &Rates<'_>) -> (Vec<StandingPartition>, IllPods) {
    let (mut curable, mut ill) = (Vec::new(), IllPods::default());
    let Some(offsets) = facts.offsets.known() else { return (curable, ill) };
    let tracks = tracks(facts, offsets);
    let mut judge = Judge::new(facts, rates, offsets, &tracks);
    judge.paused = judge.topics_that_stand();
    let stale = tracks.iter().filter(|track| track.is_stale()).count();
    ill.offsets_are_old = are_old(&tracks, stale, rates);
    for track in &tracks {
        match track.movement {
            Movement::Stands(stand) => {
                let case = judge.case(track, stand);
                match (judge.witness(&case), case.standing) {
                    (Ok(None), standing) => curable.push(standing),
                    (Ok(Some(witness)), standing) => ill.poisoned.push((standing, witness)),
                    (Err(why), standing) => ill.unclear.push((standing, why)),
                }
            }
            // If most are stale, one sentence covers them all.
            Movement::Doubtful(_, Unclear::Stale) if 2 * stale > tracks.len() => {}
            Movement::Doubtful(stand, why) => ill.unclear.push((judge.case(track, stand).standing, why)),
            Movement::Moves(_) | Movement::Idle | Movement::Unclear => {}
        }
    }
    ill.nobody_reads = tracks.iter().any(Track::stands) && !tracks.iter().any(Track::moves);
    settle(&mut curable, &mut ill, offsets.grid().step.saturating_mul(TOGETHER_STEPS));
    (curable, ill)
}

/// Whether the offsets as a whole are outdated: most are no longer reported, or none changes although a pod
/// that takes part reads messages.
fn are_old(tracks: &[Track<'_>], stale: usize, rates: &Rates<'_>) -> bool {
    let stands = |track: &Track<'_>| track.is_stale() || matches!(track.movement, Movement::Idle);
    let reads = |owner: &str| rates.get(owner).is_some_and(|rate| rate.is_some_and(|rate| rate > 0.0));
    let is_read = || tracks.iter().filter_map(|track| track.owner).any(reads);
    2 * stale > tracks.len() || (!tracks.is_empty() && tracks.iter().all(stands) && is_read())
}

/// Removes what has a common explanation: pods stalled by a poison record, and stands in several pods that
/// began within `near` of each other.
fn settle(curable: &mut Vec<StandingPartition>, ill: &mut IllPods, near: Duration) {
    let poisoned: BTreeSet<&Option<String>> = ill.poisoned.iter().map(|(of, _)| &of.pod).collect();
    curable.retain(|of| of.moving > 0 || !poisoned.contains(&of.pod));
    let mut began: BTreeMap<Duration, BTreeSet<Option<String>>> = BTreeMap::new();
    for standing in curable.iter() {
        began.entry(standing.stands.since).or_default().insert(standing.pod.clone());
    }
    let is_common = |standing: &StandingPartition| {
        let since = standing.stands.since;
        let at_once = since.saturating_sub(near)..=since.saturating_add(near);
        let pods = began.range(at_once).flat_map(|(_, pods)| pods.iter().take(TOGETHER_PODS));
        pods.collect::<BTreeSet<_>>().len() >= TOGETHER_PODS
    };
    // Of a stalled pod all or none.
    let stalled = curable.iter().filter(|of| of.moving == 0 && is_common(of));
    let stalled: BTreeSet<Option<String>> = stalled.map(|of| of.pod.clone()).collect();
    let is_common = |of: &mut StandingPartition| {
        if of.moving == 0 { stalled.contains(&of.pod) } else { is_common(of) }
    };
    ill.unclear.extend(curable.extract_if(.., is_common).map(|standing| (standing, Unclear::Together)));
    curable.sort_by(by_backlog);
    ill.poisoned.sort_by(|(a, _), (b, _)| by_backlog(a, b));
    ill.unclear.sort_by(|(a, _), (b, _)| by_backlog(a, b));
}

fn by_backlog(a: &StandingPartition, b: &StandingPartition) -> Ordering {
    let (a, b) = (&a.stands, &b.stands);
    b.backlog.cmp(&a.backlog).then_with(|| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)))
}

/// What each partition does and who owns it: from the history, else from the current owners.
fn tracks<'a>(facts: &'a Facts<'_>, offsets: &'a Offsets) -> Vec<Track<'a>> {
    let grid = offsets.grid();
    let mut now: BTreeMap<(String, u32), &str> = BTreeMap::new();
    if let Some(partitions) = facts.partitions.known() {
        for partition in partitions.all() {
            let owner = partition.owner.and_then(|owner| facts.live.get(owner.0));
            let topic = one_spelling(&partitions.topics()[partition.topic]);
            let is_contested = partitions.contested().contains(&(partition.topic, partition.number));
            if let Some(owner) = owner.filter(|_| !is_contested) {
                now.insert((topic, partition.number), owner.name.as_str());
            }
        }
    }
    let late = grid.steps.saturating_sub(1 + steps(grid, SETTLED));
    let track = |past: &'a PartitionPast| {
        let tenure = past.owner().filter(|tenure| tenure.last >= late);
        let owner = match tenure {
            Some(tenure) => Some(tenure.pod.as_str()),
            None if past.owners().is_empty() => now.get(&past.place()).copied(),
            None => None,
        };
        let held_from = tenure.map(|tenure| tenure.first);
        Track { past, movement: movement(past, grid), owner, held_from }
    };
    offsets.partitions().map(track).collect()
}

/// A partition that stands.
struct Case<'j> {
    track: &'j Track<'j>,
    stand: Stand,
    standing: StandingPartition,
    /// The same stand in the longer history, if known.
    of_day: Option<(&'j Offsets, &'j PartitionPast, Stand)>,
}

struct Judge<'a> {
    facts: &'a Facts<'a>,
    rates: &'a Rates<'a>,
    offsets: &'a Offsets,
    tracks: &'a [Track<'a>],
    pods: BTreeMap<&'a str, Vec<&'a Track<'a>>>,
    live: BTreeMap<&'a str, &'a LivePod>,
    /// Whether any partition of the group moved at each step.
    read_at: Vec<bool>,
    /// Topics whose partitions all stand.
    paused: BTreeSet<&'a str>,
}

impl<'a> Judge<'a> {
    fn new(
        facts: &'a Facts<'a>,
        rates: &'a Rates<'a>,
        offsets: &'a Offsets,
        tracks: &'a [Track<'a>],
    ) -> Self {
        let live = facts.live.iter().map(|pod| (pod.name.as_str(), pod)).collect();
        let mut read_at = alloc::vec![false; offsets.grid().steps];
        let mut pods: BTreeMap<&str, Vec<&Track<'_>>> = BTreeMap::new();
        for track in tracks {
            note_moves(track.past, &mut read_at);
            if let Some(owner) = track.owner {
                pods.entry(owner).or_default().push(track);
            }
        }
        Self { facts, rates, offsets, tracks, pods, live, read_at, paused: BTreeSet::new() }
    }

    /// The topics whose partitions with messages all stand, under at least two pods. Partitions stopped by a
    /// record do not count.
    fn topics_that_stand(&self) -> BTreeSet<&'a str> {
        let mut topics: BTreeMap<&str, (bool, BTreeSet<Option<&str>>)> = BTreeMap::new();
        for track in self.tracks.iter().filter(|track| track.moves() || track.stands()) {
            if !self.is_stopped(track) {
                let (stands, owners) = topics.entry(track.past.topic()).or_insert((true, BTreeSet::new()));
                *stands &= track.stands();
                owners.insert(track.owner);
            }
        }
        topics.retain(|_, (stands, owners)| *stands && owners.len() > 1);
        topics.into_keys().collect()
    }

    /// Whether a record stops the partition.
    fn is_stopped(&self, track: &Track<'_>) -> bool {
        let Movement::Stands(stand) = track.movement else { return false };
        let case = self.case(track, stand);
        other_group(track, &stand).is_some() || self.earlier_owner(&case).is_some()
    }

    fn steps(&self, time: Duration) -> usize {
        steps(self.offsets.grid(), time)
    }

    /// The pod's other partitions with messages.
    fn others<'s>(&'s self, track: &'s Track<'_>) -> impl Iterator<Item = &'s Track<'s>> {
        let all = track.owner.and_then(|owner| self.pods.get(owner));
        let others = all.into_iter().flatten().copied();
        others.filter(|other| !core::ptr::eq(other.past, track.past) && (other.moves() || other.stands()))
    }

    fn case<'j>(&'j self, track: &'j Track<'j>, stand: Stand) -> Case<'j> {
        let live = track.owner.and_then(|owner| self.live.get(owner));
        let grid = self.offsets.grid();
        let of_day = self.of_day(track, &stand);
        let long = of_day.as_ref().map(|(day, _, stand)| day.grid().time(stand.steps()));
        let since = grid.time(stand.steps()).max(long.unwrap_or_default());
        let held =
            track.held_from.filter(|first| *first > 0).map(|first| grid.time(stand.to.saturating_sub(first)));
        let warm = live.and_then(|pod| pod.warm_for());
        let lasted = [held, warm].into_iter().flatten().fold(since, Duration::min);
        let (moving, others) = self
            .others(track)
            .fold((0, 0), |(moving, all), other| (moving + usize::from(other.moves()), all + 1));
        let stands = Stands {
            topic: track.past.topic().to_string(),
            partition: track.past.number(),
            offset: stand.backlog.map(|_| messages(stand.offset)),
            since,
            watched: track.past.watched(),
            backlog: stand.backlog.map(messages),
        };
        let (pod, cured_ago) = (track.owner.map(str::to_string), self.cured_ago(track));
        let standing = StandingPartition { stands, lasted, pod, cured_ago, moving, others };
        Case { track, stand, standing, of_day }
    }

    fn of_day(&self, track: &Track<'_>, stand: &Stand) -> Option<(&Offsets, &PartitionPast, Stand)> {
        let day = self.facts.offsets_of_day.known()?;
        let past = day.partition(&track.past.place())?;
        match movement(past, day.grid()) {
            Movement::Stands(long) if long.offset == stand.offset => Some((day, past, long)),
            _ => None,
        }
    }

    /// Time since the partition moved on under another owner after a stand, also searched for in the longer
    /// history.
    fn cured_ago(&self, track: &Track<'_>) -> Option<Duration> {
        let day = self.facts.offsets_of_day.known();
        let of_day = day.and_then(|day| went_on_ago(day.partition(&track.past.place())?, day.grid()));
        went_on_ago(track.past, self.offsets.grid()).or(of_day)
    }

    /// Who else stood there, if a record stops the partition; `None` where its pod is to blame.
    fn witness(&self, case: &Case<'_>) -> Result<Option<Witness>, Unclear> {
        let Case { track, stand, standing, .. } = case;
        if self.offsets.is_in_rebalance {
            return Err(Unclear::Rebalance);
        }
        if let Some(needed) = self.offsets.watch_needed {
            let watched = standing.stands.watched.unwrap_or_default();
            if watched < needed {
                return Err(Unclear::Glimpsed { watched, needed });
            }
        }
        if let Some(group) = other_group(track, stand) {
            return Ok(Some(Witness::Group(group)));
        }
        let witness = self.earlier_owner(case);
        let is_unseen =
            self.offsets.is_inferred && standing.stands.since.saturating_sub(standing.lasted) >= STOOD_BEFORE;
        if standing.lasted < SETTLED {
            return Err(if is_unseen { Unclear::Unseen } else { Unclear::NewOwner });
        }
        if let Some(witness) = witness {
            return Ok(Some(witness));
        }
        if is_unseen {
            return Err(Unclear::Unseen);
        }
        if !self.tracks.iter().any(Track::moves) {
            return Err(Unclear::WholeGroup);
        }
        let pod = track.owner.ok_or(Unclear::NoOwner)?;
        let rate = self.rates.get(pod).ok_or(Unclear::OwnerSetAside)?;
        self.not_on_purpose(case)?;
        let is_read = standing.moving == 0 && rate.is_some_and(|rate| rate > 0.0);
        if is_read { Err(Unclear::Reads) } else { Ok(None) }
    }

    /// An earlier owner, or the present owner before its restart, that stood at the same offset.
    fn earlier_owner(&self, case: &Case<'_>) -> Option<Witness> {
        let tenures = |offsets: &Offsets, past: &PartitionPast, from: usize| {
            let least = steps(offsets.grid(), STOOD_BEFORE);
            let owner = past.owner()?;
            let is_other = |tenure: &&Tenure| {
                (&tenure.pod, &tenure.uid) != (&owner.pod, &owner.uid)
                    && tenure.last.saturating_sub(from.max(tenure.first)) >= least
            };
            past.owners().iter().rev().find(is_other).map(|tenure| Witness::Pod(tenure.pod.clone()))
        };
        let by_day = || case.of_day.as_ref().and_then(|(day, past, long)| tenures(day, past, long.from));
        let found = tenures(self.offsets, case.track.past, case.stand.from).or_else(by_day);
        found.or_else(|| self.earlier_start(case))
    }

    /// An earlier pod or start: the owner is younger than the stand, and the group was read before it.
    fn earlier_start(&self, Case { track, stand, standing, .. }: &Case<'_>) -> Option<Witness> {
        let live = self.live.get(track.owner?)?;
        let warm = live.warm_for()?;
        if standing.stands.since.saturating_sub(warm) < STOOD_BEFORE {
            return None;
        }
        let born = stand.to.saturating_sub(self.steps(warm));
        let was_read = self.read_at.iter().take(born + 1).skip(stand.from + 1).any(|read| *read);
        // If the owner came before the history begins, nothing shows whether the group was read then.
        if !was_read && born > stand.from {
            return None;
        }
        let is_restart = live.age.is_some_and(|age| age > warm.saturating_add(STOOD_BEFORE));
        Some(if is_restart { Witness::EarlierStart } else { Witness::EarlierPod })
    }

    /// # Errors
    /// Reasons why a stand may be intended, or have a cause outside the pod.
    fn not_on_purpose(&self, case: &Case<'_>) -> Result<(), Unclear> {
        let Case { track, stand, standing, of_day } = case;
        let topic = track.past.topic().to_lowercase();
        if ["retry", "delay"].iter().any(|word| topic.contains(word)) {
            return Err(Unclear::Delayed);
        }
        if self.paused.contains(track.past.topic()) {
            return Err(Unclear::WholeTopic);
        }
        let waits = |tracks: &mut dyn Iterator<Item = &Track<'_>>| -> Vec<f64> {
            let wait = |track: &Track<'_>| match track.movement {
                Movement::Moves(longest_wait) => Some(longest_wait as f64),
                _ => None,
            };
            tracks.filter_map(wait).collect()
        };
        let typical = if standing.moving == 0 {
            median(waits(&mut self.tracks.iter()))
        } else {
            waits(&mut self.others(track)).into_iter().min_by(f64::total_cmp)
        };
        let rhythm = typical.unwrap_or_default().max(stand.longest_wait as f64);
        let of_day = of_day.as_ref().map(|(day, _, long)| day.grid().time(long.longest_wait));
        let rhythm = self.offsets.grid().step.mul_f64(rhythm).max(of_day.unwrap_or_default());
        if standing.stands.since < rhythm.saturating_mul(OF_RHYTHM) { Err(Unclear::Rhythm) } else { Ok(()) }
    }
}

/// A second group that stands at the same offset.
fn other_group(track: &Track<'_>, stand: &Stand) -> Option<String> {
    stand.backlog?;
    let same = |other: &&OtherGroup| {
        other.offset == stand.offset && stand.to.saturating_sub(other.since) >= OTHER_GROUP_STEPS
    };
    Some(track.past.other_groups().iter().find(same)?.group.clone())
}
