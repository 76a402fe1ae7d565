//! A workload given by its name in place of a selector.

use crate::program::run;
use crate::servers::Servers;

/// What a person has set who names the workload on the command line.
fn plan(servers: &Servers, args: &[&str], env: &[(&str, &str)]) -> crate::program::Done {
    let (endpoint, kubeconfig) = (servers.metrics.url(), servers.cluster.kubeconfig_path());
    let kubeconfig = kubeconfig.to_str().expect("a path of ours");
    let set = [("PROMETHEUS_ENDPOINT", endpoint.as_str()), ("KUBECONFIG", kubeconfig), ("OUTPUT", "json")];
    let env: Vec<(&str, &str)> = set.into_iter().chain(env.iter().copied()).collect();
    run(args, &env)
}

#[test]
fn the_selector_is_that_of_the_workload() {
    let servers = Servers::start();
    let by_selector = servers.run(&["plan"], &[]).json();
    for command in [&["plan"][..], &["run", "--dry-run", "--yes"], &["check"]] {
        let args: Vec<&str> = command.iter().copied().chain(["deploy/orders-consumer"]).collect();
        // Empty is unset.
        let done = plan(&servers, &args, &[("KUBE_LABEL_SELECTOR", "")]);
        assert_eq!(done.code, Some(0), "{done}");
        if command[0] != "check" {
            let report = done.json();
            assert_eq!(report["workload"]["selector"], "app=orders-consumer", "{done}");
            assert_eq!(report["targets"], by_selector["targets"], "{done}");
        }
    }
    let folder = tempfile::TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("orders.jsonl");
    let file = file.to_str().expect("a path of ours");
    let done = plan(&servers, &["record", "deployment/orders-consumer", file], &[("OUTPUT", "")]);
    assert_eq!(done.code, Some(0), "{done}");
    assert!(run(&["replay", file], &[]).stdout.contains("selector app=orders-consumer"));
}

#[test]
fn a_name_that_was_typed_counts_before_the_variable() {
    let servers = Servers::start();
    let set = [("KUBE_LABEL_SELECTOR", "app=other")];
    let done = plan(&servers, &["plan", "deployment/orders-consumer"], &set);
    assert_eq!(done.json()["workload"]["selector"], "app=orders-consumer", "{done}");
}

#[test]
fn a_name_and_a_selector_that_were_both_typed_contradict_each_other() {
    let servers = Servers::start();
    let done = plan(&servers, &["plan", "deployment/orders-consumer", "-l", "app=other"], &[]);
    let message = done.assert_one_error(64);
    for words in ["deployment/orders-consumer", "app=other", "--selector", "leave one out"] {
        assert!(message.contains(words), "{message}");
    }
    assert!(servers.cluster.requests().is_empty(), "nothing is asked before that is settled");
}

#[test]
fn a_name_alone_is_the_deployment_or_the_stateful_set_of_that_name() {
    let servers = Servers::start();
    let done = plan(&servers, &["plan", "orders-consumer"], &[]);
    assert_eq!(done.json()["workload"]["selector"], "app=orders-consumer", "{done}");
    servers.cluster.change(|fleet| {
        let set = serde_json::json!({"spec": {"selector": {"matchLabels": {"app": "other"}}}});
        fleet.objects.insert("statefulsets/orders-consumer".to_owned(), set);
    });
    let message = plan(&servers, &["plan", "orders-consumer"], &[]);
    let message = message.assert_one_error(64);
    assert!(message.contains("both deployment/orders-consumer and statefulset/orders-consumer"), "{message}");
    let done = plan(&servers, &["plan", "ledger"], &[]);
    let message = done.assert_one_error(64);
    assert!(message.contains("no deployment and no statefulset ledger in namespace tiny"), "{message}");
    let done = plan(&servers, &["plan", "app=orders"], &[]);
    assert!(done.assert_one_error(64).contains("expected deployment/NAME, statefulset/NAME"), "{done}");
    servers.cluster.deny("get statefulsets.apps");
    let done = plan(&servers, &["plan", "orders-consumer"], &[]);
    assert!(done.assert_one_error(1).contains("cannot get resource"), "one of them may be meant: {done}");
}

#[test]
fn a_workload_that_is_not_there_is_told_with_its_place() {
    let servers = Servers::start();
    let done = plan(&servers, &["plan", "sts/orders-consumer"], &[]);
    let message = done.assert_one_error(64);
    assert!(message.contains("there is no statefulset/orders-consumer in namespace tiny"), "{message}");
    servers.cluster.deny("get deployments.apps");
    let done = plan(&servers, &["plan", "deployment/orders-consumer"], &[]);
    assert!(done.assert_one_error(1).contains("cannot get resource"), "{done}");
}
