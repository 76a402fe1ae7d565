//! The whole way on real servers: pods of a real control plane, loads in a real metric server,
//! the real program.

use std::process::Command;
use std::time::Duration;

use e2e::{
    ControlPlane, Finished, Fleet, MetricServer, Namespace, Release, on_each_metric_server, pod_rebalancer,
    require, wait_until, workload,
};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);

on_each_metric_server!(plan_names_the_two_outliers);

#[test]
fn run_replaces_exactly_the_two_outliers() {
    require!(ControlPlane, Prometheus);
    let plane = ControlPlane::shared();
    let (namespace, before) = twelve_pods(plane, "run");
    let metrics = MetricServer::prometheus(&skewed(&namespace, &before), &[]);

    let run = Finished::of(program(plane, &namespace, &metrics, "run").arg("--yes"));
    assert_eq!(run.code, Some(0), "{run}");
    assert_eq!(run.json()["outcome"], "rotated", "{run}");
    wait_until("both targets are gone", LIMIT, || {
        let now = namespace.pod_names("app=orders");
        !now.contains(&before[7]) && !now.contains(&before[3])
    });
    namespace.wait_ready("app=orders", 12, LIMIT);
    let after = namespace.pod_names("app=orders");
    assert_eq!(after.iter().filter(|pod| before.contains(pod)).count(), 10, "exactly two pods were replaced");
}

fn plan_names_the_two_outliers(release: Release) {
    require!(ControlPlane);
    let plane = ControlPlane::shared();
    let name = format!("plan-{release:?}").to_lowercase();
    let (namespace, pods) = twelve_pods(plane, &name);
    let metrics = MetricServer::start(release, &skewed(&namespace, &pods), &[]);
    let expected = json!([{ "pod": pods[7], "role": "busiest" }, { "pod": pods[3], "role": "least_busy" }]);

    let plan = Finished::of(&mut program(plane, &namespace, &metrics, "plan"));
    assert_eq!(plan.code, Some(0), "{plan}");
    assert_eq!(plan.json()["targets"], expected, "{plan}");
    let dry_run = Finished::of(program(plane, &namespace, &metrics, "run").arg("--dry-run"));
    assert_eq!(dry_run.code, Some(0), "{dry_run}");
    assert_eq!(
        (&dry_run.json()["outcome"], &dry_run.json()["targets"]),
        (&json!("planned"), &expected),
        "{dry_run}"
    );
    assert_eq!(namespace.pod_names("app=orders"), pods, "nothing was evicted");
}

/// A Deployment of twelve Ready pods, and their names.
fn twelve_pods<'a>(plane: &'a ControlPlane, name: &str) -> (Namespace<'a>, Vec<String>) {
    let namespace = plane.namespace(name);
    namespace.apply(&workload::deployment("orders", 12));
    namespace.wait_ready("app=orders", 12, LIMIT);
    let pods = namespace.pod_names("app=orders");
    (namespace, pods)
}

fn skewed(namespace: &Namespace<'_>, pods: &[String]) -> Fleet {
    Fleet::of_pods(namespace.name(), pods.iter().cloned()).busiest(7).least_busy(3)
}

/// The program, told where everything is. Its pods are new and their past is made up, so that every
/// guard would hold.
fn program(
    plane: &ControlPlane,
    namespace: &Namespace<'_>,
    metrics: &MetricServer,
    command: &str,
) -> Command {
    let mut program = pod_rebalancer([command]);
    program
        .env("PROMETHEUS_ENDPOINT", metrics.url())
        .env("KUBECONFIG", plane.admin_kubeconfig(namespace.name()))
        .env("KUBE_NAMESPACE", namespace.name())
        .env("KUBE_LABEL_SELECTOR", "app=orders")
        .env("GUARDS", "off")
        .env("OUTPUT", "json");
    program
}
