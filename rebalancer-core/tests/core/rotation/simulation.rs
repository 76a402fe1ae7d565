//! Every outcome at every step: a cluster that answers by chance, and a witness that knows the
//! promises but not the machine.

use super::checker::check_plan;
use super::fleet;
use core::time::Duration;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rebalancer_core::{
    Action, Answer, ApiFailure, Budget, CLAIM_MARGIN, Claim, ClaimFate, EVICTION_MARGIN, FailureKind, Mode,
    Pacing, Presence, RECOVERY_POLL, Reason, Rotation, RotationOptions, RotationOutcome, RotationPlan,
    RotationReport, Step, Workload,
};
use std::collections::BTreeSet;

/// Words that void a plan before its first eviction.
const VOID: &str = "-b +x a:opts_out a:terminating d:terminating c:terminating a:replaced b:replaced \
    d:replaced b:not_ready d:not_ready c:failed b:adopted no_owner generation=8 desired=9 current=9 updated=1";

/// Changes after the eviction of `a` that are its consequences: a workload on its way to recover.
const RECOVERING: [&str; 5] = [
    "-a",
    "-a +x x:not_ready",
    "-a current=3 updated=3",
    "a:terminating +x x:pending",
    "a:terminating current=3 updated=3",
];

/// A pod that is not Ready, beside the one that replaces `a`.
const UNREADY: &str = "-a +x c:not_ready";

/// Words that show someone else at work after the eviction of `a`.
const MEDDLED: &str = "+y -b -c d:opts_out b:terminating d:terminating d:replaced generation=8 desired=3 desired=9 updated=1 no_owner";

/// A cluster in which anything can happen. Each decision takes the next number of the tape; a
/// tape at its end says that all goes well.
struct Cluster {
    planned: Workload,
    tape: std::vec::IntoIter<u8>,
    /// UIDs of the pods that were really ended, whatever was answered.
    ended: Vec<String>,
    /// Whether the last failed eviction was answered by a clear no.
    said_no: bool,
}

/// An answer, and what the witness may conclude from it.
struct Happening {
    answer: Answer,
    fact: Fact,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    /// The next eviction may come nearer.
    Good,
    /// The eviction has happened against what was answered: no other may follow.
    GoodButLast,
    /// Not now, but perhaps later.
    NotYet,
    /// Nothing may be evicted any more.
    Bad,
    /// An eviction of unknown fate.
    Unknown,
    /// Nothing more may be evicted, and the eviction that was accepted has not happened.
    StillThere,
}

impl Cluster {
    fn next(&mut self) -> u8 {
        self.tape.next().unwrap_or(0)
    }

    /// True in about three of ten cases.
    fn bad_luck(&mut self) -> bool {
        self.next() % 10 >= 7
    }

    fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.next()) % choices.len()]
    }

    fn failure(&mut self) -> ApiFailure {
        ApiFailure::new(self.one_of(FailureKind::ALL), "as chance would have it")
    }

    fn answer(&mut self, action: &Action, evicted: usize, pacing: Pacing) -> Happening {
        match action {
            Action::FindClaims { .. } => self.claims(),
            Action::Claim(_) => self.claim(),
            Action::ListWorkload => self.list(evicted, pacing),
            Action::ListBudgets { targets } => self.budgets(targets.len(), evicted, pacing),
            Action::Preflight(_) => self.preflight(),
            Action::Evict(request) => self.eviction(&request.target.uid),
            Action::AwaitEviction(_) => Happening { answer: Answer::NotSent, fact: Fact::Bad },
            Action::LookUp(target) => self.look_up(&target.uid),
            Action::Wait { .. } => Happening { answer: Answer::Waited, fact: Fact::Good },
            Action::Stop => unreachable!("nobody answers a stop"),
        }
    }

    /// A claim that is over, or seldom one that is not: most rotations are to get further.
    fn claims(&mut self) -> Happening {
        let (generation, valid_for) = (u64::from(self.next() % 3), Duration::from_secs(90));
        let over: Claim =
            Claim { generation, holder: "node-7".to_string(), age: valid_for + CLAIM_MARGIN, valid_for };
        if self.next() % 16 < 15 {
            return Happening { answer: Answer::Claims(Ok(vec![over])), fact: Fact::Good };
        }
        if self.next().is_multiple_of(2) {
            let newer: Claim = Claim { age: over.age.saturating_sub(Duration::from_secs(1)), ..over.clone() };
            return Happening { answer: Answer::Claims(Ok(vec![over, newer])), fact: Fact::Bad };
        }
        Happening { answer: Answer::Claims(Err(self.failure())), fact: Fact::Bad }
    }

    fn claim(&mut self) -> Happening {
        if self.next() % 16 < 15 {
            return Happening { answer: Answer::Claimed(Ok(ClaimFate::Won)), fact: Fact::Good };
        }
        if self.next().is_multiple_of(2) {
            return Happening { answer: Answer::Claimed(Ok(ClaimFate::Lost)), fact: Fact::Bad };
        }
        Happening { answer: Answer::Claimed(Err(self.failure())), fact: Fact::Bad }
    }

    fn list(&mut self, evicted: usize, pacing: Pacing) -> Happening {
        if self.next() % 16 == 15 {
            return Happening { answer: Answer::Workload(Err(self.failure())), fact: Fact::Bad };
        }
        let (words, fact): (String, Fact) = match evicted {
            0 if self.bad_luck() => (self.word_of(VOID), Fact::Bad),
            0 => (String::new(), Fact::Good),
            // It was accepted, and has not happened.
            _ if self.ended.is_empty() => (String::new(), Fact::StillThere),
            _ => self.list_between(pacing),
        };
        let mut workload: Workload = self.planned.clone();
        words.split_whitespace().for_each(|word| fleet::change(&mut workload, word));
        Happening { answer: Answer::Workload(Ok(workload)), fact }
    }

    /// The words for the workload after `a` was ended.
    fn list_between(&mut self, pacing: Pacing) -> (String, Fact) {
        match self.next() % 8 {
            0..=3 => ("-a +x".to_string(), Fact::Good),
            // What passes by itself is waited for, or does not matter where nothing waits.
            4 | 5 if pacing == Pacing::WaitReady => (self.one_of(&RECOVERING).to_string(), Fact::NotYet),
            4 | 5 => (self.one_of(&RECOVERING).to_string(), Fact::Good),
            6 if pacing == Pacing::WaitReady => (UNREADY.to_string(), Fact::NotYet),
            6 => (UNREADY.to_string(), Fact::Bad),
            _ => (format!("-a +x {}", self.word_of(MEDDLED)), Fact::Bad),
        }
    }

    fn word_of(&mut self, words: &str) -> String {
        let words: Vec<&str> = words.split_whitespace().collect();
        self.one_of(&words).to_string()
    }

    /// One budget over both targets, or one for each, or none; too small when luck is bad.
    fn budgets(&mut self, targets: usize, evicted: usize, pacing: Pacing) -> Happening {
        let all = || vec!["a".to_string(), "d".to_string()];
        let mut budget = Budget {
            name: "pdb".to_string(),
            covers: all(),
            disruptions_allowed: 0,
            generation: 3,
            observed_generation: 3,
        };
        let needed: i32 = if targets == 2 && pacing == Pacing::Sequential { 2 } else { 1 };
        if !self.bad_luck() {
            budget.disruptions_allowed = needed + i32::from(self.next() % 2);
            let some: Vec<Budget> = if self.next().is_multiple_of(2) { Vec::new() } else { vec![budget] };
            return Happening { answer: Answer::Budgets(Ok(some)), fact: Fact::Good };
        }
        let fact: Fact = if evicted == 0 { Fact::Bad } else { Fact::NotYet };
        match self.next() % 4 {
            0 => return Happening { answer: Answer::Budgets(Err(self.failure())), fact: Fact::Bad },
            1 => budget.disruptions_allowed = needed - 1,
            2 => (budget.disruptions_allowed, budget.observed_generation) = (9, 2),
            _ => {
                budget.disruptions_allowed = 9;
                let other = Budget { name: "other".to_string(), ..budget.clone() };
                return Happening { answer: Answer::Budgets(Ok(vec![budget, other])), fact };
            }
        }
        Happening { answer: Answer::Budgets(Ok(vec![budget])), fact }
    }

    fn preflight(&mut self) -> Happening {
        if self.bad_luck() {
            return Happening { answer: Answer::Preflight(Err(self.failure())), fact: Fact::Bad };
        }
        Happening { answer: Answer::Preflight(Ok(())), fact: Fact::Good }
    }

    /// Done and accepted; or answered by any failure, done (a proxy sent it twice) or not; or, seldom,
    /// accepted and not done.
    fn eviction(&mut self, uid: &str) -> Happening {
        if !self.bad_luck() {
            if self.next() % 16 < 15 {
                self.ended.push(uid.to_string());
            }
            return Happening { answer: Answer::Eviction(Ok(())), fact: Fact::Good };
        }
        let failure: ApiFailure = self.failure();
        let sent: bool = failure.kind != FailureKind::Unreachable;
        if sent && self.next().is_multiple_of(2) {
            self.ended.push(uid.to_string());
        }
        let fact: Fact = if sent { Fact::Unknown } else { Fact::Bad };
        self.said_no = !matches!(
            failure.kind,
            FailureKind::ServerError | FailureKind::NoAnswer | FailureKind::UnreadableAnswer
        );
        Happening { answer: Answer::Eviction(Err(failure)), fact }
    }

    fn look_up(&mut self, uid: &str) -> Happening {
        let present = |uid: &str, terminating: bool| Presence::Present { uid: uid.to_string(), terminating };
        let is_ended: bool = self.ended.iter().any(|ended| ended == uid);
        let good: Fact = if self.said_no { Fact::GoodButLast } else { Fact::Good };
        let (answer, fact): (Result<Presence, ApiFailure>, Fact) = match self.next() % 6 {
            5 => (Err(self.failure()), Fact::Bad),
            _ if !is_ended => (Ok(present(uid, false)), Fact::Bad),
            0 | 1 => (Ok(Presence::Absent), good),
            2 => (Ok(present(uid, true)), good),
            3 => (Ok(present("another", false)), good),
            _ => (Ok(present("another", true)), good),
        };
        Happening { answer: Answer::LookedUp(answer), fact }
    }
}

