//! Rotations over HTTP against a simulated API server: what is asked, what is evicted, what is
//! reported, and that nothing happens that must not.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rebalancer_core::{
    Method, Mode, Pacing, Role, RotationOptions, RotationOutcome, RotationPlan, RotationReport, Workload,
};
use rebalancer_io::driver::PodManager;
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Selector};
use rebalancer_sim::apiserver::{ApiServer, Effect, Fault, Fleet, SimPod, SimRequest, WorkloadKind};
use rebalancer_sim::transcript::Transcript;

pub(super) const BUSIEST: &str = "orders-1";
pub(super) const LEAST_BUSY: &str = "orders-2";

pub(super) fn options() -> RotationOptions {
    RotationOptions::until(Duration::from_secs(60))
}

fn connect(server: &ApiServer) -> Cluster {
    let allowed = "StatefulSet.apps.kruise.io".parse().expect("a kind of controllers");
    let options = ConnectOptions {
        kubeconfig: Some(server.kubeconfig_path()),
        call_timeout: Duration::from_secs(2),
        allowed_controllers: vec![allowed],
        ..ConnectOptions::default()
    };
    Cluster::connect(&options).expect("the kubeconfig of the simulated server")
}

pub(super) fn selector() -> Selector {
    Selector::new("app=orders").expect("a selector")
}

/// Plans the rotation of [`BUSIEST`] and [`LEAST_BUSY`], lets `between` happen, and carries it out.
fn rotate_after(
    server: &ApiServer,
    options: RotationOptions,
    between: impl FnOnce(&ApiServer),
) -> RotationReport {
    rotate_pair(server, [BUSIEST, LEAST_BUSY], options, between)
}

fn rotate_pair(
    server: &ApiServer,
    [busiest, least_busy]: [&str; 2],
    options: RotationOptions,
    between: impl FnOnce(&ApiServer),
) -> RotationReport {
    let cluster = connect(server);
    let mut evictor = cluster.evictor(selector(), "cpu is uneven");
    let workload: Workload = cluster.observer(selector()).workload().expect("a workload");
    let targets = [(Role::Busiest, busiest), (Role::LeastBusy, least_busy)];
    let plan = RotationPlan::new(&targets, &workload, options).expect("a settled workload");
    between(server);
    let stop = AtomicBool::new(false);
    PodManager::new(&mut evictor, Instant::now(), &stop).delete_pods(plan)
}

fn rotate(server: &ApiServer) -> RotationReport {
    rotate_after(server, options(), |_| {})
}

/// The evictions and deletions that were no dry-run.
pub(super) fn real(server: &ApiServer) -> Vec<SimRequest> {
    let ends = |request: &SimRequest| {
        let evicts = request.method == "POST" && request.path().ends_with("/eviction");
        (evicts || request.method == "DELETE") && request.query("dryRun").is_none()
    };
    let is_dry = |request: &SimRequest| String::from_utf8_lossy(&request.body).contains("dryRun");
    server.requests().into_iter().filter(ends).filter(|request| !is_dry(request)).collect()
}

fn names(server: &ApiServer) -> Vec<String> {
    server.pods().into_iter().map(|pod| pod.name).collect()
}

#[track_caller]
fn assert_nothing_evicted(server: &ApiServer, report: &RotationReport) {
    assert_eq!(report.deleted, Vec::<String>::new(), "{report:?}");
    assert!(names(server).contains(&BUSIEST.to_owned()), "{:?}", names(server));
    assert!(names(server).contains(&LEAST_BUSY.to_owned()), "{:?}", names(server));
}

