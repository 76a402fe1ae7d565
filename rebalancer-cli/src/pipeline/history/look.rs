//! Looks at the past of one workload, compares the loads around each change, and reports what it came to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::{RoundMode, Timestamp, TimestampRound, Unit};
use rebalancer_core::{
    BORN_TOGETHER, Controller, History, LONGEST_SIDE, LivePod, Metric, PerMetric, SETTLING, SHORTEST_SIDE,
    SpreadChange, Thresholds, Workload,
};
use rebalancer_io::facts::{Kin, loads_between};
use rebalancer_io::kubernetes::{Incidents, Revision};
use rebalancer_io::metrics::{AtMost, LifeQueries, MetricsSource, OriginQueries, QuerySet};
use rebalancer_io::origin::one_origin;
use rebalancer_io::prometheus::TimeRange;

use super::actor::{Actor, Witnesses};
use super::sightings::{Sightings, Stretch};
use super::turns::{Change, Changes, Pods};
use crate::failure::Failure;
use crate::pipeline::clocks::{self, ago};
use crate::pipeline::live::{Client, Live, Subject};
use crate::report::history::{ComparedReport, Found, HistoryReport, ReplacementReport, judged};
use crate::report::version::API_VERSION;
use crate::settings::decision::DecisionSettings;

/// Maximum number of changes that are compared, the latest ones. Each takes four queries about an hour.
const MOST_CHANGES: usize = 50;

/// Maximum number of concurrent queries, to leave room for other users of the server.
const AT_ONCE: usize = 2;

/// An end less than this before the listing of the pods is now.
const IS_NOW: Duration = Duration::from_secs(120);

/// The time before the first change that is read too: what it is compared with, and what came before that.
const EARLIER: Duration =
    LONGEST_SIDE.saturating_add(SETTLING).saturating_add(BORN_TOGETHER).saturating_add(BORN_TOGETHER);

/// The time before a decision of which its page tells: as long as `history` looks back unless told otherwise.
const BEFORE_A_DECISION: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// Maximum number of changes on the page of a decision, the latest ones.
const MOST_ON_A_PAGE: usize = 10;

/// The time after which the page of a decision does without the past, so that it is no large part of the run.
const PATIENCE: Duration = Duration::from_secs(20);

/// Maximum number of samples of one side: with more pods the steps are longer than a minute.
const MOST_SAMPLES: usize = 200_000;

const MINUTE: Duration = Duration::from_secs(60);

/// Lists the workload now, and finds what its past is asked by, and the client to ask.
///
/// # Errors
/// A server that does not answer or has another time, or series that are not of this workload alone.
pub fn subject(live: &Live) -> Result<(Subject, Client), Failure> {
    let (subject, unclear) = live.subject(&mut live.cluster.observer(live.selector.clone()))?;
    for unclear in unclear {
        tracing::warn!(event = "setting.unclear", "{unclear}");
    }
    let client = live.counting_client()?;
    let Subject { workload, listed_at, settings, .. } = &subject;
    one_origin(&client, &OriginQueries::new(settings), &workload.pods, *listed_at)
        .context("cannot tell whose series these are")?;
    for told in clocks::held_against(&live.clocks())? {
        tracing::warn!(event = "clock.skewed", "{told}");
    }
    Ok((subject, client))
}

/// Reports the changes of the workload's pods between two moments. Gives also the queries of the loads.
///
/// # Errors
/// A server that does not answer, or series that are not of this workload alone.
pub fn look(
    live: &Live,
    decision: &DecisionSettings,
    span: (Timestamp, Timestamp),
) -> Result<(HistoryReport, QuerySet), Failure> {
    let (subject, client) = subject(live)?;
    let queries = subject.queries()?;
    let report = past(live, decision, &client, (&subject, &queries), span, MOST_CHANGES)?;
    Ok((report, queries))
}