/// How far the claim of the rotation has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ClaimSeen {
    #[default]
    NotLookedFor,
    NoneInForce,
    Won,
    Lost,
}

/// Remembers what was asked and answered, and holds the rotation to its promises.
#[derive(Default)]
struct Witness {
    claim: ClaimSeen,
    sent: Vec<String>,
    evicted: Vec<String>,
    listed: bool,
    allowed: bool,
    preflighted: Vec<String>,
    open: Option<String>,
    over: bool,
    answers: usize,
}

impl Witness {
    /// Before an action is performed: may it be?
    fn approve(&self, action: &Action, plan: &RotationPlan, now: Duration) {
        if let Some(open) = &self.open {
            assert_eq!(action.target().map(|target| &target.uid), Some(open), "an unknown fate comes first");
            assert_eq!(action.code(), "look_up", "an unknown fate is looked up, not repeated");
            return;
        }
        let names_the_winner: bool = self.claim == ClaimSeen::Lost && action.code() == "find_claims";
        let sends_nothing: bool = matches!(action, Action::Stop | Action::AwaitEviction(_));
        assert!(
            sends_nothing || !self.over || names_the_winner,
            "nothing after a refusal, an unknown fate or a stop: {action:?}"
        );
        if let Some(target) = action.target() {
            assert!(plan.targets().contains(target), "only pods of the plan: {target:?}");
        }
        let Action::Evict(request) = action else {
            return;
        };
        let options: &RotationOptions = plan.options();
        assert_eq!(options.mode, Mode::Execute, "a dry-run evicts nothing");
        assert_eq!(
            request.target,
            plan.targets()[self.sent.len()],
            "in order, each once, no more than planned"
        );
        assert_eq!(self.sent, self.evicted, "the one before is known to be evicted");
        let all: Vec<String> = plan.targets().iter().map(|target| target.uid.clone()).collect();
        assert_eq!(self.preflighted, all, "every preflight was accepted");
        assert_eq!(self.claim == ClaimSeen::Won, options.claim, "no other rotation may evict");
        assert!(now + EVICTION_MARGIN <= options.deadline, "enough time is left");
        assert!(self.listed, "a fresh list is settled, or changed by nothing but the eviction before");
        if self.sent.is_empty() || options.pacing == Pacing::WaitReady {
            assert!(self.allowed, "the budgets allow it");
        }
    }