#[test]
fn both_targets_are_evicted_by_uid_with_no_request_too_many() {
    let server = ApiServer::start(Fleet::deployment("orders", 12).with_budget("orders-pdb", 2));
    let report = rotate(&server);
    assert_eq!(report.outcome, RotationOutcome::Rotated, "{report:?}");
    assert_eq!(report.attempted, [BUSIEST, LEAST_BUSY]);
    assert_eq!(report.deleted, [BUSIEST, LEAST_BUSY]);
    assert!(report.skipped.is_empty() && report.errors.is_empty(), "{report:?}");
    assert_eq!(server.pods().len(), 12, "both were replaced");
    assert!(
        !names(&server).contains(&BUSIEST.to_owned()) && !names(&server).contains(&LEAST_BUSY.to_owned())
    );

    let asked: Vec<String> = server
        .requests()
        .iter()
        .map(|request| {
            format!("{} {}", request.method, request.target.replace("/api/v1/namespaces/shop", ""))
        })
        .collect();
    let once = [
        "GET /pods?&labelSelector=app%3Dorders&limit=500",
        "GET /apis/apps/v1/namespaces/shop/replicasets/orders-58db4d5fb7",
        "GET /apis/apps/v1/namespaces/shop/deployments/orders",
    ];
    let claims = "GET /apis/events.k8s.io/v1/namespaces/shop/events?\
                  &labelSelector=pod-rebalancer%2Fworkload%3D00000000-0000-4000-9000-000000000002";
    let acting = [
        "GET /apis/policy/v1/namespaces/shop/poddisruptionbudgets?&limit=500",
        "POST /pods/orders-1/eviction?&dryRun=All",
        "POST /pods/orders-2/eviction?&dryRun=All",
        "POST /apis/events.k8s.io/v1/namespaces/shop/events?",
        "POST /pods/orders-1/eviction?",
    ];
    let last = ["POST /pods/orders-2/eviction?"];
    assert_eq!(asked, [once.as_slice(), &[claims], &once, &acting, &once, &last].concat());
}

#[test]
fn the_eviction_is_written_byte_for_byte_with_its_precondition() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    rotate(&server);
    let sent = real(&server);
    let bodies: Vec<&str> =
        sent.iter().map(|request| std::str::from_utf8(&request.body).expect("JSON")).collect();
    assert_eq!(
        bodies,
        [
            r#"{"apiVersion":"policy/v1","kind":"Eviction","deleteOptions":{"preconditions":{"uid":"00000000-0000-4000-8000-000000000001"}},"metadata":{"name":"orders-1","namespace":"shop"}}"#,
            r#"{"apiVersion":"policy/v1","kind":"Eviction","deleteOptions":{"preconditions":{"uid":"00000000-0000-4000-8000-000000000002"}},"metadata":{"name":"orders-2","namespace":"shop"}}"#,
        ]
    );
    let posts: Vec<SimRequest> = server.requests().into_iter().filter(|sent| sent.method == "POST").collect();
    assert_eq!(posts[0].body, posts[3].body, "the preflight asks for the very same eviction");
    for request in &posts {
        assert_eq!(request.header("content-type"), Some("application/json"));
        assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("pod-rebalancer/")));
    }
}

#[test]
fn a_grace_period_is_sent_only_when_set_and_delete_keeps_the_precondition() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let evict = RotationOptions { grace_period_s: Some(7), ..options() };
    rotate_after(&server, evict, |_| {});
    assert_eq!(
        String::from_utf8_lossy(&real(&server)[0].body),
        r#"{"apiVersion":"policy/v1","kind":"Eviction","deleteOptions":{"gracePeriodSeconds":7,"preconditions":{"uid":"00000000-0000-4000-8000-000000000001"}},"metadata":{"name":"orders-1","namespace":"shop"}}"#
    );

    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let delete = RotationOptions { method: Method::Delete, ..options() };
    let report = rotate_after(&server, delete, |_| {});
    assert_eq!(report.outcome, RotationOutcome::Rotated, "{report:?}");
    let sent = real(&server);
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].method, "DELETE");
    assert_eq!(
        String::from_utf8_lossy(&sent[0].body),
        r#"{"preconditions":{"uid":"00000000-0000-4000-8000-000000000001"}}"#
    );
    assert_eq!(server.pods().len(), 4, "both were replaced, the dry-runs deleted nothing");
}

#[test]
fn a_server_dry_run_asks_for_both_and_evicts_none() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let report = rotate_after(&server, RotationOptions { mode: Mode::ServerDryRun, ..options() }, |_| {});
    assert_eq!(report.outcome, RotationOutcome::Planned, "{report:?}");
    assert_eq!(real(&server), []);
    assert_nothing_evicted(&server, &report);
}