/// Reports the changes of the days before a decision, as far as they can be read within [`PATIENCE`] after `begun`.
///
/// # Errors
/// A server that does not answer, or not in time.
pub fn before(
    live: &Live,
    decision: &DecisionSettings,
    subject: &Subject,
    begun: Instant,
) -> Result<HistoryReport, Failure> {
    let patience = PATIENCE.saturating_sub(begun.elapsed());
    let is_over = Arc::new(AtomicBool::new(false));
    let (client, queries) = (live.client_until(&is_over)?, subject.queries()?);
    let to = subject.listed_at;
    let from = to.checked_sub(BEFORE_A_DECISION).unwrap_or(to);
    let clock = Arc::clone(&is_over);
    thread::spawn(move || {
        thread::sleep(patience);
        clock.store(true, Ordering::Relaxed);
    });
    let report = past(live, decision, &client, (subject, &queries), (from, to), MOST_ON_A_PAGE);
    // What was cut short names reasons that are not the servers'.
    if is_over.load(Ordering::Relaxed) {
        let words = format!("it could not be read within {} s", PATIENCE.as_secs());
        return Err(Failure::Run(anyhow::anyhow!(words)));
    }
    if live.is_stopped() {
        return Err(Failure::Run(anyhow::anyhow!("the program was stopped before it was read")));
    }
    report
}

/// Reports the changes between two moments, and of these at most so many, the latest ones.
fn past(
    live: &Live,
    decision: &DecisionSettings,
    client: &Client,
    (subject, queries): (&Subject, &QuerySet),
    (from, to): (Timestamp, Timestamp),
    most: usize,
) -> Result<HistoryReport, Failure> {
    let Subject { workload, described, settings, .. } = subject;
    let (top, pods) = (workload.owners.first().map(|owner| &owner.top), workload.pods.len());
    let (source, kin) = (AtMost::new(client, AT_ONCE), Kin::of(&workload.pods));
    let loads: Vec<_> = Metric::ALL.into_iter().filter_map(|metric| queries.get(metric)).collect();
    let stretch = Stretch { from: from.checked_sub(EARLIER).unwrap_or(from), to, pods };
    let mut sightings = Sightings::read(&source, &LifeQueries::new(settings, top), &loads, &kin, stretch)?;
    let mut not_had = std::mem::take(&mut sightings.not_had);
    let witnesses = witnesses(live, workload, top, &sightings, &mut not_had);
    let Changes { all, created, forgotten } = changes(subject, &sightings, stretch);
    let thresholds = &decision.thresholds;
    let report = |place: usize| {
        let sides = sides(&all, place, sightings.first(), to);
        let found = sides
            .clone()
            .and_then(|sides| compare(&source, queries, &kin, pods, thresholds.trigger_floors, sides));
        replacement(&all[place], sides.ok(), &found, witnesses.actor(&all[place]), thresholds)
    };
    let wanted: Vec<usize> = (0..all.len()).filter(|place| all[*place].began >= from).collect();
    let left_out = wanted.len().saturating_sub(most);
    let replacements = wanted[left_out..].iter().map(|place| report(*place)).collect();
    let events_from = witnesses.incidents.as_ref().ok().and_then(|incidents| incidents.oldest);
    Ok(HistoryReport {
        api_version: API_VERSION.to_owned(),
        kind: "HistoryReport".to_owned(),
        from: from.to_string(),
        to: to.to_string(),
        workload: described.clone(),
        remembered_from: sightings.first().map(|first| first.to_string()),
        events_from: events_from.map(|oldest| oldest.to_string()),
        created: created.filter(|created| *created >= from).map(|created| created.to_string()),
        forgotten,
        step_seconds: sightings.step.as_secs_f64(),
        replacements,
        left_out,
        not_had,
        requests: [("prometheus", client.requests()), ("kubernetes", live.cluster.requests())]
            .map(|(server, sent)| (server.to_owned(), sent))
            .into(),
    })
}

/// What happened to the pods in a stretch of the past.
fn changes(subject: &Subject, sightings: &Sightings, stretch: Stretch) -> Changes {
    let Subject { workload, listed_at, .. } = subject;
    let is_until_now = listed_at.duration_since(stretch.to).unsigned_abs() < IS_NOW;
    let pods = Pods { live: &workload.pods, listed_at: *listed_at, sightings, is_until_now };
    let mut turns = pods.turns();
    turns.retain(|turn| turn.at <= stretch.to && turn.at >= stretch.from);
    let oldest = workload.pods.iter().filter_map(|pod| Some(*listed_at - pod.age?)).min();
    Changes::of(&turns, sightings, oldest)
}

