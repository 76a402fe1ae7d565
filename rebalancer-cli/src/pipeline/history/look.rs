//! Looks at the past of one workload and reports what its changes came to.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::{BORN_TOGETHER, Controller, LONGEST_SIDE, LivePod, Metric, SETTLING, Workload};
use rebalancer_io::facts::Kin;
use rebalancer_io::kubernetes::{Incidents, Revision};
use rebalancer_io::metrics::{AtMost, LifeQueries, OriginQueries, QuerySet, QuerySettings};
use rebalancer_io::origin::one_origin;

use super::actor::{Actor, Witnesses};
use super::changes::{Change, Changes};
use super::sightings::{Sightings, Stretch};
use super::spreads::{Comparison, Limit, Sides};
use super::turns::Pods;
use crate::failure::Failure;
use crate::pipeline::clocks::{self, now};
use crate::pipeline::live::{AskedOf, Client, Live};
use crate::report::WorkloadReport;
use crate::report::history::{ComparedReport, Found, HistoryReport, Judged, ReplacementReport};
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

/// A workload, as it was listed, and what its past is asked by.
pub struct Subject {
    /// Its pods and their owners.
    pub workload: Workload,
    /// When they were listed.
    pub listed_at: Timestamp,
    /// The workload as described in reports.
    pub described: WorkloadReport,
    /// What the queries depend on.
    pub settings: QuerySettings,
    /// The queries of the loads.
    pub queries: QuerySet,
}

impl Subject {
    /// Lists the workload now, and finds what its past is asked by, and the client to ask.
    ///
    /// # Errors
    /// A server that does not answer or has another time, or series that are not of this workload alone.
    pub fn read(live: &Live) -> Result<(Self, Client), Failure> {
        let listed_at = now();
        let workload = live.workload()?;
        let AskedOf { settings, found, unclear } = live.asked_of(&workload)?;
        for unclear in unclear {
            tracing::warn!(event = "setting.unclear", "{unclear}");
        }
        let queries = QuerySet::new(&settings).map_err(|error| Failure::Usage(error.into()))?;
        let client = live.counting_client()?;
        one_origin(&client, &OriginQueries::new(&settings), &workload.pods, listed_at)
            .context("cannot tell whose series these are")?;
        for told in clocks::held_against(&live.clocks())? {
            tracing::warn!(event = "clock.skewed", "{told}");
        }
        let described = live.describe(&workload, found);
        Ok((Self { workload, listed_at, described, settings, queries }, client))
    }
}

/// The past that is reported: the changes between two moments, and of these at most so many, the latest ones.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: Timestamp,
    to: Timestamp,
    most: usize,
}

/// Reports the changes of the workload's pods between two moments. Gives also the queries of the loads.
///
/// # Errors
/// A server that does not answer, or series that are not of this workload alone.
pub fn look(
    live: &Live,
    decision: &DecisionSettings,
    (from, to): (Timestamp, Timestamp),
) -> Result<(HistoryReport, QuerySet), Failure> {
    let (subject, client) = Subject::read(live)?;
    let report = past(live, decision, &client, &subject, Span { from, to, most: MOST_CHANGES })?;
    Ok((report, subject.queries))
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
    let client = live.client_until(&is_over)?;
    let to = subject.listed_at;
    let from = to.checked_sub(BEFORE_A_DECISION).unwrap_or(to);
    let (done, is_done) = channel::<()>();
    let clock = Arc::clone(&is_over);
    let report = thread::scope(|scope| {
        scope.spawn(move || {
            if is_done.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
                clock.store(true, Ordering::Relaxed);
            }
        });
        let report = past(live, decision, &client, subject, Span { from, to, most: MOST_ON_A_PAGE });
        drop(done);
        report
    });
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

