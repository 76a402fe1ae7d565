//! Carries out a plan, one action at a time: the state machine of a rotation, with every transition.
//!
//! It does no IO and reads no clock. Its driver polls an action, performs it, and returns the answer with the
//! time; see [`Rotation`] for the loop.
//!
//! ```text
//!         none in force         settled         allowed            all accepted            won
//!  Claims ─────────────▶ Listing ─────▶ Budgets ──────▶ Preflight ─────────────▶ Claiming ───▶ Evicting
//!    ▲                                                                              │
//!    └───────────────────────────────── lost: whose is it? ─────────────────────────┘
//!
//!            accepted, or any failure ─▶ Resolving ─▶ evicted
//!  Evicting ──────────────────────────────────────────────────▶ one more target? ── no ──▶ Stopped
//!   │ ▲  ▲                                                       │ sequential   │ wait-ready
//!   │ │  │ only the first has changed                            ▼              ▼
//!   │ │  └──────────────────────────────────────────────────── Listing ◀───── Waiting
//!   │ └── Budgets ◀───────────────────────────────────────────── │             ▲
//!   │ allowed │              settled (wait-ready)                │             │
//!   │         └───────────── not yet ────────────────────────────┴─────────────┘
//!   └─ stop ─▶ Awaiting ── answered: as above; not sent ──▶ Stopped
//!
//!  every state ── void, claimed, refused, failed, unresolved, stop, deadline ──▶ Stopped
//! ```
//!
//! Invariants, whatever the answers are:
//!
//! - Only targets of the plan are evicted, each requested once, in order, by name and UID.
//! - Nothing is evicted before a fresh list was found settled and unchanged, the budgets allow it, and the
//!   preflight of *every* target was accepted.
//! - Nothing is evicted while another rotation of the workload may still evict. Claims are found *before* the
//!   list, and a new one is made *after* it under the next number, which only one run can get. So whoever
//!   gets it knows that nobody claimed in between, and that its list shows everything done under earlier
//!   claims. Without a claim nothing is evicted. Only a plan that asks for no claim
//!   ([`RotationOptions::claim`](crate::RotationOptions)) does without, and its report says so.
//! - No eviction is requested before the previous one is known to have happened and a new list of the
//!   workload shows no other change.
//! - An eviction answered by a failure is looked up by its UID, whatever the failure: a proxy may have sent
//!   the request twice and passed on the second answer. Only if no connection was made, nothing was sent. If
//!   the answer was a refusal but the pod is gone, nothing more is evicted: either the answers cannot be
//!   trusted, or someone else deletes pods too.
//! - After an eviction whose result stays unknown, nothing more is requested.
//! - A stop, or a deadline too near, ends it before the next eviction. The answer to an eviction sent before
//!   the stop is awaited, and looked up if necessary.
//! - Only [`Rotation::handle`] changes a rotation, and an unexpected answer changes nothing.
//! - A failed request is never sent again.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use crate::rotation::checks;
use crate::rotation::claim::{Claim, ClaimFate, ClaimRequest, LAST_LOOK};
use crate::rotation::options::{Mode, Pacing, RotationOptions};
use crate::rotation::plan::{RotationPlan, Target};
use crate::rotation::protocol::{
    Action, Answer, ApiFailure, Budget, EvictionRequest, Presence, UnexpectedAnswer,
};
use crate::rotation::report::{Reason, RotationOutcome, RotationReport, Step};
use crate::rotation::workload::Workload;

/// No eviction starts in this last part of the run, because the server itself retries a contested budget for
/// ten seconds before it answers.
pub const EVICTION_MARGIN: Duration = Duration::from_secs(10);

/// Time between two lists of a recovering workload. Each one is a full list, and a pod rarely becomes Ready
/// faster.
pub const RECOVERY_POLL: Duration = Duration::from_secs(5);

