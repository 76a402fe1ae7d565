//! The plan of a rotation: immutable and complete. Impossible plans are refused.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::input::live_pod::{Controller, LivePod};
use crate::measure::outliers::Role;
use crate::rotation::disturbance::Disturbance;
use crate::rotation::eligibility::IneligiblePod;
use crate::rotation::options::{Mode, RotationOptions};
use crate::rotation::rollout::divided_targets;
use crate::rotation::settled::disturbances;
use crate::rotation::workload::{OwnerStatus, PlannedWorkload, Workload};
use crate::wording::joined;

/// The most pods one rotation evicts.
pub const MAX_TARGETS: usize = 2;

/// Which pods to evict, in which order, and within which limits.
///
/// A plan never changes; [`Rotation`](crate::Rotation) carries it out or says why not. It contains no
/// namespace; its driver knows that.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct RotationPlan {
    targets: Vec<Target>,
    workload: Controller,
    planned: PlannedWorkload,
    options: RotationOptions,
}

impl RotationPlan {
    /// Plans to evict `targets` (role and pod name, in order) of the workload just listed.
    ///
    /// # Errors
    ///
    /// No target, more than [`MAX_TARGETS`], a repeated pod or role, a pod that is not part of the workload
    /// or may not be evicted, or a workload that is not settled: see [`PlanError`].
    ///
    /// # Panics
    ///
    /// Never: a target without a controller, or whose owner is unknown, is refused.
    pub fn new(
        targets: &[(Role, &str)],
        workload: &Workload,
        options: RotationOptions,
    ) -> Result<Self, PlanError> {
        if targets.is_empty() {
            return Err(PlanError::NoTarget);
        }
        if targets.len() > MAX_TARGETS {
            return Err(PlanError::TooManyTargets(targets.len()));
        }
        if let [(first_role, first), (second_role, second)] = targets {
            if first == second {
                return Err(PlanError::SamePodTwice((*first).to_string()));
            }
            if first_role == second_role {
                return Err(PlanError::SameRoleTwice(*first_role));
            }
        }
        let mut chosen: Vec<Target> = Vec::new();
        let mut ineligible: Vec<IneligiblePod> = Vec::new();
        for (role, name) in targets {
            let pod: &LivePod = workload
                .pods
                .iter()
                .find(|pod| pod.name == *name)
                .ok_or_else(|| PlanError::UnknownPod((*name).to_string()))?;
            ineligible.extend(IneligiblePod::judge(pod, &workload.owners, options.warm_up));
            chosen.push(Target { role: *role, name: pod.name.clone(), uid: pod.uid.clone() });
        }
        if !ineligible.is_empty() {
            return Err(PlanError::Ineligible(ineligible));
        }
        let names: Vec<&str> = targets.iter().map(|(_, name)| *name).collect();
        let mut found: Vec<Disturbance> = disturbances(workload, &options);
        found.extend(divided_targets(workload, &names));
        if !found.is_empty() {
            return Err(PlanError::Unsettled(found));
        }
        let top: Controller =
            top(workload).expect("the targets have controllers, and none of a settled workload is unknown");
        Ok(Self { targets: chosen, workload: top, planned: PlannedWorkload::of(workload), options })
    }

    /// The same plan as a dry run: it ends after each target's preflight, and claims nothing.
    #[must_use]
    pub fn rehearsal(mut self) -> Self {
        self.options.mode = Mode::ServerDryRun;
        self
    }

    /// The pods to evict, in order; one or two.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// The top owner of the pods, such as the `Deployment`; among several, always the same one.
    pub const fn workload(&self) -> &Controller {
        &self.workload
    }

    /// The workload when the plan was made.
    pub const fn planned(&self) -> &PlannedWorkload {
        &self.planned
    }

    /// How to carry it out.
    pub const fn options(&self) -> &RotationOptions {
        &self.options
    }
}

/// Only owners of living pods count: two runs that list the same pods have to agree, and ended pods may be
/// cleaned up in between.
fn top(workload: &Workload) -> Option<Controller> {
    let owns = |owner: &&OwnerStatus| {
        workload.living().any(|pod| pod.controller.as_ref().is_some_and(|by| by.uid == owner.controller.uid))
    };
    let tops = workload.owners.iter().filter(owns).map(|owner| &owner.top);
    tops.min_by(|a, b| a.uid.cmp(&b.uid)).cloned()
}

/// One pod to evict: this object, not just its name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Target {
    /// Why it was chosen.
    pub role: Role,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod; never empty.
    pub uid: String,
}

/// Why a plan is impossible.
#[derive(Debug, Clone, PartialEq, Eq, strum::IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
#[non_exhaustive]
pub enum PlanError {
    /// Nothing to evict.
    #[error("a plan needs at least one target")]
    NoTarget,
    /// So many targets, more than one rotation may evict.
    #[error("a rotation evicts at most {MAX_TARGETS} pods, not {0}")]
    TooManyTargets(usize),
    /// The busiest and the least busy pod are this same one.
    #[error("pod {0} is named twice")]
    SamePodTwice(String),
    /// Two targets have this role.
    #[error("two targets are {0}")]
    SameRoleTwice(Role),
    /// This target is not among the pods of the selector.
    #[error("pod {0} is not a live pod of the selector")]
    UnknownPod(String),
    /// Targets that may not be evicted, in their order. No substitute is chosen.
    #[error("{}", joined(.0))]
    Ineligible(Vec<IneligiblePod>),
    /// The workload is changing, too small, or has several controllers: all reasons.
    #[error("the workload is not settled: {}", joined(.0))]
    Unsettled(Vec<Disturbance>),
}

impl PlanError {
    /// The stable name of this error in reports and metrics.
    pub fn code(&self) -> &'static str {
        self.into()
    }
}
