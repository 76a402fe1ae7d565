//! An independent checker of plans: it shares no code with the planner.

use rebalancer_core::{Controller, LivePod, Phase, RotationPlan};

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// It evicts no pod, or more than two.
    TargetCount {
        /// How many it evicts.
        targets: usize,
    },
    /// It evicts one pod twice.
    Repeated {
        /// The pod.
        pod: String,
    },
    /// It evicts a pod that is not live, or has another UID.
    NotLive {
        /// The pod.
        pod: String,
    },
    /// It evicts a pod that must be left alone.
    Untouchable {
        /// The pod.
        pod: String,
    },
    /// Fewer pods are Ready than its own limit requires.
    TooFewPods {
        /// Ready pods.
        ready: usize,
        /// The limit.
        required: usize,
    },
}

/// Checks a plan against the pods it was made for, from first principles; empty means sound.
///
/// Every plan that [`RotationPlan::new`] accepts must be sound here.
pub fn check_plan(plan: &RotationPlan, pods: &[LivePod]) -> Vec<Violation> {
    let targets = plan.targets();
    let mut violations: Vec<Violation> = Vec::new();
    if targets.is_empty() || targets.len() > 2 {
        violations.push(Violation::TargetCount { targets: targets.len() });
    }
    for (position, target) in targets.iter().enumerate() {
        if targets[..position].iter().any(|other| other.name == target.name || other.uid == target.uid) {
            violations.push(Violation::Repeated { pod: target.name.clone() });
        }
        match pods.iter().find(|pod| pod.name == target.name && pod.uid == target.uid) {
            None => violations.push(Violation::NotLive { pod: target.name.clone() }),
            Some(pod) if untouchable(pod, plan) => {
                violations.push(Violation::Untouchable { pod: target.name.clone() });
            }
            Some(_) => {}
        }
    }
    let ready: usize = pods.iter().filter(|pod| pod.ready && !pod.terminating).count();
    let required: usize = plan.options().min_pods;
    if ready < required {
        violations.push(Violation::TooFewPods { ready, required });
    }
    violations
}

/// The rules of eligibility, restated as one question.
fn untouchable(pod: &LivePod, plan: &RotationPlan) -> bool {
    let works = pod.phase == Phase::Running && pod.ready && !pod.terminating && !pod.uid.is_empty();
    let never = ["DaemonSet", "Node", "Job", "CronJob", "Pod"];
    let recreates =
        |owner: &Controller| !never.contains(&owner.kind.as_str()) && !owner.is("apps", "Deployment");
    let has_replacement = pod.controller.iter().any(recreates);
    let asked_to_be_left = !pod.protections.is_empty();
    let young = [pod.age, pod.uptime].into_iter().flatten().any(|age| age < plan.options().warm_up);
    !works || !has_replacement || asked_to_be_left || young
}
