//! Every recorded answer of a real API server, given to the call that would receive it.

use std::collections::BTreeSet;
use std::time::Duration;

use rebalancer_core::FailureKind::{
    BlockedByPdb, Forbidden, InvalidRequest, NamespaceGone, NoAnswer, PdbMisconfigured, RefusedByAdmission,
    ServerError, TargetGone, TargetReplaced, Throttled, Unauthorized, UnreadableAnswer, WebhookFailed,
};
use rebalancer_core::{ApiFailure, Controller, EvictionRequest, FailureKind, Method, Presence, Role, Target};
use rebalancer_io::driver::{Act as _, Look as _};
use rebalancer_io::kubernetes::{Cluster, ConnectOptions, Notice, Permission, Selector};
use rebalancer_sim::apiserver::{ApiServer, Effect, Fault, Fleet};
use rebalancer_sim::transcript::Transcript;
use serde_json::{Value, json};

/// What an eviction is answered.
const EVICTIONS: [(&str, Result<(), FailureKind>); 36] = [
    ("102_evict_dryrun_both", Ok(())),
    ("105_evict_uid_mismatch", Err(TargetReplaced)),
    ("106_evict_rv_mismatch", Err(TargetReplaced)),
    ("107_evict_uid_mismatch_dryrun", Err(TargetReplaced)),
    ("108_evict_201", Ok(())),
    ("109_evict_404", Err(TargetGone)),
    ("113_evict_wrong_kind", Err(InvalidRequest)),
    ("114_evict_malformed_json", Err(InvalidRequest)),
    ("115_evict_wrong_content_type", Err(InvalidRequest)),
    ("117_evict_nonexistent_namespace", Err(NamespaceGone)),
    ("118_evict_namespace_mismatch", Err(InvalidRequest)),
    ("120_evict_unknown_field_strict", Err(InvalidRequest)),
    ("121_evict_grace0", Ok(())),
    ("130_evict_slow_201", Ok(())),
    ("135_evict_terminating_uid_mismatch", Err(TargetReplaced)),
    ("201_evict_429_pdb", Err(BlockedByPdb)),
    ("202_evict_429_pdb_dryrun", Err(BlockedByPdb)),
    ("203_evict_429_pdb_uid_mismatch", Err(BlockedByPdb)),
    ("208_evict_after_uid_mismatch", Err(BlockedByPdb)),
    ("211_evict_429_second", Err(BlockedByPdb)),
    ("212_evict_429_pdb_not_observed", Err(BlockedByPdb)),
    ("221_evict_500_two_pdbs", Err(PdbMisconfigured)),
    ("222_evict_unready_blocked", Err(BlockedByPdb)),
    ("223_evict_unready_alwaysallow", Ok(())),
    ("224_evict_pending_ignores_pdb", Ok(())),
    ("301_401_bad_token_evict", Err(Unauthorized)),
    ("312_sa_lister_evict_403", Err(Forbidden)),
    ("319_sa_evicter_evict_dryrun_201", Ok(())),
    ("420_evict_denied_by_vap_422", Err(RefusedByAdmission)),
    ("421_evict_webhook_failed_500", Err(WebhookFailed)),
    ("430_evict_pod_with_finalizer", Ok(())),
    ("701_429_apf_reject_evict", Err(Throttled)),
    ("703_429_max_inflight_evict", Err(Throttled)),
    ("710_readyz_shutting_down", Err(ServerError)),
    ("723_etcd_hang_evict", Err(NoAnswer)),
    ("732_etcd_down_evict", Err(NoAnswer)),
];

const DELETIONS: [(&str, Result<(), FailureKind>); 6] = [
    ("140_delete_dryrun_query", Ok(())),
    ("142_delete_uid_mismatch", Err(TargetReplaced)),
    ("144_delete_200_graceful", Ok(())),
    ("146_delete_404", Err(TargetGone)),
    ("204_delete_ignores_pdb_dryrun", Ok(())),
    ("313_sa_lister_delete_403", Err(Forbidden)),
];

