//! Two rotations of one workload at once, each with its own pair and its own deadline, over one
//! server: requests are late or lost, processes stand still, claims run out. Only one of them may
//! ever end a pod.

use super::fleet;
use core::time::Duration;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rebalancer_core::{
    Action, Answer, ApiFailure, Claim, ClaimFate, EvictionRequest, FailureKind, Pacing, Presence, Rotation,
    RotationOptions, RotationReport, Target, Workload,
};
use std::collections::BTreeMap;

/// A server gives up a request by itself after so long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// What can pass between two happenings, in seconds.
const PAUSES_S: [u64; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 10, 30, 70, 150, 400];

/// The one server: it knows who asked for what and when it did it.
struct Server {
    workload: Workload,
    claims: Vec<WrittenClaim>,
    requests: Vec<Request>,
    now: Duration,
    /// Pods ended by each run.
    ended: [usize; 2],
}

struct WrittenClaim {
    generation: u64,
    valid_for: Duration,
    created: Duration,
}

/// Sent, and not performed yet. It is performed even when its sender no longer waits for it.
struct Request {
    run: usize,
    action: Action,
    sent: Duration,
}

/// One process: it has its plan and waits to begin, or for an answer, or has got one that it has not
/// looked at yet.
struct Run {
    rotation: Rotation,
    has_begun: bool,
    answer: Option<Answer>,
}

struct World {
    server: Server,
    runs: [Run; 2],
}

impl Server {
    fn perform(&mut self, request: &Request) -> Answer {
        match &request.action {
            Action::FindClaims { .. } => Answer::Claims(Ok(self.claims())),
            Action::ListWorkload => Answer::Workload(Ok(self.workload.clone())),
            Action::ListBudgets { .. } => Answer::Budgets(Ok(Vec::new())),
            Action::Preflight(asked) => Answer::Preflight(self.there(asked)),
            Action::Claim(asked) => {
                let taken: bool = self.claims.iter().any(|claim| claim.generation == asked.generation);
                if taken {
                    return Answer::Claimed(Ok(ClaimFate::Lost));
                }
                // Creation times are whole seconds.
                let created: Duration = Duration::from_secs(self.now.as_secs());
                let (generation, valid_for) = (asked.generation, asked.valid_for);
                self.claims.push(WrittenClaim { generation, valid_for, created });
                Answer::Claimed(Ok(ClaimFate::Won))
            }
            Action::Evict(asked) => {
                let there: Result<(), ApiFailure> = self.there(asked);
                if there.is_ok() {
                    self.ended[request.run] += 1;
                    fleet::change(&mut self.workload, &format!("-{}", asked.target.name));
                    fleet::change(&mut self.workload, &format!("+{}-2", asked.target.name));
                }
                Answer::Eviction(there)
            }
            Action::LookUp(target) => Answer::LookedUp(Ok(self.look_up(target))),
            Action::AwaitEviction(_) | Action::Wait { .. } | Action::Stop => {
                unreachable!("nothing is sent for it")
            }
        }
    }

    fn claims(&self) -> Vec<Claim> {
        let told = |claim: &WrittenClaim| Claim {
            generation: claim.generation,
            holder: "node-7".to_string(),
            age: self.now.saturating_sub(claim.created),
            valid_for: claim.valid_for,
        };
        self.claims.iter().map(told).collect()
    }

    fn there(&self, asked: &EvictionRequest) -> Result<(), ApiFailure> {
        match self.look_up(&asked.target) {
            Presence::Present { .. } => Ok(()),
            Presence::Absent => Err(ApiFailure::new(FailureKind::TargetGone, "not found")),
        }
    }

    fn look_up(&self, target: &Target) -> Presence {
        let there: bool = self.workload.pods.iter().any(|pod| pod.uid == target.uid);
        if there {
            Presence::Present { uid: target.uid.clone(), terminating: false }
        } else {
            Presence::Absent
        }
    }
}

impl World {
    fn new(plans: [(&[&str], RotationOptions); 2]) -> Self {
        let workload: Workload = fleet::workload("ReplicaSet", &["a", "b", "c", "d", "e", "f"]);
        let runs = plans.map(|(targets, options)| Run {
            rotation: Rotation::new(fleet::plan(targets, &workload, options)),
            has_begun: false,
            answer: None,
        });
        let server =
            Server { workload, claims: Vec::new(), requests: Vec::new(), now: Duration::ZERO, ended: [0, 0] };
        Self { server, runs }
    }

    /// A process asks its rotation what to do and does it at once.
    fn send(&mut self, run: usize) {
        let action: Action = self.runs[run].rotation.poll_action();
        if !matches!(action, Action::Wait { .. } | Action::Stop) {
            self.server.requests.push(Request { run, action, sent: self.server.now });
        }
    }

