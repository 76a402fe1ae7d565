//! Which plans are refused, and whether the independent checker agrees.

use super::checker::{Violation, check_plan};
use super::fleet;
use core::time::Duration;
use proptest::prelude::*;
use rebalancer_core::{
    IneligiblePod, LivePod, LocalVolume, Objection, Phase, PlanError, Protection, Role, RotationOptions,
    RotationPlan, Workload, objections,
};

const BOTH: [(Role, &str); 2] = [(Role::Busiest, "a"), (Role::LeastBusy, "d")];

fn options() -> RotationOptions {
    RotationOptions::until(Duration::from_secs(60))
}

fn settled() -> Workload {
    fleet::workload("ReplicaSet", &["a", "b", "c", "d"])
}

fn changed(words: &[&str]) -> Workload {
    let mut workload: Workload = settled();
    for word in words {
        fleet::change(&mut workload, word);
    }
    workload
}

fn refusal(targets: &[(Role, &str)], workload: &Workload, options: RotationOptions) -> String {
    let error: PlanError = RotationPlan::new(targets, workload, options).expect_err("an impossible plan");
    format!("{}: {error}", error.code())
}

#[test]
fn a_plan_remembers_uids_in_the_order_asked_for() {
    let plan: RotationPlan = RotationPlan::new(&BOTH, &settled(), options()).expect("a possible plan");
    let told: Vec<(Role, &str, &str)> = plan
        .targets()
        .iter()
        .map(|target| (target.role, target.name.as_str(), target.uid.as_str()))
        .collect();
    assert_eq!(told, [(Role::Busiest, "a", "uid-a"), (Role::LeastBusy, "d", "uid-d")]);
    assert_eq!(plan.planned().uids.len(), 4);
}

#[test]
fn impossible_targets_are_refused() {
    let workload: Workload = settled();
    let cases: [(&[(Role, &str)], &str); 5] = [
        (&[], "no_target: a plan needs at least one target"),
        (
            &[(Role::Busiest, "a"), (Role::LeastBusy, "b"), (Role::Busiest, "c")],
            "too_many_targets: a rotation evicts at most 2 pods, not 3",
        ),
        (&[(Role::Busiest, "a"), (Role::LeastBusy, "a")], "same_pod_twice: pod a is named twice"),
        (&[(Role::Busiest, "a"), (Role::Busiest, "b")], "same_role_twice: two targets are busiest"),
        (&[(Role::Busiest, "z")], "unknown_pod: pod z is not a live pod of the selector"),
    ];
    for (targets, words) in cases {
        assert_eq!(refusal(targets, &workload, options()), words);
    }
}

#[test]
fn a_workload_that_is_not_settled_has_no_plan() {
    let cases: [(&[&str], &str); 6] = [
        (&["b:not_ready"], "pod b is not Ready"),
        (&["b:terminating"], "pod b is being terminated"),
        (&["generation=8"], "Deployment orders is in a rollout"),
        (&["desired=6"], "Deployment orders asks for 6 pods and there are 4"),
        (&["no_owner"], "nothing is known of ReplicaSet orders, so a rollout could not be seen"),
        (&["b:not_ready", "generation=8"], "Deployment orders is in a rollout; pod b is not Ready"),
    ];
    for (words, told) in cases {
        let expected: String = format!("unsettled: the workload is not settled: {told}");
        assert_eq!(refusal(&BOTH, &changed(words), options()), expected);
    }
    let many: RotationOptions = RotationOptions { min_pods: 5, ..options() };
    assert!(refusal(&BOTH, &settled(), many).ends_with("4 pods are Ready, 5 are required"));
}

#[test]
fn all_targets_that_may_not_be_evicted_are_named() {
    assert_eq!(
        refusal(&BOTH, &changed(&["a:not_ready", "a:terminating", "d:opts_out"]), options()),
        "ineligible: pod a may not be evicted: it is not Ready; is being terminated already; \
         pod d may not be evicted: it opts out by its annotation karpenter.sh/do-not-disrupt=true"
    );
}

#[test]
fn several_controllers_need_permission() {
    let mut workload: Workload = settled();
    let other = fleet::workload("StatefulSet", &["s-0", "s-1"]);
    workload.pods.extend(other.pods);
    workload.owners.extend(other.owners);
    assert!(
        refusal(&BOTH, &workload, options())
            .contains("2 controllers (ReplicaSet orders, StatefulSet orders)")
    );
    let allowed: RotationOptions = RotationOptions { allow_many_controllers: true, ..options() };
    assert!(RotationPlan::new(&BOTH, &workload, allowed).is_ok());
}

