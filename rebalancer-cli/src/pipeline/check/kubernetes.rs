//! Checks the cluster: permissions, the workload, its budgets, and an eviction as a dry run.

use rebalancer_core::{
    Budget, Controller, Disturbance, EvictionRequest, FailureKind, LivePod, LocalVolume, Method, Objection,
    OwnerStatus, Pacing, Protection, Role, Target, Workload, disturbances, objections, remarks,
    storage_words,
};
use rebalancer_io::driver::Look as _;
use rebalancer_io::kubernetes::{OF_OTHER_OWNERS, Observer, Permission, TO_PLAN, to_run};

use crate::cli::args::{ActionArgs, CheckArgs, DryRun};
use crate::failure::Failure;
use crate::pipeline::live::{Live, owner};
use crate::report::check::{Category, Grade};
use crate::settings::decision::DecisionSettings;

/// Maximum number of similar findings listed one by one.
const TOLD: usize = 5;

/// Checks the cluster; also returns the workload, which is empty if it cannot be listed.
pub fn check(live: &Live, decision: &DecisionSettings, args: &CheckArgs) -> (Category, Workload) {
    let mut category = Category::new("kubernetes", Some(subject(live)));
    let mut observer = live.cluster.observer(live.selector.clone());
    let listed = observer.workload();
    let is_forbidden = listed.as_ref().is_err_and(|error| error.failure.kind == FailureKind::Forbidden);
    let permitted = permissions(live, &args.action, is_forbidden, &mut category);
    let workload = match listed {
        Ok(workload) => workload,
        Err(error) => {
            category.fail("list the workload", &Failure::Run(error.into()));
            return (category, Workload::default());
        }
    };
    pods(live, decision, &workload, &mut category);
    if workload.pods.is_empty() {
        return (category, workload);
    }
    settled(&workload, decision, args, &mut category);
    let eligible = eligible(&workload, decision, &mut category);
    local_storage(&workload, &mut category);
    budgets(&mut observer, &workload, &args.action, &mut category);
    if let (true, Some(pod)) = (permitted.to_end, eligible) {
        try_eviction(&mut observer, pod, &args.action, &mut category);
    }
    if let (true, Some(owner)) = (permitted.to_claim, workload.owners.first()) {
        try_claim(&observer, &owner.top, &mut category);
    }
    (category, workload)
}

/// Which cluster, and which user if known.
fn subject(live: &Live) -> String {
    let cluster = &live.cluster;
    let place = match cluster.context() {
        Some(context) => format!("context {context} ({})", cluster.server()),
        None => format!("the cluster of this pod ({})", cluster.server()),
    };
    let user = cluster.user().ok().flatten().map_or_else(String::new, |user| format!(", as {user}"));
    format!("{place}, namespace {}{user}", cluster.namespace())
}

/// What may be tried.
#[derive(Default)]
struct Permitted {
    to_end: bool,
    /// Whether a claim is wanted and may be tried too.
    to_claim: bool,
}