    /// The server performs one of the requests on their way to it.
    fn perform(&mut self, position: usize) {
        let request: Request = self.server.requests.remove(position);
        let answer: Answer = self.server.perform(&request);
        let run: &mut Run = &mut self.runs[request.run];
        // Nobody listens any more when the sender has given it up.
        if run.answer.is_none() && run.rotation.poll_action() == request.action {
            run.answer = Some(answer);
        }
    }

    /// A process looks at its answer, or at the clock when it waits, and goes on.
    fn go_on(&mut self, run: usize) {
        if !self.runs[run].has_begun {
            self.runs[run].has_begun = true;
            return self.send(run);
        }
        if let Action::Wait { until, .. } = self.runs[run].rotation.poll_action() {
            self.pass(until.saturating_sub(self.server.now));
            self.runs[run].answer = Some(Answer::Waited);
        }
        let Some(answer) = self.runs[run].answer.take() else { return };
        self.runs[run].rotation.handle(self.server.now, answer).expect("it answers what was asked");
        self.send(run);
    }

    /// A process waits no longer. Its request may still be on the way, or not.
    fn give_up(&mut self, run: usize, is_lost: bool) {
        let Some(position) = self.server.requests.iter().position(|request| request.run == run) else {
            return;
        };
        let action: Action = self.runs[run].rotation.poll_action();
        if self.runs[run].answer.is_some() || self.server.requests[position].action != action {
            return;
        }
        let failure = ApiFailure::new(FailureKind::NoAnswer, "timed out");
        self.runs[run].answer = Some(match action {
            Action::FindClaims { .. } => Answer::Claims(Err(failure)),
            Action::ListWorkload => Answer::Workload(Err(failure)),
            Action::ListBudgets { .. } => Answer::Budgets(Err(failure)),
            Action::Preflight(_) => Answer::Preflight(Err(failure)),
            Action::Claim(_) => Answer::Claimed(Err(failure)),
            Action::Evict(_) => Answer::Eviction(Err(failure)),
            Action::LookUp(_) => Answer::LookedUp(Err(failure)),
            Action::AwaitEviction(_) | Action::Wait { .. } | Action::Stop => {
                unreachable!("nothing was sent for it")
            }
        });
        if is_lost {
            self.server.requests.remove(position);
        }
    }

    /// Time passes; what the server would give up is performed in the last moment.
    fn pass(&mut self, time: Duration) {
        let then: Duration = self.server.now + time;
        while let Some(first) = self.server.requests.first().map(|request| request.sent + REQUEST_TIMEOUT)
            && first <= then
        {
            self.server.now = self.server.now.max(first);
            self.perform(0);
        }
        self.server.now = then;
    }

    fn is_over(&self) -> bool {
        let stopped = |run: &Run| run.rotation.poll_action() == Action::Stop;
        self.server.requests.is_empty() && self.runs.iter().all(stopped)
    }

    /// Lets happen what each number says, and then everything that is left, in order.
    fn play(mut self, tape: &[u8]) -> (Server, [RotationReport; 2]) {
        for number in tape {
            let (what, which): (u8, usize) = (number % 8, usize::from(number / 8));
            let run: usize = which % 2;
            // Some begin long after the other, and few give up.
            if !self.runs[run].has_begun && which >= 8 {
                continue;
            }
            match what {
                0 if !self.server.requests.is_empty() => self.perform(which % self.server.requests.len()),
                1..=3 => {
                    if let Some(sent) = self.server.requests.iter().position(|request| request.run == run) {
                        self.perform(sent);
                    }
                    self.go_on(run);
                }
                0 | 4 => self.go_on(run),
                5 if which < 4 => self.give_up(run, which < 2),
                _ => self.pass(Duration::from_secs(PAUSES_S[which % PAUSES_S.len()])),
            }
        }
        while !self.is_over() {
            while !self.server.requests.is_empty() {
                self.perform(0);
            }
            (0..2).for_each(|run| self.go_on(run));
        }
        (self.server, self.runs.map(|run| run.rotation.finish()))
    }
}

fn options(deadline_s: u64, pacing: Pacing) -> RotationOptions {
    RotationOptions { pacing, ..RotationOptions::until(Duration::from_secs(deadline_s)) }
}

/// The first run means to end a and d, the second another pair or the same.
fn world(pair: usize, deadlines_s: (u64, u64), pacing: Pacing) -> World {
    let pairs: [&[&str]; 3] = [&["b", "c"], &["a", "c"], &["a", "d"]];
    World::new([(&["a", "d"], options(deadlines_s.0, pacing)), (pairs[pair], options(deadlines_s.1, pacing))])
}

