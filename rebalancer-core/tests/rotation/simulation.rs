//! Every outcome at every step: a cluster that answers by chance, and a witness that knows the
//! promises but not the machine.

use crate::fleet;
use core::time::Duration;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rebalancer_core::{
    Action, Answer, ApiFailure, Budget, CLAIM_MARGIN, Claim, ClaimFate, EVICTION_MARGIN, FailureKind, Mode,
    Pacing, Presence, RECOVERY_POLL, Rotation, RotationOptions, RotationOutcome, RotationPlan,
    RotationReport, Workload, check_plan,
};
use std::collections::BTreeSet;

/// Words that void a plan before its first eviction.
const VOID: &str = "-b +x a:opts_out a:terminating d:terminating c:terminating a:replaced b:replaced \
    d:replaced b:not_ready d:not_ready c:failed b:adopted no_owner generation=8 desired=9 current=9 updated=1";

/// Words that show a workload which has not recovered from the eviction of `a`.
const RECOVERING: &str = "x:not_ready c:not_ready current=3 -x";

/// Words that show someone else at work after the eviction of `a`.
const MEDDLED: &str =
    "+y -b d:opts_out b:terminating d:terminating d:replaced generation=8 desired=9 no_owner";

/// A cluster in which anything can happen. Each decision takes the next number of the tape; a
/// tape at its end says that all goes well.
struct Cluster {
    planned: Workload,
    tape: std::vec::IntoIter<u8>,
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
    /// Not now, but perhaps later.
    NotYet,
    /// Nothing may be evicted any more.
    Bad,
    /// An eviction of unknown fate.
    Unknown,
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
        ApiFailure::new(self.one_of(&FailureKind::ALL), "as chance would have it")
    }

    fn answer(&mut self, action: &Action, evicted: usize, pacing: Pacing) -> Happening {
        match action {
            Action::FindClaims { .. } => self.claims(),
            Action::Claim(_) => self.claim(),
            Action::ListWorkload => self.list(evicted),
            Action::ListBudgets { targets } => self.budgets(targets.len(), evicted, pacing),
            Action::Preflight(_) => self.preflight(),
            Action::Evict(_) => self.eviction(),
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
        let failure: ApiFailure = self.failure();
        let fact: Fact = unless_forbidden(&failure);
        Happening { answer: Answer::Claims(Err(failure)), fact }
    }

    fn claim(&mut self) -> Happening {
        if self.next() % 16 < 15 {
            return Happening { answer: Answer::Claimed(Ok(ClaimFate::Won)), fact: Fact::Good };
        }
        if self.next().is_multiple_of(2) {
            return Happening { answer: Answer::Claimed(Ok(ClaimFate::Lost)), fact: Fact::Bad };
        }
        let failure: ApiFailure = self.failure();
        let fact: Fact = unless_forbidden(&failure);
        Happening { answer: Answer::Claimed(Err(failure)), fact }
    }

    fn list(&mut self, evicted: usize) -> Happening {
        let mut workload: Workload = self.planned.clone();
        if evicted > 0 {
            fleet::change(&mut workload, "-a");
            fleet::change(&mut workload, "+x");
        }
        let mut fact: Fact = Fact::Good;
        if self.bad_luck() {
            if self.next().is_multiple_of(5) {
                return Happening { answer: Answer::Workload(Err(self.failure())), fact: Fact::Bad };
            }
            let (words, meaning): (&str, Fact) = match (evicted, self.next() % 2) {
                (0, _) => (VOID, Fact::Bad),
                (_, 0) => (MEDDLED, Fact::Bad),
                _ => (RECOVERING, Fact::NotYet),
            };
            let words: Vec<&str> = words.split_whitespace().collect();
            fleet::change(&mut workload, self.one_of(&words));
            fact = meaning;
        }
        Happening { answer: Answer::Workload(Ok(workload)), fact }
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

    fn eviction(&mut self) -> Happening {
        if !self.bad_luck() {
            return Happening { answer: Answer::Eviction(Ok(())), fact: Fact::Good };
        }
        let failure: ApiFailure = self.failure();
        let fate_unknown: bool = matches!(
            failure.kind,
            FailureKind::ServerError | FailureKind::NoAnswer | FailureKind::UnreadableAnswer
        );
        let fact: Fact = if fate_unknown { Fact::Unknown } else { Fact::Bad };
        Happening { answer: Answer::Eviction(Err(failure)), fact }
    }

    fn look_up(&mut self, uid: &str) -> Happening {
        let present = |uid: &str, terminating: bool| Presence::Present { uid: uid.to_string(), terminating };
        let (answer, fact): (Result<Presence, ApiFailure>, Fact) = match self.next() % 6 {
            0 => (Ok(Presence::Absent), Fact::Good),
            1 => (Ok(present(uid, true)), Fact::Good),
            2 => (Ok(present("another", false)), Fact::Good),
            3 => (Ok(present("another", true)), Fact::Good),
            4 => (Ok(present(uid, false)), Fact::Bad),
            _ => (Err(self.failure()), Fact::Bad),
        };
        Happening { answer: Answer::LookedUp(answer), fact }
    }
}

/// Where Events are forbidden a rotation goes on without a claim.
fn unless_forbidden(failure: &ApiFailure) -> Fact {
    let forbidden: bool = matches!(failure.kind, FailureKind::Forbidden | FailureKind::RefusedByAdmission);
    if forbidden { Fact::Good } else { Fact::Bad }
}

/// How far the claim of the rotation has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum ClaimSeen {
    #[default]
    NotLookedFor,
    NoneInForce,
    Won,
    Lost,
    Forbidden,
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
        assert!(
            *action == Action::Stop || !self.over || names_the_winner,
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
        assert!(matches!(self.claim, ClaimSeen::Won | ClaimSeen::Forbidden), "no other rotation may evict");
        assert!(now + EVICTION_MARGIN <= options.deadline, "enough time is left");
        if self.sent.is_empty() || options.pacing == Pacing::WaitReady {
            assert!(self.listed && self.allowed, "a fresh list is settled and the budgets allow it");
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
                let goes_on_without: bool = fact == Fact::Good && failed && !lost;
                self.claim = if goes_on_without { ClaimSeen::Forbidden } else { ClaimSeen::NoneInForce };
            }
            Action::Claim(_) => {
                assert_eq!(self.claim, ClaimSeen::NoneInForce, "a claim follows those that are over");
                assert!(self.listed && self.allowed, "a claim is for what was listed after it");
                self.claim = match (fact, failed) {
                    (Fact::Good, false) => ClaimSeen::Won,
                    (Fact::Good, true) => ClaimSeen::Forbidden,
                    (_, false) => ClaimSeen::Lost,
                    (_, true) => ClaimSeen::NotLookedFor,
                };
            }
            Action::ListWorkload => (self.listed, self.allowed) = (fact == Fact::Good, false),
            Action::ListBudgets { .. } => self.allowed = fact == Fact::Good,
            Action::Preflight(_) if fact == Fact::Good => self.preflighted.extend(uid),
            Action::Evict(_) => {
                self.sent.extend(uid.clone());
                (self.listed, self.allowed) = (false, false);
                match fact {
                    Fact::Good => self.evicted.extend(uid),
                    Fact::Unknown => self.open = uid,
                    Fact::Bad | Fact::NotYet => {}
                }
            }
            Action::LookUp(_) => {
                self.open = None;
                if fact == Fact::Good {
                    self.evicted.extend(uid);
                }
            }
            Action::Preflight(_) | Action::Wait { .. } | Action::Stop => {}
        }
        self.over |= fact == Fact::Bad;
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
        let forbidden: bool = self.claim == ClaimSeen::Forbidden;
        assert_eq!(report.unclaimed.is_some(), forbidden, "it tells that it went unclaimed");
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

    let mut cluster = Cluster { planned, tape: tape.into_iter() };
    let mut witness = Witness::default();
    let mut rotation = Rotation::new(plan.clone());
    let mut now: Duration = Duration::ZERO;
    // Each look at a recovering workload is three answers; all else happens once for each target.
    let looks: u64 = options.deadline.as_secs() / RECOVERY_POLL.as_secs() + 1;
    let bound: usize = 13 + 3 * usize::try_from(looks).expect("a short deadline");
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
        rotation.handle(now, happening.answer).expect("the answer belongs to the action");
        witness.learn(&action, happening.fact, failed);
        assert!(witness.answers <= bound, "it ends");
    }
    let report: RotationReport = rotation.finish();
    witness.compare(&report, &plan);
    report
}

fn assert_unexpected_changes_nothing(rotation: &mut Rotation, action: &Action, now: Duration) {
    let answers = [
        ("find_claims", Answer::Claims(Ok(Vec::new()))),
        ("claim_workload", Answer::Claimed(Ok(ClaimFate::Won))),
        ("list_workload", Answer::Workload(Ok(Workload::default()))),
        ("list_budgets", Answer::Budgets(Ok(Vec::new()))),
        ("preflight", Answer::Preflight(Ok(()))),
        ("evict", Answer::Eviction(Ok(()))),
        ("look_up", Answer::LookedUp(Ok(Presence::Absent))),
        ("wait", Answer::Waited),
    ];
    let before: Rotation = rotation.clone();
    for (belongs_to, answer) in answers {
        if belongs_to != action.code() {
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
        wait_ready in any::<bool>(),
        deadline_s in 5_u64..120,
        tape in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let mut options: RotationOptions = RotationOptions::until(Duration::from_secs(deadline_s));
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
        (RotationOutcome::Blocked, "pdb_not_observed"),
        (RotationOutcome::Blocked, "pdb_misconfigured"),
    ] {
        assert!(ends.contains(&end), "{end:?} is not among {ends:?}");
    }
}