/// What a list of pods is answered, and how many pods are in it.
const LISTS: [(&str, Result<usize, FailureKind>); 22] = [
    ("012_list_meta_page3_last", Ok(2)),
    ("016_list_empty_selector_result", Ok(0)),
    ("017_list_nonexistent_namespace", Ok(0)),
    ("019_list_table", Err(UnreadableAnswer)),
    ("030_bad_label_selector", Err(InvalidRequest)),
    ("031_bad_label_selector_value", Err(InvalidRequest)),
    ("033_bad_continue", Err(InvalidRequest)),
    ("132_list_meta_with_terminating", Ok(4)),
    ("300_401_bad_token", Err(Unauthorized)),
    ("302_403_anonymous", Err(Forbidden)),
    ("303_403_authenticated_no_rbac", Err(Forbidden)),
    ("314_sa_lister_list_other_ns_403", Err(Forbidden)),
    ("315_sa_lister_list_cluster_403", Err(Forbidden)),
    ("316_sa_lister_list_unknown_ns_403", Err(Forbidden)),
    ("320_401_deleted_serviceaccount", Err(Unauthorized)),
    ("502_list_continue_expired_410", Err(ServerError)),
    ("505_list_continue_expired_410_real", Err(ServerError)),
    ("600_plain_http", Err(InvalidRequest)),
    ("700_429_apf_reject_list", Err(Throttled)),
    ("702_429_max_inflight_list", Err(Throttled)),
    ("720_etcd_hang_list", Err(NoAnswer)),
    ("730_etcd_down_list", Err(NoAnswer)),
];

/// What a look at a pod is answered, and whether it finds the pod terminating.
const LOOKS: [(&str, Result<Option<bool>, FailureKind>); 6] = [
    ("041_get_pod_meta", Ok(Some(false))),
    ("042_get_pod_404", Ok(None)),
    ("044_get_namespace_404", Err(NamespaceGone)),
    ("131_get_terminating_pod", Ok(Some(true))),
    ("311_sa_lister_get_403", Err(Forbidden)),
    ("431_get_pod_held_by_finalizer", Ok(Some(true))),
];

const EVENTS: [(&str, Result<(), FailureKind>); 10] = [
    ("318_sa_lister_event_403", Err(Forbidden)),
    ("400_event_create_201", Ok(())),
    ("402_event_generate_name_dot_422", Err(InvalidRequest)),
    ("404_event_no_controller_422", Err(InvalidRequest)),
    ("405_event_bad_type_422", Err(InvalidRequest)),
    ("406_event_note_too_long_422", Err(InvalidRequest)),
    ("407_event_eventtime_seconds", Err(InvalidRequest)),
    ("409_event_nonexistent_namespace", Err(NamespaceGone)),
    ("412_event_deployment_regarding", Ok(())),
    ("726_etcd_hang_event", Err(NoAnswer)),
];

/// What a question for a permission is answered, and whether it is granted.
const REVIEWS: [(&str, Result<bool, FailureKind>); 5] = [
    ("331_ssar_allowed_sa", Ok(true)),
    ("333_ssar_denied_delete", Ok(false)),
    ("334_ssar_other_ns", Ok(false)),
    ("335_ssar_anonymous", Err(Forbidden)),
    ("338_ssar_invalid", Err(InvalidRequest)),
];

/// Evictions a recorded budget allows.
const BUDGETS: [(&str, i32); 3] =
    [("200_pdb_get_0_allowed", 0), ("205_pdb_get_1_allowed", 1), ("213_pdb_after_eviction", 0)];

/// Recorded answers that other tests read.
const ELSEWHERE: [&str; 6] = [
    "005_deployment_get",
    "010_list_meta_page1",
    "011_list_meta_page2",
    "014_list_full_3_pods",
    "021_list_pdbs_empty",
    "503_list_continue_inconsistent",
];

fn server() -> ApiServer {
    ApiServer::start(Fleet::deployment("consumer", 3))
}

fn connect(server: &ApiServer) -> Cluster {
    let options = ConnectOptions { kubeconfig: Some(server.kubeconfig_path()), ..ConnectOptions::default() };
    Cluster::connect(&options).expect("the kubeconfig of the simulated server")
}

