//! `METRICS_PRESET=kafka` on a real Kafka, without any exporter or metrics server: what the program says of a consumer
//! group by what the brokers tell, and what it evicts.
//!
//! The tests run side by side and mostly wait. Records are written with times of the past, and the lens lets pods look
//! as old as these.

mod access;
mod brokers;
mod figures;
mod hangs;
mod several;
mod stage;

use std::thread;
use std::time::Duration;

use e2e::require;
use serde_json::Value;
use stage::{Client, Group, Scene};

/// Plans of a healthy group, of which none may evict.
const QUIET_PLANS: usize = 3;

#[test]
fn a_stuck_partition_of_a_classic_group_is_cured() {
    require!(ControlPlane, Kafka);
    let scene = Scene { name: "stuck-range", assignor: "range", ..Scene::JAVA };
    cure_a_stuck_partition(scene);
}

#[test]
fn a_stuck_partition_of_a_stateful_set_is_cured() {
    require!(ControlPlane, Kafka);
    let scene = Scene { name: "stuck-sticky", assignor: "sticky", kind: "StatefulSet", ..Scene::JAVA };
    cure_a_stuck_partition(scene);
}

#[test]
fn a_stuck_partition_of_a_group_that_the_brokers_deal_is_cured() {
    require!(ControlPlane, Kafka);
    let scene = Scene { name: "stuck-uniform", assignor: "uniform", ..Scene::JAVA };
    cure_a_stuck_partition(scene);
}

/// Its members are known by `client.id`, for all connect from one address.
#[test]
fn a_stuck_partition_of_librdkafka_is_cured() {
    require!(ControlPlane, Kafka, Librdkafka);
    let scene = Scene {
        name: "stuck-librdkafka",
        assignor: "cooperative-sticky",
        client: Client::Librdkafka,
        ..Scene::JAVA
    };
    cure_a_stuck_partition(scene);
}

#[test]
fn a_stuck_partition_of_librdkafka_in_a_group_that_the_brokers_deal_is_cured() {
    require!(ControlPlane, Kafka, Librdkafka);
    let scene =
        Scene { name: "dealt-librdkafka", assignor: "uniform", client: Client::Librdkafka, ..Scene::JAVA };
    cure_a_stuck_partition(scene);
}

#[test]
fn a_stuck_partition_of_a_go_client_is_cured() {
    require!(ControlPlane, Kafka, KafkaGo);
    let scene = Scene { name: "stuck-go", assignor: "roundrobin", client: Client::Go, ..Scene::JAVA };
    cure_a_stuck_partition(scene);
}

fn cure_a_stuck_partition(scene: Scene) {
    let group = Group::begin(scene);
    let owner = group.owner(stage::STUCK);
    group.stick(&owner, Some(stage::STUCK));
    group.fall_behind();
    let before = group.backlog(stage::STUCK);
    assert!(before > 500, "the partition stands: {before}");
    group.assert_described();
    let run = group.run();
    group.assert_cured(&run, "stuck_partition", &owner);
    group.assert_says(&run, &format!("partition {} of topic {}", stage::STUCK, scene.name));
    group.wait_read(before / 4);
    group.end();
}

#[test]
fn a_stalled_pod_is_replaced() {
    require!(ControlPlane, Kafka);
    let scene = Scene { name: "stalled-cooperative", assignor: "cooperative-sticky", ..Scene::JAVA };
    replace_a_stalled_pod(scene);
}

#[test]
fn a_stalled_pod_of_a_group_that_the_brokers_deal_is_replaced() {
    require!(ControlPlane, Kafka);
    replace_a_stalled_pod(Scene { name: "stalled-uniform", assignor: "uniform", ..Scene::JAVA });
}

fn replace_a_stalled_pod(scene: Scene) {
    let group = Group::begin(scene);
    let owner = group.owner(stage::STUCK);
    group.stick(&owner, None);
    group.fall_behind();
    let before = group.backlog(stage::STUCK);
    group.assert_described();
    let run = group.run();
    group.assert_cured(&run, "stalled_pod", &owner);
    group.wait_read(before / 4);
    group.end();
}

/// Messages per second of partitions that differ, of which four pods cannot have equally many: who keeps one more depends on the
/// order of the members.
const UNEVEN: [f64; 18] =
    [1.0, 6.0, 2.0, 9.0, 1.0, 4.0, 8.0, 1.0, 2.0, 3.0, 7.0, 1.0, 9.0, 1.0, 5.0, 1.0, 2.0, 6.0];

/// Nearly all of the spreads that are possible, from 0.17 to 0.39, are further from each other.
const MEASURED: f64 = 0.02;

