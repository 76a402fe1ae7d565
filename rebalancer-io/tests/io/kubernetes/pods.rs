//! Saved lists of pods, read into live pods.

use std::io::{self, Read};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{Controller, LivePod, Phase, Protection};
use rebalancer_io::kubernetes::{PodsError, live_pods};
use rebalancer_sim::transcript::Transcript;

/// A minute after the pods of the recorded lists were created.
fn now() -> Timestamp {
    "2026-11-23T06:00:39Z".parse().expect("a valid time")
}

fn read(json: &str) -> Result<Vec<LivePod>, PodsError> {
    live_pods(json.as_bytes(), now())
}

fn recorded(name: &str) -> Result<Vec<LivePod>, PodsError> {
    live_pods(Transcript::named(name).body.as_slice(), now())
}

#[test]
fn a_full_list_gives_every_fact_of_a_pod() {
    let pods = recorded("014_list_full_3_pods").expect("a pod list");
    assert_eq!(pods.len(), 3);
    let expected = LivePod {
        name: "consumer-58db4d5fb7-5mj78".to_owned(),
        uid: "a2855a30-0626-4485-8f3d-db49648fe9d3".to_owned(),
        phase: Phase::Running,
        ready: true,
        terminating: false,
        age: Some(Duration::from_secs(60)),
        uptime: Some(Duration::from_secs(60)),
        controller: Some(Controller {
            group: Some("apps".to_owned()),
            kind: "ReplicaSet".to_owned(),
            name: "consumer-58db4d5fb7".to_owned(),
            uid: "febd04f7-6566-4ba3-994a-10a131d0f04c".to_owned(),
        }),
        protections: Vec::new(),
        node: Some("node-4".to_owned()),
        revision: Some("58db4d5fb7".to_owned()),
        local_storage: Vec::new(),
        ips: vec!["10.244.4.32".parse().expect("an address")],
    };
    assert_eq!(pods[0], expected);
}