/// A rotation in progress.
///
/// ```
/// use core::time::Duration;
/// use rebalancer_core::{Action, Answer, Rotation, RotationOutcome, RotationPlan, RotationReport};
/// # use rebalancer_core::{ClaimFate, Controller, LivePod, OwnerStatus, Role, RotationOptions, Workload};
/// # let controller = Controller { group: None, kind: "StatefulSet".into(), name: "orders".into(), uid: "s".into() };
/// # let pod = |name: &str| LivePod {
/// #     uid: name.into(), controller: Some(controller.clone()), ..LivePod::assumed(name)
/// # };
/// # let workload = Workload {
/// #     pods: ["a", "b", "c"].map(pod).to_vec(),
/// #     owners: vec![OwnerStatus::silent(controller.clone(), controller.clone())],
/// # };
/// # let options = RotationOptions::until(Duration::from_secs(60));
/// # let plan = RotationPlan::new(&[(Role::Busiest, "a"), (Role::LeastBusy, "c")], &workload, options).unwrap();
/// # let clock = || Duration::from_secs(1);
/// # let stop_asked = || false;
/// # let mut pods = workload.clone();
/// # let mut perform = |action: &Action| match action {
/// #     Action::FindClaims { .. } => Answer::Claims(Ok(vec![])),
/// #     Action::Claim(_) => Answer::Claimed(Ok(ClaimFate::Won)),
/// #     Action::ListWorkload => Answer::Workload(Ok(pods.clone())),
/// #     Action::ListBudgets { .. } => Answer::Budgets(Ok(vec![])),
/// #     Action::Preflight(_) => Answer::Preflight(Ok(())),
/// #     Action::Evict(request) => {
/// #         pods.pods.retain(|pod| pod.uid != request.target.uid);
/// #         Answer::Eviction(Ok(()))
/// #     }
/// #     Action::AwaitEviction(_) => Answer::NotSent,
/// #     other => unreachable!("{other:?}"),
/// # };
/// let mut rotation = Rotation::new(plan);
/// loop {
///     if stop_asked() {
///         rotation.handle(clock(), Answer::StopRequested)?;
///     }
///     let action: Action = rotation.poll_action();
///     if action == Action::Stop {
///         break;
///     }
///     let answer: Answer = perform(&action);
///     rotation.handle(clock(), answer)?;
/// }
/// let report: RotationReport = rotation.finish();
/// assert_eq!(report.outcome, RotationOutcome::Rotated);
/// assert_eq!(report.deleted, ["a", "c"]);
/// # Ok::<(), rebalancer_core::UnexpectedAnswer>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    plan: RotationPlan,
    state: State,
    stop_requested: bool,
    /// The number to claim under; `None` until claims were found, and if none is asked for.
    generation: Option<u64>,
    unclaimed: Option<Reason>,
    reason: Option<Reason>,
    attempted: Vec<String>,
    deleted: Vec<String>,
    errors: BTreeMap<String, Reason>,
    steps: Vec<Step>,
}

/// The state of a rotation. The next target is the first that is not known to be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// `lost`: only to find out which run was faster.
    Claims {
        lost: bool,
    },
    Listing,
    Budgets,
    /// Of the target at this position.
    Preflight(usize),
    Claiming {
        generation: u64,
        valid_for: Duration,
    },
    Evicting,
    /// A stop was requested while the eviction of the next target was open: it may be in flight.
    Awaiting,
    /// The eviction of the next target was answered by this failure.
    Resolving(ApiFailure),
    Waiting {
        until: Duration,
        missing: Option<Reason>,
    },
    Stopped,
}

/// The next state, or the reason to stop.
type Next = Result<State, Reason>;

impl Rotation {
    /// Starts to carry out `plan`. The first action is to find claims, or to list the workload if nothing is
    /// claimed (a dry-run, or a plan that asks for no claim).
    pub const fn new(plan: RotationPlan) -> Self {
        let (state, unclaimed): (State, Option<Reason>) = match (plan.options().mode, plan.options().claim) {
            (Mode::Execute, true) => (State::Claims { lost: false }, None),
            (Mode::Execute, false) => (State::Listing, Some(Reason::NoClaimWanted)),
            (Mode::ServerDryRun, _) => (State::Listing, None),
        };
        Self {
            plan,
            state,
            stop_requested: false,
            generation: None,
            unclaimed,
            reason: None,
            attempted: Vec::new(),
            deleted: Vec::new(),
            errors: BTreeMap::new(),
            steps: Vec::new(),
        }
    }

