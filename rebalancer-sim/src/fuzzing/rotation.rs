//! Arbitrary answers to a rotation: whatever the API says, the promises of a rotation hold.

use std::time::Duration;

use arbitrary::{Result, Unstructured};
use rebalancer_core::{
    Action, Answer, ApiFailure, Budget, Claim, ClaimFate, Controller, EvictionRequest, FailureKind, LivePod,
    Mode, OwnerStatus, Pacing, Phase, Presence, Role, Rotation, RotationOptions, RotationPlan,
    RotationReport, Target, Workload,
};

/// Answers after which every rotation must have stopped: the deadline below ends all waiting.
const MAX_ANSWERS: usize = 4_096;

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Plans a rotation, answers it from `data`, and watches what it does.
///
/// # Panics
/// When a promise of [`Rotation`] is broken.
pub fn rotation(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(options) = options(&mut input) else { return };
    let workload = settled();
    let targets = [(Role::Busiest, "b"), (Role::LeastBusy, "d")];
    let plan = RotationPlan::new(&targets, &workload, options).expect("the workload is settled");
    let mut rotation = Rotation::new(plan.clone());
    let mut watch = Watch::default();
    let mut now = Duration::ZERO;
    for _ in 0..MAX_ANSWERS {
        let action = rotation.poll_action();
        assert_eq!(action, rotation.poll_action(), "polling changes nothing");
        watch.approve(&action, &plan);
        if action == Action::Stop {
            watch.compare(&rotation.finish(), &plan);
            return;
        }
        now = later(now, &action, &mut input);
        let answer = answer(&action, &workload, &mut input).expect("a source at its end gives zeros");
        let before = rotation.clone();
        let belongs = belongs(&action, &answer);
        let accepted = rotation.handle(now, answer.clone()).is_ok();
        assert_eq!(accepted, belongs, "{answer:?} to {action:?}");
        if accepted {
            watch.learn(&action, &answer);
        } else {
            assert_eq!(rotation, before, "an unexpected answer changes nothing");
        }
    }
    panic!("no end after {MAX_ANSWERS} answers");
}

/// What has been asked and answered, in the words of the promises.
#[derive(Default)]
struct Watch {
    claim: ClaimSeen,
    preflighted: Vec<String>,
    sent: Vec<String>,
    gone: Vec<String>,
    unresolved: Option<String>,
    /// Whether the eviction of unknown fate was answered by a clear no.
    said_no: bool,
    over: bool,
}

/// How far the claim of the rotation has come.
#[derive(Debug, Default, PartialEq, Eq)]
enum ClaimSeen {
    #[default]
    NotLookedFor,
    NoneInForce,
    Won,
    Lost,
}

impl Watch {
    fn approve(&self, action: &Action, plan: &RotationPlan) {
        let sends_nothing = match action {
            Action::Stop | Action::AwaitEviction(_) => true,
            Action::LookUp(_) => self.unresolved.is_some(),
            _ => false,
        };
        assert!(!self.over || sends_nothing, "{action:?} after the end");
        if let Some(uid) = &self.unresolved {
            let looks = matches!(action, Action::LookUp(target) if target.uid == *uid);
            assert!(looks, "{action:?} before the fate of {uid} is known");
        }
        if self.claim == ClaimSeen::Lost {
            assert!(matches!(action, Action::FindClaims { .. } | Action::Stop), "{action:?} without a claim");
        }
        let Action::Evict(request) = action else { return };
        assert_eq!(self.claim == ClaimSeen::Won, plan.options().claim, "no other run may evict");
        let uids: Vec<&String> = plan.targets().iter().map(|target| &target.uid).collect();
        assert_eq!(plan.options().mode, Mode::Execute, "a dry-run evicts nothing");
        assert!(self.preflighted.iter().eq(uids.iter().copied()), "every preflight was accepted");
        assert_eq!(self.sent, self.gone, "every eviction before is known to have happened");
        assert_eq!(uids.get(self.sent.len()), Some(&&request.target.uid), "in order, once, no more");
    }

    fn learn(&mut self, action: &Action, answer: &Answer) {
        match (action, answer) {
            (_, Answer::StopRequested) => self.over = self.unresolved.is_none(),
            (_, Answer::Claims(answer)) => self.found(answer),
            (_, Answer::Claimed(Ok(ClaimFate::Won))) => self.claim = ClaimSeen::Won,
            (_, Answer::Claimed(Ok(ClaimFate::Lost))) => self.claim = ClaimSeen::Lost,
            (Action::Preflight(request), Answer::Preflight(Ok(()))) => {
                self.preflighted.push(request.target.uid.clone());
            }
            (
                Action::Evict(EvictionRequest { target, .. }) | Action::AwaitEviction(target),
                Answer::Eviction(answer),
            ) => {
                self.evicted(target, answer);
            }
            (_, Answer::Workload(Ok(workload))) => self.listed(workload),
            (Action::LookUp(target), Answer::LookedUp(answer)) => {
                self.unresolved = None;
                match answer {
                    Ok(Presence::Present { uid, terminating: false }) if *uid == target.uid => {
                        self.over = true;
                    }
                    Ok(_) => {
                        self.gone.push(target.uid.clone());
                        self.over |= self.said_no;
                    }
                    Err(_) => self.over = true,
                }
            }
            (
                _,
                Answer::Claimed(Err(_))
                | Answer::Workload(Err(_))
                | Answer::Budgets(Err(_))
                | Answer::Preflight(Err(_)),
            ) => self.over = true,
            _ => {}
        }
    }

