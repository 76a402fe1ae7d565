//! The metrics server behind a Service: named, or found by its labels, and asked through the API server.

use rebalancer_sim::apiserver::{Effect, Fault, SimRequest};
use rebalancer_sim::transcript::Transcript;
use serde_json::{Value, json};

use crate::program::{Done, run};
use crate::servers::Servers;

const ONE: &str = r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1795410000,"1"]}]}}"#;

/// A Service of the Prometheus community chart, and one of kube-prometheus-stack.
const COMMUNITY: (&str, &str) = ("monitoring", "prometheus-server");
const STACK: (&str, &str) = ("obs", "stack-prometheus");

fn service((namespace, name): (&str, &str), labels: &Value) -> Value {
    json!({"metadata": {"name": name, "namespace": namespace, "labels": labels},
           "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": name},
                    "ports": [{"name": "http", "port": 80}]}})
}

/// The labels of the community chart and of kube-prometheus-stack.
fn labels() -> [Value; 2] {
    [
        json!({"app.kubernetes.io/name": "prometheus", "app.kubernetes.io/component": "server"}),
        json!({"app": "kube-prometheus-stack-prometheus"}),
    ]
}

/// Servers whose metrics server is behind a Service of the community chart.
fn servers() -> Servers {
    let servers = Servers::start();
    servers.metrics.answer_queries_with("vector(1)", ONE);
    let address = servers.metrics.url().replace("http://", "");
    servers.cluster.change(|fleet| {
        fleet.services.push(service(COMMUNITY, &labels()[0]));
        fleet.services.push(service(("tiny", "orders"), &json!({"app": "orders"})));
        fleet.behind.insert("monitoring/prometheus-server:80".to_owned(), address);
    });
    servers
}

/// Runs the program with these arguments and variables; no address of a metrics server is set.
fn ask(servers: &Servers, args: &[&str], env: &[(&str, &str)]) -> Done {
    let kubeconfig = servers.cluster.kubeconfig_path();
    let kubeconfig = kubeconfig.to_str().expect("a path of ours");
    let set = [
        ("KUBE_LABEL_SELECTOR", "app=orders-consumer"),
        ("KUBECONFIG", kubeconfig),
        ("OUTPUT", "json"),
        ("METRICS_PRESET", "micrometer"),
    ];
    let env: Vec<(&str, &str)> = set.into_iter().chain(env.iter().copied()).collect();
    run(args, &env)
}

const NAMED: (&str, &str) = ("PROMETHEUS_ENDPOINT", "kube:monitoring/prometheus-server:80");

#[test]
fn a_service_is_asked_through_the_api_server() {
    let servers = servers();
    let direct = servers.run(&["plan"], &[]).json();
    for command in [&["plan"][..], &["run", "--yes", "--dry-run"]] {
        let report = ask(&servers, command, &[NAMED]).json();
        assert_eq!(report["targets"], direct["targets"]);
        assert_eq!(report["workload"]["found"], Value::Null, "nothing was looked for");
    }
    let proxied = |request: &&SimRequest| request.path().contains("/proxy/api/v1/query");
    let asked: Vec<SimRequest> = servers.cluster.requests().iter().filter(proxied).cloned().collect();
    assert!(asked.len() >= 8, "{}", asked.len());
    for request in &asked {
        assert_eq!(request.method, "GET", "a query that is short needs no more than get services/proxy");
        assert!(request.path().starts_with("/api/v1/namespaces/monitoring/services/prometheus-server:80/"));
    }
    for request in servers.metrics.requests() {
        assert_eq!(request.header("authorization"), None, "the cluster's credentials stay in the cluster");
    }
    assert_eq!(ask(&servers, &["check"], &[NAMED]).code, Some(0));
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("run.jsonl");
    let file = file.to_str().expect("a path of ours");
    let done = ask(&servers, &["record", file], &[NAMED, ("OUTPUT", "table")]);
    assert_eq!(done.code, Some(0), "{done}");
    assert_eq!(run(&["replay", file, "-o", "json"], &[]).json()["targets"], direct["targets"]);
    let done = ask(&servers, &["backtest", "--from", "30m"], &[NAMED]);
    assert_eq!(done.code, Some(0), "{done}");
}