    /// After an action was answered.
    fn learn(&mut self, action: &Action, fact: Fact, failed: bool) {
        self.answers += 1;
        let uid: Option<String> = action.target().map(|target| target.uid.clone());
        match action {
            Action::FindClaims { .. } => {
                let lost: bool = self.claim == ClaimSeen::Lost;
                assert!(!self.listed || lost, "claims are found before the list");
                self.claim = if failed { ClaimSeen::NotLookedFor } else { ClaimSeen::NoneInForce };
            }
            Action::Claim(_) => {
                assert_eq!(self.claim, ClaimSeen::NoneInForce, "a claim follows those that are over");
                assert!(self.listed && self.allowed, "a claim is for what was listed after it");
                self.claim = match (fact, failed) {
                    (Fact::Good, _) => ClaimSeen::Won,
                    (_, false) => ClaimSeen::Lost,
                    (_, true) => ClaimSeen::NotLookedFor,
                };
            }
            Action::ListWorkload => {
                (self.listed, self.allowed) = (fact == Fact::Good, false);
                if fact == Fact::StillThere {
                    self.evicted.pop();
                }
            }
            Action::ListBudgets { .. } => self.allowed = fact == Fact::Good,
            Action::Preflight(_) if fact == Fact::Good => self.preflighted.extend(uid),
            Action::Evict(_) => {
                self.sent.extend(uid.clone());
                (self.listed, self.allowed) = (false, false);
                match fact {
                    Fact::Good => self.evicted.extend(uid),
                    Fact::Unknown => self.open = uid,
                    _ => {}
                }
            }
            Action::LookUp(_) => {
                self.open = None;
                if matches!(fact, Fact::Good | Fact::GoodButLast) {
                    self.evicted.extend(uid);
                }
            }
            Action::Preflight(_) | Action::AwaitEviction(_) | Action::Wait { .. } | Action::Stop => {}
        }
        self.over |= matches!(fact, Fact::Bad | Fact::StillThere | Fact::GoodButLast);
    }

    /// The report tells what was witnessed, and its sets fit together.
    fn compare(&self, report: &RotationReport, plan: &RotationPlan) {
        let uids = |names: &[String]| names.iter().map(|name| format!("uid-{name}")).collect::<Vec<String>>();
        assert_eq!(uids(&report.attempted), self.sent);
        assert_eq!(uids(&report.deleted), self.evicted);
        for target in plan.targets() {
            let attempted: bool = report.attempted.contains(&target.name);
            assert_ne!(attempted, report.skipped.contains_key(&target.name), "attempted or skipped");
            let ended_well: bool = report.deleted.contains(&target.name);
            assert_eq!(
                attempted,
                ended_well || report.errors.contains_key(&target.name),
                "deleted or an error"
            );
            assert!(!(ended_well && report.errors.contains_key(&target.name)), "not both");
        }
        assert_eq!(report.errors.len() + report.deleted.len(), report.attempted.len());
        assert_eq!(report.skipped.len() + report.attempted.len(), plan.targets().len());
        let all: usize = plan.targets().len();
        let unclaimed: bool = plan.options().mode == Mode::Execute && !plan.options().claim;
        assert_eq!(report.unclaimed.is_some(), unclaimed, "it tells that it went unclaimed");
        assert_eq!(report.outcome == RotationOutcome::Rotated, report.deleted.len() == all);
        assert_eq!(report.outcome == RotationOutcome::Partial, (1..all).contains(&report.deleted.len()));
        if report.outcome == RotationOutcome::Planned {
            assert_eq!((plan.options().mode, self.preflighted.len()), (Mode::ServerDryRun, all));
        }
    }
}