/// A proxy sent the claim twice: the first answer was lost, and the second says that its name is taken.
#[test]
fn a_run_knows_its_own_claim() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let taken = Transcript {
        code: 409,
        headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
        body: br#"{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "AlreadyExists", "code": 409,
                   "message": "events.events.k8s.io \"x\" already exists", "details": {"kind": "events"}}"#
            .to_vec(),
    };
    server.inject(Fault::on("POST", "/events", Effect::AnswerAfter(taken)));
    let report = rotate(&server);
    assert_eq!(report.outcome, RotationOutcome::Rotated, "{report:?}");
    assert_eq!(real(&server).len(), 2);
}

/// That it cannot evict is a matter of types: `delete_pods` does not compile with it.
#[test]
fn an_observer_rehearses_a_plan_that_would_evict() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let cluster = connect(&server);
    let mut observer = cluster.observer(selector());
    let workload = observer.workload().expect("a workload");
    let plan = RotationPlan::new(&[(Role::Busiest, BUSIEST)], &workload, options()).expect("a plan");
    assert_eq!(plan.options().mode, Mode::Execute);
    let stop = AtomicBool::new(false);
    let report = PodManager::new(&mut observer, Instant::now(), &stop).rehearse(plan);
    assert_eq!(report.outcome, RotationOutcome::Planned, "{report:?}");
    assert!(!server.requests().iter().any(|asked| asked.path().ends_with("/events")), "nothing is claimed");
    assert_eq!(real(&server), []);
}

#[test]
fn budgets_are_counted_before_anything_is_evicted() {
    for (allowed, outcome) in [
        (0, RotationOutcome::Blocked),
        (1, RotationOutcome::Blocked),
        (-1, RotationOutcome::Blocked),
        (2, RotationOutcome::Rotated),
    ] {
        let server = ApiServer::start(Fleet::deployment("orders", 4).with_budget("orders-pdb", allowed));
        let report = rotate(&server);
        assert_eq!(report.outcome, outcome, "{allowed} allowed: {report:?}");
        if outcome == RotationOutcome::Blocked {
            assert_nothing_evicted(&server, &report);
            assert_eq!(report.reason.code(), "blocked_by_pdb");
            assert!(report.reason.to_string().contains("orders-pdb"), "{}", report.reason);
        }
    }
}

#[test]
fn two_budgets_on_one_pod_or_one_that_lags_block() {
    let two = Fleet::deployment("orders", 4).with_budget("one", 5).with_budget("two", 5);
    let server = ApiServer::start(two);
    let report = rotate(&server);
    assert_eq!((report.outcome, report.reason.code()), (RotationOutcome::Blocked, "pdb_misconfigured"));
    assert_nothing_evicted(&server, &report);

    let mut lagging = Fleet::deployment("orders", 4).with_budget("orders-pdb", 5);
    lagging.budgets[0].generation = 2;
    let server = ApiServer::start(lagging);
    let report = rotate(&server);
    assert_eq!((report.outcome, report.reason.code()), (RotationOutcome::Blocked, "pdb_not_observed"));
    assert_nothing_evicted(&server, &report);
}

#[test]
fn a_budget_of_another_workload_is_no_obstacle() {
    let mut fleet = Fleet::deployment("orders", 4).with_budget("carts-pdb", 0);
    fleet.budgets[0].match_labels.insert("app".to_owned(), "carts".to_owned());
    let server = ApiServer::start(fleet);
    assert_eq!(rotate(&server).outcome, RotationOutcome::Rotated);
}