#[test]
fn a_long_query_is_a_form() {
    let servers = servers();
    let long = format!("sum by (pod) (container_cpu_usage_seconds_total{{x!=\"{}\"}})", "y".repeat(7000));
    ask(&servers, &["plan"], &[NAMED, ("QUERY_CPU", &long)]);
    let asked = servers.cluster.requests();
    let mut forms =
        asked.iter().filter(|request| request.method == "POST" && request.path().contains("/proxy/"));
    assert!(forms.any(|request| request.parameter("query").as_deref() == Some(&long)));
    servers.cluster.deny("create services/proxy");
    let done = ask(&servers, &["plan"], &[NAMED, ("QUERY_CPU", &long)]);
    assert!(done.assert_one_error(1).contains("grant get on services/proxy"), "{done}");
}

#[test]
fn what_is_in_the_way_of_a_service_is_told_in_its_own_words() {
    let servers = servers();
    let told = |name: &str| {
        let done = ask(&servers, &["plan"], &[("PROMETHEUS_ENDPOINT", name)]);
        done.assert_one_error(1).to_owned()
    };
    let absent = told("kube:monitoring/other:80");
    assert!(absent.contains("there is no such Service: services \"other\" not found"), "{absent}");
    let empty = told("kube:monitoring/prometheus-server:9090");
    assert!(empty.contains("no pod that is Ready is behind the Service: no endpoints available"), "{empty}");
    servers.cluster.change(|fleet| {
        fleet.behind.insert("monitoring/prometheus-server:81".to_owned(), "127.0.0.1:9".to_owned());
    });
    let dead = told("kube:monitoring/prometheus-server:81");
    assert!(dead.contains("cannot reach what is behind the Service"), "{dead}");
    servers.cluster.deny("get services/proxy");
    let forbidden = told("kube:monitoring/prometheus-server:80");
    assert!(forbidden.contains("grant get on services/proxy"), "{forbidden}");
    let page = Transcript {
        code: 200,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html><head><title>Sign in</title></head></html>".to_vec(),
    };
    servers.cluster.inject(Fault::on("GET", "/proxy/", Effect::Answer(page)));
    let login = told("kube:monitoring/prometheus-server:80");
    assert!(login.contains("not JSON but text/html: Sign in"), "{login}");
}

#[test]
fn credentials_are_not_sent_through_the_api_server() {
    let servers = servers();
    let done = ask(&servers, &["plan"], &[NAMED, ("PROMETHEUS_BEARER_TOKEN", "hunter2hunter2")]);
    let message = done.assert_one_error(64);
    assert!(message.contains("hands on no credentials") && !message.contains("hunter2"), "{message}");
    let done = ask(&servers, &["plan"], &[("PROMETHEUS_BEARER_TOKEN", "hunter2hunter2")]);
    assert!(done.assert_one_error(64).contains("sent only to an address that is named"), "{done}");
    assert!(servers.cluster.requests().is_empty());
    for wrong in ["kube:", "kube:monitoring", "kube:monitoring/a b:80", "kube:monitoring/user:secret@p:80"] {
        let done = ask(&servers, &["plan"], &[("PROMETHEUS_ENDPOINT", wrong)]);
        let message = done.assert_one_error(64);
        assert!(message.contains("kube:NAMESPACE/SERVICE:PORT") && !message.contains("secret"), "{message}");
    }
}

#[test]
fn the_only_metrics_server_is_found_and_said() {
    let servers = servers();
    let done = ask(&servers, &["plan"], &[]);
    let found = &done.json()["workload"]["found"][0];
    assert_eq!(found["setting"], "PROMETHEUS_ENDPOINT");
    assert_eq!(found["value"], NAMED.1);
    assert!(done.stderr.lines().next().is_some_and(|line| line.contains("metrics_server.found")), "{done}");
    let done = ask(&servers, &["plan"], &[("OUTPUT", "table")]);
    let first = done.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("Found: PROMETHEUS_ENDPOINT=kube:monitoring/prometheus-server:80"), "{done}");
    let done = ask(&servers, &["check"], &[("OUTPUT", "table")]);
    assert!(
        done.stdout.contains("PROMETHEUS_ENDPOINT=kube:monitoring/prometheus-server:80 was found"),
        "{done}"
    );
    let lists = |request: &&SimRequest| request.path() == "/api/v1/services";
    assert_eq!(servers.cluster.requests().iter().filter(lists).count(), 3, "one list a command");
}

