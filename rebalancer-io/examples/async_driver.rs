//! Drives a rotation from an asynchronous program that can be stopped by Ctrl-C.
//!
//! `select!` waits for the answer to a request and for the stop at once. When the stop comes first, any
//! request but an eviction is dropped. An eviction may have been carried out, so its answer is waited
//! for: else the report would not tell what became of the pod.
//!
//! ```console
//! $ cargo run --package rebalancer-io --example async_driver
//! ```

use std::cell::RefCell;
use std::error::Error;
use std::pin::pin;
use std::time::{Duration, Instant};

use rebalancer_core::{
    Action, Answer, ClaimFate, Controller, LivePod, OwnerStatus, Presence, Role, Rotation, RotationOptions,
    RotationPlan, RotationReport, UnexpectedAnswer, Workload,
};
use tokio::{select, signal, time};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let cluster = Cluster::new(Duration::from_secs(2));
    let stop = async {
        // Without a handler there is nothing to wait for: the signal ends the program.
        signal::ctrl_c().await.ok();
    };
    println!("rotating; press Ctrl-C to stop");
    let report = drive(plan(&cluster)?, &cluster, stop).await?;
    println!("{:?}: evicted {:?}, skipped {:?}", report.outcome, report.deleted, report.skipped.keys());
    Ok(())
}

/// Carries out `plan` until it is done or `stop` is ready.
///
/// # Errors
/// An answer that does not belong to its action: a mistake in this function.
pub async fn drive(
    plan: RotationPlan,
    cluster: &Cluster,
    stop: impl Future<Output = ()>,
) -> Result<RotationReport, UnexpectedAnswer> {
    let started = Instant::now();
    let mut rotation = Rotation::new(plan);
    let mut stop = pin!(stop);
    let mut is_stopped = false;
    loop {
        let action = rotation.poll_action();
        if action == Action::Stop {
            return Ok(rotation.finish());
        }
        let is_eviction = matches!(action, Action::Evict(_));
        let mut request = pin!(cluster.perform(action, started));
        let answer = select! {
            answer = &mut request => answer,
            () = &mut stop, if !is_stopped => {
                is_stopped = true;
                rotation.handle(started.elapsed(), Answer::StopRequested)?;
                if !is_eviction {
                    continue;
                }
                request.await
            }
        };
        rotation.handle(started.elapsed(), answer)?;
    }
}

/// Stands for an API server, which takes its time over an eviction.
pub struct Cluster {
    workload: RefCell<Workload>,
    eviction_takes: Duration,
}

impl Cluster {
    /// Six pods of a stateful set.
    pub fn new(eviction_takes: Duration) -> Self {
        let controller = Controller {
            group: Some("apps".to_owned()),
            kind: "StatefulSet".to_owned(),
            name: "orders".to_owned(),
            uid: "s-1".to_owned(),
        };
        let pod = |number: usize| LivePod {
            uid: format!("uid-{number}"),
            controller: Some(controller.clone()),
            ..LivePod::assumed(format!("orders-{number}"))
        };
        let pods = (0..6).map(pod).collect();
        let owners = vec![OwnerStatus::silent(controller.clone(), controller.clone())];
        Self { workload: RefCell::new(Workload { pods, owners }), eviction_takes }
    }

    /// The pods that are there.
    pub fn pods(&self) -> Vec<String> {
        self.workload.borrow().pods.iter().map(|pod| pod.name.clone()).collect()
    }

    async fn perform(&self, action: Action, started: Instant) -> Answer {
        match action {
            Action::FindClaims { .. } => Answer::Claims(Ok(Vec::new())),
            Action::ListWorkload => Answer::Workload(Ok(self.workload.borrow().clone())),
            Action::ListBudgets { .. } => Answer::Budgets(Ok(Vec::new())),
            Action::Preflight(_) => Answer::Preflight(Ok(())),
            Action::Claim(_) => Answer::Claimed(Ok(ClaimFate::Won)),
            Action::Evict(request) => {
                println!("evicting {}", request.target.name);
                self.workload.borrow_mut().pods.retain(|pod| pod.uid != request.target.uid);
                time::sleep(self.eviction_takes).await;
                Answer::Eviction(Ok(()))
            }
            Action::LookUp(_) => Answer::LookedUp(Ok(Presence::Absent)),
            Action::Wait { until, .. } => {
                time::sleep(until.saturating_sub(started.elapsed())).await;
                Answer::Waited
            }
            // Polled after a stop before the eviction was sent.
            Action::AwaitEviction(_) => Answer::NotSent,
            Action::Stop => unreachable!("`drive` ends at a stop"),
        }
    }
}

/// Plans to rotate two pods.
///
/// # Errors
/// When the workload may not be rotated.
pub fn plan(cluster: &Cluster) -> Result<RotationPlan, Box<dyn Error>> {
    let targets = [(Role::Busiest, "orders-4"), (Role::LeastBusy, "orders-5")];
    let options = RotationOptions::until(Duration::from_secs(60));
    Ok(RotationPlan::new(&targets, &cluster.workload.borrow(), options)?)
}