/// Checks each permission, and returns what may be tried. Permissions that only some workloads need are
/// checked if listing this one `was_forbidden` and no other missing permission explains it.
fn permissions(live: &Live, action: &ActionArgs, was_forbidden: bool, category: &mut Category) -> Permitted {
    let mut wanted: Vec<Permission> = to_run(action.eviction_method, action.claim);
    let asked = live.cluster.missing_permissions(&wanted).and_then(|mut missing| {
        let is_explained = TO_PLAN.iter().any(|permission| missing.contains(permission));
        if was_forbidden && !is_explained {
            let more = live.cluster.missing_permissions(&OF_OTHER_OWNERS)?;
            wanted.extend(&more);
            missing.extend(more);
        }
        Ok(missing)
    });
    let missing = match asked {
        Ok(missing) => missing,
        Err(error) => {
            category.fail("ask for permissions", &Failure::Run(error.into()));
            return Permitted::default();
        }
    };
    let ends = |permission: &Permission| permission.subresource == "eviction" || permission.verb == "delete";
    for permission in &wanted {
        if !missing.contains(permission) {
            category.good(format!("may {permission}"));
            continue;
        }
        let grant = format!("grant it by a Role in namespace {}", live.cluster.namespace());
        let acts = !TO_PLAN.contains(permission) && !OF_OTHER_OWNERS.contains(permission);
        let (grade, hint) = match permission.resource {
            "events" if action.dry_run == DryRun::Server => {
                (Grade::Warning, format!("DRY_RUN=server does not need it; to act, {grant}"))
            }
            _ if acts && action.dry_run == DryRun::Client => {
                (Grade::Warning, format!("DRY_RUN=client does not need it; to act, {grant}"))
            }
            "events" if !action.claim => {
                (Grade::Warning, format!("no Event will report an eviction; {grant}"))
            }
            "events" => {
                (Grade::Error, format!("a run that cannot claim evicts nothing: {grant}, or set CLAIM=off"))
            }
            _ => (Grade::Error, grant),
        };
        category.add(grade, format!("may not {permission}"), Some(hint));
    }
    Permitted {
        to_end: wanted.iter().any(|permission| ends(permission) && !missing.contains(permission)),
        to_claim: action.claim
            && action.dry_run == DryRun::None
            && missing.iter().all(|permission| permission.resource != "events"),
    }
}

/// Checks the pods that the selector matches: without enough of them, no run can act.
fn pods(live: &Live, decision: &DecisionSettings, workload: &Workload, category: &mut Category) {
    let (selector, namespace) = (live.selector.as_str(), live.cluster.namespace());
    let none = format!("selector {selector} matches no pod in namespace {namespace}");
    let correct = "correct KUBE_LABEL_SELECTOR or KUBE_NAMESPACE";
    let (required, matched) = (decision.thresholds.min_pods, workload.pods.len());
    let ready = workload.living().filter(|pod| pod.ready && !pod.terminating).count();
    let seen = format!("selector {selector} matches {matched} pods, {ready} of them Ready");
    if matched > 0 && ready >= required {
        return category.good(seen);
    }
    if matched > 0 {
        let hint = format!("{required} Ready pods are required (MIN_PODS_REQUIRED): every run does nothing");
        return category.add(Grade::Error, seen, Some(hint));
    }
    let (seen, hint) = match live.cluster.has_namespace() {
        Some(false) => (
            format!("namespace {namespace} does not exist"),
            "KUBE_NAMESPACE (--namespace) names it; is it the right cluster?".to_owned(),
        ),
        Some(true) => (
            none,
            format!("{correct}; kubectl get pods -n {namespace} --show-labels shows the labels there are"),
        ),
        None => (none, format!("{correct}; whether the namespace exists may not be seen")),
    };
    category.add(Grade::Error, seen, Some(hint));
}

/// Checks whether the state of the workload holds a rotation back.
fn settled(workload: &Workload, decision: &DecisionSettings, args: &CheckArgs, category: &mut Category) {
    let kubernetes = &args.live.kubernetes;
    let options = decision.rotation_options(kubernetes.allow_multiple_controllers, kubernetes.run_timeout);
    let found: Vec<Disturbance> = disturbances(workload, &options)
        .into_iter()
        // Already reported with the selector.
        .filter(|found| !matches!(found, Disturbance::TooFewReady { .. }))
        .collect();
    for disturbance in found.iter().take(TOLD) {
        let (grade, hint) = match disturbance {
            Disturbance::Paused { .. } => {
                (Grade::Warning, "runs are withheld until the annotation is removed, or says \"false\"")
            }
            Disturbance::ControllersDiffer(_) => (
                Grade::Error,
                "every run is withheld for it: narrow the selector, or set ALLOW_MULTIPLE_CONTROLLERS=true",
            ),
            Disturbance::OwnerUnknown(_) => (Grade::Error, "every run is withheld for it"),
            Disturbance::RevisionsDiffer { .. } => (
                Grade::Warning,
                "runs are withheld until all pods are of one revision; a canary that rests looks like this too",
            ),
            _ => (Grade::Warning, "runs are withheld until it has settled"),
        };
        category.add(grade, disturbance.to_string(), Some(hint.to_owned()));
    }
    if found.len() > TOLD {
        category.warn(format!("{} more such findings", found.len() - TOLD), "plan tells of each");
    }
    if let (true, Some(owner)) = (found.is_empty(), owner(workload)) {
        owned(&owner, workload, category);
    }
}

