//! Three brokers, of which one ends.

use std::thread;
use std::time::{Duration, Instant};

use e2e::{Kafka, require};

use super::stage::{Group, Scene};

/// The cluster notices after nine seconds that a broker is gone, and then moves what this had.
const MOVED: Duration = Duration::from_secs(90);

#[test]
fn a_broker_that_ends_is_told_until_others_have_what_it_had() {
    require!(ControlPlane, Kafka);
    let kafka = Kafka::of(3);
    let moving = Group::begin_on(&kafka, Scene { name: "three-replicas", replicas: 3, ..Scene::JAVA });
    let lone = Group::begin_on(&kafka, Scene { name: "one-replica", assignor: "uniform", ..Scene::JAVA });
    for group in [&moving, &lone] {
        group.assert_described();
    }

    kafka.end_broker(&kafka.coordinator("three-replicas"));
    let plan = |group: &Group<'_>| group.program(&["plan"], &[("KAFKA_WATCH", "2s")]);
    let begun = Instant::now();
    loop {
        let plan = plan(&moving);
        if plan.code == Some(0) {
            // While the members find their new coordinator it may say that it does not know them all.
            let outcome = plan.json()["outcome"].as_str().unwrap_or_default().to_owned();
            assert!(["balanced", "withheld", "insufficient_data"].contains(&outcome.as_str()), "{plan}");
            if outcome == "balanced" {
                break;
            }
        } else {
            assert_eq!(plan.code, Some(1), "{plan}");
            assert!(plan.stderr.contains("error: cannot ask Kafka about the group: Kafka at "), "{plan}");
        }
        assert!(begun.elapsed() < MOVED, "nothing has moved: {plan}");
        thread::sleep(Duration::from_secs(1));
    }
    moving.assert_described();

    // A third of its partitions has no other replica: nothing is decided on the rest.
    let part = plan(&lone);
    assert_eq!(part.code, Some(1), "{part}");
    assert!(part.stderr.contains("of topic one-replica has no leader now"), "{part}");
    let run = lone.run();
    assert_eq!(run.code, Some(1), "{run}");
    for group in [&moving, &lone] {
        group.assert_nothing_evicted();
        group.end();
    }
    kafka.end();
}
