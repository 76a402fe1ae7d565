//! Clusters and pods in the way of a run: nothing is evicted that must not be, and the report says why.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use rebalancer_sim::apiserver::{Effect, Fault, Fleet, SimPod, WorkloadKind};
use rebalancer_sim::transcript::Transcript;

use crate::program::Done;
use crate::servers::{BUSIEST, LEAST_BUSY, Servers, fleet};

const RUN: [&str; 2] = ["run", "--yes"];

/// Position of each eviction call among the posts to `/eviction`: two preflights come first.
const FIRST_EVICTION: usize = 2;
const SECOND_EVICTION: usize = 3;

#[track_caller]
fn assert_ends(done: &Done, outcome: &str, code: i32, reason: &str) {
    assert_eq!(done.code, Some(code), "{done}");
    let report = done.json();
    assert_eq!(report["outcome"], outcome, "{done}");
    assert!(report["reason"].as_str().is_some_and(|said| said.contains(reason)), "{done}");
}

/// Runs over a fleet that forbids it, and leaves it untouched.
#[track_caller]
fn assert_withheld(fleet: Fleet, reason: &str) {
    let servers = Servers::over(fleet);
    let done = servers.run(&RUN, &[]);
    assert_ends(&done, "withheld", 0, reason);
    servers.assert_untouched();
    assert!(servers.cluster.requests().iter().all(|request| request.method == "GET"));
}

#[test]
fn a_budget_must_allow_both() {
    for allowed in [0, 1] {
        let servers = Servers::over(fleet().with_budget("orders-pdb", allowed));
        let done = servers.run(&RUN, &[]);
        assert_ends(&done, "blocked", 0, "orders-pdb");
        servers.assert_untouched();
    }
    let servers = Servers::over(fleet().with_budget("orders-pdb", 2));
    assert_ends(&servers.run(&RUN, &[]), "rotated", 0, "");
    assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY]);
}

#[test]
fn two_budgets_over_one_pod_block() {
    let servers = Servers::over(fleet().with_budget("one", 5).with_budget("two", 5));
    assert_ends(&servers.run(&RUN, &[]), "blocked", 0, "");
    servers.assert_untouched();
}

#[test]
fn a_workload_that_moves_is_left_alone() {
    assert_withheld(Fleet { updated_replicas: Some(7), ..fleet() }, "");
    assert_withheld(Fleet { replicas: 15, ..fleet() }, "");
    assert_withheld(Fleet { generation: 2, ..fleet() }, "");
}

fn with_pod(name: &str, change: impl FnOnce(&mut SimPod)) -> Fleet {
    let mut fleet = fleet();
    change(fleet.pod(name));
    fleet
}

#[test]
fn a_terminating_pod_holds_a_run_back() {
    let hour = Duration::from_secs(3600);
    let ends = |pod: &mut SimPod| pod.gone_from = Some(Instant::now() + hour);
    assert_withheld(with_pod("orders-consumer-g5zn5h759-vgmsz", ends), "");
}

#[test]
fn an_opt_out_of_a_target_blocks_and_no_substitute_is_picked() {
    for annotation in ["cluster-autoscaler.kubernetes.io/safe-to-evict", "karpenter.sh/do-not-disrupt"] {
        let value = if annotation.ends_with("safe-to-evict") { "false" } else { "true" };
        let opted_out =
            |pod: &mut SimPod| drop(pod.annotations.insert(annotation.to_owned(), value.to_owned()));
        let servers = Servers::over(with_pod(BUSIEST, opted_out));
        assert_ends(&servers.run(&RUN, &[]), "blocked", 0, annotation);
        servers.assert_untouched();
    }
}

/// Waits for the first look at the workload, changes it before the second, and lets the run go on.
#[track_caller]
fn run_with_change_at_the_re_list(change: impl FnOnce(&mut Fleet), env: &[(&str, &str)]) -> (Servers, Done) {
    let servers = Servers::start();
    let seen = Fault::on("GET", "/deployments/", Effect::Stall(Duration::from_millis(300)));
    servers.cluster.inject(seen.times(1));
    let running = servers.begin(&RUN, env);
    while servers.asked().len() < 3 {
        thread::sleep(Duration::from_millis(2));
    }
    servers.cluster.change(change);
    let done = running.wait();
    (servers, done)
}