    /// Handles the answer to the open action, at `now` since the start of the run.
    ///
    /// Poll again afterwards. [`Answer::StopRequested`] is accepted in every state, even while an action is
    /// in flight. If that is an eviction, its answer is still needed and the next action is
    /// [`Action::AwaitEviction`]; any other answer no longer matters and the next action is [`Action::Stop`].
    /// An [`Answer::Waited`] that comes early leaves the wait open.
    ///
    /// # Errors
    ///
    /// An answer that does not belong to the open action; the rotation is then unchanged.
    pub fn handle(&mut self, now: Duration, answer: Answer) -> Result<(), UnexpectedAnswer> {
        let asked: Action = self.poll_action();
        let next: Next = match (self.state.clone(), answer) {
            (_, Answer::StopRequested) => {
                self.on_stop(now);
                return Ok(());
            }
            (State::Waiting { until, .. }, Answer::Waited) if now < until => return Ok(()),
            (State::Waiting { .. }, Answer::Waited) => Ok(State::Listing),
            (State::Claims { lost }, Answer::Claims(answer)) => self.on_claims(lost, answer),
            (State::Claiming { .. }, Answer::Claimed(answer)) => self.on_claimed(answer),
            (State::Listing, Answer::Workload(answer)) => self.on_workload(now, answer),
            (State::Budgets, Answer::Budgets(answer)) => self.on_budgets(now, answer),
            (State::Preflight(position), Answer::Preflight(answer)) => {
                self.on_preflight(now, position, answer)
            }
            (State::Evicting | State::Awaiting, Answer::Eviction(answer)) => self.on_eviction(now, answer),
            (State::Awaiting, Answer::NotSent) => Err(Reason::StopRequested),
            (State::Resolving(failure), Answer::LookedUp(answer)) => self.on_lookup(now, failure, answer),
            (_, answer) => {
                return Err(UnexpectedAnswer { asked: asked.code(), answered: answer.code() });
            }
        };
        self.record(now, &asked, &next);
        self.go(now, next);
        Ok(())
    }

    /// What to do now. Idempotent: polled again before an answer, it returns the same action.
    #[must_use]
    pub fn poll_action(&self) -> Action {
        match &self.state {
            State::Claims { .. } => Action::FindClaims { workload: self.plan.workload().clone() },
            State::Claiming { generation, valid_for } => Action::Claim(ClaimRequest {
                workload: self.plan.workload().clone(),
                generation: *generation,
                targets: self.plan.targets().to_vec(),
                valid_for: *valid_for,
            }),
            State::Listing => Action::ListWorkload,
            State::Budgets => Action::ListBudgets { targets: self.targets_left().to_vec() },
            State::Preflight(position) => Action::Preflight(self.request(&self.plan.targets()[*position])),
            State::Evicting => Action::Evict(self.request(self.next())),
            State::Awaiting => Action::AwaitEviction(self.next().clone()),
            State::Resolving(_) => Action::LookUp(self.next().clone()),
            State::Waiting { until, .. } => Action::Wait { until: *until },
            State::Stopped => Action::Stop,
        }
    }

    /// The plan being carried out.
    pub const fn plan(&self) -> &RotationPlan {
        &self.plan
    }

    /// The report. If taken before [`Action::Stop`], it says `abandoned` and counts an eviction that was
    /// polled but not answered as attempted, with unknown result.
    #[must_use]
    pub fn finish(mut self) -> RotationReport {
        if let State::Evicting | State::Awaiting = self.state {
            self.attempted.push(self.next().name.clone());
        }
        let reason: Reason = self.reason.unwrap_or(Reason::Abandoned);
        for pod in &self.attempted {
            if !self.deleted.contains(pod) {
                self.errors.entry(pod.clone()).or_insert_with(|| reason.clone());
            }
        }
        let names = self.plan.targets().iter().map(|target| target.name.clone());
        let skipped: BTreeMap<String, Reason> =
            names.filter(|name| !self.attempted.contains(name)).map(|name| (name, reason.clone())).collect();
        let outcome: RotationOutcome = match self.deleted.len() {
            0 => reason.outcome(),
            all if all == self.plan.targets().len() => RotationOutcome::Rotated,
            _ => RotationOutcome::Partial,
        };
        RotationReport {
            outcome,
            reason,
            attempted: self.attempted,
            deleted: self.deleted,
            skipped,
            errors: self.errors,
            unclaimed: self.unclaimed,
            steps: self.steps,
        }
    }

    /// The targets that are not known to be evicted.
    fn targets_left(&self) -> &[Target] {
        &self.plan.targets()[self.deleted.len()..]
    }

    /// The next target; there is one in every state about one.
    fn next(&self) -> &Target {
        &self.targets_left()[0]
    }

