//! `run --all`: acts on every workload that opted in. All are looked at together, as by `scan`; then each whose pods are to
//! be rotated is decided anew and rotated as by `run` of that workload, one after the other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;

use clap::ArgMatches;
use rebalancer_io::kubernetes::{
    Cluster, OwnedWorkload, SeenWorkload, UnknownSelector, WorkloadKind, WorkloadName,
};

use crate::cli::args::{DryRun, RunArgs};
use crate::commands::consent::Consent;
use crate::commands::page::Page;
use crate::commands::run::{Means, asked, begin, rebalance};
use crate::commands::scan::namespaces;
use crate::commands::watch::Watch;
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::all::{Left, Member, is_rotation, is_trouble, turns};
use crate::pipeline::kafka::DirectKafka;
use crate::pipeline::live::{Live, Subject};
use crate::pipeline::rotate::options;
use crate::pipeline::scan::{Choice, Scope, Terms};
use crate::render::terminal::progress_bar;
use crate::render::{self, text};
use crate::report::scan::{RunAllSummary, ScanReport, ScanRow, Severity};
use crate::report::version::RUN_ALL;
use crate::report::{Kind, Outcome};
use crate::settings::decision::DecisionSettings;
use crate::settings::kafka;
use crate::settings::own::{Changeable, has_opted_in, stricter};
use crate::telemetry::delivery::Delivery;
use crate::telemetry::logging;
use crate::telemetry::notes::{Ended, Notes};

/// Runs once over all workloads.
///
/// # Errors
/// A setting, a server or an answer that is wrong, so that no workload could be looked at. What came of each is in the
/// report.
pub fn run(args: &RunArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let (delivery, deliverable) = Delivery::of_run(args);
    let done = deliverable.and_then(|()| All::prepare(args, matches)).and_then(All::run);
    let (report, members, mut page, pasts) = match done {
        Ok(done) => done,
        Err(failure) => {
            let notes = Notes::begin();
            delivery.without_metrics().deliver(&notes.end(asked(args), Err(&failure)));
            return Err(failure);
        }
    };
    let output = &args.live.output;
    let ended: Vec<Ended<'_>> = members.iter().map(Member::ended).collect();
    for ended in &ended {
        ended.log(logging::is_json(output), true);
    }
    log(&report, &ended);
    let written = render::write(&report, output, text::scan::render);
    let page_written = page.write(&report);
    delivery.deliver_all(&ended, &report);
    let page_written = page_written.and_then(|()| {
        page.complete(&report, pasts.iter().map(|of| (&of.live, &of.terms.decision, &of.subject)))
    });
    written?;
    page_written?;
    Ok(code(&ended, &report, output.detailed_exitcode))
}