/// Pods of one workload need not have the same labels.
#[test]
fn a_budget_covers_the_pods_with_its_labels_and_no_other() {
    for (labelled, outcome) in [
        (BUSIEST, RotationOutcome::Blocked),
        (LEAST_BUSY, RotationOutcome::Blocked),
        ("orders-0", RotationOutcome::Rotated),
    ] {
        let mut fleet = Fleet::deployment("orders", 4).with_budget("canary-pdb", 0);
        fleet.budgets[0].match_labels.insert("track".to_owned(), "canary".to_owned());
        fleet.pod(labelled).labels.insert("track".to_owned(), "canary".to_owned());
        let server = ApiServer::start(fleet);
        let report = rotate(&server);
        assert_eq!(report.outcome, outcome, "{labelled}: {report:?}");
        // The server would refuse too; it is not asked.
        let tried = server.requests().iter().any(|asked| asked.path().ends_with("/eviction"));
        assert_eq!(tried, outcome == RotationOutcome::Rotated, "{labelled}");
    }
}

#[test]
fn a_workload_that_moved_since_the_plan_is_left_alone() {
    type Change = fn(&mut Fleet);
    let changes: [(&str, Change); 7] = [
        ("pod orders-3 is gone", |fleet| fleet.pods.retain(|pod| pod.name != "orders-3")),
        ("pod orders-2 was replaced", |fleet| fleet.pod(LEAST_BUSY).uid = "another".to_owned()),
        ("pod orders-3 is not Ready", |fleet| fleet.pod("orders-3").ready_from = None),
        ("pod orders-3 is being terminated", |fleet| {
            fleet.pod("orders-3").gone_from = Some(Instant::now() + Duration::from_secs(60));
        }),
        ("Deployment orders is in a rollout", |fleet| fleet.generation = 2),
        ("Deployment orders is in a rollout", |fleet| fleet.updated_replicas = Some(1)),
        ("asks for 6 pods and there are 5", |fleet| fleet.replicas = 6),
    ];
    for (words, change) in changes {
        let server = ApiServer::start(Fleet::deployment("orders", 5));
        let report = rotate_after(&server, options(), |server| server.change(change));
        assert_eq!(report.outcome, RotationOutcome::Withheld, "{words}: {report:?}");
        assert!(report.reason.to_string().contains(words), "{words}: {}", report.reason);
        assert_nothing_evicted(&server, &report);
        assert_eq!(real(&server), []);
    }
}

#[test]
fn a_rollout_of_a_stateful_set_and_an_unknown_kind_are_told_apart() {
    let server = ApiServer::start(Fleet::deployment("orders", 4).of_kind(WorkloadKind::StatefulSet));
    assert_eq!(rotate(&server).outcome, RotationOutcome::Rotated);
    let server = ApiServer::start(Fleet::deployment("orders", 4).of_kind(WorkloadKind::StatefulSet));
    let report =
        rotate_after(&server, options(), |server| server.change(|fleet| fleet.updated_replicas = Some(4)));
    assert_eq!(report.reason.code(), "rollout", "{report:?}");
    // Nothing can be asked of a custom kind, and nothing is held against one that is named.
    let server = ApiServer::start(Fleet::deployment("orders", 4).of_kind(WorkloadKind::Custom));
    assert_eq!(rotate(&server).outcome, RotationOutcome::Rotated);
}

/// A lost answer to the first eviction, and whether the pod was evicted all the same.
#[test]
fn an_answer_that_is_lost_is_resolved_by_a_look_at_the_uid() {
    let effects = [
        ("done, connection closed", Effect::HangupAfter, true),
        ("done, answer cut in half", Effect::Truncate, true),
        ("done, answer too late", Effect::Stall(Duration::from_secs(4)), true),
        ("not done, connection closed", Effect::Hangup, false),
        ("not done, 504", Effect::Answer(Transcript::named("723_etcd_hang_evict")), false),
    ];
    for (what, effect, done) in effects {
        let mut fleet = Fleet::deployment("orders", 4);
        fleet.termination = Duration::from_secs(60);
        let server = ApiServer::start(fleet);
        server.inject(Fault::on("POST", "/eviction?", effect).after(2).times(1));
        let report = rotate(&server);
        let asked = real(&server);
        assert!(
            server.requests().iter().any(|get| get.method == "GET" && get.path().ends_with(BUSIEST)),
            "{what}"
        );
        if done {
            assert_eq!(report.outcome, RotationOutcome::Rotated, "{what}: {report:?}");
            assert_eq!(asked.len(), 2, "{what}: each eviction was sent once");
        } else {
            assert_eq!(report.outcome, RotationOutcome::Failed, "{what}: {report:?}");
            assert_eq!(report.errors.keys().collect::<Vec<_>>(), [BUSIEST], "{what}");
            assert_eq!(asked.len(), 1, "{what}: never sent again, and the second not at all");
            assert_nothing_evicted(&server, &report);
        }
    }
}