    fn found(&mut self, answer: &std::result::Result<Vec<Claim>, ApiFailure>) {
        self.over = self.claim == ClaimSeen::Lost;
        self.claim = ClaimSeen::NoneInForce;
        match answer {
            Ok(claims) => self.over |= claims.iter().any(Claim::is_in_force),
            Err(_) => self.over = true,
        }
    }

    /// A pod whose eviction was accepted, and that is there as before, is not gone.
    fn listed(&mut self, workload: &Workload) {
        let is_there = |uid: &String| {
            let there = |pod: &&LivePod| {
                pod.uid == *uid && !pod.terminating && !matches!(pod.phase, Phase::Succeeded | Phase::Failed)
            };
            workload.pods.iter().any(|pod| there(&pod))
        };
        let gone = self.gone.len();
        self.gone.retain(|uid| !is_there(uid));
        self.over |= self.gone.len() < gone;
    }

    fn evicted(&mut self, target: &Target, answer: &std::result::Result<(), ApiFailure>) {
        self.sent.push(target.uid.clone());
        match answer {
            Ok(()) => self.gone.push(target.uid.clone()),
            Err(failure) if failure.kind.leaves_unknown() => {
                self.unresolved = Some(target.uid.clone());
                self.said_no = !matches!(
                    failure.kind,
                    FailureKind::ServerError | FailureKind::NoAnswer | FailureKind::UnreadableAnswer
                );
            }
            Err(_) => self.over = true,
        }
    }

    fn compare(&self, report: &RotationReport, plan: &RotationPlan) {
        let uids = |names: &[String]| names.iter().map(|name| format!("uid-{name}")).collect::<Vec<_>>();
        assert_eq!(uids(&report.attempted), self.sent);
        assert_eq!(uids(&report.deleted), self.gone);
        for Target { name, .. } in plan.targets() {
            let attempted = report.attempted.contains(name);
            let (deleted, failed) = (report.deleted.contains(name), report.errors.contains_key(name));
            assert_ne!(attempted, report.skipped.contains_key(name), "{name} is attempted or skipped");
            assert_eq!(attempted, deleted != failed, "{name} is deleted or an error, if attempted");
            assert!(attempted || !(deleted || failed), "{name} was not attempted");
        }
    }
}

fn options(input: &mut Unstructured<'_>) -> Result<RotationOptions> {
    let deadline = Duration::from_secs(input.int_in_range(0..=300)?);
    let mut options = RotationOptions::until(deadline);
    options.mode = if input.ratio(1, 8)? { Mode::ServerDryRun } else { Mode::Execute };
    options.pacing = if input.arbitrary()? { Pacing::WaitReady } else { Pacing::Sequential };
    options.claim = !input.ratio(1, 8)?;
    options.warm_up = Duration::from_secs(input.int_in_range(0..=60)?);
    Ok(options)
}

/// Time never runs backwards, and a wait that was sat out is over.
fn later(now: Duration, action: &Action, input: &mut Unstructured<'_>) -> Duration {
    let passed = Duration::from_millis(u64::from(input.arbitrary().unwrap_or(0_u16)));
    let now = now.saturating_add(passed);
    match action {
        Action::Wait { until, .. } => now.max(*until),
        _ => now,
    }
}

fn belongs(action: &Action, answer: &Answer) -> bool {
    matches!(
        (action, answer),
        (_, Answer::StopRequested)
            | (Action::FindClaims { .. }, Answer::Claims(_))
            | (Action::ListWorkload, Answer::Workload(_))
            | (Action::ListBudgets { .. }, Answer::Budgets(_))
            | (Action::Preflight(_), Answer::Preflight(_))
            | (Action::Claim(_), Answer::Claimed(_))
            | (Action::Evict(_) | Action::AwaitEviction(_), Answer::Eviction(_))
            | (Action::AwaitEviction(_), Answer::NotSent)
            | (Action::LookUp(_), Answer::LookedUp(_))
            | (Action::Wait { .. }, Answer::Waited)
    )
}