/// The exit code: a failure where a workload could not be decided or acted on, or not all could be listed; the code of a
/// wrong setting where nothing else failed and an annotation is wrong.
fn code(ended: &[Ended<'_>], report: &ScanReport, detailed: bool) -> ExitCode {
    let ends_with = |code: u8| ended.iter().any(|ended| ended.exit_code() == code);
    if ends_with(exit::FAILED) || !report.unlisted.is_empty() {
        return ExitCode::from(exit::FAILED);
    }
    if ends_with(exit::USAGE) {
        return ExitCode::from(exit::USAGE);
    }
    let outcomes: Vec<Outcome> = ended.iter().map(Ended::outcome).collect();
    exit::code(exit::weightiest(&outcomes), detailed)
}

/// A workload that was looked at in its turn, whose past the page is to tell of.
struct Looked {
    live: Live,
    terms: Rc<Terms>,
    subject: Subject,
}

/// The last line of the log.
fn log(report: &ScanReport, ended: &[Ended<'_>]) {
    let evicted: usize = ended.iter().map(|ended| ended.evictions().evicted).sum();
    let failed = ended.iter().filter(|ended| !ended.is_success()).count();
    let summary = report.run.as_ref();
    tracing::info!(
        event = "run_all.finished",
        workloads = ended.len(),
        not_opted_in = summary.map(|run| run.not_opted_in),
        rotations = summary.map(|run| run.rotations),
        max_rotations = summary.map(|run| run.max_rotations),
        dry_run = summary.map(|run| run.dry_run.as_str()),
        evicted,
        failed,
        unlisted = report.unlisted.len(),
        "run of all workloads finished"
    );
}

/// Maximum number of workloads whose past the page tells, the first ones: more cannot be read in the time for it, and each
/// keeps the list of its pods until then.
const MOST_PASTS: usize = 10;

/// By the namespace, kind and name of each workload: the labels of its pods, and by what it is decided; by nothing where its
/// annotations are wrong.
type Known = BTreeMap<(String, String, String), (String, Option<Rc<Terms>>)>;

/// A run over all workloads.
struct All<'a> {
    args: &'a RunArgs,
    matches: &'a ArgMatches,
    consent: Consent,
    page: Page,
    watch: Watch,
    live: Live,
    changeable: Changeable<'a>,
    /// The terms of workloads without settings of their own.
    terms: Rc<Terms>,
}

impl<'a> All<'a> {
    fn prepare(args: &'a RunArgs, matches: &'a ArgMatches) -> Result<Self, Failure> {
        refuse_what_is_of_one(args)?;
        let (consent, page, watch) = begin(args)?;
        let terms = Rc::new(terms(args));
        let live = Live::connect_to_all(&args.live, &terms.decision, matches, &watch.stop)?;
        let changeable = Changeable::of(args);
        Ok(Self { args, matches, consent, page, watch, live, changeable, terms })
    }

    /// Runs. Gives the report, what came of each workload, the page, and whose past it is to tell of.
    fn run(mut self) -> Result<(ScanReport, Vec<Member>, Page, Vec<Looked>), Failure> {
        tracing::info!(
            event = "run.started",
            dry_run = self.args.action.dry_run.into_str(),
            k8s.namespace.name = self.args.live.kubernetes.namespace,
            selector = self.live.selector.as_str(),
            "run of all workloads started"
        );
        let looked = self.look().map_err(|failure| self.watch.explained(failure));
        let (mut report, mut members, not_opted_in) = looked?;
        report.warnings.extend(self.too_short_for_kafka());
        let (rotations, pasts) = self.act(&mut members);
        RUN_ALL.clone_into(&mut report.kind);
        report.take(members.iter().map(Member::row).collect());
        report.run = Some(RunAllSummary {
            dry_run: self.args.action.dry_run.into_str().to_owned(),
            max_rotations: self.args.action.max_rotations,
            rotations,
            not_opted_in,
        });
        report.requests.insert("kubernetes".to_owned(), self.live.cluster.requests());
        let in_turns: u64 = members.iter().map(|member| member.notes.requests().sent()).sum();
        *report.requests.entry("prometheus".to_owned()).or_default() += in_turns;
        let in_turns: usize = members.iter().map(|member| member.kafka_requests).sum();
        if in_turns > 0 {
            *report.requests.entry("kafka".to_owned()).or_default() += in_turns as u64;
        }
        self.page.gather_without_recording("a run of all workloads", self.matches, Vec::new);
        Ok((report, members, self.page, pasts))
    }

    /// Looks at all that opted in; also says how many did not.
    fn look(&self) -> Result<(ScanReport, Vec<Member>, usize), Failure> {
        let (known, left_out) = (RefCell::new(Known::new()), Cell::new(0));
        let choose = |owned: &OwnedWorkload| {
            let selector =
                owned.selector.as_ref().map_or_else(String::new, |found| found.as_str().to_owned());
            let choice = self.choice(&owned.annotations);
            let terms = match &choice {
                Choice::Out => {
                    left_out.set(left_out.get() + 1);
                    return choice;
                }
                Choice::In(terms) => Some(Rc::clone(terms)),
                Choice::Refused(_) => None,
            };
            let key = (owned.namespace.clone(), owned.owner.kind.clone(), owned.owner.name.clone());
            known.borrow_mut().insert(key, (selector, terms));
            choice
        };
        let scope = Scope {
            live: &self.live,
            decision: &self.terms.decision,
            namespaces: namespaces(self.args.all.all_namespaces, &self.args.live.kubernetes, &self.live)?,
            details: Some(Severity::TooLittle),
            choose: &choose,
        };
        let progress = progress_bar(None);
        let scanned = scope.scan(&mut |what, number| progress.set_message(format!("{number} {what}")));
        progress.finish_and_clear();
        let mut report = scanned?;
        let mut known = known.into_inner();
        let member = |row: ScanRow| {
            let key = (row.namespace.clone(), row.kind.clone(), row.name.clone());
            let (selector, terms) = known.remove(&key).unwrap_or_default();
            let dry_run = terms.as_ref().unwrap_or(&self.terms).dry_run;
            Member::of(row, selector, dry_run, terms.is_none())
        };
        let members = std::mem::take(&mut report.workloads).into_iter().map(member).collect();
        Ok((report, members, left_out.get()))
    }

    /// Whether the run has too little time to watch partitions again in each turn.
    fn too_short_for_kafka(&self) -> Option<String> {
        let least = self.live.kafka()?.least_run_with(self.args.action.max_rotations);
        (least > self.args.live.kubernetes.run_timeout).then(|| {
            format!(
                "RUN_TIMEOUT may be too short to see again in each of MAX_ROTATIONS turns that a partition stands, which takes \
                 three times KAFKA_WATCH; one that is not seen to stand is not cured: set it to {} s or more",
                least.as_secs_f64().ceil()
            )
        })
    }

    /// What these annotations make of a workload.
    fn choice(&self, annotations: &BTreeMap<String, String>) -> Choice {
        match has_opted_in(annotations) {
            Ok(false) => return Choice::Out,
            Ok(true) => {}
            Err(why) => return Choice::Refused(why),
        }
        match self.changeable.with(annotations) {
            Ok(None) => Choice::In(Rc::clone(&self.terms)),
            Ok(Some(mut own)) => {
                if kafka::is_asked(&own.live.kafka, own.live.queries.metrics_preset)
                    && let Err(failure) = kafka::config(&own.live.kafka)
                {
                    return Choice::Refused(failure.words());
                }
                own.action.dry_run = stricter(own.action.dry_run, self.args.action.dry_run);
                let shared = terms(&own);
                Choice::In(Rc::new(Terms { own: Some(Box::new(own)), ..shared }))
            }
            Err(why) => Choice::Refused(why),
        }
    }

    /// Gives each whose pods are to be rotated its turn. Says how many rotations were made, and whose past can be told.
    fn act(&self, members: &mut [Member]) -> (usize, Vec<Looked>) {
        let (mut rotations, mut pasts) = (0, Vec::new());
        let mut is_trouble_met = false;
        for position in turns(members) {
            let member = &mut members[position];
            let left = if is_trouble_met { Some(Left::TROUBLE) } else { self.in_the_way(rotations) };
            if let Some(left) = left {
                member.leave(left);
                continue;
            }
            match self.turn(member) {
                Ok(past) => pasts.extend(past.filter(|_| pasts.len() < MOST_PASTS)),
                Err(failure) => member.end = Err(self.watch.explained(failure)),
            }
            if let Ok(report) = &member.end {
                rotations += usize::from(is_rotation(report, self.is_dry()));
                is_trouble_met |= is_trouble(report);
            }
        }
        (rotations, pasts)
    }

    fn is_dry(&self) -> bool {
        self.args.action.dry_run != DryRun::None
    }

    /// Why nobody gets another turn.
    fn in_the_way(&self, rotations: usize) -> Option<Left> {
        let most = self.args.action.max_rotations;
        let kubernetes = &self.args.live.kubernetes;
        let limit = kubernetes.run_timeout;
        if self.watch.is_stopped() && !self.watch.is_over() {
            return Some(Left::STOP);
        }
        if rotations >= most {
            return Some(Left::limit(most, self.is_dry()));
        }
        // No eviction starts that late.
        let reserve: Duration = kubernetes.kube_timeout.min(limit / 2);
        (self.watch.started().elapsed() + reserve >= limit).then(|| Left::time(limit))
    }

    /// Decides anew about one workload as it is now, and rotates its pods, as `run` of it would. Gives it where its past can be
    /// told.
    fn turn(&self, member: &mut Member) -> Result<Option<Looked>, Failure> {
        let cluster = self.live.cluster.in_namespace(&member.namespace);
        let sent = cluster.requests();
        let Some(SeenWorkload { selector, annotations }) = seen(&cluster, member)? else {
            member.leave(Left::GONE);
            return Ok(None);
        };
        let terms = match self.choice(&annotations) {
            Choice::In(terms) => terms,
            Choice::Refused(why) => return Err(Failure::usage(why)),
            Choice::Out => {
                member.leave(Left::OPTED_OUT);
                return Ok(None);
            }
        };
        let args = terms.own.as_deref().unwrap_or(self.args);
        let decision = &terms.decision;
        // What narrows all narrows each.
        let selector = selector.and(&self.live.selector);
        let mut live = self.live.of_workload(&args.live, decision, &member.namespace, selector)?;
        // Who selects the pods of others has not opted in for them.
        let owner = Some((member.kind.as_str(), member.name.as_str()));
        let (consent, watch) = (self.consent, &self.watch);
        let means = Means { consent, decision, live: &live, watch, saved: None, owner };
        let (mut end, subject) = match rebalance(args, self.matches, &means, &mut Page::default()) {
            Ok((report, subject)) => (Ok(report), Some(subject).filter(|_| self.page.is_wanted())),
            Err(failure) => (Err(self.watch.explained(failure)), None),
        };
        if let Ok(report) = &mut end {
            report.requests.insert("kubernetes".to_owned(), cluster.requests() - sent);
            // What a person agreed to is not planned any more.
            if self.consent == Consent::Ask && args.action.dry_run == DryRun::None && report.acts() {
                let left = if self.watch.is_stopped() { Left::STOP } else { Left::DECLINED };
                report.hold_back(left.verdict());
            }
        }
        member.kafka_requests = live.kafka().map_or(0, DirectKafka::requests);
        member.notes = std::mem::replace(&mut live.notes, Notes::begin());
        (member.dry_run, member.end) = (terms.dry_run, end);
        Ok(subject.map(|subject| Looked { live, terms, subject }))
    }
}

/// The workload as it is now; `None` where it is gone.
fn seen(cluster: &Cluster, member: &Member) -> Result<Option<SeenWorkload>, Failure> {
    let kind =
        if member.kind == "StatefulSet" { WorkloadKind::StatefulSet } else { WorkloadKind::Deployment };
    match cluster.look_at(&WorkloadName { kind, name: member.name.clone() }) {
        Ok(seen) => Ok(Some(seen)),
        Err(UnknownSelector::Absent { .. }) => Ok(None),
        Err(UnknownSelector::Cluster(error)) => Err(Failure::Run(error.into())),
        Err(error) => Err(Failure::Usage(error.into())),
    }
}

/// The terms that arguments set.
fn terms(args: &RunArgs) -> Terms {
    let decision = DecisionSettings::from(&args.live.decision);
    Terms {
        decision,
        options: options(args, &decision),
        kind: Kind::RunReport,
        dry_run: args.action.dry_run.into_str(),
        own: None,
    }
}

/// Refuses arguments that are about one workload.
fn refuse_what_is_of_one(args: &RunArgs) -> Result<(), Failure> {
    let of_one = [
        (args.plan.is_some(), "--plan carries out the plan of one workload"),
        (args.record.is_some(), "--record (variable RECORD_FILE) saves the answers about one workload"),
    ];
    match of_one.into_iter().find(|(is_set, _)| *is_set) {
        Some((_, what)) => Err(Failure::usage(format!("{what}, and --all is about all: leave one out"))),
        None => Ok(()),
    }
}