fn selector() -> Selector {
    Selector::new("app=consumer").expect("a selector")
}

fn target(uid: &str) -> Target {
    Target { role: Role::Busiest, name: "consumer-0".to_owned(), uid: uid.to_owned() }
}

fn answer(server: &ApiServer, method: &str, path: &str, name: &str) -> Transcript {
    let transcript = Transcript::named(name);
    server.inject(Fault::on(method, path, Effect::Answer(transcript.clone())).times(1));
    transcript
}

/// The words of a transcript's own `Status`, or its text.
fn said(transcript: &Transcript) -> String {
    let status: Value = serde_json::from_slice(&transcript.body).unwrap_or_default();
    let text = String::from_utf8_lossy(&transcript.body);
    let said = status["message"].as_str().unwrap_or(&text);
    said.chars().take(40).collect()
}

#[track_caller]
fn check<T: PartialEq + std::fmt::Debug>(
    transcript: &Transcript,
    name: &str,
    got: Result<T, ApiFailure>,
    expected: &Result<T, FailureKind>,
) {
    let kinds = got.as_ref().map_err(|failure| failure.kind);
    assert_eq!(kinds, expected.as_ref().map_err(|kind| *kind), "{name}");
    let Err(failure) = got else { return };
    // What a list has that is no list is told in our words, everything else in the server's.
    if failure.kind != UnreadableAnswer {
        assert!(failure.message.contains(said(transcript).trim()), "{name}: {}", failure.message);
        assert_eq!(failure.http_status, Some(transcript.code), "{name}");
    }
    let seconds = transcript.header("retry-after").map(|seconds| seconds.parse().expect("seconds"));
    assert_eq!(failure.retry_after, seconds.map(Duration::from_secs), "{name}");
}

#[test]
fn every_answer_to_an_eviction_is_told_apart() {
    let server = server();
    let cluster = connect(&server);
    for (name, expected) in EVICTIONS {
        let transcript = answer(&server, "POST", "/eviction", name);
        let request = EvictionRequest { target: target("u"), method: Method::Evict, grace_period_s: None };
        let before = cluster.requests();
        let got = cluster.evictor(selector(), "").evict(&request);
        assert_eq!(cluster.requests(), before + 1, "{name}");
        check(&transcript, name, got, &expected);
    }
    assert_eq!(server.requests().len(), EVICTIONS.len(), "each was sent once, whatever came back");
    assert_eq!(server.pods().len(), 3);
}

#[test]
fn the_cause_of_a_refusal_is_part_of_its_message() {
    let server = server();
    answer(&server, "POST", "/eviction", "201_evict_429_pdb");
    let request = EvictionRequest { target: target("u"), method: Method::Evict, grace_period_s: None };
    let failure = connect(&server).observer(selector()).preflight(&request).expect_err("a refusal");
    assert_eq!(
        failure.to_string(),
        "a PodDisruptionBudget allows no eviction now (HTTP 429): Cannot evict pod as it would violate the \
         pod's disruption budget. The disruption budget consumer-pdb needs 12 healthy pods and has 12 currently"
    );
}

#[test]
fn every_answer_to_a_deletion_is_told_apart() {
    let server = server();
    let cluster = connect(&server);
    for (name, expected) in DELETIONS {
        let transcript = answer(&server, "DELETE", "/pods/", name);
        let deleted: Value = serde_json::from_slice(&transcript.body).expect("JSON");
        let target = target(deleted["metadata"]["uid"].as_str().unwrap_or("u"));
        let request = EvictionRequest { target, method: Method::Delete, grace_period_s: None };
        check(&transcript, name, cluster.evictor(selector(), "").evict(&request), &expected);
    }
}

