//! Carries out the rotation that a report plans. The only place that creates a client that can evict.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rebalancer_core::{
    Mode, PlanError, Reason, Role, RotationOptions, RotationPlan, RotationReport, Target, Workload,
};
use rebalancer_io::driver::PodManager;
use rebalancer_io::kubernetes::{Cluster, Notice, StoodAt};

use crate::cli::args::{ActionArgs, DryRun, RunArgs};
use crate::pipeline::live::Live;
use crate::report::{Outcome, Report};
use crate::settings::decision::DecisionSettings;

/// How the rotation of a run is carried out.
pub fn options(args: &RunArgs, decision: &DecisionSettings) -> RotationOptions {
    let kubernetes = &args.live.kubernetes;
    let ActionArgs { dry_run, pacing, grace_period, .. } = &args.action;
    RotationOptions {
        mode: if *dry_run == DryRun::Server { Mode::ServerDryRun } else { Mode::Execute },
        pacing: *pacing,
        method: args.action.eviction_method,
        claim: args.action.claim,
        grace_period_s: grace_period.map(|grace| u32::try_from(grace.as_secs()).unwrap_or(u32::MAX)),
        ..decision.rotation_options(kubernetes.allow_multiple_controllers, kubernetes.run_timeout)
    }
}

/// Rotates the targets of the report.
pub fn act(
    live: &Live,
    workload: &Workload,
    options: RotationOptions,
    report: Report,
    started: Instant,
    stop: &AtomicBool,
) -> Report {
    let targets: Vec<(Role, &str)> =
        report.targets.iter().map(|target| (target.role, target.pod.as_str())).collect();
    let plan = match RotationPlan::new(&targets, workload, options) {
        Ok(plan) => plan,
        Err(error) => return refused(report, &error),
    };
    let targets: Vec<Target> = plan.targets().to_vec();
    let rotation = match options.mode {
        Mode::Execute => {
            let mut evictor = live.cluster.evictor(live.selector.clone(), &report.reason);
            PodManager::new(&mut evictor, started, stop).delete_pods(plan)
        }
        Mode::ServerDryRun => {
            let mut observer = live.cluster.observer(live.selector.clone());
            PodManager::new(&mut observer, started, stop).rehearse(plan)
        }
    };
    if let Some(why) = &rotation.unclaimed {
        tracing::warn!(event = "rotation.unclaimed", "two runs at once are not kept apart: {why}");
    }
    if options.mode == Mode::Execute {
        tell(&live.cluster, workload, &targets, &rotation, &report);
    }
    report.after(rotation.into())
}

fn refused(mut report: Report, error: &PlanError) -> Report {
    report.outcome = match error {
        PlanError::Ineligible(_) => Outcome::Blocked,
        PlanError::Unsettled(_) => Outcome::Withheld,
        _ => Outcome::Failed,
    };
    report.reason = format!("{}, but {error}", report.reason);
    report.targets.clear();
    report
}

/// Creates an Event on the workload for each target. An Event that cannot be created is only a warning.
fn tell(
    cluster: &Cluster,
    workload: &Workload,
    targets: &[Target],
    rotation: &RotationReport,
    report: &Report,
) {
    let Some(owner) = workload.owners.first().map(|owner| &owner.top) else { return };
    for target in targets {
        let evicted = rotation.deleted.contains(&target.name);
        let failed = rotation.errors.get(&target.name).or_else(|| rotation.skipped.get(&target.name));
        if evicted {
            tracing::info!(
                event = "pod.evicted",
                k8s.pod.name = target.name,
                k8s.pod.uid = target.uid,
                role = target.role.name(),
                "evicted pod"
            );
        }
        let (reason, note) = match failed {
            None if evicted => {
                let (Target { name, role, .. }, remedy) = (target, report.diagnosis.remedy);
                ("Rotated", format!("evicted {name} ({role}): {}; remedy: {remedy}", report.reason))
            }
            Some(why @ Reason::Unresolved { .. }) => {
                ("RotationUnresolved", format!("{} ({}): {why}", target.name, target.role))
            }
            Some(why) => {
                ("RotationBlocked", format!("{} ({}) was not evicted: {why}", target.name, target.role))
            }
            None => continue,
        };
        let is_cure = target.role == Role::Ill && !matches!(reason, "RotationBlocked");
        let cure = is_cure.then(|| stood_at(report));
        let notice =
            Notice { workload: owner, pod: Some(target), reason, note: &note, is_warning: !evicted, cure };
        if let Err(error) = cluster.notify(&notice) {
            tracing::warn!(
                event = "kubernetes_event.failed",
                k8s.pod.name = target.name,
                error.type = error.kind.code(),
                "cannot write an Event on {} {}: {error}",
                owner.kind,
                owner.name
            );
        }
    }
}

/// The standing partition of the replaced pod, if any.
fn stood_at(report: &Report) -> Option<StoodAt<'_>> {
    let cause = &report.diagnosis.cause;
    Some(StoodAt { topic: cause.topic.as_deref()?, partition: cause.partition?, offset: cause.offset })
}
