//! The loop that performs a rotation's actions. It decides nothing: the rotation chooses the order of the
//! requests and every reason to stop.

use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use rebalancer_core::{
    Action, Answer, ApiFailure, Budget, Claim, ClaimFate, ClaimRequest, Controller, EvictionRequest,
    Presence, Rotation, RotationPlan, RotationReport, Target, Workload,
};

/// Longest time for which a wait does not notice a stop.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Looks at one workload and asks what the server would do. Changes nothing.
pub trait Look {
    /// Lists the workload afresh, including its owners.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    fn list_workload(&mut self) -> Result<Workload, ApiFailure>;

    /// Finds all claims on the workload, including old ones.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    fn find_claims(&mut self, workload: &Controller) -> Result<Vec<Claim>, ApiFailure>;

    /// Lists the budgets that cover any of these targets.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    fn list_budgets(&mut self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure>;

    /// Asks whether the server would accept this eviction.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    fn preflight(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure>;

    /// Looks for the pod that now has the name of a target.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    fn look_up(&mut self, target: &Target) -> Result<Presence, ApiFailure>;
}

/// Can claim and evict. Each call sends its request once, and nothing is sent without a call.
pub trait Act {
    /// What looks at the same workload.
    fn looking(&mut self) -> &mut dyn Look;

    /// Claims the workload. The server accepts each generation once.
    ///
    /// # Errors
    /// If the server refuses or does not answer.
    fn claim(&mut self, request: &ClaimRequest) -> Result<ClaimFate, ApiFailure>;

    /// Evicts a pod for real.
    ///
    /// # Errors
    /// If the server refuses or does not answer; the kind of failure says whether the result is unknown.
    fn evict(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure>;
}

/// Carries out plans for one connection to a cluster.
///
/// The type of the connection decides what is possible: one that only [`Look`]s can rehearse a plan; only one
/// that can [`Act`] evicts pods.
///
/// ```compile_fail,E0277
/// use rebalancer_io::driver::PodManager;
/// # fn cannot_evict(
/// #     observer: &mut rebalancer_io::kubernetes::Observer<'_>,
/// #     plan: rebalancer_core::RotationPlan,
/// #     stop: &std::sync::atomic::AtomicBool,
/// # ) {
/// PodManager::new(observer, std::time::Instant::now(), stop).delete_pods(plan);
/// # }
/// ```
pub struct PodManager<'a, C: ?Sized> {
    cluster: &'a mut C,
    time: RunTime<'a>,
}

/// The time of a run, and whether it was asked to stop.
struct RunTime<'a> {
    started: Instant,
    /// The same moment on the system clock.
    started_by_wall: SystemTime,
    stop: &'a AtomicBool,
}

impl<'a, C: ?Sized> PodManager<'a, C> {
    /// Prepares the run that started at `started`; the plan's deadline counts from there. Once `stop` is
    /// true, nothing more is evicted.
    pub fn new(cluster: &'a mut C, started: Instant, stop: &'a AtomicBool) -> Self {
        let now = SystemTime::now();
        let started_by_wall = now.checked_sub(started.elapsed()).unwrap_or(now);
        Self { cluster, time: RunTime { started, started_by_wall, stop } }
    }
}

impl<C: Look + ?Sized> PodManager<'_, C> {
    /// Carries out `plan` up to the preflight of each target and reports what would happen, whatever the
    /// plan's mode.
    ///
    /// # Panics
    /// Not for any server answer; a panic here is a bug.
    pub fn rehearse(self, plan: RotationPlan) -> RotationReport {
        let Self { cluster, time } = self;
        carry_out(plan.rehearsal(), &time, |action| look(cluster, &time, action))
    }
}

impl<C: Act + ?Sized> PodManager<'_, C> {
    /// Rotates the targets of `plan` and reports which of them were attempted, deleted, skipped (and
    /// why) and failed (and why). A plan in dry-run mode ends after the preflight.
    ///
    /// # Panics
    /// Not for any server answer; a panic here is a bug, and nothing is evicted after it.
    pub fn delete_pods(self, plan: RotationPlan) -> RotationReport {
        let Self { cluster, time } = self;
        carry_out(plan, &time, |action| match action {
            Action::Claim(request) => Some(Answer::Claimed(cluster.claim(&request))),
            Action::Evict(request) => Some(Answer::Eviction(cluster.evict(&request))),
            other => look(cluster.looking(), &time, other),
        })
    }
}

/// Performs the actions of a rotation until it stops. `perform` returns `None` if a stop interrupted a wait.
fn carry_out(
    plan: RotationPlan,
    time: &RunTime<'_>,
    mut perform: impl FnMut(Action) -> Option<Answer>,
) -> RotationReport {
    let tell = |rotation: &mut Rotation, answer: Answer| {
        let told = rotation.handle(time.elapsed(), answer);
        told.expect("each action gets its own kind of answer, and a stop is always allowed");
    };
    let mut rotation = Rotation::new(plan);
    let mut stop_told = false;
    loop {
        if !stop_told && time.is_stopped() {
            stop_told = true;
            tell(&mut rotation, Answer::StopRequested);
        }
        let action = rotation.poll_action();
        if action == Action::Stop {
            return rotation.finish();
        }
        let pod = action.target().map(|target| target.name.as_str());
        tracing::debug!(
            event = "rotation.step",
            action = action.code(),
            k8s.pod.name = pod,
            "next step of the rotation"
        );
        if let Some(answer) = perform(action) {
            tell(&mut rotation, answer);
        }
    }
}

/// Performs an action that changes nothing; `None` if a stop interrupted a wait.
fn look<C: Look + ?Sized>(cluster: &mut C, time: &RunTime<'_>, action: Action) -> Option<Answer> {
    Some(match action {
        Action::FindClaims { workload } => Answer::Claims(cluster.find_claims(&workload)),
        Action::ListWorkload => Answer::Workload(cluster.list_workload()),
        Action::ListBudgets { targets } => Answer::Budgets(cluster.list_budgets(&targets)),
        Action::Preflight(request) => Answer::Preflight(cluster.preflight(&request)),
        Action::LookUp(target) => Answer::LookedUp(cluster.look_up(&target)),
        Action::Wait { until, .. } => return time.wait(until).then_some(Answer::Waited),
        // Calls block, so no eviction is in flight when a stop is handled.
        Action::AwaitEviction(_) => Answer::NotSent,
        Action::Claim(_) | Action::Evict(_) | Action::Stop => {
            unreachable!("a rehearsal claims and evicts nothing, and a stop is not performed")
        }
    })
}

impl RunTime<'_> {
    /// Time since the start, by whichever clock shows more: one pauses while a laptop sleeps, the other can
    /// be set back. Neither may let a deadline outlast a claim.
    fn elapsed(&self) -> Duration {
        self.started.elapsed().max(self.started_by_wall.elapsed().unwrap_or_default())
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps in small steps; false if a stop was requested before the time had come.
    fn wait(&self, until: Duration) -> bool {
        loop {
            let left = until.saturating_sub(self.elapsed());
            if left.is_zero() {
                return true;
            }
            if self.is_stopped() {
                return false;
            }
            thread::sleep(left.min(STOP_POLL));
        }
    }
}