#[test]
fn an_answer_that_is_no_answer_to_an_eviction_leaves_its_fate_unknown() {
    let server = server();
    let cluster = connect(&server);
    let html = Transcript {
        code: 200,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html><body>Please log in</body></html>".to_vec(),
    };
    let not_json = Transcript { code: 201, ..html.clone() };
    let pod = Transcript { code: 200, ..Transcript::named("144_delete_200_graceful") };
    let redirect = Transcript { code: 302, ..html.clone() };
    let proxy_404 = Transcript { code: 404, ..html.clone() };
    for transcript in [html, not_json, pod, redirect, proxy_404] {
        let code = transcript.code;
        server.inject(Fault::on("POST", "/eviction", Effect::Answer(transcript)).times(1));
        let request = EvictionRequest { target: target("u"), method: Method::Evict, grace_period_s: None };
        let failure = cluster.evictor(selector(), "").evict(&request).expect_err("no Status of success");
        assert_eq!((failure.kind, failure.http_status), (UnreadableAnswer, Some(code)), "{failure}");
        assert!(failure.kind.leaves_unknown());
    }
    // A proxy that cannot reach the server may have passed the request on before.
    for code in [500, 502, 503] {
        let proxy = Transcript { code, headers: Vec::new(), body: b"upstream error".to_vec() };
        server.inject(Fault::on("POST", "/eviction", Effect::Answer(proxy)).times(1));
        let request = EvictionRequest { target: target("u"), method: Method::Evict, grace_period_s: None };
        let failure = cluster.evictor(selector(), "").evict(&request).expect_err("a proxy's error");
        assert!(failure.kind == ServerError && failure.kind.leaves_unknown(), "{failure}");
    }
}

#[test]
fn refusals_by_admission_are_told_from_missing_permissions() {
    let server = server();
    let cluster = connect(&server);
    let denied = "admission webhook \"guard.example.com\" denied the request: not on Fridays";
    let evacuates =
        "admission webhook \"virt.example.com\" denied the request: Eviction triggered evacuation";
    let terminating = "pods \"a\" is forbidden: unable to create new content in namespace shop because it is being terminated";
    let negative = json!({"kind": "poddisruptionbudget", "group": "policy", "name": "orders-pdb"});
    for (code, reason, message, details, expected) in [
        (400, "BadRequest", denied, json!(null), RefusedByAdmission),
        (403, "Forbidden", denied, json!({"kind": "pods"}), RefusedByAdmission),
        (429, "TooManyRequests", evacuates, json!({}), RefusedByAdmission),
        (429, "TooManyRequests", "storage is (re)initializing", json!({"retryAfterSeconds": 1}), Throttled),
        (403, "Forbidden", terminating, json!({"kind": "pods"}), NamespaceGone),
        (403, "Forbidden", "pdb disruption allowance is negative", negative, BlockedByPdb),
        (409, "AlreadyExists", "already exists", json!({}), UnreadableAnswer),
        (500, "", denied, json!({}), RefusedByAdmission),
        (500, "InternalError", denied, json!({}), RefusedByAdmission),
        (503, "ServiceUnavailable", denied, json!({}), RefusedByAdmission),
        (504, "Timeout", denied, json!({}), RefusedByAdmission),
        (401, "Unauthorized", denied, json!({}), RefusedByAdmission),
        (404, "NotFound", denied, json!({"kind": "pods"}), RefusedByAdmission),
        (
            409,
            "Conflict",
            "admission webhook \"a\" denied the request without explanation",
            json!({}),
            RefusedByAdmission,
        ),
        (
            500,
            "InternalError",
            "Internal error occurred: failed calling webhook \"a\": denied the request",
            json!({}),
            WebhookFailed,
        ),
        (500, "InternalError", "Internal error occurred: etcdserver: no leader", json!({}), ServerError),
    ] {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason,
                            "message": message, "details": details, "code": code});
        let retry = details["retryAfterSeconds"].as_u64();
        let headers = retry.map(|seconds| ("Retry-After".to_owned(), seconds.to_string()));
        let transcript = Transcript {
            code,
            headers: headers.into_iter().collect(),
            body: status.to_string().into_bytes(),
        };
        server.inject(Fault::on("POST", "/eviction", Effect::Answer(transcript)).times(1));
        let request = EvictionRequest { target: target("u"), method: Method::Evict, grace_period_s: None };
        let failure = cluster.evictor(selector(), "").evict(&request).expect_err(message);
        assert_eq!(failure.kind, expected, "{failure}");
        assert!(failure.to_string().contains(message), "{failure}");
    }
}