#[test]
fn what_changed_since_the_plan_holds_a_run_back_also_with_guards_off() {
    for guards in ["standard", "off"] {
        let env = [("GUARDS", guards)];
        let terminating = |fleet: &mut Fleet| {
            let hour = Duration::from_secs(3600);
            fleet.pod(LEAST_BUSY).gone_from = Some(Instant::now() + hour);
        };
        let (servers, done) = run_with_change_at_the_re_list(terminating, &env);
        assert_ends(&done, "withheld", 0, "");
        servers.assert_untouched();
        let replaced = |fleet: &mut Fleet| "another-uid".clone_into(&mut fleet.pod(BUSIEST).uid);
        let (servers, done) = run_with_change_at_the_re_list(replaced, &env);
        assert_ends(&done, "withheld", 0, "");
        servers.assert_untouched();
        let unready = |fleet: &mut Fleet| fleet.pod(BUSIEST).ready_from = None;
        let (servers, done) = run_with_change_at_the_re_list(unready, &env);
        assert_eq!(done.code, Some(0), "{done}");
        servers.assert_untouched();
        let gone = |fleet: &mut Fleet| fleet.pods.retain(|pod| pod.name != BUSIEST);
        let (servers, done) = run_with_change_at_the_re_list(gone, &env);
        assert_eq!((done.code, servers.evictions().len()), (Some(0), 0), "{done}");
        let scaled = |fleet: &mut Fleet| fleet.replicas = 20;
        let (servers, done) = run_with_change_at_the_re_list(scaled, &env);
        assert_ends(&done, "withheld", 0, "");
        servers.assert_untouched();
    }
}

#[test]
fn a_missing_permission_is_named_and_nothing_is_evicted() {
    for (permission, words) in [
        ("list pods", "pods is forbidden"),
        ("get deployments.apps", "deployments.apps"),
        ("list poddisruptionbudgets.policy", "poddisruptionbudgets.policy is forbidden"),
        ("create pods/eviction", "pods/eviction"),
    ] {
        let servers = Servers::start();
        servers.cluster.deny(permission);
        let done = servers.run(&RUN, &[]);
        assert_eq!(done.code, Some(1), "{permission}: {done}");
        assert!(format!("{}{}", done.stdout, done.stderr).contains(words), "{permission}: {done}");
        servers.assert_untouched();
    }
}

/// Two runs would not see each other: without a claim nothing is evicted, unless that is asked for.
#[test]
fn without_the_right_to_events_nothing_is_evicted_unless_claims_are_off() {
    for permission in ["list events.events.k8s.io", "create events.events.k8s.io"] {
        let servers = Servers::start();
        servers.cluster.deny(permission);
        let done = servers.run(&RUN, &[]);
        assert_ends(&done, "failed", 1, "CLAIM=off");
        servers.assert_untouched();
        let done = servers.run(&RUN, &[("CLAIM", "off")]);
        assert_ends(&done, "rotated", 0, "");
        assert!(done.stderr.contains("two runs at once are not kept apart"), "{done}");
        assert!(
            done.json()["warnings"].to_string().contains("two runs at once were not kept apart"),
            "{done}"
        );
        assert_eq!(done.json()["rotation"]["unclaimed"]["code"], "no_claim_wanted", "{done}");
        let may_not_write = permission.starts_with("create");
        assert_eq!(done.stderr.contains("cannot write an Event"), may_not_write, "{done}");
    }
}

/// An answer in the words of the API server to an eviction that a webhook denied with this code.
fn denied(code: u16) -> Transcript {
    let status = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code,
        "message": "admission webhook \"drain.example.com\" denied the request: the operator will roll it",
    });
    let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    Transcript { code, headers, body: status.to_string().into_bytes() }
}