/// Rotates once with every chance taken from `tape`, under the eyes of a witness.
fn simulate(targets: &[&str], options: RotationOptions, tape: Vec<u8>) -> RotationReport {
    let planned: Workload = fleet::workload("ReplicaSet", &["a", "b", "c", "d"]);
    let plan: RotationPlan = fleet::plan(targets, &planned, options);
    assert_eq!(check_plan(&plan, &planned.pods), [], "the independent checker agrees");

    let mut cluster = Cluster { planned, tape: tape.into_iter(), ended: Vec::new(), said_no: false };
    let mut witness = Witness::default();
    let mut rotation = Rotation::new(plan.clone());
    let mut now: Duration = Duration::ZERO;
    // Each look at a recovering workload is three answers; all else happens once for each target.
    let looks: u64 = options.deadline.as_secs() / RECOVERY_POLL.as_secs() + 1;
    let bound: usize = 14 + 3 * usize::try_from(looks).expect("a short deadline");
    loop {
        if cluster.next() % 32 == 31 {
            rotation.handle(now, Answer::StopRequested).expect("a stop is always allowed");
            witness.over = true;
        }
        let action: Action = rotation.poll_action();
        assert_eq!(action, rotation.poll_action(), "polling changes nothing");
        witness.approve(&action, &plan, now);
        assert_unexpected_changes_nothing(&mut rotation, &action, now);
        if action == Action::Stop {
            break;
        }
        now += Duration::from_millis(u64::from(cluster.next()) * 20);
        if let Action::Wait { until, .. } = action {
            now = now.max(until);
        }
        let happening: Happening = cluster.answer(&action, witness.evicted.len(), options.pacing);
        let failed: bool = matches!(happening.answer, Answer::Claims(Err(_)) | Answer::Claimed(Err(_)));
        if cluster.next() % 32 == 31 && !stop_in_flight(&mut rotation, &action, now) {
            witness.over = true;
            rotation.handle(now, happening.answer).expect_err("of no use any more");
            continue;
        }
        rotation.handle(now, happening.answer).expect("the answer belongs to the action");
        witness.learn(&action, happening.fact, failed);
        assert!(witness.answers <= bound, "it ends");
    }
    let report: RotationReport = rotation.finish();
    witness.compare(&report, &plan);
    assert_true(&report, &cluster.ended);
    report
}

/// Asks for a stop while `action` is on its way; whether its answer is still waited for.
fn stop_in_flight(rotation: &mut Rotation, action: &Action, now: Duration) -> bool {
    rotation.handle(now, Answer::StopRequested).expect("a stop is always allowed");
    let is_awaited: bool = matches!(action, Action::Evict(_) | Action::AwaitEviction(_) | Action::LookUp(_));
    let next: &str = match action {
        Action::Evict(_) => "await_eviction",
        _ if is_awaited => action.code(),
        Action::FindClaims { .. } if rotation.poll_action() != Action::Stop => "find_claims",
        _ => "stop",
    };
    assert_eq!(rotation.poll_action().code(), next, "a stop while {action:?} is on its way");
    is_awaited
}

/// What the report tells of each target that was sent an eviction is what became of it.
fn assert_true(report: &RotationReport, ended: &[String]) {
    for name in &report.attempted {
        let is_ended: bool = ended.contains(&format!("uid-{name}"));
        let accepted = |step: &Step| {
            matches!(step.action, "evict" | "await_eviction")
                && step.pod.as_deref() == Some(name)
                && step.result == "ok"
        };
        // Nobody looks again at the last target, when the server says that it accepted.
        if report.steps.iter().any(accepted) && !report.errors.contains_key(name) {
            continue;
        }
        match report.errors.get(name) {
            None => assert!(is_ended, "{name} is not ended: {report:#?}"),
            Some(Reason::Unresolved { .. }) => {}
            Some(_) => assert!(!is_ended, "{name} is ended: {report:#?}"),
        }
    }
}