#[test]
fn the_revision_is_what_the_labels_say() {
    let revision = |labels: &str| {
        let item = format!(r#"{{"metadata": {{"name": "orders-0", "labels": {labels}}}}}"#);
        read(&format!(r#"{{"kind": "PodList", "items": [{item}]}}"#)).expect("a pod list").remove(0).revision
    };
    assert_eq!(revision(r#"{"app": "orders"}"#), None);
    assert_eq!(revision(r#"{"controller-revision-hash": "orders-7d9"}"#).as_deref(), Some("orders-7d9"));
    assert_eq!(revision(r#"{"rollouts-pod-template-hash": "7d9"}"#).as_deref(), Some("7d9"));
    let both = r#"{"pod-template-hash": "7d9", "controller-revision-hash": "orders-7d9"}"#;
    assert_eq!(revision(both).as_deref(), Some("orders-7d9,7d9"));
}

#[test]
fn volumes_that_lie_on_the_node_are_local_storage() {
    let local = |annotations: &str, volumes: &str| -> Vec<String> {
        let metadata = format!(r#"{{"name": "orders-0", "annotations": {annotations}}}"#);
        let item = format!(r#"{{"metadata": {metadata}, "spec": {{"volumes": {volumes}}}}}"#);
        let pods = read(&format!(r#"{{"kind": "PodList", "items": [{item}]}}"#)).expect("a pod list");
        pods[0].local_storage.iter().map(ToString::to_string).collect()
    };
    let volumes = r#"[{"name": "rocksdb", "emptyDir": {"sizeLimit": "200Gi"}},
        {"name": "tmp", "emptyDir": {"sizeLimit": 1000}},
        {"name": "shm", "emptyDir": {"medium": "Memory"}}, {"name": "h", "hostPath": {"path": "/var/lib/x"}},
        {"name": "c", "configMap": {"name": "c"}}, {"name": "d", "persistentVolumeClaim": {"claimName": "d"}}]"#;
    assert_eq!(local("null", volumes), ["emptyDir rocksdb", "emptyDir tmp", "hostPath h"]);
    let safe = r#"{"cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes": "tmp, h"}"#;
    assert_eq!(local(safe, volumes), ["emptyDir rocksdb"], "the owner says that the others may be lost");
    assert_eq!(local("null", "null"), Vec::<String>::new());
}

#[test]
fn a_pod_is_on_a_node_once_it_is_scheduled() {
    let spec = |spec: &str| {
        let item = format!(r#"{{"metadata": {{"name": "orders-0"}}, "spec": {spec}}}"#);
        read(&format!(r#"{{"kind": "PodList", "items": [{item}]}}"#)).expect("a pod list").remove(0).node
    };
    assert_eq!(spec(r#"{"nodeName": "ip-10-0-1-4"}"#).as_deref(), Some("ip-10-0-1-4"));
    for none in [r#"{"nodeName": ""}"#, "{}", "null"] {
        assert_eq!(spec(none), None, "{none}");
    }
}

#[test]
fn the_address_of_its_node_is_none_of_a_pod() {
    let addresses = |spec: &str| {
        let status = r#"{"phase": "Running", "podIPs": [{"ip": "10.0.0.5"}, {"ip": "fd00::5"}, {"ip": ""}]}"#;
        let item = format!(r#"{{"metadata": {{"name": "orders-0"}}, "spec": {spec}, "status": {status}}}"#);
        read(&format!(r#"{{"kind": "PodList", "items": [{item}]}}"#)).expect("a pod list").remove(0).ips.len()
    };
    assert_eq!(addresses(r#"{"hostNetwork": true}"#), 0);
    for own in [r#"{"hostNetwork": false}"#, r#"{"hostNetwork": null}"#, "{}", "null"] {
        assert_eq!(addresses(own), 2, "{own}");
    }
}

#[test]
fn an_item_without_status_counts_as_running_and_ready() {
    let pods = recorded("010_list_meta_page1").expect("a metadata list");
    assert_eq!(pods.len(), 5);
    for pod in &pods {
        assert!(pod.ready && pod.phase == Phase::Running && !pod.terminating, "{pod:?}");
        assert_eq!((pod.age, pod.uptime), (Some(Duration::from_secs(60)), None));
    }
}

#[test]
fn a_deletion_asked_for_is_seen_although_the_pod_still_runs() {
    let pods = recorded("132_list_meta_with_terminating").expect("a metadata list");
    assert!(pods.iter().any(|pod| pod.terminating), "{pods:?}");
    assert!(pods.iter().any(|pod| !pod.terminating), "{pods:?}");
}

#[test]
fn the_youngest_container_gives_the_uptime_and_readiness_is_a_condition() {
    let pods = read(
        r#"{"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": ""}, "items": [{
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "orders-0", "creationTimestamp": "2026-11-23T05:00:39Z",
                         "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false", "note": "é"}},
            "spec": {"priorityClassName": "system-node-critical"},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "False"}],
                "containerStatuses": [
                    {"state": {"running": {"startedAt": "2026-11-23T05:00:49Z"}}},
                    {"state": {"waiting": {"reason": "CrashLoopBackOff"}}},
                    {"state": {"running": {"startedAt": "2026-11-23T06:00:09Z"}}}]}}]}"#,
    )
    .expect("a list");
    let pod = &pods[0];
    assert_eq!(pod.age, Some(Duration::from_secs(3600)));
    assert_eq!(pod.uptime, Some(Duration::from_secs(30)));
    assert!(!pod.ready);
    assert_eq!(pod.uid, "", "an unknown identity can never be evicted");
    assert_eq!(pod.protections.len(), 2, "{:?}", pod.protections);
    assert_eq!(pod.protections[0], Protection::SystemCritical { class: "system-node-critical".to_owned() });
}

#[test]
fn a_creation_in_the_future_is_no_age() {
    let pods = read(
        r#"{"kind": "PodList", "items": [{"metadata": {"name": "a", "creationTimestamp": "2027-01-01T00:00:00Z"}}]}"#,
    );
    assert_eq!(pods.expect("a list")[0].age, Some(Duration::ZERO));
}

#[test]
fn null_and_absent_lists_are_empty() {
    for json in [
        r#"{"kind": "PodList", "items": null}"#,
        r#"{"items": [], "kind": "PodList"}"#,
        r#"{"kind": "PodList", "metadata": {"continue": null}}"#,
    ] {
        assert_eq!(read(json).expect(json), [], "{json}");
    }
    assert_eq!(recorded("016_list_empty_selector_result").expect("an empty list"), []);
    let sparse = r#"{"kind": "PodList", "items": [{"spec": null, "metadata": {"name": "a", "labels": null,
        "annotations": null, "ownerReferences": null, "creationTimestamp": null},
        "status": {"conditions": null, "containerStatuses": null}}]}"#;
    let pods = read(sparse).expect("a list");
    assert_eq!((pods[0].phase, pods[0].ready, pods[0].age), (Phase::Unknown, false, None));
}

/// The words of an error and of all its sources.
fn words(error: &PodsError) -> String {
    let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
    format!("{error}: {source}")
}

#[test]
fn what_is_not_a_list_of_pods_is_refused_in_words() {
    let deep = format!(r#"{{"kind": "PodList", "items": [{{"metadata": {}"#, "[".repeat(100_000));
    let cases: [(&str, &str); 14] = [
        ("", "not a list of pods in JSON"),
        ("null", "not a list of pods in JSON"),
        ("<html>502 Bad Gateway</html>", "not a list of pods in JSON"),
        (r#"{"kind": "PodList", "items": [{"metadata""#, "EOF while parsing"),
        (r#"{"kind": "PodList", "items": 3}"#, "invalid type"),
        (r#"{"kind": "PodList", "items": []} extra"#, "trailing characters"),
        (r#"{"items": []}"#, "an object without a kind"),
        (r#"{"kind": "Pod", "metadata": {"name": "a"}}"#, "found a Pod;"),
        (r#"{"kind": "Status", "message": "pods is forbidden"}"#, "found a Status: pods is forbidden"),
        (
            r#"{"kind": "List", "items": [{"kind": "Service", "metadata": {"name": "a"}}]}"#,
            "item 0 of the list of pods is a Service",
        ),
        (r#"{"kind": "PodList", "items": [{"metadata": {}}]}"#, "has no metadata.name"),
        (
            r#"{"kind": "PodList", "items": [{"metadata": {"name": "a"}}, {"metadata": {"name": "a"}}]}"#,
            "pod a is listed twice",
        ),
        (
            r#"{"kind": "PodList", "items": [{"metadata": {"name": "a", "creationTimestamp": "yesterday"}}]}"#,
            "yesterday",
        ),
        (&deep, "not a list of pods in JSON"),
    ];
    for (json, expected) in cases {
        let error = read(json).expect_err(expected);
        assert!(words(&error).contains(expected), "{} lacks {expected}", words(&error));
    }
    let table = recorded("019_list_table").expect_err("rows are not pods");
    assert!(words(&table).contains("found a Table"), "{}", words(&table));
    let not_utf8 = live_pods(
        b"{\"kind\": \"PodList\", \"items\": [{\"metadata\": {\"name\": \"\xff\"}}]}".as_slice(),
        now(),
    );
    assert!(matches!(not_utf8, Err(PodsError::Malformed(_))), "{not_utf8:?}");
}

#[test]
fn input_that_breaks_off_says_why() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let error = live_pods(Broken, now()).expect_err("broken");
    assert!(words(&error).contains("the disk is gone"), "{}", words(&error));
}