/// An answer, mostly of the kind that was asked for.
fn answer(action: &Action, planned: &Workload, input: &mut Unstructured<'_>) -> Result<Answer> {
    if input.is_empty() {
        // A stop ends everything but an open question about a pod's fate.
        return Ok(match action {
            Action::LookUp(_) => Answer::LookedUp(Ok(Presence::Absent)),
            Action::AwaitEviction(_) => Answer::NotSent,
            _ => Answer::StopRequested,
        });
    }
    let kind = match action {
        Action::ListWorkload => 0,
        Action::ListBudgets { .. } => 1,
        Action::Preflight(_) => 2,
        Action::Evict(_) => 3,
        Action::LookUp(_) => 4,
        Action::Wait { .. } | Action::Stop => 5,
        Action::FindClaims { .. } => 6,
        Action::Claim(_) => 7,
        Action::AwaitEviction(_) => 9,
    };
    let kind = if input.ratio(1, 16)? { input.int_in_range(0..=9_u8)? } else { kind };
    Ok(match kind {
        0 => Answer::Workload(or_failure(input, |input| listed(planned, input))?),
        1 => Answer::Budgets(or_failure(input, budgets)?),
        2 => Answer::Preflight(or_failure(input, |_| Ok(()))?),
        3 => Answer::Eviction(or_failure(input, |_| Ok(()))?),
        4 => Answer::LookedUp(or_failure(input, presence)?),
        5 => Answer::Waited,
        6 => Answer::Claims(or_failure(input, claims)?),
        7 => Answer::Claimed(or_failure(input, |input| {
            Ok(if input.ratio(1, 4)? { ClaimFate::Lost } else { ClaimFate::Won })
        })?),
        8 => Answer::StopRequested,
        _ => Answer::NotSent,
    })
}

fn or_failure<T>(
    input: &mut Unstructured<'_>,
    good: impl FnOnce(&mut Unstructured<'_>) -> Result<T>,
) -> Result<std::result::Result<T, ApiFailure>> {
    if input.ratio(3, 4)? {
        return good(input).map(Ok);
    }
    Ok(Err(ApiFailure::new(*input.choose(FailureKind::ALL)?, "as the fuzzer would have it")))
}

/// The planned workload, with none to three things changed.
fn listed(planned: &Workload, input: &mut Unstructured<'_>) -> Result<Workload> {
    let mut workload = planned.clone();
    for _ in 0..input.int_in_range(0..=3_u8)? {
        let at = input.choose_index(NAMES.len())?;
        if at >= workload.pods.len() {
            let newcomer: u8 = input.arbitrary()?;
            workload.pods.push(pod(&format!("new-{newcomer}")));
            continue;
        }
        let pod = &mut workload.pods[at];
        match input.int_in_range(0..=7_u8)? {
            0 => {
                workload.pods.remove(at);
            }
            1 => pod.uid.push('2'),
            2 => pod.ready = false,
            3 => pod.terminating = true,
            4 => {
                pod.phase =
                    *input.choose(&[Phase::Pending, Phase::Succeeded, Phase::Failed, Phase::Unknown])?;
            }
            5 => pod.uptime = Some(Duration::from_secs(input.int_in_range(0..=60)?)),
            6 => pod.controller = None,
            _ => workload.owners[0].desired_replicas = input.arbitrary()?,
        }
    }
    Ok(workload)
}

fn budgets(input: &mut Unstructured<'_>) -> Result<Vec<Budget>> {
    let count = input.int_in_range(0..=2_usize)?;
    let mut budgets = Vec::new();
    for number in 0..count {
        let mut covers = Vec::new();
        for name in NAMES {
            if input.arbitrary()? {
                covers.push(name.to_owned());
            }
        }
        budgets.push(Budget {
            name: format!("budget-{number}"),
            covers,
            disruptions_allowed: input.int_in_range(-1..=3)?,
            generation: 2,
            observed_generation: if input.ratio(1, 8)? { 1 } else { 2 },
        });
    }
    Ok(budgets)
}

fn claims(input: &mut Unstructured<'_>) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    for generation in 1..=input.int_in_range(0..=2_u64)? {
        claims.push(Claim {
            generation,
            holder: "another".to_owned(),
            age: Duration::from_secs(input.int_in_range(0..=3600)?),
            valid_for: Duration::from_secs(input.int_in_range(0..=300)?),
        });
    }
    Ok(claims)
}

fn presence(input: &mut Unstructured<'_>) -> Result<Presence> {
    if input.arbitrary()? {
        return Ok(Presence::Absent);
    }
    let uid = format!("uid-{}", input.choose(&NAMES)?);
    Ok(Presence::Present { uid, terminating: input.arbitrary()? })
}

fn settled() -> Workload {
    let owner = OwnerStatus { desired_replicas: Some(5), ..OwnerStatus::silent(controller(), controller()) };
    Workload { pods: NAMES.map(pod).to_vec(), owners: vec![owner] }
}

fn controller() -> Controller {
    Controller {
        group: None,
        kind: "StatefulSet".to_owned(),
        name: "orders".to_owned(),
        uid: "uid-orders".to_owned(),
    }
}

fn pod(name: &str) -> LivePod {
    LivePod {
        uid: format!("uid-{name}"),
        age: Some(Duration::from_secs(3_600)),
        controller: Some(controller()),
        ..LivePod::assumed(name)
    }
}
