//! A large consumer group asked directly: the time that this takes beside that for which the group is watched. Cluster and
//! broker are simulated, on loopback.

use std::process::Command;
use std::time::Duration;

use e2e::{Finished, released, require};
use rebalancer_sim::apiserver::{ApiServer, Fleet};
use rebalancer_sim::broker::SimulatedGroup;

const PODS: usize = 100;
const WATCH: Duration = Duration::from_secs(2);

/// What a partition that may stand makes of it.
const LONG_WATCH: Duration = Duration::from_secs(6);

#[test]
fn a_large_group_takes_little_time_beside_its_watch() {
    require!(Released);
    let pods: Vec<String> = (0..PODS).map(|pod| format!("orders-6d5f9c7b84-p{pod:04}")).collect();
    let clients: Vec<&str> = pods.iter().map(String::as_str).collect();
    let cluster = ApiServer::start_all(vec![Fleet::named("orders", &pods)]);
    // Ends once it has the pods.
    let base = plan(&cluster, "127.0.0.1:1");
    assert!(base.stderr.contains("cannot connect"), "{base}");
    for (partitions, most_cpu) in [(1_000, Duration::from_millis(250)), (10_000, Duration::from_secs(2))] {
        for watched in [WATCH, LONG_WATCH] {
            let mut group = SimulatedGroup::healthy(&clients, partitions / PODS);
            if watched > WATCH {
                group.stick(7, 20);
            }
            let broker = group.start();
            let run = plan(&cluster, &broker.address());
            assert_eq!(run.code, Some(0), "{run}");
            let beyond = run.elapsed.saturating_sub(base.elapsed + watched);
            let cpu = run.own_cpu.saturating_sub(base.own_cpu);
            println!(
                "{partitions} partitions, watched for {watched:?}: {beyond:.0?} beyond that, {cpu:.0?} of CPU"
            );
            assert!(cpu <= most_cpu, "{partitions} partitions took {cpu:?} of CPU");
        }
    }
}

fn plan(cluster: &ApiServer, broker: &str) -> Finished {
    let mut program: Command = released(["plan"]);
    program
        .env("KUBECONFIG", cluster.kubeconfig_path())
        .env("KUBE_LABEL_SELECTOR", "app=orders")
        .env("WARMUP", "0s")
        .env("KAFKA_BOOTSTRAP_SERVERS", broker)
        .env("KAFKA_GROUP", "orders")
        .env("KAFKA_WATCH", format!("{}s", WATCH.as_secs()))
        .env("STRATEGY", "by_cause")
        .env("OUTPUT", "json");
    Finished::of(&mut program)
}