#[test]
fn a_stateful_set_pod_that_came_back_under_its_name_counts_as_evicted() {
    let server = ApiServer::start(Fleet::deployment("orders", 4).of_kind(WorkloadKind::StatefulSet));
    server.inject(Fault::on("POST", "/eviction?", Effect::HangupAfter).after(2).times(1));
    let report = rotate(&server);
    assert_eq!(report.deleted, [BUSIEST, LEAST_BUSY], "{report:?}");
    assert_eq!(real(&server).len(), 2);
}

#[test]
fn what_cannot_be_resolved_is_reported_as_unknown_and_ends_the_run() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    server.inject(Fault::on("POST", "/eviction?", Effect::HangupAfter).after(2));
    server.inject(Fault::on("GET", "/pods/orders-1", Effect::Hangup));
    let report = rotate(&server);
    assert_eq!((report.outcome, report.reason.code()), (RotationOutcome::Failed, "unresolved"), "{report:?}");
    assert_eq!(report.errors.keys().collect::<Vec<_>>(), [BUSIEST]);
    assert_eq!(real(&server).len(), 1, "nothing after an outcome that is unknown");
}

#[test]
fn a_refusal_of_the_second_is_a_partial_rotation_and_is_not_tried_again() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let refusal = Effect::Answer(Transcript::named("211_evict_429_second"));
    server.inject(Fault::on("POST", "/orders-2/eviction?", refusal).after(1));
    let report = rotate(&server);
    assert_eq!(
        (report.outcome, report.reason.code()),
        (RotationOutcome::Partial, "blocked_by_pdb"),
        "{report:?}"
    );
    assert_eq!(report.deleted, [BUSIEST]);
    assert_eq!(report.errors.keys().collect::<Vec<_>>(), [LEAST_BUSY]);
    assert_eq!(real(&server).len(), 2, "a refusal is answered at once: no retries");
}

#[test]
fn a_missing_permission_is_named_before_anything_is_evicted() {
    for (permission, word) in [
        ("create pods/eviction", "pods/eviction"),
        ("list poddisruptionbudgets.policy", "poddisruptionbudgets"),
    ] {
        let server = ApiServer::start(Fleet::deployment("orders", 4));
        server.deny(permission);
        let report = rotate(&server);
        assert_eq!(
            (report.outcome, report.reason.code()),
            (RotationOutcome::Failed, "forbidden"),
            "{report:?}"
        );
        assert!(report.reason.to_string().contains(word), "{}", report.reason);
        assert_nothing_evicted(&server, &report);
    }
}

#[test]
fn the_second_waits_for_the_replacement_of_the_first_when_paced_so() {
    let mut fleet = Fleet::deployment("orders", 4);
    fleet.startup = Duration::from_secs(2);
    let server = ApiServer::start(fleet);
    let report = rotate_after(&server, RotationOptions { pacing: Pacing::WaitReady, ..options() }, |_| {});
    assert_eq!(report.outcome, RotationOutcome::Rotated, "{report:?}");
    let evictions = report.steps.iter().filter(|step| step.action == "evict");
    let at_ms: Vec<u64> = evictions.map(|step| step.at_ms).collect();
    assert!(at_ms[1] - at_ms[0] >= 2000, "{at_ms:?}");
}