#[test]
fn what_was_found_can_be_pinned() {
    let servers = servers();
    let done = ask(&servers, &["config", "found", "orders-consumer"], &[("OUTPUT", "table")]);
    let expected = "PROMETHEUS_ENDPOINT=kube:monitoring/prometheus-server:80\nMETRICS_PRESET=micrometer\n\
                    KUBE_NAMESPACE=tiny\nKUBE_LABEL_SELECTOR=app=orders-consumer\n";
    assert!(done.stdout.starts_with(expected), "{done}");
}

#[test]
fn of_two_metrics_servers_none_is_chosen() {
    let servers = servers();
    let address = servers.metrics.url().replace("http://", "");
    servers.cluster.change(|fleet| {
        fleet.services.push(service(STACK, &labels()[1]));
        fleet.behind.insert("obs/stack-prometheus:80".to_owned(), address);
    });
    let both = ["kube:monitoring/prometheus-server:80", "kube:obs/stack-prometheus:80"];
    let done = ask(&servers, &["plan"], &[]);
    let message = done.assert_one_error(64);
    assert!(both.iter().all(|name| message.contains(name)), "{message}");
    assert!(message.contains("set PROMETHEUS_ENDPOINT"), "{message}");
    // One that does not answer now may be the right one.
    servers.cluster.change(|fleet| drop(fleet.behind.remove("obs/stack-prometheus:80")));
    let done = ask(&servers, &["run", "--yes"], &[]);
    let message = done.assert_one_error(64);
    assert!(both.iter().all(|name| message.contains(name)), "{message}");
    assert!(message.contains("which does not answer now"), "{message}");
    assert_eq!(servers.evictions(), Vec::<String>::new());
}

#[test]
fn a_service_that_is_no_metrics_server_is_told() {
    let servers = servers();
    let page = Transcript {
        code: 200,
        headers: vec![("Content-Type".to_owned(), "text/html".to_owned())],
        body: b"<html><title>Grafana</title></html>".to_vec(),
    };
    servers.cluster.change(|fleet| fleet.services.push(service(STACK, &labels()[1])));
    servers.cluster.inject(Fault::on("GET", "stack-prometheus:80/proxy/", Effect::Answer(page.clone())));
    let done = ask(&servers, &["plan"], &[]);
    assert_eq!(done.json()["workload"]["found"][0]["value"], NAMED.1, "{done}");
    assert!(done.stderr.contains("metrics_server.other") && done.stderr.contains("Grafana"), "{done}");
    servers.cluster.inject(Fault::on("GET", "/proxy/", Effect::Answer(page)));
    let done = ask(&servers, &["plan"], &[]);
    let message = done.assert_one_error(64);
    assert!(message.contains("what looks like a metrics server is none"), "{message}");
}

#[test]
fn without_a_metrics_server_it_is_said_what_was_looked_for() {
    let servers = Servers::start();
    let done = ask(&servers, &["plan"], &[]);
    let message = done.assert_one_error(64);
    for words in ["PROMETHEUS_ENDPOINT is not set", "kube-prometheus-stack", "Thanos query", "Mimir"] {
        assert!(message.contains(words), "{message}");
    }
    servers.cluster.deny("list services everywhere");
    let done = ask(&servers, &["plan"], &[]);
    assert!(done.assert_one_error(64).contains("Services of namespace tiny"), "{done}");
    servers.cluster.deny("list services");
    let done = ask(&servers, &["plan"], &[]);
    assert!(done.assert_one_error(64).contains("grant list services"), "{done}");
    servers.cluster.inject(Fault::on("GET", "/services", Effect::Hangup));
    let done = ask(&servers, &["plan"], &[]);
    assert!(done.assert_one_error(1).contains("cannot be looked for"), "a lost answer is not a no: {done}");
}

#[test]
fn where_only_the_own_namespace_may_be_listed_that_one_is_searched() {
    let servers = servers();
    servers.cluster.deny("list services everywhere");
    let address = servers.metrics.url().replace("http://", "");
    servers.cluster.change(|fleet| {
        fleet.services.push(service(("tiny", "own-prometheus"), &labels()[0]));
        fleet.behind.insert("tiny/own-prometheus:80".to_owned(), address);
    });
    let done = ask(&servers, &["plan"], &[]);
    assert_eq!(done.json()["workload"]["found"][0]["value"], "kube:tiny/own-prometheus:80", "{done}");
}