/// At the dry run, and, as older webhooks do, only for what is none.
#[test]
fn a_webhook_that_denies_blocks_whatever_its_code() {
    for code in [403, 429, 500, 503, 404] {
        for position in [0, FIRST_EVICTION] {
            let servers = Servers::start();
            servers.cluster.inject(eviction(Effect::Answer(denied(code)), position));
            let done = servers.run(&RUN, &[]);
            assert_ends(&done, "blocked", 0, "the operator will roll it");
            let asked = servers.asked().iter().filter(|asked| asked.contains("/eviction")).count();
            assert_eq!(asked, position + 1, "{code}: nothing is sent twice");
            assert!(servers.pods().iter().any(|pod| pod == BUSIEST), "{done}");
        }
    }
}

/// Stalls the answer to the first eviction, which is done at once, and changes the workload meanwhile.
#[track_caller]
fn run_with_change_between_the_evictions(fleet: Fleet, change: impl FnOnce(&mut Fleet)) -> (Servers, Done) {
    let servers = Servers::over(fleet);
    servers.cluster.inject(eviction(Effect::Stall(Duration::from_secs(2)), FIRST_EVICTION));
    let running = servers.begin(&RUN, &[("GUARDS", "off")]);
    while servers.evictions().is_empty() {
        thread::sleep(Duration::from_millis(2));
    }
    servers.cluster.change(change);
    let done = running.wait();
    (servers, done)
}

const OTHER: &str = "orders-consumer-g5zn5h759-vgmsz";

#[test]
fn a_workload_that_changed_between_the_evictions_keeps_its_second_pod() {
    type Change = fn(&mut Fleet);
    let changes: [(&str, Change); 6] = [
        ("asks for another number of pods", |fleet| fleet.replicas = 6),
        ("is in a rollout", |fleet| fleet.generation = 2),
        ("is gone since the plan", |fleet| fleet.pods.retain(|pod| pod.name != OTHER)),
        ("is not Ready", |fleet| fleet.pod(OTHER).ready_from = None),
        ("was replaced since the plan", |fleet| "another-uid".clone_into(&mut fleet.pod(LEAST_BUSY).uid)),
        ("pod-rebalancer/do-not-evict", |fleet| {
            let opt_out = ("pod-rebalancer/do-not-evict".to_owned(), "true".to_owned());
            fleet.pod(LEAST_BUSY).annotations.extend([opt_out]);
        }),
    ];
    for (words, change) in changes {
        let (servers, done) = run_with_change_between_the_evictions(fleet(), change);
        assert_ends(&done, "partial", 1, words);
        assert_eq!(servers.evictions(), [BUSIEST], "{words}: {done}");
        assert_eq!(done.json()["rotation"]["deleted"], serde_json::json!([BUSIEST]), "{done}");
        let skipped = &done.json()["rotation"]["skipped"][LEAST_BUSY]["message"];
        assert!(skipped.as_str().is_some_and(|said| said.contains(words)), "{words}: {done}");
    }
}

/// What the first eviction brings about is no reason to stop: its pod ends, its replacement starts.
#[test]
fn the_consequences_of_the_first_eviction_do_not_save_the_second() {
    let slow = Duration::from_secs(600);
    let fleets = [
        Fleet { startup: slow, ..fleet() },
        Fleet { termination: slow, startup: slow, ..fleet() },
        fleet().of_kind(WorkloadKind::StatefulSet),
        Fleet { termination: slow, ..fleet().of_kind(WorkloadKind::StatefulSet) },
    ];
    for fleet in fleets {
        let servers = Servers::over(fleet);
        assert_ends(&servers.run(&RUN, &[("GUARDS", "off")]), "rotated", 0, "");
        assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY]);
    }
}