#[test]
fn a_stop_during_a_wait_ends_the_run_at_once_and_reports_what_was_done() {
    let mut fleet = Fleet::deployment("orders", 4);
    fleet.startup = Duration::from_secs(3600);
    let server = ApiServer::start(fleet);
    let cluster = connect(&server);
    let mut evictor = cluster.evictor(selector(), "cpu is uneven");
    let workload = cluster.observer(selector()).workload().expect("a workload");
    let targets = [(Role::Busiest, BUSIEST), (Role::LeastBusy, LEAST_BUSY)];
    let paced = RotationOptions { pacing: Pacing::WaitReady, ..options() };
    let plan = RotationPlan::new(&targets, &workload, paced).expect("a plan");
    let stop = AtomicBool::new(false);
    let started = Instant::now();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            while real(&server).is_empty() {
                thread::sleep(Duration::from_millis(20));
            }
            stop.store(true, Ordering::Relaxed);
        });
        PodManager::new(&mut evictor, started, &stop).delete_pods(plan)
    });
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert_eq!(
        (report.outcome, report.reason.code()),
        (RotationOutcome::Partial, "stop_requested"),
        "{report:?}"
    );
    assert_eq!((report.deleted.as_slice(), real(&server).len()), ([BUSIEST.to_owned()].as_slice(), 1));
}

#[test]
fn a_stop_before_the_start_evicts_nothing() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let cluster = connect(&server);
    let mut evictor = cluster.evictor(selector(), "cpu is uneven");
    let workload = cluster.observer(selector()).workload().expect("a workload");
    let plan = RotationPlan::new(&[(Role::Busiest, BUSIEST)], &workload, options()).expect("a plan");
    let stop = AtomicBool::new(true);
    let before = cluster.requests();
    let report = PodManager::new(&mut evictor, Instant::now(), &stop).delete_pods(plan);
    assert_eq!(report.reason.code(), "stop_requested", "{report:?}");
    assert_eq!(cluster.requests(), before, "not even asked");
}

/// The pods of before that are gone or being terminated.
fn ended(before: &[SimPod], server: &ApiServer) -> Vec<String> {
    let after = server.pods();
    let lives = |pod: &&SimPod| after.iter().any(|other| other.uid == pod.uid && other.gone_from.is_none());
    before.iter().filter(|pod| !lives(pod)).map(|pod| pod.name.clone()).collect()
}

/// Replacements are Ready at once and there is no budget: only the claim keeps the two apart.
#[test]
fn two_runs_at_once_evict_at_most_one_pair() {
    let pairs =
        [[BUSIEST, LEAST_BUSY], ["orders-3", "orders-4"], [LEAST_BUSY, BUSIEST], ["orders-5", BUSIEST]];
    for round in 0..40 {
        let server = ApiServer::start(Fleet::deployment("orders", 6));
        let before = server.pods();
        let both_planned = Barrier::new(2);
        let run = |pair| {
            rotate_pair(&server, pair, options(), |_| {
                both_planned.wait();
            })
        };
        let pairs = [pairs[0], pairs[round % pairs.len()]];
        let reports = thread::scope(|scope| {
            let runs = pairs.map(|pair| scope.spawn(move || run(pair)));
            runs.map(|run| run.join().expect("a report"))
        });
        let rotated = |report: &&RotationReport| report.outcome == RotationOutcome::Rotated;
        let winner = reports.iter().find(rotated).unwrap_or_else(|| panic!("nobody: {reports:#?}"));
        let mut expected = winner.deleted.clone();
        expected.sort_unstable();
        assert_eq!(ended(&before, &server), expected, "{reports:#?}");
        assert_eq!(real(&server).len(), 2, "the other one asked for no eviction: {reports:#?}");
    }
}

/// A claim as another run would have written it just now.
fn claim(generation: u64, valid_s: u64) -> serde_json::Value {
    serde_json::json!({
        "metadata": {
            "name": format!("pod-rebalancer-00000000-0000-4000-9000-000000000002-{generation}"),
            "labels": { "pod-rebalancer/workload": "00000000-0000-4000-9000-000000000002" },
            "annotations": {
                "pod-rebalancer/generation": generation.to_string(),
                "pod-rebalancer/valid-seconds": valid_s.to_string(),
            },
            "creationTimestamp": Timestamp::now().to_string(),
        },
        "reportingInstance": "laptop",
    })
}