    fn on_claims(&mut self, lost: bool, answer: Result<Vec<Claim>, ApiFailure>) -> Next {
        let claims: Vec<Claim> = match answer {
            Ok(claims) => claims,
            Err(_) if lost => return Err(Reason::Claimed(None)),
            Err(failure) => return Err(self.not_claimed(failure)),
        };
        let newest: u64 = claims.iter().map(|claim| claim.generation).max().unwrap_or(0);
        let in_force: Option<Claim> = claims.into_iter().find(Claim::is_in_force);
        if lost || in_force.is_some() {
            return Err(Reason::Claimed(in_force));
        }
        self.generation = Some(newest.saturating_add(1));
        Ok(State::Listing)
    }

    fn on_workload(&mut self, now: Duration, answer: Result<Workload, ApiFailure>) -> Next {
        let workload: Workload = answer.map_err(|failure| self.failed(failure))?;
        let evicted: usize = self.deleted.len();
        let untouched = checks::untouched(&self.plan.targets()[..evicted], &workload);
        if let Some(pod) = untouched.map(|target| target.name.clone()) {
            self.deleted.retain(|deleted| *deleted != pod);
            let reason: Reason = Reason::StillThere(pod.clone());
            self.errors.insert(pod, reason.clone());
            return Err(reason);
        }
        match (checks::recheck(&self.plan, evicted, &workload)?, self.plan.options().pacing) {
            (Some(missing), _) => Ok(wait_for(now, Some(missing))),
            // The server itself counts the second eviction against the budgets.
            (None, Pacing::Sequential) if evicted > 0 => Ok(State::Evicting),
            (None, _) => Ok(State::Budgets),
        }
    }

    fn on_budgets(&self, now: Duration, answer: Result<Vec<Budget>, ApiFailure>) -> Next {
        let budgets: Vec<Budget> = answer.map_err(|failure| self.failed(failure))?;
        let problems = checks::budget_problems(self.plan.options(), self.targets_left(), &budgets);
        match (problems.is_empty(), self.deleted.is_empty()) {
            (true, true) => Ok(State::Preflight(0)),
            (true, false) => Ok(State::Evicting),
            (false, true) => Err(Reason::Budgets(problems)),
            // The budget's controller sees the replacement later than the list does.
            (false, false) => Ok(wait_for(now, Some(Reason::Budgets(problems)))),
        }
    }

    fn on_preflight(&self, now: Duration, position: usize, answer: Result<(), ApiFailure>) -> Next {
        answer.map_err(|failure| self.failed(failure))?;
        if position + 1 < self.plan.targets().len() {
            return Ok(State::Preflight(position + 1));
        }
        let options = self.plan.options();
        match (options.mode, self.generation) {
            (Mode::ServerDryRun, _) => Err(Reason::WouldBeAccepted),
            (Mode::Execute, None) => Ok(State::Evicting),
            (Mode::Execute, Some(generation)) => {
                let valid_for: Duration = options.deadline.saturating_sub(now).saturating_add(LAST_LOOK);
                Ok(State::Claiming { generation, valid_for })
            }
        }
    }

    fn on_claimed(&self, answer: Result<ClaimFate, ApiFailure>) -> Next {
        match answer {
            Ok(ClaimFate::Won) => Ok(State::Evicting),
            Ok(ClaimFate::Lost) => Ok(State::Claims { lost: true }),
            Err(failure) => Err(self.not_claimed(failure)),
        }
    }

    fn on_eviction(&mut self, now: Duration, answer: Result<(), ApiFailure>) -> Next {
        let pod: String = self.next().name.clone();
        self.attempted.push(pod.clone());
        match answer {
            Ok(()) => self.evicted(now),
            Err(failure) if failure.kind.leaves_unknown() => Ok(State::Resolving(failure)),
            Err(failure) => Err(self.not_evicted(pod, failure)),
        }
    }

    /// Records the failure of an eviction that is known not to have happened.
    fn not_evicted(&mut self, pod: String, failure: ApiFailure) -> Reason {
        let reason: Reason = if failure.kind.refuses() {
            Reason::Failure { action: "evict", pod: Some(pod.clone()), failure }
        } else {
            Reason::NotEvicted { pod: pod.clone(), failure }
        };
        self.errors.insert(pod, reason.clone());
        reason
    }