/// What the cluster tells of who did what. What it does not give is added to `not_had`.
fn witnesses<'a>(
    live: &Live,
    workload: &'a Workload,
    top: Option<&Controller>,
    sightings: &'a Sightings,
    not_had: &mut Vec<String>,
) -> Witnesses<'a> {
    let kin = Kin::of(&workload.pods);
    let is_wanted = |name: &str| kin.has(name) || top.is_some_and(|top| top.name == name);
    let incidents: Result<Incidents, String> =
        live.cluster.incidents(&is_wanted).map_err(|failure| failure.to_string());
    if let Err(why) = &incidents {
        not_had.push(format!("the Events of the namespace: {why}"));
    }
    let revisions = top.map_or(Ok(Vec::new()), |top| live.cluster.revisions(top, &live.selector));
    let revisions: Vec<Revision> = revisions.unwrap_or_else(|failure| {
        not_had.push(format!("the versions of the pod template: {failure}"));
        Vec::new()
    });
    let is_named =
        |pod: &LivePod| pod.controller.as_ref().is_some_and(|controller| controller.kind == "ReplicaSet");
    let are_named_by_version = workload.pods.iter().any(is_named);
    Witnesses { incidents, revisions, runs: &sightings.runs, live: &workload.pods, are_named_by_version }
}

/// What a change came to, by what was found on both sides of it.
fn replacement(
    change: &Change,
    sides: Option<Sides>,
    found: &Found,
    actor: Actor,
    thresholds: &Thresholds,
) -> ReplacementReport {
    let (helped, sentence, spreads) = judged(found, |metric| thresholds.of(metric));
    let names = |pods: &BTreeSet<String>| pods.iter().cloned().collect();
    ReplacementReport {
        began: change.began.to_string(),
        ended: change.ended.to_string(),
        slack_seconds: change.slack.as_secs_f64(),
        gone: names(&change.gone),
        came: names(&change.came),
        restarted: names(&change.restarted),
        by: actor.by,
        by_evidence: actor.evidence,
        cure: actor.is_cure,
        helped,
        sentence,
        spreads,
        compared: sides.filter(|_| found.is_ok()).map(|sides| ComparedReport {
            before: sides.before.to_string(),
            after: sides.after.to_string(),
            seconds: sides.length.as_secs_f64(),
        }),
    }
}

/// The time around a change that is free of others. Pods are remembered from `memory` on.
fn sides(
    changes: &[Change],
    place: usize,
    memory: Option<Timestamp>,
    to: Timestamp,
) -> Result<Sides, String> {
    let memory = memory.unwrap_or(to);
    let ended = place.checked_sub(1).map(|before| changes[before].ended).filter(|ended| *ended >= memory);
    let earlier = ended.map_or(Limit::Memory(memory), Limit::Change);
    let next = changes.get(place + 1);
    let later = next.map_or(Limit::Memory(to), |next| Limit::Change(next.began - next.slack));
    Sides::around(&changes[place], earlier, later)
}

/// The two stretches of time that are compared, equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sides {
    /// Start of the one before.
    before: Timestamp,
    /// Start of the one after.
    after: Timestamp,
    /// Length of each, in whole minutes.
    length: Duration,
}

/// What limits the time around a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Limit {
    /// Another change, which ended or began then.
    Change(Timestamp),
    /// The end of what the server remembers, or of what was asked for.
    Memory(Timestamp),
}

impl Sides {
    /// The time around a change, up to an hour on each side.
    ///
    /// # Errors
    /// Why there is less than 25 minutes of it, in words.
    fn around(change: &Change, earlier: Limit, later: Limit) -> Result<Self, String> {
        let before_ends = whole_minute(change.began - change.slack, RoundMode::Floor);
        let after_begins = whole_minute(change.ended + SETTLING, RoundMode::Ceil);
        let before = match earlier {
            Limit::Change(ended) => ago(ended + SETTLING, before_ends),
            Limit::Memory(begins) => ago(begins, before_ends),
        };
        let (Limit::Change(ends) | Limit::Memory(ends)) = later;
        let after = ago(after_begins, ends);
        let lacks = |why: String| Err(format!("{why}; {} are needed", SHORTEST_SIDE.as_secs() / 60));
        if after < SHORTEST_SIDE {
            let there = after.as_secs() / 60;
            return lacks(match later {
                Limit::Change(at) => {
                    format!("the next change began at {at}, {there} min after it had settled")
                }
                Limit::Memory(_) => format!("{there} min after it are known since it has settled"),
            });
        }
        if before < SHORTEST_SIDE {
            let there = before.as_secs() / 60;
            return match earlier {
                Limit::Memory(begins) if there == 0 => {
                    Err(format!("the metrics server remembers nothing of it before {begins}"))
                }
                Limit::Memory(_) => lacks(format!("the metrics server remembers {there} min before it")),
                Limit::Change(ended) => {
                    lacks(format!("the change before it ended at {ended}, {there} min before it"))
                }
            };
        }
        let length = before.min(after).min(LONGEST_SIDE);
        let length = MINUTE * u32::try_from(length.as_secs() / 60).unwrap_or(u32::MAX);
        Ok(Self { before: before_ends - length, after: after_begins, length })
    }
}