#[test]
fn a_claim_in_force_withholds_before_anything_else_is_asked() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    server.change(|fleet| fleet.events.push(claim(4, 30)));
    let report = rotate(&server);
    assert_eq!((report.outcome, report.reason.code()), (RotationOutcome::Withheld, "claimed"));
    assert!(report.reason.to_string().contains("a run on laptop claimed the workload"), "{report:?}");
    assert!(server.requests().iter().all(|request| request.method == "GET"));
    assert_nothing_evicted(&server, &report);
}

#[test]
fn a_claim_that_ran_out_is_followed_by_the_next_generation() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let mut old = claim(4, 30);
    old["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
    server.change(|fleet| fleet.events.push(old));
    assert_eq!(rotate(&server).outcome, RotationOutcome::Rotated);
    let mut written = Vec::new();
    server.change(|fleet| written.clone_from(&fleet.events));
    assert_eq!(written[1]["metadata"]["annotations"]["pod-rebalancer/generation"], "5");
    assert_eq!(written[1]["reason"], "RotationStarted");
    assert_eq!(
        written[1]["note"],
        format!("evicting pod {BUSIEST} (busiest), then pod {LEAST_BUSY} (least_busy): cpu is uneven")
    );
}

#[test]
fn a_claim_that_cannot_be_read_is_no_reason_to_act() {
    let server = ApiServer::start(Fleet::deployment("orders", 4));
    let mut strange = claim(4, 30);
    strange["metadata"]["annotations"] = serde_json::json!({});
    server.change(|fleet| fleet.events.push(strange));
    let report = rotate(&server);
    assert_eq!((report.outcome, report.reason.code()), (RotationOutcome::Failed, "unreadable_answer"));
    assert_nothing_evicted(&server, &report);
}

/// It may have been written or not: this run does not act on it, and says so.
#[test]
fn a_claim_without_an_answer_is_not_acted_on() {
    for effect in [Effect::Hangup, Effect::HangupAfter, Effect::Stall(Duration::from_secs(4))] {
        let server = ApiServer::start(Fleet::deployment("orders", 4));
        server.inject(Fault::on("POST", "/events", effect));
        let report = rotate(&server);
        assert_eq!(
            (report.outcome, report.reason.code()),
            (RotationOutcome::Failed, "no_answer"),
            "{report:?}"
        );
        assert!(report.reason.to_string().starts_with("could not claim workload"), "{report:?}");
        assert_nothing_evicted(&server, &report);
    }
}

/// Refused by RBAC, by a quota, by a server without Events, and answered by whoever is no API server.
#[test]
fn a_run_that_cannot_claim_evicts_nothing_and_names_the_setting() {
    let quota =
        r#"{"kind":"Status","status":"Failure","message":"exceeded quota","reason":"Forbidden","code":403}"#;
    let rbac = Transcript::named("318_sa_lister_event_403").body;
    let answers: [(u16, &[u8]); 8] = [
        (403, &rbac),
        (403, quota.as_bytes()),
        (404, b"404 page not found\n"),
        (404, b"<html><title>404 Not Found</title></html>"),
        (200, b"{}"),
        (200, br#"{"kind":"EventList","items":[],"metadata":{"continue":"more"}}"#),
        (200, br#"{"kind":"PodList","items":[]}"#),
        (201, br#"{"kind":"Event","metadata":{"name":"another"}}"#),
    ];
    for ((code, body), method) in answers.into_iter().flat_map(|one| [(one, "GET"), (one, "POST")]) {
        let server = ApiServer::start(Fleet::deployment("orders", 4));
        let answer = Transcript { code, headers: Vec::new(), body: body.to_vec() };
        server.inject(Fault::on(method, "/events", Effect::Answer(answer)));
        let report = rotate(&server);
        assert_eq!(report.outcome, RotationOutcome::Failed, "{method} {code}: {report:?}");
        assert!(report.reason.to_string().contains("CLAIM=off"), "{method} {code}: {report:?}");
        assert_eq!(real(&server), [], "{method} {code}");
        let report = rotate_after(&server, RotationOptions { claim: false, ..options() }, |_| {});
        assert_eq!(report.outcome, RotationOutcome::Rotated, "{method} {code}: {report:?}");
        assert!(report.unclaimed.is_some(), "{report:?}");
    }
}
