//! The only loop that performs what a rotation asks for. It decides nothing: order, safety and
//! reasons are the rotation's.

use core::time::Duration;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Instant, SystemTime};

use rebalancer_core::{
    Action, Answer, ApiFailure, Budget, Claim, ClaimFate, ClaimRequest, Controller, EvictionRequest,
    Presence, Rotation, RotationPlan, RotationReport, Target, Workload,
};

use crate::kubernetes::ClusterError;

/// Longest time a stop that is asked for during a wait goes unnoticed.
const STOP_POLL: Duration = Duration::from_millis(100);

/// Where a workload is listed.
pub trait WorkloadSource {
    /// Its pods and what their owners say, now.
    ///
    /// # Errors
    /// What failed, where, and in the other side's own words.
    fn workload(&mut self) -> Result<Workload, ClusterError>;
}

/// What performs the actions of a rotation, each exactly once and none by itself.
pub trait Actuator {
    /// Finds all claims on the workload, old ones included.
    ///
    /// # Errors
    /// As the other side answered.
    fn find_claims(&mut self, workload: &Controller) -> Result<Vec<Claim>, ApiFailure>;

    /// Lists the workload afresh, owners included.
    ///
    /// # Errors
    /// As the other side answered.
    fn list_workload(&mut self) -> Result<Workload, ApiFailure>;

    /// Lists the budgets that cover any of these targets.
    ///
    /// # Errors
    /// As the other side answered.
    fn list_budgets(&mut self, targets: &[Target]) -> Result<Vec<Budget>, ApiFailure>;

    /// Asks whether the very same eviction would be accepted.
    ///
    /// # Errors
    /// As the other side answered.
    fn preflight(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure>;

    /// Claims the workload: of all who claim one generation, the server lets one win.
    ///
    /// # Errors
    /// As the other side answered.
    fn claim(&mut self, request: &ClaimRequest) -> Result<ClaimFate, ApiFailure>;

    /// Evicts for real.
    ///
    /// # Errors
    /// As the other side answered. A lost answer is a failure whose kind says that what happened is
    /// unknown.
    fn evict(&mut self, request: &EvictionRequest) -> Result<(), ApiFailure>;

    /// Looks what is there under the name of a target.
    ///
    /// # Errors
    /// As the other side answered.
    fn look_up(&mut self, target: &Target) -> Result<Presence, ApiFailure>;
}

/// Carries out plans: a rotation, driven over an actuator.
pub struct PodManager<'a> {
    actuator: &'a mut dyn Actuator,
    started: Instant,
    /// The same moment by the clock on the wall.
    started_by_wall: SystemTime,
    stop: &'a AtomicBool,
}

impl<'a> PodManager<'a> {
    /// A manager of the run that started at `started`, the moment a plan's deadline counts from.
    /// Once `stop` is true, nothing more is evicted.
    pub fn new(actuator: &'a mut dyn Actuator, started: Instant, stop: &'a AtomicBool) -> Self {
        let now = SystemTime::now();
        let started_by_wall = now.checked_sub(started.elapsed()).unwrap_or(now);
        Self { actuator, started, started_by_wall, stop }
    }

    /// Rotates the targets of `plan` and reports which were attempted, deleted, skipped (and why)
    /// and in error (and why). A dry-run plan ends after the preflight.
    ///
    /// # Panics
    /// When the rotation refuses the answer to its own question: a bug, after which nothing may be
    /// evicted.
    pub fn delete_pods(&mut self, plan: RotationPlan) -> RotationReport {
        let mut rotation = Rotation::new(plan);
        let mut stop_told = false;
        loop {
            if !stop_told && self.stop.load(Ordering::Relaxed) {
                stop_told = true;
                self.tell(&mut rotation, Answer::StopRequested);
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
            // A stop during a wait is told to the rotation before the time has come.
            if let Some(answer) = self.perform(action) {
                self.tell(&mut rotation, answer);
            }
        }
    }

    /// Time since the start by whichever clock says more: the one stands still while a laptop
    /// sleeps, the other can be set back. Neither may make a deadline last longer than a claim.
    fn elapsed(&self) -> Duration {
        self.started.elapsed().max(self.started_by_wall.elapsed().unwrap_or_default())
    }

    fn tell(&self, rotation: &mut Rotation, answer: Answer) {
        let told = rotation.handle(self.elapsed(), answer);
        told.expect("each action is answered by its own kind of answer, and a stop is always allowed");
    }

    /// Performs one action; `None` when a stop cut a wait short.
    fn perform(&mut self, action: Action) -> Option<Answer> {
        Some(match action {
            Action::FindClaims { workload } => Answer::Claims(self.actuator.find_claims(&workload)),
            Action::ListWorkload => Answer::Workload(self.actuator.list_workload()),
            Action::ListBudgets { targets } => Answer::Budgets(self.actuator.list_budgets(&targets)),
            Action::Preflight(request) => Answer::Preflight(self.actuator.preflight(&request)),
            Action::Claim(request) => Answer::Claimed(self.actuator.claim(&request)),
            Action::Evict(request) => Answer::Eviction(self.actuator.evict(&request)),
            // Each action is answered before anything else is done, so none is on its way at a stop.
            Action::AwaitEviction(_) => Answer::NotSent,
            Action::LookUp(target) => Answer::LookedUp(self.actuator.look_up(&target)),
            Action::Wait { until, .. } => return self.wait(until).then_some(Answer::Waited),
            Action::Stop => return None,
        })
    }

    /// Sleeps in small steps; false when a stop was asked for before the time had come.
    fn wait(&self, until: Duration) -> bool {
        loop {
            let left = until.saturating_sub(self.elapsed());
            if left.is_zero() {
                return true;
            }
            if self.stop.load(Ordering::Relaxed) {
                return false;
            }
            thread::sleep(left.min(STOP_POLL));
        }
    }
}