    fn on_lookup(
        &mut self,
        now: Duration,
        failure: ApiFailure,
        answer: Result<Presence, ApiFailure>,
    ) -> Next {
        let Target { name: pod, uid: evicted, .. } = self.next().clone();
        match answer {
            Ok(Presence::Present { uid, terminating: false }) if uid == evicted => {
                Err(self.not_evicted(pod, failure))
            }
            Ok(_) if failure.kind.is_clear() => {
                self.deleted.push(pod.clone());
                Err(Reason::Contradicted { pod, failure })
            }
            Ok(_) => self.evicted(now),
            Err(lookup) => {
                let reason: Reason = Reason::Unresolved { pod: pod.clone(), failure, lookup };
                self.errors.insert(pod, reason.clone());
                Err(reason)
            }
        }
    }

    /// Records that the next target is evicted.
    fn evicted(&mut self, now: Duration) -> Next {
        self.deleted.push(self.next().name.clone());
        match self.plan.options().pacing {
            _ if self.targets_left().is_empty() => Err(Reason::Done),
            Pacing::Sequential => Ok(State::Listing),
            Pacing::WaitReady => Ok(wait_for(now, None)),
        }
    }

    fn on_stop(&mut self, now: Duration) {
        if self.stop_requested || self.state == State::Stopped {
            return;
        }
        self.stop_requested = true;
        self.note(now, Reason::StopRequested.code(), None, "ok", String::new());
        match self.state {
            State::Resolving(_) | State::Awaiting => {}
            State::Evicting => self.go(now, Ok(State::Awaiting)),
            _ => self.go(now, Err(Reason::StopRequested)),
        }
    }

    /// The only place where the state changes; a stop and the deadline take precedence.
    fn go(&mut self, now: Duration, next: Next) {
        let next: Next = next.and_then(|state| self.affordable(now, state));
        match next {
            Ok(state) => self.state = state,
            Err(reason) => {
                self.state = State::Stopped;
                self.reason = Some(reason);
            }
        }
    }

    fn affordable(&self, now: Duration, state: State) -> Next {
        let margin: Duration = match &state {
            State::Resolving(_) | State::Awaiting | State::Claims { lost: true } => return Ok(state),
            State::Claiming { .. } | State::Evicting => EVICTION_MARGIN,
            // After the first eviction, a check serves only the next one.
            State::Listing | State::Budgets if !self.deleted.is_empty() => EVICTION_MARGIN,
            State::Waiting { .. } => RECOVERY_POLL.saturating_add(EVICTION_MARGIN),
            _ => Duration::ZERO,
        };
        if self.stop_requested {
            return Err(Reason::StopRequested);
        }
        if now.saturating_add(margin) <= self.plan.options().deadline {
            return Ok(state);
        }
        match state {
            State::Waiting { missing: Some(missing), .. } => Err(Reason::NotRecovered(Box::new(missing))),
            _ => Err(Reason::Deadline),
        }
    }

    fn record(&mut self, now: Duration, asked: &Action, next: &Next) {
        let (result, message): (&'static str, String) = match next {
            Ok(State::Resolving(failure)) => (failure.kind.code(), failure.to_string()),
            Ok(State::Waiting { missing: Some(missing), .. }) => (missing.code(), missing.to_string()),
            Ok(State::Claims { lost: true }) => ("claimed", Reason::Claimed(None).to_string()),
            Ok(_) | Err(Reason::Done | Reason::WouldBeAccepted) => ("ok", String::new()),
            Err(reason) => (reason.code(), reason.to_string()),
        };
        let pod: Option<String> = asked.target().map(|target| target.name.clone());
        self.note(now, asked.code(), pod, result, message);
    }

    fn note(
        &mut self,
        now: Duration,
        action: &'static str,
        pod: Option<String>,
        result: &'static str,
        message: String,
    ) {
        let at_ms: u64 = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.steps.push(Step { at_ms, action, pod, result, message });
    }

    /// The reason to stop after the open action failed.
    fn failed(&self, failure: ApiFailure) -> Reason {
        let asked: Action = self.poll_action();
        let pod: Option<String> = asked.target().map(|target| target.name.clone());
        Reason::Failure { action: asked.code(), pod, failure }
    }

    /// The reason to stop after finding claims or claiming failed.
    fn not_claimed(&self, failure: ApiFailure) -> Reason {
        Reason::NotClaimed { action: self.poll_action().code(), failure }
    }

    fn request(&self, target: &Target) -> EvictionRequest {
        let RotationOptions { method, grace_period_s, .. } = *self.plan.options();
        EvictionRequest { target: target.clone(), method, grace_period_s }
    }
}

fn wait_for(now: Duration, missing: Option<Reason>) -> State {
    State::Waiting { until: now.saturating_add(RECOVERY_POLL), missing }
}
