//! What it takes to ask about a large group. The broker is simulated, on loopback; the pods are real.

use std::time::Duration;

use e2e::{ControlPlane, Finished, released, require, workload};
use rebalancer_sim::broker::SimulatedGroup;

const PODS: usize = 100;
const WATCH: Duration = Duration::from_secs(2);

/// Requests to the only broker about a group, of which one partition stands.
const MOST_REQUESTS: usize = 12;

#[test]
fn a_large_group_is_asked_about_by_few_requests_and_in_little_memory() {
    require!(ControlPlane, Released);
    let namespace = ControlPlane::shared().namespace("direct-large");
    namespace.apply(&workload::deployment("orders", 100));
    namespace.wait_ready("app=orders", PODS, Duration::from_secs(120));
    let plan = |broker: &str| {
        let mut program = released(["plan"]);
        program
            .env("KUBECONFIG", ControlPlane::shared().admin_kubeconfig(namespace.name()))
            .env("KUBE_LABEL_SELECTOR", "app=orders")
            .env("WARMUP", "0s")
            .env("KAFKA_BOOTSTRAP_SERVERS", broker)
            .env("KAFKA_GROUP", "orders")
            .env("KAFKA_WATCH", format!("{}s", WATCH.as_secs()))
            .env("OUTPUT", "json");
        Finished::of(&mut program)
    };
    // Ends once it has the pods.
    let base = plan("127.0.0.1:1");
    assert!(base.stderr.contains("cannot connect"), "{base}");
    let mib = |finished: &Finished| finished.peak_memory_bytes as f64 / f64::from(1 << 20);
    let clients = namespace.pod_names("app=orders");
    let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
    for (partitions, most_mib) in [(1_000, 10.0), (10_000, 60.0)] {
        let mut group = SimulatedGroup::healthy(&clients, partitions / PODS);
        group.stick(7, 20);
        let broker = group.start();
        let run = plan(&broker.address());
        assert_eq!(run.code, Some(0), "{run}");
        let asked = broker.asked().len();
        let more_mib = mib(&run) - mib(&base);
        println!("{partitions} partitions: {asked} requests, {more_mib:.1} MiB more than {:.1}", mib(&base));
        assert!(asked <= MOST_REQUESTS, "{:?}", broker.asked());
        assert!(more_mib < most_mib, "{partitions} partitions: {more_mib} MiB");
    }
}