/// A proxy asks twice and hands on the second answer: the first was obeyed.
#[test]
fn an_eviction_that_was_done_is_told_whatever_was_answered() {
    let page = |code| Transcript { code, headers: Vec::new(), body: b"<html>no</html>".to_vec() };
    let recorded = [
        "109_evict_404",
        "105_evict_uid_mismatch",
        "312_sa_lister_evict_403",
        "211_evict_429_second",
        "701_429_apf_reject_evict",
        "301_401_bad_token_evict",
        "114_evict_malformed_json",
    ];
    let answers = recorded.into_iter().map(Transcript::named).chain([page(413), page(403), denied(500)]);
    for answer in answers {
        for position in [FIRST_EVICTION, SECOND_EVICTION] {
            let servers = Servers::start();
            servers.cluster.inject(eviction(Effect::AnswerAfter(answer.clone()), position));
            let done = servers.run(&RUN, &[("GUARDS", "off")]);
            let gone: Vec<&str> = [BUSIEST, LEAST_BUSY]
                .into_iter()
                .filter(|pod| !servers.pods().iter().any(|there| there == pod))
                .collect();
            let report = done.json();
            assert_eq!(report["rotation"]["deleted"], serde_json::json!(gone), "{}: {done}", answer.code);
            assert_eq!(report["rotation"]["errors"], serde_json::json!({}), "{}: {done}", answer.code);
            if position == FIRST_EVICTION {
                // It may have been someone else: the second is left alone, and someone should look.
                assert_ends(&done, "partial", 1, "though its eviction was answered");
                assert_eq!(servers.evictions(), [BUSIEST], "{done}");
            } else {
                assert_ends(&done, "rotated", 0, "");
            }
        }
    }
}

/// The fate of a refused eviction is unknown when nobody can look.
#[test]
fn a_refusal_that_cannot_be_checked_is_told_as_unknown() {
    let servers = Servers::start();
    servers
        .cluster
        .inject(eviction(Effect::Answer(Transcript::named("211_evict_429_second")), FIRST_EVICTION));
    servers.cluster.deny("get pods");
    let done = servers.run(&RUN, &[("GUARDS", "off")]);
    assert_ends(&done, "failed", 1, "is unknown");
    assert_eq!(servers.evictions(), [BUSIEST]);
    let mut notes = Vec::new();
    servers.cluster.change(|fleet| notes.extend(fleet.events.iter().map(|event| event["note"].to_string())));
    let of_the_first = notes.iter().find(|note| note.starts_with(&format!("\"{BUSIEST}"))).expect("an Event");
    assert!(of_the_first.contains("is unknown") && !of_the_first.contains("was not evicted"), "{notes:?}");
}

fn eviction(effect: Effect, position: usize) -> Fault {
    Fault::on("POST", "/eviction", effect).after(position).times(1)
}

#[test]
fn a_refused_first_eviction_is_the_last() {
    for (transcript, outcome, code) in [
        ("211_evict_429_second", "blocked", 0),
        ("701_429_apf_reject_evict", "failed", 1),
        ("221_evict_500_two_pdbs", "blocked", 0),
        ("312_sa_lister_evict_403", "failed", 1),
        // The pod is there, whatever these say.
        ("105_evict_uid_mismatch", "failed", 1),
        ("109_evict_404", "failed", 1),
    ] {
        let servers = Servers::start();
        servers.cluster.inject(eviction(Effect::Answer(Transcript::named(transcript)), FIRST_EVICTION));
        let done = servers.run(&RUN, &[]);
        assert_eq!(done.json()["outcome"], outcome, "{transcript}: {done}");
        assert_eq!(done.code, Some(code), "{transcript}: {done}");
        assert_eq!(servers.evictions(), [BUSIEST], "{transcript}: asked once, then no more");
        assert_eq!(servers.pods().len(), 12);
    }
}

#[test]
fn a_refused_second_eviction_makes_it_partial() {
    let servers = Servers::start();
    let refusal = Effect::Answer(Transcript::named("211_evict_429_second"));
    servers.cluster.inject(eviction(refusal, SECOND_EVICTION));
    let done = servers.run(&RUN, &[]);
    assert_ends(&done, "partial", 1, "");
    let report = done.json();
    assert_eq!(report["rotation"]["deleted"], serde_json::json!([BUSIEST]));
    assert!(
        report["rotation"]["skipped"][LEAST_BUSY].is_object()
            || report["rotation"]["errors"][LEAST_BUSY].is_object(),
        "{done}"
    );
}

/// The answer is lost and the eviction happened: looked up by UID, then the run goes on.
#[test]
fn a_lost_answer_is_resolved_by_looking() {
    for position in [FIRST_EVICTION, SECOND_EVICTION] {
        for effect in [Effect::HangupAfter, Effect::Truncate] {
            let servers = Servers::start();
            servers.cluster.inject(eviction(effect, position));
            let done = servers.run(&RUN, &[]);
            assert_ends(&done, "rotated", 0, "");
            assert_eq!(servers.evictions(), [BUSIEST, LEAST_BUSY], "each is asked for once");
            let target = if position == FIRST_EVICTION { BUSIEST } else { LEAST_BUSY };
            assert!(servers.asked().contains(&format!("GET pods/{target}")), "{:?}", servers.asked());
        }
    }
}