fn assert_one_pair_at_most(server: &Server, reports: &[RotationReport; 2]) {
    assert!(server.ended.contains(&0), "{:?} pods ended: {reports:#?}", server.ended);
    assert!(server.ended.iter().all(|ended| *ended <= 2), "{:?}", server.ended);
    for (report, ended) in reports.iter().zip(server.ended) {
        assert!(report.deleted.len() <= ended, "{report:?}");
        assert_eq!(report.unclaimed, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40_000, ..ProptestConfig::default() })]

    #[test]
    fn two_rotations_at_once_end_one_pair_at_most(
        pair in 0_usize..3,
        deadlines_s in (15_u64..120, 15_u64..900),
        wait_ready in any::<bool>(),
        tape in prop::collection::vec(any::<u8>(), 0..120),
    ) {
        let pacing: Pacing = if wait_ready { Pacing::WaitReady } else { Pacing::Sequential };
        let (server, reports) = world(pair, deadlines_s, pacing).play(&tape);
        assert_one_pair_at_most(&server, &reports);
    }
}

/// When nothing goes wrong, one of the two does its work.
#[test]
fn one_of_two_rotations_that_run_in_step_rotates() {
    for pair in 0..3 {
        let (server, reports) = world(pair, (90, 90), Pacing::Sequential).play(&[]);
        assert_eq!(server.ended, [2, 0], "{reports:#?}");
        assert_eq!(reports.map(|report| report.reason.code()), ["done", "claimed"]);
    }
}

/// A run that was killed right after its claim is in nobody's way for long.
#[test]
fn a_claim_that_was_left_behind_runs_out() {
    let mut world: World = world(0, (30, 900), Pacing::Sequential);
    world.go_on(0);
    for _ in 0..5 {
        world.perform(0);
        world.go_on(0);
    }
    assert!(matches!(world.runs[0].rotation.poll_action(), Action::Claim(_)));
    // It is killed here: its claim arrives, and it never looks at the answer.
    world.perform(0);
    world.pass(Duration::from_secs(30 + 5 + 60));
    world.go_on(1);
    for _ in 0..9 {
        world.perform(0);
        world.go_on(1);
    }
    assert_eq!(world.server.ended, [0, 2]);
    assert_eq!(world.server.claims.iter().map(|claim| claim.generation).collect::<Vec<u64>>(), [1, 2]);
}

/// An eviction that was sent as late as its deadline allows, and done as late as a server does
/// anything, is still under its claim.
#[test]
fn a_claim_outlasts_the_last_request_sent_under_it() {
    let mut world: World = world(0, (30, 900), Pacing::Sequential);
    world.go_on(0);
    for _ in 0..5 {
        world.perform(0);
        world.go_on(0);
    }
    world.perform(0);
    world.pass(Duration::from_secs(20));
    world.go_on(0);
    assert!(matches!(world.runs[0].rotation.poll_action(), Action::Evict(_)));
    world.pass(REQUEST_TIMEOUT.saturating_sub(Duration::from_secs(1)));
    world.go_on(1);
    for _ in 0..8 {
        if let Some(sent) = world.server.requests.iter().position(|request| request.run == 1) {
            world.perform(sent);
        }
        world.go_on(1);
    }
    world.pass(Duration::from_secs(1));
    assert_eq!(world.server.ended, [1, 0]);
    let [_, second] = world.runs;
    assert_eq!(second.rotation.finish().reason.code(), "claimed");
}

/// The simulation is worth something only if chance makes every race happen.
#[test]
fn the_races_of_two_rotations_all_happen() {
    let mut runner = TestRunner::deterministic();
    let tapes = prop::collection::vec(any::<u8>(), 0..120);
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..20_000_u64 {
        let tape: Vec<u8> = tapes.new_tree(&mut runner).expect("a tape").current();
        let deadlines_s: (u64, u64) = (15 + number % 100, 15 + number % 800);
        let pair: usize = usize::try_from(number % 3).expect("less than three");
        let (server, reports) = world(pair, deadlines_s, Pacing::Sequential).play(&tape);
        let lost = |report: &RotationReport| {
            report.steps.iter().any(|step| step.action == "claim_workload" && step.result == "claimed")
        };
        let mut count = |what: &'static str, is: bool| *seen.entry(what).or_default() += usize::from(is);
        count("the first ends pods", server.ended[0] > 0);
        count("the second ends pods", server.ended[1] > 0);
        count("neither ends a pod", server.ended == [0, 0]);
        count("a claim is lost", reports.iter().any(lost));
        count(
            "a claim is found in force",
            reports.iter().any(|report| report.reason.code() == "claimed" && !lost(report)),
        );
        count("a second claim follows one that ran out", server.claims.len() == 2);
        count("pods are ended under a second claim", server.claims.len() == 2 && server.ended != [0, 0]);
        count(
            "a claim is won too late",
            reports.iter().any(|report| {
                report.reason.code() == "deadline"
                    && report.steps.last().is_some_and(|step| step.action == "claim_workload")
            }),
        );
    }
    assert!(seen.len() == 8 && seen.values().all(|times| *times > 0), "{seen:#?}");
}