#[test]
fn every_answer_to_a_list_is_told_apart() {
    for (name, expected) in LISTS {
        let server = server();
        let cluster = connect(&server);
        let transcript = answer(&server, "GET", "/pods?", name);
        // The owners of recorded pods are not served here.
        let gone = Transcript::named("016_list_empty_selector_result");
        server.inject(Fault::on("GET", "/replicasets/", Effect::Answer(not_found(gone))));
        let got = cluster.observer(selector()).list_workload().map(|workload| workload.pods.len());
        check(&transcript, name, got, &expected);
        let listed = server.requests().iter().filter(|request| request.path().ends_with("/pods")).count();
        assert_eq!(listed, 1, "{name}: no retry, no other way to go on");
    }
}

fn not_found(like: Transcript) -> Transcript {
    let status = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404,
                        "message": "replicasets.apps \"x\" not found", "details": {"kind": "replicasets"}});
    Transcript { code: 404, body: status.to_string().into_bytes(), ..like }
}

#[test]
fn an_error_names_what_was_done_where_and_in_whose_words() {
    let server = server();
    answer(&server, "GET", "/pods?", "303_403_authenticated_no_rbac");
    let error = connect(&server).observer(selector()).workload().expect_err("a refusal");
    let words = error.to_string();
    let kubeconfig = server.kubeconfig_path().display().to_string();
    for part in [
        "listing the pods app=consumer of namespace shop",
        &server.url(),
        &kubeconfig,
        "context sim",
        "HTTP 403",
        "User \"nobody\" cannot list resource \"pods\"",
        "permission is missing",
    ] {
        assert_eq!(words.matches(part).count(), 1, "{part} in {words}");
    }
}

