//! A real Prometheus behind a Service of a real control plane: found by its labels, asked through the API server,
//! with the preset and the group that its series show.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use e2e::{ControlPlane, Finished, Fleet, MetricServer, Namespace, pod_rebalancer, require, workload};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

#[test]
fn a_prometheus_behind_a_service_is_found_and_asked() {
    require!(ControlPlane, Prometheus);
    let plane = ControlPlane::shared();
    let namespace = plane.namespace("discover");
    namespace.apply(&workload::deployment("orders", 6));
    namespace.wait_ready("app=orders", 6, LIMIT);
    let pods = namespace.pod_names("app=orders");
    let fleet = Fleet::of_pods(namespace.name(), pods.clone()).busiest(4).least_busy(1);
    let metrics = MetricServer::prometheus(&fleet, &[]);
    serve(&namespace, metrics.url());
    let access = namespace.service_account("reader", &rights(&["get"]));
    let ask = |args: &[&str]| {
        let mut program: Command = pod_rebalancer(args);
        program.env("KUBECONFIG", &access.kubeconfig).env("GUARDS", "off").env("RUN_TIMEOUT", "120s");
        Finished::of(&mut program)
    };
    // The API server learns of the new objects through watches.
    let mut plan = ask(&["plan", "orders", "-o", "json"]);
    let begun = Instant::now();
    while plan.code != Some(0) && begun.elapsed() < LIMIT {
        plan = ask(&["plan", "orders", "-o", "json"]);
    }
    assert_eq!(plan.code, Some(0), "{plan}");
    let report = plan.json();
    let expected = json!([{ "pod": pods[4], "role": "busiest" }, { "pod": pods[1], "role": "least_busy" }]);
    assert_eq!(report["targets"], expected, "{plan}");
    let found = report["workload"]["found"].as_array().cloned().unwrap_or_default();
    let value = |setting: &str| {
        let found = found.iter().find(|found| found["setting"] == setting);
        found.map_or(Value::Null, |found| found["value"].clone())
    };
    assert_eq!(value("PROMETHEUS_ENDPOINT"), "kube:discover/prometheus-server:80", "{plan}");
    assert_eq!(value("METRICS_PRESET"), "micrometer", "{plan}");
    assert_eq!(value("KAFKA_GROUP"), "orders", "{plan}");

    let pinned = ask(&["config", "found", "orders"]);
    let text = pinned.to_string();
    for line in ["PROMETHEUS_ENDPOINT=kube:discover/prometheus-server:80", "KAFKA_GROUP=orders"] {
        assert!(text.contains(line), "{pinned}");
    }
    let long = format!("sum by (pod) (container_cpu_usage_seconds_total{{x!=\"{}\"}})", "y".repeat(7000));
    let long = ask(&["plan", "orders", "--query-cpu", &long]);
    assert_eq!(long.code, Some(1), "a form needs the right to create: {long}");
    assert!(long.to_string().contains("grant get on services/proxy"), "{long}");
    let nobody = ask(&["plan", "orders", "--prometheus-endpoint", "kube:discover/prometheus-server:81"]);
    assert!(nobody.to_string().contains("behind the Service"), "{nobody}");
    assert_eq!(nobody.code, Some(1), "{nobody}");
}

/// Puts a server of this machine behind a Service with the labels of the Prometheus community chart. The API server
/// hands nothing on to loopback addresses, so that a relay listens on another.
pub(crate) fn serve(namespace: &Namespace<'_>, url: &str) {
    let target = url.trim_start_matches("http://").to_owned();
    let address = own_address();
    let listener = TcpListener::bind((address.as_str(), 0)).expect("a port of the machine");
    let port = listener.local_addr().expect("a bound listener has an address").port();
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let target = target.clone();
            thread::spawn(move || relay(connection, &target));
        }
    });
    let labels = json!({ "app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server" });
    namespace.apply(&json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "prometheus-server", "labels": labels },
        "spec": { "ports": [{ "name": "http", "port": 80, "targetPort": port }] },
    }));
    // It hands requests only to addresses of pods.
    namespace.apply(&workload::bare_pod("prometheus", "prometheus"));
    namespace.wait_ready("app=prometheus", 1, LIMIT);
    let status = json!({ "status": { "podIP": address, "podIPs": [{ "ip": address }] } });
    namespace.admin().merge(&namespace.path("v1", "pods/prometheus/status"), &status).success();
    let pod = json!({ "kind": "Pod", "namespace": namespace.name(), "name": "prometheus" });
    let endpoints = json!({
        "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": "prometheus-server" },
        "subsets": [{
            "addresses": [{ "ip": address, "targetRef": pod }], "ports": [{ "name": "http", "port": port }],
        }],
    });
    namespace.admin().post(&namespace.path("v1", "endpoints"), &endpoints).success();
}

/// An address of this machine that is not loopback. Nothing is sent.
fn own_address() -> String {
    let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
    socket.connect("198.51.100.1:9").expect("the machine has a network");
    socket.local_addr().expect("a bound socket has an address").ip().to_string()
}

fn relay(near: TcpStream, target: &str) {
    let Ok(far) = TcpStream::connect(target) else { return };
    let pair = near.try_clone().and_then(|near| Ok((near, far.try_clone()?)));
    let Ok((mut from_near, mut to_far)) = pair else { return };
    let there = thread::spawn(move || {
        drop(io::copy(&mut from_near, &mut to_far));
        drop(to_far.shutdown(Shutdown::Write));
    });
    let (mut from_far, mut to_near) = (far, near);
    drop(io::copy(&mut from_far, &mut to_near));
    drop(to_near.shutdown(Shutdown::Both));
    drop(there.join());
}

/// What reading needs, with these verbs on the proxy to Services.
fn rights(proxy: &[&str]) -> Value {
    json!([
        { "apiGroups": [""], "resources": ["pods", "services"], "verbs": ["list"] },
        { "apiGroups": [""], "resources": ["services/proxy"], "verbs": proxy },
        { "apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list"] },
        { "apiGroups": ["apps"], "resources": ["replicasets", "deployments", "statefulsets"], "verbs": ["get"] },
    ])
}