/// The whole minute next to a moment.
fn whole_minute(at: Timestamp, mode: RoundMode) -> Timestamp {
    at.round(TimestampRound::new().smallest(Unit::Minute).mode(mode)).unwrap_or(at)
}

/// The spread of each metric on both sides, by the loads that a metrics server has of about so many pods; `None` where there
/// are none.
///
/// # Errors
/// A query that fails, in words.
fn compare(
    source: &dyn MetricsSource,
    queries: &QuerySet,
    kin: &Kin<'_>,
    pods: usize,
    floors: PerMetric<f64>,
    sides: Sides,
) -> Result<PerMetric<Option<SpreadChange>>, String> {
    let longer = (pods * 60).div_ceil(MOST_SAMPLES).max(1);
    let step = MINUTE * u32::try_from(longer).unwrap_or(u32::MAX);
    let read = |metric: Metric, start: Timestamp| -> Option<Result<History, String>> {
        let query = queries.get(metric)?;
        let range = TimeRange { start, end: start + sides.length - step, step };
        Some(loads_between(source, query, kin, range).map_err(|error| error.to_string()))
    };
    let read = &read;
    let mut found = PerMetric::default();
    thread::scope(|scope| {
        let asked = Metric::TRIGGERS
            .map(|metric| [sides.before, sides.after].map(|start| scope.spawn(move || read(metric, start))));
        for (metric, threads) in Metric::TRIGGERS.into_iter().zip(asked) {
            let [before, after] = threads.map(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).transpose()
            });
            if let (Some(before), Some(after)) = (before?, after?) {
                found[metric] = SpreadChange::between(&before, &after, floors[metric]);
            }
        }
        Ok(found)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_795_410_000 + 60 * minute).expect("a time")
    }

    fn change(began: i64, ended: i64) -> Change {
        let none = BTreeSet::new;
        let (came, gone, restarted) = (none(), none(), none());
        Change { began: at(began), ended: at(ended), slack: Duration::ZERO, came, gone, restarted }
    }

    #[test]
    fn both_sides_are_equally_long_and_free_of_other_changes() {
        let around = |earlier, later| Sides::around(&change(100, 102), earlier, later);
        let far = around(Limit::Memory(at(-900)), Limit::Memory(at(900))).expect("time enough");
        assert_eq!((far.before, far.after, far.length), (at(40), at(107), LONGEST_SIDE));
        let near = around(Limit::Change(at(60)), Limit::Change(at(900))).expect("35 minutes");
        assert_eq!((near.before, near.after, near.length), (at(65), at(107), 35 * MINUTE));
        let early = around(Limit::Memory(at(-900)), Limit::Memory(at(125))).expect_err("18 minutes");
        assert!(early.starts_with("18 min after"), "{early}");
        let close = around(Limit::Change(at(80)), Limit::Memory(at(900))).expect_err("15 minutes");
        assert!(close.contains("15 min before"), "{close}");
        let forgotten = around(Limit::Memory(at(500)), Limit::Memory(at(900))).expect_err("nothing");
        assert!(forgotten.contains("remembers nothing"), "{forgotten}");
    }

    #[test]
    fn the_sides_begin_on_whole_minutes_and_allow_for_times_that_are_not_exact() {
        let inexact = Change {
            began: at(100) + Duration::from_millis(1),
            slack: Duration::from_secs(400),
            ended: at(100) + Duration::from_secs(90),
            ..change(0, 0)
        };
        let sides = Sides::around(&inexact, Limit::Memory(at(-900)), Limit::Memory(at(900)));
        let sides = sides.expect("time enough");
        assert_eq!((sides.before + sides.length, sides.after), (at(93), at(107)));
    }
}