#[test]
fn pages_are_followed_to_the_last_and_the_token_of_a_410_is_never_used() {
    let server = server();
    let names = ["010_list_meta_page1", "011_list_meta_page2", "012_list_meta_page3_last"];
    for name in names {
        answer(&server, "GET", "/pods?", name);
    }
    server.inject(Fault::on("GET", "/replicasets/", Effect::Answer(not_found(Transcript::named(names[0])))));
    let cluster = connect(&server);
    let workload = cluster.observer(selector()).list_workload().expect("three pages");
    assert_eq!(workload.pods.len(), 12);
    assert_eq!(workload.owners, [], "an owner that is gone is not made up");
    let asked = server.requests();
    for (request, name) in asked[1..3].iter().zip(names) {
        let page: Value = serde_json::from_slice(&Transcript::named(name).body).expect("JSON");
        assert_eq!(request.query("continue").as_deref(), page["metadata"]["continue"].as_str());
        assert_eq!(request.query("labelSelector").as_deref(), Some("app=consumer"), "the same list");
    }
    assert!(asked.iter().all(|request| request.query("resourceVersion").is_none()), "of now, not of a cache");

    let server = self::server();
    answer(&server, "GET", "/pods?", "010_list_meta_page1");
    answer(&server, "GET", "/pods?", "505_list_continue_expired_410_real");
    answer(&server, "GET", "/pods?", "503_list_continue_inconsistent");
    let failure = connect(&server).observer(selector()).list_workload().expect_err("expired");
    assert!(failure.message.contains("run again later"), "{failure}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_thousand_pods_are_two_pages_and_a_list_without_end_is_given_up() {
    let server = ApiServer::start(Fleet::deployment("consumer", 1000));
    let cluster = connect(&server);
    let workload = cluster.observer(selector()).list_workload().expect("a thousand pods");
    assert_eq!(workload.pods.len(), 1000);
    assert_eq!(cluster.requests(), 4, "two pages and two owners");

    let endless = json!({"kind": "PodList", "metadata": {"continue": "again"}, "items": []});
    let endless = Transcript { code: 200, headers: Vec::new(), body: endless.to_string().into_bytes() };
    server.inject(Fault::on("GET", "/pods?", Effect::Answer(endless)));
    let failure = cluster.observer(selector()).list_workload().expect_err("no end");
    assert!(failure.message.contains("more than 2000 pages"), "{failure}");
}

#[test]
fn a_pod_listed_twice_is_refused() {
    let server = server();
    for _ in 0..2 {
        answer(&server, "GET", "/pods?", "010_list_meta_page1");
    }
    answer(&server, "GET", "/pods?", "012_list_meta_page3_last");
    let failure = connect(&server).observer(selector()).list_workload().expect_err("twice");
    assert!(failure.kind == UnreadableAnswer && failure.message.contains("is listed twice"), "{failure}");
}

#[test]
fn every_answer_to_a_look_is_told_apart() {
    let server = server();
    let cluster = connect(&server);
    for (name, expected) in LOOKS {
        let transcript = answer(&server, "GET", "/pods/", name);
        let found: Value = serde_json::from_slice(&transcript.body).expect("JSON");
        let pod = found["metadata"]["name"].as_str().unwrap_or("consumer-0").to_owned();
        let got = cluster.observer(selector()).look_up(&Target { name: pod, ..target("u") });
        let got = got.map(|presence| match presence {
            Presence::Absent => None,
            Presence::Present { uid, terminating } => {
                assert_eq!(uid.len(), 36, "{name}");
                Some(terminating)
            }
        });
        check(&transcript, name, got, &expected);
    }
}

#[test]
fn a_deployment_above_a_replica_set_is_read_for_its_facts() {
    let server = server();
    let deployment: Value =
        serde_json::from_slice(&Transcript::named("005_deployment_get").body).expect("JSON");
    let replica_set = json!({
        "kind": "ReplicaSet", "apiVersion": "apps/v1", "spec": {"replicas": 12},
        "metadata": {"name": "consumer-58db4d5fb7", "uid": "febd04f7-6566-4ba3-994a-10a131d0f04c", "generation": 1,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "consumer",
                                 "uid": deployment["metadata"]["uid"], "controller": true}]},
    });
    let replica_set =
        Transcript { code: 200, headers: Vec::new(), body: replica_set.to_string().into_bytes() };
    // The recorded page goes on; its end is enough here.
    let mut page: Value =
        serde_json::from_slice(&Transcript::named("014_list_full_3_pods").body).expect("JSON");
    page["metadata"] = json!({});
    let page = Transcript { code: 200, headers: Vec::new(), body: page.to_string().into_bytes() };
    server.inject(Fault::on("GET", "/pods?", Effect::Answer(page)));
    server.inject(Fault::on("GET", "/replicasets/consumer-58db4d5fb7", Effect::Answer(replica_set)));
    answer(&server, "GET", "/deployments/consumer", "005_deployment_get");
    let workload = connect(&server).observer(selector()).list_workload().expect("a workload");
    let [facts] = workload.owners.as_slice() else { panic!("{:?}", workload.owners) };
    assert_eq!((facts.controller.kind.as_str(), facts.top.kind.as_str()), ("ReplicaSet", "Deployment"));
    assert_eq!(
        (facts.desired_replicas, facts.current_replicas, facts.updated_replicas),
        (Some(12), Some(12), Some(12))
    );
    assert_eq!((facts.generation, facts.observed_generation), (Some(1), Some(1)));
}

#[test]
fn recorded_budgets_cover_the_pods_they_select() {
    for (name, allowed) in BUDGETS {
        let server = server();
        let budget: Value = serde_json::from_slice(&Transcript::named(name).body).expect("JSON");
        let list = json!({"kind": "PodDisruptionBudgetList", "metadata": {}, "items": [budget]});
        let list = Transcript { code: 200, headers: Vec::new(), body: list.to_string().into_bytes() };
        server.inject(Fault::on("GET", "/poddisruptionbudgets", Effect::Answer(list)));
        let cluster = connect(&server);
        let mut observer = cluster.observer(selector());
        observer.list_workload().expect("a workload");
        let budgets = observer.list_budgets(&[target("u")]).expect("budgets");
        assert_eq!(budgets.len(), 1, "{name}");
        assert_eq!(
            (budgets[0].disruptions_allowed, budgets[0].covers.as_slice()),
            (allowed, ["consumer-0".to_owned()].as_slice())
        );
        assert!(
            budgets[0].generation >= 1 && budgets[0].generation == budgets[0].observed_generation,
            "{name}"
        );
        answer(&server, "GET", "/poddisruptionbudgets?&", "021_list_pdbs_empty");
    }
}

