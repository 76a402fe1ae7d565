//! The control plane behaves like one: pods come up, an eviction replaces one, budgets and roles
//! hold, and the API server comes back.

use std::time::{Duration, Instant};

use e2e::{Api, ControlPlane, Namespace, require, wait_until, workload};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_deployment_comes_up_and_an_evicted_pod_is_replaced() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("evict");
    namespace.apply(&workload::deployment("orders", 12));
    namespace.wait_ready("app=orders", 12, LIMIT);

    let before = namespace.pod_names("app=orders");
    let evicted = evict(plane.admin(), &namespace, &before[0], &Value::Null);
    assert_eq!(evicted.0, 201, "{}", evicted.1);
    wait_until("the evicted pod is gone", LIMIT, || !namespace.pod_names("app=orders").contains(&before[0]));
    namespace.wait_ready("app=orders", 12, LIMIT);

    let after = namespace.pod_names("app=orders");
    assert_eq!(after.iter().filter(|pod| before.contains(pod)).count(), 11);
}

#[test]
fn a_stateful_set_gives_the_name_to_another_pod() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("harness-stateful");
    namespace.apply(&workload::stateful_set("orders", 3));
    namespace.wait_ready("app=orders", 3, LIMIT);

    let uid = |pod: &Value| pod["metadata"]["uid"].clone();
    let first = uid(&namespace.pods("app=orders")[0]);
    let replaced =
        evict(plane.admin(), &namespace, "orders-0", &json!({ "preconditions": { "uid": "another" } }));
    assert_eq!(replaced.0, 409, "{}", replaced.1);
    assert_eq!(
        evict(plane.admin(), &namespace, "orders-0", &json!({ "preconditions": { "uid": first } })).0,
        201
    );
    wait_until("orders-0 is another pod", LIMIT, || {
        namespace
            .pods("app=orders")
            .iter()
            .any(|pod| pod["metadata"]["name"] == "orders-0" && uid(pod) != first)
    });
    namespace.wait_ready("app=orders", 3, LIMIT);
}

#[test]
fn a_budget_refuses_the_eviction_it_does_not_allow() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("budget");
    namespace.apply(&workload::budget("keep", "orders", 1));
    namespace.apply(&slow("orders", 4));
    namespace.wait_ready("app=orders", 4, LIMIT);
    plane.wait_budget(&namespace, "keep", 1);

    let pods = namespace.pod_names("app=orders");
    assert_eq!(evict(plane.admin(), &namespace, &pods[0], &Value::Null).0, 201);
    let (status, body) = evict(plane.admin(), &namespace, &pods[1], &Value::Null);
    assert_eq!(status, 429, "{body}");
    assert_eq!(body["details"]["causes"][0]["reason"], "DisruptionBudget", "{body}");
    // Four pods and the replacement: the evicted one takes its time to end.
    assert!(namespace.pod_names("app=orders").contains(&pods[0]));
}

#[test]
fn a_service_account_may_do_what_its_role_says() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("roles");
    let rules = json!([{ "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] }]);
    let access = namespace.service_account("reader", &rules);
    assert_eq!(access.api.get(&namespace.path("v1", "pods")).status, 200);
    assert_eq!(access.api.get(&namespace.path("v1", "secrets")).status, 403);
    assert_eq!(access.api.get("/api/v1/namespaces/default/pods").status, 403);
    assert_eq!(plane.api("nobody").get(&namespace.path("v1", "pods")).status, 401);
}

#[test]
fn servers_can_be_frozen_killed_and_restarted() {
    require!(ControlPlane);
    let mut plane = ControlPlane::start(&[]);
    let controllers = plane.controller_manager();
    controllers.pause();
    let namespace = plane.namespace("frozen");
    namespace.apply(&workload::deployment("orders", 2));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(namespace.pods("app=orders").len(), 0, "a frozen controller manager creates no pods");
    controllers.resume();
    namespace.wait_ready("app=orders", 2, LIMIT);
    let pods = namespace.pod_names("app=orders");

    plane.apiserver().kill();
    plane.restart_apiserver();
    let path = "/api/v1/namespaces/frozen/pods?labelSelector=app%3Dorders";
    let list = plane.admin().get(path).success();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "etcd kept {pods:?}");
    let evicted = plane.admin().delete(&format!("/api/v1/namespaces/frozen/pods/{}", pods[0]), &json!({}));
    assert_eq!(evicted.status, 200, "{}", evicted.body);
    wait_until("the kubelet works with the restarted API server", LIMIT, || {
        plane.admin().get(&format!("/api/v1/namespaces/frozen/pods/{}", pods[0])).status == 404
    });
}

#[test]
fn annotations_shape_the_life_of_a_pod() {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("annotations");
    let mut never = workload::deployment("never", 1);
    never["spec"]["template"]["metadata"]["annotations"] = json!({ "fake-kubelet/never-ready": "true" });
    namespace.apply(&never);
    wait_until("the pod runs", LIMIT, || phase(&namespace, "app=never") == "Running");
    let pod = &namespace.pods("app=never")[0];
    let conditions = pod["status"]["conditions"].as_array().expect("a running pod has conditions");
    assert!(conditions.iter().any(|it| it["type"] == "Ready" && it["status"] == "False"), "{conditions:?}");

    let mut late = workload::deployment("late", 1);
    late["spec"]["template"]["metadata"]["annotations"] = json!({ "fake-kubelet/ready-delay": "1.5" });
    let start = Instant::now();
    namespace.apply(&late);
    namespace.wait_ready("app=late", 1, LIMIT);
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
}

fn phase(namespace: &Namespace<'_>, selector: &str) -> String {
    let pods = namespace.pods(selector);
    pods.first().and_then(|pod| pod["status"]["phase"].as_str()).unwrap_or_default().to_owned()
}

/// A Deployment whose pods take their whole grace period to end.
fn slow(name: &str, replicas: u32) -> Value {
    let mut manifest = workload::deployment(name, replicas);
    manifest["spec"]["template"]["metadata"]["annotations"] = json!({ "fake-kubelet/term-delay": "30" });
    manifest
}

fn evict(api: &Api, namespace: &Namespace<'_>, pod: &str, options: &Value) -> (u16, Value) {
    let eviction = json!({
        "apiVersion": "policy/v1", "kind": "Eviction",
        "metadata": { "name": pod, "namespace": namespace.name() },
        "deleteOptions": options,
    });
    let answer = api.post(&namespace.path("v1", &format!("pods/{pod}/eviction")), &eviction);
    (answer.status, answer.body)
}
