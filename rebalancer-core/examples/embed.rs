//! The decision and the rotation inside another scheduler: it brings loads of its own and performs
//! the actions itself. Run it with `cargo run --package rebalancer-core --example embed`.

use std::error::Error;
use std::time::{Duration, Instant};

use rebalancer_core::{
    Action, Answer, ClaimFate, Controller, Engine, LivePod, Metric, OwnerStatus, PodState, Presence, Role,
    Rotation, RotationOptions, RotationPlan, RotationReport, Thresholds, Workload,
};

fn main() -> Result<(), Box<dyn Error>> {
    let workload = observe();
    let loads = measure();

    let engine = Engine::new(Thresholds { cpu: 0.4, ..Thresholds::default() });
    let analysis = engine.analyze(&loads)?;
    println!("{}", analysis.reason());
    let Some(pair) = analysis.targets() else { return Ok(()) };
    let targets =
        [(Role::Busiest, analysis.name(pair.busiest)), (Role::LeastBusy, analysis.name(pair.least_busy))];
    let options = RotationOptions::until(Duration::from_secs(60));
    let plan = RotationPlan::new(&targets, &workload, options)?;
    let report = rotate(plan, &mut Scheduler { workload })?;
    println!("{:?}: evicted {}", report.outcome, report.deleted.join(" and "));
    Ok(())
}

/// The loop of every driver: poll an action, perform it, hand the answer back.
fn rotate(plan: RotationPlan, scheduler: &mut Scheduler) -> Result<RotationReport, Box<dyn Error>> {
    let start = Instant::now();
    let mut rotation = Rotation::new(plan);
    loop {
        let action = rotation.poll_action();
        if action == Action::Stop {
            return Ok(rotation.finish());
        }
        let answer = scheduler.perform(&action, start);
        rotation.handle(start.elapsed(), answer)?;
    }
}

/// Stands for a scheduler that knows its pods and evicts whatever it is asked to.
struct Scheduler {
    workload: Workload,
}

impl Scheduler {
    fn perform(&mut self, action: &Action, start: Instant) -> Answer {
        match action {
            // The only scheduler there is: nobody else claims a workload.
            Action::FindClaims { .. } => Answer::Claims(Ok(Vec::new())),
            Action::Claim(_) => Answer::Claimed(Ok(ClaimFate::Won)),
            Action::ListWorkload => Answer::Workload(Ok(self.workload.clone())),
            Action::ListBudgets { .. } => Answer::Budgets(Ok(Vec::new())),
            Action::Preflight(_) => Answer::Preflight(Ok(())),
            Action::Evict(request) => {
                self.workload.pods.retain(|pod| pod.uid != request.target.uid);
                println!("evict {} ({})", request.target.name, request.target.role);
                Answer::Eviction(Ok(()))
            }
            // Evictions are answered at once here: none is on its way when a stop is asked for.
            Action::AwaitEviction(_) => Answer::NotSent,
            Action::LookUp(_) => Answer::LookedUp(Ok(Presence::Absent)),
            Action::Wait { until } => {
                std::thread::sleep(until.saturating_sub(start.elapsed()));
                Answer::Waited
            }
            Action::Stop => unreachable!("the loop of `rotate` ends at Stop"),
        }
    }
}

fn measure() -> Vec<PodState> {
    let cores = [0.94, 0.91, 0.98, 1.02, 2.9, 0.11];
    let loads = cores.iter().enumerate();
    loads.map(|(number, cores)| PodState::new(format!("orders-{number}")).with(Metric::Cpu, *cores)).collect()
}

fn observe() -> Workload {
    let controller = Controller {
        group: Some("apps".into()),
        kind: "StatefulSet".into(),
        name: "orders".into(),
        uid: "s-1".into(),
    };
    let pod = |number: usize| LivePod {
        uid: format!("p-{number}"),
        controller: Some(controller.clone()),
        ..LivePod::assumed(format!("orders-{number}"))
    };
    Workload {
        pods: (0..6).map(pod).collect(),
        owners: vec![OwnerStatus::silent(controller.clone(), controller.clone())],
    }
}