#[test]
fn budgets_of_a_pod_that_was_not_listed_are_not_guessed() {
    let server = server();
    let failure = connect(&server).observer(selector()).list_budgets(&[target("u")]).expect_err("not listed");
    assert_eq!(failure.kind, TargetGone);
    assert_eq!(server.requests().len(), 0);
    // An answer without a list must not read as "no budget".
    let cluster = connect(&server);
    let mut observer = cluster.observer(selector());
    observer.list_workload().expect("a workload");
    let empty = Transcript { code: 200, headers: Vec::new(), body: b"{}".to_vec() };
    server.inject(Fault::on("GET", "/poddisruptionbudgets", Effect::Answer(empty)));
    let failure = observer.list_budgets(&[target("u")]).expect_err("no list");
    assert_eq!(failure.kind, UnreadableAnswer, "{failure}");
}

#[test]
fn every_answer_to_an_event_is_told_apart_and_a_written_one_is_taken() {
    let server = server();
    let cluster = connect(&server);
    let workload = Controller {
        group: None,
        kind: "Deployment".to_owned(),
        name: "consumer".to_owned(),
        uid: "d".to_owned(),
    };
    let target = target("u");
    let notice = Notice {
        workload: &workload,
        pod: Some(&target),
        reason: "Rotated",
        note: &"é".repeat(1000),
        is_warning: false,
        cure: None,
    };
    for (name, expected) in EVENTS {
        let transcript = answer(&server, "POST", "/events", name);
        check(&transcript, name, cluster.notify(&notice), &expected);
    }
    cluster.notify(&notice).expect("the simulated server checks time and note");
    server.change(|fleet| {
        assert_eq!(fleet.events.len(), 1);
        assert_eq!(fleet.events[0]["regarding"]["name"], "consumer");
        assert_eq!(fleet.events[0]["related"]["uid"], "u");
    });
}

#[test]
fn missing_permissions_are_named() {
    let server = server();
    let cluster = connect(&server);
    let permission = Permission::new("create", "", "pods").of("eviction");
    for (name, expected) in REVIEWS {
        let transcript = answer(&server, "POST", "/selfsubjectaccessreviews", name);
        let got = cluster.missing_permissions(&[permission]);
        let got = got.map(|missing| missing.is_empty()).map_err(|error| error.failure);
        check(&transcript, name, got, &expected);
    }
    server.deny("create pods/eviction");
    server.deny("get deployments.apps");
    let wanted =
        [permission, Permission::new("get", "apps", "deployments"), Permission::new("list", "", "pods")];
    let missing = cluster.missing_permissions(&wanted).expect("answers");
    assert_eq!(missing, wanted[..2]);
}

#[test]
fn every_recording_is_read_by_some_test() {
    let mut known: BTreeSet<&str> = ELSEWHERE.into();
    known.extend(EVICTIONS.map(|(name, _)| name));
    known.extend(DELETIONS.map(|(name, _)| name));
    known.extend(LISTS.map(|(name, _)| name));
    known.extend(LOOKS.map(|(name, _)| name));
    known.extend(EVENTS.map(|(name, _)| name));
    known.extend(REVIEWS.map(|(name, _)| name));
    known.extend(BUDGETS.map(|(name, _)| name));
    let recorded = Transcript::names("");
    assert_eq!(recorded.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

/// An owner that may not be read is an error that names the verb. Nothing is decided without the owner.
#[test]
fn owners_that_may_not_be_read_are_an_error() {
    for permission in ["get replicasets.apps", "get deployments.apps"] {
        let server = ApiServer::start(Fleet::deployment("consumer", 4));
        server.deny(permission);
        let cluster = connect(&server);
        let error = cluster.observer(selector()).workload().expect_err(permission);
        let words = error.to_string();
        assert!(words.contains("reading the owners") && words.contains("cannot get resource"), "{words}");
        assert_eq!(words.matches("cannot get resource").count(), 1, "{words}");
    }
}