#[test]
fn a_long_list_of_reasons_is_cut_short() {
    let names: Vec<String> = (0..100).map(|number| format!("pod-{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut workload: Workload = fleet::workload("ReplicaSet", &names);
    workload.pods.iter_mut().skip(1).for_each(|pod| pod.ready = false);
    let words: String = refusal(&[(Role::Busiest, "pod-000")], &workload, options());
    assert!(words.ends_with("pod pod-008 is not Ready; and 92 more"), "{words}");
}

#[test]
fn every_objection_is_listed_with_code_and_words() {
    let mut pod: LivePod = fleet::pod("a", &fleet::owner("Node", "node-1"));
    pod.phase = Phase::Unknown;
    pod.ready = false;
    pod.terminating = true;
    pod.uptime = Some(Duration::from_secs(20));
    pod.uid.clear();
    pod.protections = vec![
        Protection::MirrorPod,
        Protection::SystemCritical { class: "system-node-critical".to_string() },
        Protection::OptOut {
            annotation: "karpenter.sh/do-not-disrupt".to_string(),
            value: "true".to_string(),
        },
        Protection::LocalStorage,
    ];
    pod.local_storage = vec![
        LocalVolume::EmptyDir { volume: "rocksdb".to_string() },
        LocalVolume::HostPath { volume: "logs".to_string() },
    ];
    let warm_up = Duration::from_secs(300);
    let mut found: Vec<Objection> = objections(&pod, &[], warm_up);
    pod.controller = None;
    found.extend(
        objections(&pod, &[], warm_up).into_iter().filter(|objection| *objection == Objection::NoController),
    );
    let told: Vec<String> =
        found.iter().map(|objection| format!("{}: {objection}", objection.code())).collect();
    assert_eq!(
        told,
        [
            "not_running: is Unknown, not Running",
            "not_ready: is not Ready",
            "terminating: is being terminated already",
            "not_recreated: is owned by Node node-1, which would not recreate it elsewhere",
            "mirror_pod: is a mirror pod, run by its node from a file",
            "system_critical: has the system's priority class system-node-critical",
            "opt_out: opts out by its annotation karpenter.sh/do-not-disrupt=true",
            "local_storage: has local storage that would be lost: emptyDir rocksdb; hostPath logs",
            "too_young: works for 20 s only, less than the warm-up of 300 s",
            "no_uid: has no known UID, so another pod of its name could be hit",
            "no_controller: has no controller that would recreate it",
        ]
    );
}

#[test]
fn warm_up_counts_from_exactly_its_length() {
    let warm_up = Duration::from_secs(300);
    let mut pod: LivePod = fleet::pod("a", &fleet::owner("ReplicaSet", "x"));
    pod.uptime = Some(Duration::from_secs(300));
    assert_eq!(objections(&pod, &[], warm_up), []);
    pod.uptime = Some(Duration::from_millis(299_999));
    assert_eq!(objections(&pod, &[], warm_up).len(), 1);
    (pod.age, pod.uptime) = (None, None);
    assert_eq!(objections(&pod, &[], warm_up), [], "an unknown age counts as old enough");
}

#[test]
fn the_checker_sees_what_is_wrong() {
    let plan: RotationPlan = RotationPlan::new(&BOTH, &settled(), options()).expect("a possible plan");
    let pod = |name: &str| name.to_string();
    let cases: [(&[&str], Vec<Violation>); 6] = [
        (&[], vec![]),
        (&["-b"], vec![]),
        (&["-a"], vec![Violation::NotLive { pod: pod("a") }]),
        (&["d:replaced"], vec![Violation::NotLive { pod: pod("d") }]),
        (&["d:opts_out"], vec![Violation::Untouchable { pod: pod("d") }]),
        (&["b:not_ready", "c:terminating"], vec![Violation::TooFewPods { ready: 2, required: 3 }]),
    ];
    for (words, violations) in cases {
        assert_eq!(check_plan(&plan, &changed(words).pods), violations, "{words:?}");
    }
}

fn any_pod(name: &'static str) -> impl Strategy<Value = LivePod> {
    let owner = prop::sample::select(vec!["ReplicaSet", "ReplicaSet", "ReplicaSet", "DaemonSet", "Node", ""]);
    let rare = || prop::bool::weighted(0.05);
    (owner, rare(), rare(), rare(), rare(), prop::option::of(0_u64..900), rare()).prop_map(
        move |(kind, pending, unready, terminating, nameless, uptime_s, opted_out)| {
            let mut pod: LivePod = fleet::pod(name, &fleet::owner(kind, "orders"));
            pod.controller = pod.controller.filter(|controller| !controller.kind.is_empty());
            pod.phase = if pending { Phase::Pending } else { Phase::Running };
            (pod.ready, pod.terminating) = (!unready, terminating);
            pod.uptime = uptime_s.map(Duration::from_secs);
            if nameless {
                pod.uid.clear();
            }
            if opted_out {
                fleet::change_pod(&mut pod, "opts_out");
            }
            pod
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, ..ProptestConfig::default() })]

    /// What the constructor accepts the checker finds sound; a target it calls untouchable is refused.
    #[test]
    fn constructor_and_checker_agree(
        pods in (any_pod("a"), any_pod("b"), any_pod("c"), any_pod("d")),
        min_pods in 0_usize..5,
        warm_up_s in 0_u64..300,
    ) {
        let mut workload: Workload = settled();
        workload.pods = vec![pods.0, pods.1, pods.2, pods.3];
        let limits = RotationOptions { min_pods, warm_up: Duration::from_secs(warm_up_s), ..options() };
        let made: Result<RotationPlan, PlanError> = RotationPlan::new(&BOTH, &workload, limits);
        // The same plan as made when all was well, held against these pods.
        let earlier: RotationPlan = RotationPlan::new(&BOTH, &settled(), limits).expect("a possible plan");
        let violations: Vec<Violation> = check_plan(&earlier, &workload.pods);
        prop_assert!(made.is_err() || violations.is_empty(), "{violations:?} were accepted");
        let Err(PlanError::Ineligible(pods)) = made else {
            return Ok(());
        };
        for IneligiblePod { pod, .. } in pods {
            let about = |violation: &Violation| match violation {
                Violation::NotLive { pod: other } | Violation::Untouchable { pod: other } => *other == pod,
                _ => false,
            };
            prop_assert!(violations.iter().any(about), "{pod} was refused and is not in {violations:?}");
        }
    }
}