/// The answer is lost and nothing happened: the pod is still there, so the second is never asked for.
#[test]
fn an_eviction_that_did_not_happen_ends_the_run() {
    for effect in [Effect::Hangup, Effect::Answer(Transcript::named("723_etcd_hang_evict"))] {
        let servers = Servers::start();
        servers.cluster.inject(eviction(effect, FIRST_EVICTION));
        let done = servers.run(&RUN, &[]);
        assert_ends(&done, "failed", 1, "");
        assert_eq!(servers.evictions(), [BUSIEST]);
        assert!(servers.asked().contains(&format!("GET pods/{BUSIEST}")), "{:?}", servers.asked());
        assert!(servers.pods().iter().any(|pod| pod == BUSIEST), "{:?}", servers.pods());
    }
}

#[test]
fn a_server_slower_than_the_deadline_ends_the_run_in_time() {
    for (method, path) in [("GET", "/pods?"), ("GET", "/poddisruptionbudgets"), ("POST", "/eviction")] {
        let servers = Servers::start();
        servers.cluster.inject(Fault::on(method, path, Effect::Stall(Duration::from_secs(40))));
        let done = servers.run(&RUN, &[("RUN_TIMEOUT", "3s"), ("KUBE_TIMEOUT", "1s")]);
        assert_eq!(done.code, Some(1), "{method} {path}: {done}");
        servers.assert_untouched();
    }
}

/// Each request alone would be in time.
#[test]
fn a_run_whose_time_is_over_waits_for_no_metrics() {
    let servers = Servers::start();
    servers.metrics.hold();
    let begun = Instant::now();
    let done = servers.run(&RUN, &[("RUN_TIMEOUT", "1s"), ("PROMETHEUS_TIMEOUT", "40s")]);
    servers.metrics.release();
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let words = done.assert_one_error(1);
    assert!(words.contains("the time of this run is over: 1 s (RUN_TIMEOUT)"), "{done}");
    servers.assert_untouched();
}

/// A metrics server that takes the connection and says nothing.
#[test]
fn a_metrics_server_that_says_nothing_ends_the_run_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a free loopback port");
    let endpoint = format!("http://{}", silent.local_addr().expect("a bound listener has an address"));
    let servers = Servers::start();
    let done = servers.run(&RUN, &[("PROMETHEUS_ENDPOINT", &endpoint), ("PROMETHEUS_TIMEOUT", "1s")]);
    assert!(done.assert_one_error(1).contains("PROMETHEUS_TIMEOUT"), "{done}");
    servers.assert_untouched();
}

#[test]
fn an_answer_larger_than_allowed_is_refused() {
    let servers = Servers::start();
    let done = servers.run(&RUN, &[("PROMETHEUS_MAX_RESPONSE", "1k")]);
    assert!(done.assert_one_error(1).contains("PROMETHEUS_MAX_RESPONSE"), "{done}");
    servers.assert_untouched();
}

#[test]
fn an_expired_token_is_told_at_once() {
    let servers = Servers::start();
    servers.cluster.expire_token();
    let done = servers.run(&RUN, &[]);
    assert!(done.assert_one_error(1).contains("Unauthorized"), "{done}");
    assert_eq!(servers.asked().len(), 1);
}

/// The metrics server is not asked, and nothing is evicted.
#[test]
fn an_identity_that_the_cloud_does_not_give_ends_the_run() {
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("an address");
    let service = format!("http://{nobody}");
    let servers = Servers::start();
    let env = [("PROMETHEUS_AUTH", "azure"), ("AZURE_POD_IDENTITY_AUTHORITY_HOST", service.as_str())];
    let done = servers.run(&RUN, &env);
    assert_eq!(done.code, Some(1), "{done}");
    let told = format!("{}{}", done.stdout, done.stderr);
    assert!(
        told.contains(&format!("no identity from Azure: {service}/metadata/identity/oauth2/token")),
        "{done}"
    );
    servers.assert_untouched();
}