/// Reports the owner of the pods, its replicas, and what its status shows about rollouts.
fn owned(owner: &str, workload: &Workload, category: &mut Category) {
    let asked = workload.owners.iter().find_map(|owner| owner.desired_replicas);
    let asked = asked.map_or_else(String::new, |count| format!(", {count} of {count} replicas"));
    if workload.owners.iter().any(OwnerStatus::is_silent) {
        return category.warn(
            format!("owned by {owner}{asked}, rollout not visible"),
            "of a rollout only pods of different revisions can be seen; those withhold a run",
        );
    }
    match remarks(workload, &[]).first() {
        Some(remark) => category.warn(
            format!("owned by {owner}{asked}: {remark}"),
            "a run is withheld when the pods it picks are of different revisions",
        ),
        None => category.good(format!("owned by {owner}{asked}, no rollout")),
    }
}

/// Reports pods whose data is, or may be, on their node, unless such pods are never evicted.
fn local_storage(workload: &Workload, category: &mut Category) {
    let with = |pod: &&LivePod| {
        !pod.local_storage.is_empty() && !pod.protections.contains(&Protection::LocalStorage)
    };
    let concerned: Vec<&LivePod> = workload.living().filter(with).collect();
    let known = |pod: &&&LivePod| pod.local_storage.iter().any(LocalVolume::is_known);
    let Some(example) = concerned.iter().find(known).or(concerned.first()) else { return };
    let (count, all) = (concerned.len(), workload.living().count());
    let seen = if known(&example) {
        format!("{count} of {all} pods have local storage")
    } else {
        format!("for {count} of {all} pods it is not known whether they have local storage")
    };
    category.warn(
        format!("{seen}: {} {}", example.name, storage_words(&example.local_storage)),
        "LOCAL_STORAGE=refuse leaves such pods alone",
    );
}

/// Reports pods that are never evicted, and returns one that may be evicted now.
fn eligible<'a>(
    workload: &'a Workload,
    decision: &DecisionSettings,
    category: &mut Category,
) -> Option<&'a LivePod> {
    let lasting = |objection: &&Objection| match objection {
        Objection::NotRunning(_) | Objection::TooYoung { .. } => false,
        other => !matches!(other, Objection::NotReady | Objection::Terminating | Objection::NoUid),
    };
    let (mut barred, mut first, mut hint) = (Vec::new(), None, None);
    for pod in workload.living() {
        let found = objections(pod, &workload.owners, decision.warm_up());
        if found.is_empty() {
            first = first.or(Some(pod));
        }
        if let Some(objection) = found.iter().find(lasting) {
            barred.push(format!("{} {objection}", pod.name));
            hint = hint.or_else(|| match objection {
                Objection::UnknownController { kind, .. } => Some(format!(
                    "if {kind} replaces an evicted pod and loses nothing by it, set ALLOWED_CONTROLLERS={kind}"
                )),
                Objection::LocalStorage(_) => Some("LOCAL_STORAGE=allow evicts them all the same".to_owned()),
                _ => None,
            });
        }
    }
    if let Some(example) = barred.first() {
        let (count, all) = (barred.len(), workload.living().count());
        let (grade, meaning) = if count == all {
            (Grade::Error, "every run is blocked")
        } else {
            (Grade::Warning, "a run is blocked when it picks one of them")
        };
        let hint = hint.map_or_else(|| meaning.to_owned(), |hint| format!("{meaning}; {hint}"));
        category.add(grade, format!("{count} of {all} pods are never evicted: {example}"), Some(hint));
    }
    first
}

