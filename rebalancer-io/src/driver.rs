//! The loop that performs what a rotation asks for. It decides nothing: the order of the requests and
//! every reason to stop are the rotation's.

use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use rebalancer_core::{
    Action, Answer, ApiFailure, Budget, Claim, ClaimFate, ClaimRequest, Controller, EvictionRequest,
    Presence, Rotation, RotationPlan, RotationReport, Target, Workload,
};

/// Longest time that a stop goes unnoticed during a wait.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Looks at one workload and asks what the server would do. Nothing here changes anything.
pub trait Look {
    /// Lists the workload afresh, owners included.
    ///
    /// # Errors
    /// As the server answered.
    fn list_workload(&mut self) -> Result<Workload, ApiFailure>;

    /// Finds all claims on the workload, old ones included.
    ///
    /// # Errors
    /// As the server answered.
    fn find_claims(&mut self, workload: &Controller) -> Result<Vec<Claim>, ApiFailure>;

    /// Lists the budgets that cover any of these targets.
    ///
    /// # Errors
    /// As the server answered.
    fn list_budgets(&mut self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure>;

    /// Asks whether the server would accept this eviction.
    ///
    /// # Errors
    /// As the server answered.
    fn preflight(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure>;

    /// Looks for the pod that now has the name of a target.
    ///
    /// # Errors
    /// As the server answered.
    fn look_up(&mut self, target: &Target) -> Result<Presence, ApiFailure>;
}

/// Also claims and evicts. Each call sends its request once, and nothing is sent without a call.
pub trait Act: Look {
    /// Claims the workload. The server accepts each generation once.
    ///
    /// # Errors
    /// As the server answered.
    fn claim(&mut self, request: &ClaimRequest) -> Result<ClaimFate, ApiFailure>;

    /// Evicts a pod for real.
    ///
    /// # Errors
    /// As the server answered. When no answer came, the kind of the failure says that the outcome is
    /// unknown.
    fn evict(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure>;
}

/// Carries out plans for one connection to a cluster.
///
/// The type of the connection decides what is possible: with one that only [`Look`]s a plan can be
/// rehearsed, and only with one that can [`Act`] are pods evicted.
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
    /// The same moment by the system's clock.
    started_by_wall: SystemTime,
    stop: &'a AtomicBool,
}

impl<'a, C: Look + ?Sized> PodManager<'a, C> {
    /// Prepares the run that started at `started`; the deadline of a plan counts from that moment.
    /// Once `stop` is true, nothing more is evicted.
    pub fn new(cluster: &'a mut C, started: Instant, stop: &'a AtomicBool) -> Self {
        let now = SystemTime::now();
        let started_by_wall = now.checked_sub(started.elapsed()).unwrap_or(now);
        Self { cluster, time: RunTime { started, started_by_wall, stop } }
    }

    /// Goes through `plan` up to the preflight of each target and reports what would happen, whatever
    /// the mode of the plan is.
    ///
    /// # Panics
    /// Never for what a server answers; a panic here is a bug.
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
    /// Never for what a server answers; a panic here is a bug, and nothing is evicted after it.
    pub fn delete_pods(self, plan: RotationPlan) -> RotationReport {
        let Self { cluster, time } = self;
        carry_out(plan, &time, |action| match action {
            Action::Claim(request) => Some(Answer::Claimed(cluster.claim(&request))),
            Action::Evict(request) => Some(Answer::Eviction(cluster.evict(&request))),
            other => look(cluster, &time, other),
        })
    }
}

/// Performs the actions of a rotation until it stops. `perform` answers `None` when a stop cut a wait
/// short.
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

/// Performs an action that changes nothing; `None` when a stop cut a wait short.
fn look<C: Look + ?Sized>(cluster: &mut C, time: &RunTime<'_>, action: Action) -> Option<Answer> {
    Some(match action {
        Action::FindClaims { workload } => Answer::Claims(cluster.find_claims(&workload)),
        Action::ListWorkload => Answer::Workload(cluster.list_workload()),
        Action::ListBudgets { targets } => Answer::Budgets(cluster.list_budgets(&targets)),
        Action::Preflight(request) => Answer::Preflight(cluster.preflight(&request)),
        Action::LookUp(target) => Answer::LookedUp(cluster.look_up(&target)),
        Action::Wait { until, .. } => return time.wait(until).then_some(Answer::Waited),
        // Calls block, so no eviction is on its way while a stop is handed in.
        Action::AwaitEviction(_) => Answer::NotSent,
        Action::Claim(_) | Action::Evict(_) | Action::Stop => {
            unreachable!("a rehearsal claims and evicts nothing, and a stop is not performed")
        }
    })
}

impl RunTime<'_> {
    /// Time since the start, by whichever clock shows more: one stands still while a laptop sleeps,
    /// the other can be set back. Neither may make a deadline last longer than a claim.
    fn elapsed(&self) -> Duration {
        self.started.elapsed().max(self.started_by_wall.elapsed().unwrap_or_default())
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Sleeps in small steps; false when a stop was asked for before the time had come.
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