fn assert_unexpected_changes_nothing(rotation: &mut Rotation, action: &Action, now: Duration) {
    let answers = [
        ("find_claims", Answer::Claims(Ok(Vec::new()))),
        ("claim_workload", Answer::Claimed(Ok(ClaimFate::Won))),
        ("list_workload", Answer::Workload(Ok(Workload::default()))),
        ("list_budgets", Answer::Budgets(Ok(Vec::new()))),
        ("preflight", Answer::Preflight(Ok(()))),
        ("evict", Answer::Eviction(Ok(()))),
        ("await_eviction", Answer::NotSent),
        ("look_up", Answer::LookedUp(Ok(Presence::Absent))),
        ("wait", Answer::Waited),
    ];
    let before: Rotation = rotation.clone();
    for (belongs_to, answer) in answers {
        let is_awaited: bool = belongs_to == "evict" && action.code() == "await_eviction";
        if belongs_to != action.code() && !is_awaited {
            rotation.handle(now, answer).expect_err("it belongs to another action");
        }
    }
    assert_eq!(*rotation, before);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 30_000, ..ProptestConfig::default() })]

    #[test]
    fn a_rotation_keeps_its_promises(
        one_target in prop::bool::weighted(0.2),
        dry_run in prop::bool::weighted(0.1),
        claim in prop::bool::weighted(0.9),
        wait_ready in any::<bool>(),
        deadline_s in 5_u64..120,
        tape in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut options: RotationOptions = RotationOptions::until(Duration::from_secs(deadline_s));
        options.claim = claim;
        if dry_run {
            options.mode = Mode::ServerDryRun;
        }
        if wait_ready {
            options.pacing = Pacing::WaitReady;
        }
        simulate(if one_target { &["a"] } else { &["a", "d"] }, options, tape);
    }
}

/// The simulation is worth something only if chance makes every end happen.
#[test]
fn the_simulation_reaches_every_end() {
    let mut runner = TestRunner::deterministic();
    let tapes = prop::collection::vec(any::<u8>(), 0..120);
    let mut ends: BTreeSet<(RotationOutcome, &'static str)> = BTreeSet::new();
    for number in 0..12_000_u64 {
        let tape: Vec<u8> = tapes.new_tree(&mut runner).expect("a tape").current();
        let mut options: RotationOptions = RotationOptions::until(Duration::from_secs(20 + number % 60));
        options.mode = if number.is_multiple_of(8) { Mode::ServerDryRun } else { Mode::Execute };
        options.pacing = if number.is_multiple_of(2) { Pacing::Sequential } else { Pacing::WaitReady };
        let report: RotationReport = simulate(&["a", "d"], options, tape);
        ends.insert((report.outcome, report.reason.code()));
    }
    for kind in FailureKind::ALL {
        assert!(ends.contains(&(RotationOutcome::Partial, kind.code())), "{kind:?} of the second eviction");
    }
    for end in [
        (RotationOutcome::Partial, "pod_gone"),
        (RotationOutcome::Partial, "pod_not_ready"),
        (RotationOutcome::Partial, "desired_changed"),
        (RotationOutcome::Failed, "still_there"),
        (RotationOutcome::Partial, "contradicted"),
        (RotationOutcome::Rotated, "done"),
        (RotationOutcome::Planned, "would_be_accepted"),
        (RotationOutcome::Partial, "unresolved"),
        (RotationOutcome::Partial, "deadline"),
        (RotationOutcome::Partial, "not_recovered"),
        (RotationOutcome::Partial, "stop_requested"),
        (RotationOutcome::Partial, "rollout"),
        (RotationOutcome::Failed, "unresolved"),
        (RotationOutcome::Failed, "deadline"),
        (RotationOutcome::Failed, "stop_requested"),
        (RotationOutcome::Withheld, "claimed"),
        (RotationOutcome::Withheld, "pod_replaced"),
        (RotationOutcome::Withheld, "target_gone"),
        (RotationOutcome::Failed, "target_gone"),
        (RotationOutcome::Blocked, "refused_by_admission"),
        (RotationOutcome::Blocked, "pdb_not_observed"),
        (RotationOutcome::Blocked, "pdb_misconfigured"),
    ] {
        assert!(ends.contains(&end), "{end:?} is not among {ends:?}");
    }
}