fn budgets(observer: &mut Observer<'_>, workload: &Workload, action: &ActionArgs, category: &mut Category) {
    let targets: Vec<Target> = workload.living().map(target).collect();
    let budgets = match observer.list_budgets(&targets) {
        Ok(budgets) => budgets,
        Err(failure) => {
            let error = anyhow::anyhow!("{failure}");
            return category.fail("list the PodDisruptionBudgets", &Failure::Run(error));
        }
    };
    if budgets.is_empty() {
        return category.good("no PodDisruptionBudget covers the pods");
    }
    let twice = targets
        .iter()
        .find(|target| budgets.iter().filter(|budget| budget.covers.contains(&target.name)).count() > 1);
    if let Some(Target { name, .. }) = twice {
        category.warn(
            format!("pod {name} is covered by more than one PodDisruptionBudget"),
            "the API server refuses to evict such a pod: let only one selector match it",
        );
    }
    let at_once = if action.pacing == Pacing::WaitReady { 1 } else { 2 };
    for budget in &budgets {
        judge(budget, targets.len(), at_once, category);
    }
}

fn judge(budget: &Budget, pods: usize, at_once: i32, category: &mut Category) {
    let Budget { name, covers, disruptions_allowed, .. } = budget;
    let noun = if *disruptions_allowed == 1 { "disruption" } else { "disruptions" };
    let seen = format!(
        "PodDisruptionBudget {name} covers {} of {pods} pods and allows {disruptions_allowed} {noun} now",
        covers.len()
    );
    let hint = if budget.observed_generation < budget.generation {
        "its controller has not processed its last change yet: run the check again"
    } else if *disruptions_allowed >= at_once {
        return category.good(seen);
    } else if *disruptions_allowed == 1 {
        "a rotation needs 2 and would be blocked: let the budget allow 2, or set PACING=wait-ready"
    } else {
        "runs are blocked until it allows more: are all pods Ready? is the budget too strict?"
    };
    category.warn(seen, hint);
}

/// Asks the server in a dry run whether it would evict this pod.
fn try_eviction(observer: &mut Observer<'_>, pod: &LivePod, action: &ActionArgs, category: &mut Category) {
    let method = action.eviction_method;
    let verb = match method {
        Method::Evict => "evict",
        Method::Delete => "delete",
    };
    let name = &pod.name;
    let request = EvictionRequest { target: target(pod), method, grace_period_s: None };
    match observer.preflight(&request) {
        Ok(()) => category.good(format!("the server would {verb} {name} (dry run, nothing was changed)")),
        Err(failure) => {
            let grade = match failure.kind {
                FailureKind::BlockedByPdb | FailureKind::PdbMisconfigured | FailureKind::Throttled => {
                    Grade::Warning
                }
                FailureKind::TargetGone | FailureKind::TargetReplaced => Grade::Warning,
                _ => Grade::Error,
            };
            let hint = failure.to_string();
            category.add(grade, format!("the server would not {verb} {name} now (dry run)"), Some(hint));
        }
    }
}

/// Asks the server in a dry run whether the workload can be claimed.
fn try_claim(observer: &Observer<'_>, owner: &Controller, category: &mut Category) {
    match observer.try_claim(owner) {
        Ok(()) => category.good("the workload can be claimed (tried, and nothing was written)"),
        Err(failure) => category.add(
            Grade::Error,
            "the workload cannot be claimed (tried, and nothing was written)".to_owned(),
            Some(format!("{failure}; a run that cannot claim evicts nothing: repair it, or set CLAIM=off")),
        ),
    }
}

fn target(pod: &LivePod) -> Target {
    Target { role: Role::Busiest, name: pod.name.clone(), uid: pod.uid.clone() }
}
