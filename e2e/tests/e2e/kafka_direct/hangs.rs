//! Brokers that hang: their connections stay open, and nothing answers. A partition stands, so that each run would act.

use std::thread;
use std::time::{Duration, Instant};

use e2e::{Finished, Kafka, require};

use super::stage::{Group, STUCK, Scene};

/// A broker is waited for ten seconds; the rest is for the watch and a machine with much to do.
const ENDED: Duration = Duration::from_secs(60);

/// A broker that goes on gets its groups and partitions back within this time.
const BACK: Duration = Duration::from_secs(120);

/// Consumers commit every second.
const SHORT_WATCH: (&str, &str) = ("KAFKA_WATCH", "2s");

#[test]
fn one_of_three_brokers_that_hangs_ends_the_run_and_nothing_is_evicted() {
    require!(ControlPlane, Kafka);
    let kafka = Kafka::of(3);
    let stuck = Stuck::begin(&kafka, Scene { name: "one-hangs", replicas: 3, ..Scene::JAVA });
    let hanging = kafka.coordinator("one-hangs");
    let others = kafka.addresses().iter().filter(|address| **address != hanging);
    let others: Vec<&str> = others.map(String::as_str).collect();
    kafka.pause_broker(&hanging);
    // Before the cluster notices.
    let run = stuck.run(&[SHORT_WATCH, ("KAFKA_BOOTSTRAP_SERVERS", &others.join(","))]);
    stuck.assert_told(&run, &hanging);
    kafka.resume_broker(&hanging);
    stuck.cure();
    kafka.end();
}

#[test]
fn the_only_broker_that_hangs_ends_the_run_and_nothing_is_evicted() {
    require!(ControlPlane, Kafka);
    let kafka = Kafka::of(1);
    let stuck = Stuck::begin(&kafka, Scene { name: "all-hang", assignor: "uniform", ..Scene::JAVA });
    let broker = kafka.addresses()[0].clone();
    // Between two looks.
    let run = thread::scope(|scope| {
        let run = scope.spawn(|| stuck.run(&[("KAFKA_WATCH", "10s")]));
        thread::sleep(Duration::from_secs(5));
        kafka.pause_broker(&broker);
        run.join().expect("a run has a report")
    });
    stuck.assert_told(&run, &broker);
    // Before a run begins.
    stuck.assert_told(&stuck.run(&[SHORT_WATCH]), &broker);
    kafka.resume_broker(&broker);
    stuck.cure();
    kafka.end();
}

/// A group of which one partition stands.
struct Stuck<'k> {
    group: Group<'k>,
    owner: String,
}

impl<'k> Stuck<'k> {
    fn begin(kafka: &'k Kafka, scene: Scene) -> Self {
        let group = Group::begin_on(kafka, scene);
        let owner = group.owner(STUCK);
        group.stick(&owner, Some(STUCK));
        group.fall_behind();
        Self { group, owner }
    }

    fn run(&self, env: &[(&str, &str)]) -> Finished {
        self.group.program(&["run", "--yes"], env)
    }

    #[track_caller]
    fn assert_told(&self, run: &Finished, broker: &str) {
        assert_eq!(run.code, Some(1), "{run}");
        let words = format!("Kafka at {broker}: no answer within 10s");
        assert!(run.stderr.contains(&words), "not said: {words}\n{run}");
        assert!(run.elapsed < ENDED, "{run}");
        self.group.assert_nothing_evicted();
    }

    /// Without the hanging broker the partition would have been cured: now it is.
    fn cure(&self) {
        let begun = Instant::now();
        loop {
            // For long enough that each partition gets messages: else the pod may seem to read none at all.
            let run = self.run(&[]);
            if run.code == Some(0) && run.json()["outcome"] == "rotated" {
                self.group.assert_cured(&run, "stuck_partition", &self.owner);
                return self.group.end();
            }
            self.group.assert_nothing_evicted();
            assert!(begun.elapsed() < BACK, "{run}");
            thread::sleep(Duration::from_secs(1));
        }
    }
}