fn past(
    live: &Live,
    decision: &DecisionSettings,
    client: &Client,
    subject: &Subject,
    Span { from, to, most }: Span,
) -> Result<HistoryReport, Failure> {
    let Subject { workload, described, settings, queries, .. } = subject;
    let top = workload.owners.first().map(|owner| owner.top.clone());
    let source = AtMost::new(client, AT_ONCE);
    let kin = Kin::of(&workload.pods);
    let loads: Vec<_> = Metric::ALL.into_iter().filter_map(|metric| queries.get(metric)).collect();
    let stretch = Stretch { from: from.checked_sub(EARLIER).unwrap_or(from), to, pods: workload.pods.len() };
    let sightings =
        Sightings::read(&source, &LifeQueries::new(settings, top.as_ref()), &loads, &kin, stretch)?;
    let comparison = Comparison {
        source: &source,
        queries,
        kin: &kin,
        floors: decision.thresholds.trigger_floors,
        pods: workload.pods.len(),
    };
    let mut not_had = sightings.not_had.clone();
    let witnesses = witnesses(live, workload, top.as_ref(), &sightings, &mut not_had);
    let changes = changes(subject, &sightings, stretch);
    let examined =
        Examined { changes: &changes.all, comparison, witnesses: &witnesses, to, sightings: &sightings };
    let wanted: Vec<usize> =
        (0..changes.all.len()).filter(|place| changes.all[*place].began >= from).collect();
    let left_out = wanted.len().saturating_sub(most);
    let threshold = |metric| decision.thresholds.of(metric);
    let replacements = wanted[left_out..].iter().map(|place| examined.report(*place, &threshold)).collect();
    let events_from = witnesses.incidents.as_ref().ok().and_then(|incidents| incidents.oldest);
    Ok(HistoryReport {
        api_version: API_VERSION.to_owned(),
        kind: "HistoryReport".to_owned(),
        from: from.to_string(),
        to: to.to_string(),
        workload: described.clone(),
        remembered_from: sightings.first().map(|first| first.to_string()),
        events_from: events_from.map(|oldest| oldest.to_string()),
        created: changes.created.filter(|created| *created >= from).map(|created| created.to_string()),
        forgotten: changes.forgotten,
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

/// What the changes are examined by.
struct Examined<'a> {
    changes: &'a [Change],
    comparison: Comparison<'a>,
    witnesses: &'a Witnesses<'a>,
    sightings: &'a Sightings,
    to: Timestamp,
}

impl Examined<'_> {
    fn report(&self, place: usize, threshold: &dyn Fn(Metric) -> Option<f64>) -> ReplacementReport {
        let change = &self.changes[place];
        let sides = self.sides(place);
        let found: Found = match &sides {
            Ok(sides) => self.comparison.of(*sides),
            Err(why) => Err(why.clone()),
        };
        let Judged { helped, sentence, spreads } = Judged::new(&found, threshold);
        let Actor { by, evidence, is_cure } = self.witnesses.actor(change);
        let names = |pods: &BTreeSet<String>| pods.iter().cloned().collect();
        ReplacementReport {
            began: change.began.to_string(),
            ended: change.ended.to_string(),
            slack_seconds: change.slack.as_secs_f64(),
            gone: names(&change.gone),
            came: names(&change.came),
            restarted: names(&change.restarted),
            by,
            by_evidence: evidence,
            cure: is_cure,
            helped,
            sentence,
            spreads,
            compared: sides.ok().filter(|_| found.is_ok()).map(|sides| ComparedReport {
                before: sides.before.to_string(),
                after: sides.after.to_string(),
                seconds: sides.length.as_secs_f64(),
            }),
        }
    }

    /// The time around a change that is free of others.
    fn sides(&self, place: usize) -> Result<Sides, String> {
        let before = place.checked_sub(1).map(|before| Limit::Change(self.changes[before].ended));
        let memory = self.sightings.first().unwrap_or(self.to);
        let before = match before {
            Some(Limit::Change(ended)) if ended >= memory => Limit::Change(ended),
            _ => Limit::Memory(memory),
        };
        let after = self.changes.get(place + 1).map(|next| Limit::Change(next.began - next.slack));
        Sides::around(&self.changes[place], before, after.unwrap_or(Limit::Memory(self.to)))
    }
}