#[test]
fn a_forecast_by_the_ids_of_the_members_comes_true() {
    require!(ControlPlane, Kafka);
    for (name, assignor) in [("exact-sticky", "sticky"), ("exact-cooperative", "cooperative-sticky")] {
        let group = Group::begin(Scene { name, assignor, rates: &UNEVEN, ..Scene::JAVA });
        let owner = group.owner(stage::STUCK);
        group.stick(&owner, Some(stage::STUCK));
        group.fall_behind();
        let before = group.spread();
        let run = group.run();
        group.assert_cured(&run, "stuck_partition", &owner);
        let (forecast, after) = (&run.json()["diagnosis"]["spread"], group.spread());
        println!("{name}: {before:.3} before, {after:.3} after, {forecast}");
        assert_eq!(forecast["expected_orders"], 1, "{run}");
        let expected = forecast["expected"].as_f64().expect("it is modelled");
        assert!((expected - after).abs() < MEASURED, "{before} before, {after} after, {forecast}");
        group.end();
    }
}

#[test]
fn a_healthy_group_is_left_alone() {
    require!(ControlPlane, Kafka);
    leave_alone(Scene { name: "healthy-roundrobin", assignor: "roundrobin", ..Scene::JAVA });
}

#[test]
fn a_healthy_group_that_the_brokers_deal_is_left_alone() {
    require!(ControlPlane, Kafka);
    leave_alone(Scene { name: "healthy-range-of-brokers", assignor: "range-of-brokers", ..Scene::JAVA });
}

/// Messages per second of partitions of which one has most of the load.
const HOT: [f64; 16] = [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 12.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5];

#[test]
fn a_hot_partition_is_left_alone() {
    require!(ControlPlane, Kafka);
    leave_alone(Scene {
        name: "hot-cooperative",
        assignor: "cooperative-sticky",
        rates: &HOT,
        ..Scene::JAVA
    });
}

/// Messages per second of partitions of which those next to each other, which range deals to one member, are alike.
const SKEWED: [f64; 16] = [4.0, 4.0, 4.0, 4.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.2, 0.2, 0.2, 0.2];

#[test]
fn a_skewed_range_is_left_alone() {
    require!(ControlPlane, Kafka);
    leave_alone(Scene { name: "skewed-range", assignor: "range", rates: &SKEWED, ..Scene::JAVA });
}

/// Kafka does not remember who stood at an offset before, so that one cure is tried.
#[test]
fn a_poison_record_costs_one_cure_and_not_a_second() {
    require!(ControlPlane, Kafka);
    let group = Group::begin(Scene { name: "poison-range", assignor: "range", ..Scene::JAVA });
    let owner = group.owner(stage::STUCK);
    group.poison(stage::STUCK);
    group.fall_behind();
    let first = group.run();
    group.assert_cured(&first, "stuck_partition", &owner);
    for age in [Duration::ZERO, stage::AGE] {
        thread::sleep(age);
        let again = group.run();
        println!("poison: {}", again.json()["reason"]);
        assert_eq!(again.json()["targets"], Value::from(Vec::<Value>::new()), "{again}");
        assert_eq!(again.json()["rotation"], Value::Null, "{again}");
        group.assert_replaced(&owner);
    }
    assert!(group.backlog(stage::STUCK) > 500, "the record keeps everybody from what follows");
    group.end();
}

fn leave_alone(scene: Scene) {
    let group = Group::begin(scene);
    group.fall_behind();
    group.assert_described();
    for _ in 0..QUIET_PLANS {
        let plan = group.plan();
        assert_ne!(plan.json()["outcome"], "planned", "{plan}");
    }
    let run = group.run();
    // A few messages that wait in one pod are an uneven lag, but below its floor.
    let outcome = run.json()["outcome"].as_str().unwrap_or_default().to_owned();
    assert!(["balanced", "withheld"].contains(&outcome.as_str()), "{run}");
    group.assert_nothing_evicted();
    group.end();
}

/// Its members read from every partition, so none has a load of its own.
#[test]
fn a_share_group_is_refused_with_a_word() {
    require!(ControlPlane, Kafka);
    let group = Group::begin(Scene { name: "beside-shares", assignor: "range", ..Scene::JAVA });
    e2e::Kafka::shared().share("shares", "beside-shares");
    let said = || group.program(&["plan"], &[("KAFKA_GROUP", "shares")]);
    e2e::wait_until("the share group is there", Duration::from_secs(60), || {
        thread::sleep(Duration::from_secs(1));
        said().stderr.contains("is a share group")
    });
    let plan = said();
    assert_eq!(plan.code, Some(1), "{plan}");
    group.assert_nothing_evicted();
    group.end();
}
