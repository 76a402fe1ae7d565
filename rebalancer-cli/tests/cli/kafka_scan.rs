//! A look at all workloads whose consumer groups are asked directly: the verdicts of `plan`, by one connection.

use std::thread;
use std::time::{Duration, Instant};

use rebalancer_sim::broker::{FakeBroker, Reply, SimulatedCluster, SimulatedGroup, api};
use serde_json::{Value, json};

use crate::fleets::{Fleets, Spec, address, hot, rows, told};
use crate::program::Done;
use crate::pty::Session;
use crate::run_all::QUESTION;
use crate::scan::verdict;

/// A partition of the fourth pod of the ledger.
const STUCK: usize = 13;

/// Uneven with an even group, even with a stuck partition, without a group, and in two groups.
fn workloads() -> Vec<Spec> {
    vec![
        Spec::deployment("shop", "orders", hot(8, 6.0)).with("enabled", "true"),
        Spec::stateful_set("shop", "ledger", vec![0.5; 6]).with("enabled", "true"),
        Spec::deployment("shop", "web", hot(4, 3.0)).with("enabled", "true"),
        Spec::deployment("warehouse", "orders", vec![0.5; 4]).with("enabled", "true"),
    ]
}

/// A group whose members are the pods of a workload.
fn group(name: &str, (workload, pods): (usize, usize), is_of_brokers: bool) -> SimulatedGroup {
    let clients: Vec<String> = (0..pods).map(|pod| format!("consumer-{name}-{pod}")).collect();
    let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
    let mut group = SimulatedGroup::healthy(&clients, 4);
    for (pod, (_, host)) in group.clients.iter_mut().enumerate() {
        *host = format!("/{}", address(workload, pod));
    }
    name.clone_into(&mut group.name);
    name.clone_into(&mut group.topic);
    group.is_of_brokers = is_of_brokers;
    group
}

fn cluster() -> SimulatedCluster {
    let mut ledger = group("ledger", (1, 6), true);
    ledger.stick(STUCK, 20);
    let groups = vec![
        group("orders", (0, 8), false),
        ledger,
        group("picking", (3, 4), false),
        group("packing", (3, 4), true),
        // Of a cluster that is not looked at.
        group("elsewhere", (9, 30), false),
    ];
    SimulatedCluster { groups, others: Vec::new() }
}

/// Runs the program with this broker.
fn ask(fleets: &Fleets, broker: &FakeBroker, args: &[&str], env: &[(&str, &str)]) -> Done {
    let address = broker.address();
    let direct =
        [("KAFKA_BOOTSTRAP_SERVERS", address.as_str()), ("KAFKA_WATCH", "1s"), ("STRATEGY", "by_cause")];
    fleets.run(args, &[&direct, env].concat())
}

/// A value without what depends on the time between two looks: rates, and the last digits of numbers.
fn steady(value: &Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64().map(|number| format!("{number:.2}"))),
        Value::Array(all) => all.iter().map(steady).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != "rate");
            kept.map(|(name, value)| (name.clone(), steady(value))).collect()
        }
        other => other.clone(),
    }
}

#[test]
fn the_verdict_on_each_workload_is_the_one_of_plan() {
    // Each run watches Kafka for seconds, so all are made side by side.
    thread::scope(|scope| {
        for env in [
            &[][..],
            &[("METRICS_PRESET", "kafka")],
            &[("PROMETHEUS_ENDPOINT", "")],
            &[("METRICS_PRESET", "kafka"), ("GUARDS", "off")],
        ] {
            scope.spawn(move || assert_verdicts_of_plan(env));
        }
    });
}

fn assert_verdicts_of_plan(env: &[(&str, &str)]) {
    let fleets = Fleets::of(&workloads());
    let scan = ask(&fleets, &cluster().start(), &["scan", "-A", "--details"], env);
    assert_eq!((scan.code, rows(&scan).len()), (Some(0), 4), "{scan}");
    for row in rows(&scan) {
        let text = |key: &str| row[key].as_str().expect("a text").to_owned();
        let target = format!("{}/{}", text("kind").to_lowercase(), text("name"));
        let plan = ask(&fleets, &cluster().start(), &["plan", &target, "-n", &text("namespace")], env);
        if row["outcome"].is_null() {
            assert!(plan.stderr.contains(&text("reason")), "{target}: {row}\n{plan}");
            continue;
        }
        assert_eq!(plan.code, Some(0), "{target} {env:?}: {plan}");
        let plan = plan.json();
        assert_eq!(steady(&verdict(&row["report"])), steady(&verdict(&plan)), "{target}: {env:?}");
        assert_eq!(row["report"]["workload"]["found"], found_of_kafka(&plan), "{target}");
    }
}

/// What was found of a workload, without the metrics server.
fn found_of_kafka(plan: &Value) -> Value {
    let found = plan["workload"]["found"].as_array().cloned().unwrap_or_default();
    found.into_iter().filter(|found| found["setting"] != "PROMETHEUS_ENDPOINT").collect()
}

#[test]
fn each_workload_has_its_own_group_or_says_why_it_has_none() {
    let fleets = Fleets::of(&workloads());
    let broker = cluster().start();
    let done = ask(&fleets, &broker, &["scan", "-A", "--details"], &[]);
    let row = |name: &str| rows(&done).into_iter().find(|row| row["name"] == name).expect("a row");
    assert_eq!(
        (&row("ledger")["cause"], &row("ledger")["outcome"]),
        (&json!("stuck_partition"), &json!("planned"))
    );
    assert_eq!(row("web")["report"]["statistics"]["lag"], Value::Null, "{done}");
    assert!(row("web")["cpu_cv"].is_number(), "{done}");
    let both = rows(&done).into_iter().find(|row| row["namespace"] == "warehouse").expect("a row");
    let why = both["reason"].as_str().unwrap_or_default();
    assert!(why.contains("none is chosen: packing, picking; set KAFKA_GROUP"), "{done}");
    let asked = broker.asked();
    let of = |key: i16| asked.iter().filter(|asked| **asked == key).count();
    assert_eq!((of(api::API_VERSIONS), of(api::LIST_GROUPS)), (1, 1), "one connection: {asked:?}");
    assert_eq!(of(api::OFFSET_FETCH), 5, "two looks at each of two groups, one more at one: {asked:?}");
    assert_eq!(done.json()["requests"]["kafka"], json!(asked.len() - 1), "{done}");
}

#[test]
fn a_run_of_all_cures_by_what_kafka_tells() {
    for env in [&[][..], &[("PROMETHEUS_ENDPOINT", ""), ("METRICS_PRESET", "kafka")]] {
        let fleets = Fleets::of(&workloads());
        let broker = cluster().start();
        let done = ask(&fleets, &broker, &["run", "--all", "-A", "--yes"], env);
        assert_eq!(fleets.evictions(), [format!("shop/ledger-{}", STUCK / 4)], "{:?}", told(&done));
        assert!(told(&done).contains(&"shop/ledger rotated".to_owned()), "{done}");
        let asked = broker.asked().into_iter().filter(|key| *key != api::API_VERSIONS).count();
        assert_eq!(done.json()["requests"]["kafka"], asked, "of the look and of the turns: {done}");
    }
}

#[test]
fn a_run_of_all_that_has_too_little_time_to_watch_says_how_much_it_needs() {
    // To see it in the look and in one turn takes six seconds, and deciding afterwards 20.
    let fleets = Fleets::of(&workloads());
    let dry = ["run", "--all", "-A", "--dry-run"];
    for (timeout, is_told) in [("25s", true), ("26s", false)] {
        let done = ask(&fleets, &cluster().start(), &dry, &[("RUN_TIMEOUT", timeout)]);
        let warnings = done.json()["warnings"].to_string();
        assert_eq!(warnings.contains("RUN_TIMEOUT") && warnings.contains("26 s or more"), is_told, "{done}");
    }
}

#[test]
fn annotations_name_the_group_and_the_source_of_a_workload() {
    let mut specs = workloads();
    specs[3] = specs[3].clone().with("kafka-group", "picking");
    specs[1] = specs[1].clone().with("metrics-preset", "none");
    let fleets = Fleets::of(&specs);
    let done = ask(&fleets, &cluster().start(), &["run", "--all", "-A", "--yes"], &[]);
    let row = rows(&done).into_iter().find(|row| row["namespace"] == "warehouse").expect("a row");
    assert_eq!(row["outcome"], "balanced", "{done}");
    assert!(row["report"]["statistics"]["lag"]["mean"].is_number(), "{done}");
    assert!(!told(&done).contains(&"shop/ledger rotated".to_owned()), "{done}");
}

/// Whether a partition stands is seen only if the run has the time to watch it.
#[test]
fn the_time_that_a_person_takes_is_not_that_of_the_next_turn() {
    let specs = [
        Spec::deployment("shop", "orders", vec![0.5; 8]).with("enabled", "true"),
        Spec::stateful_set("shop", "ledger", vec![0.5; 6]).with("enabled", "true"),
    ];
    let fleets = Fleets::of(&specs);
    let mut groups = vec![group("orders", (0, 8), false), group("ledger", (1, 6), true)];
    for group in &mut groups {
        group.stick(STUCK, 20);
    }
    let broker = SimulatedCluster { groups, others: Vec::new() }.start();
    let kafka = broker.address();
    let env = [
        ("KAFKA_BOOTSTRAP_SERVERS", kafka.as_str()),
        ("KAFKA_WATCH", "1s"),
        ("STRATEGY", "by_cause"),
        ("RUN_TIMEOUT", "34s"),
    ];
    let mut session = Session::start(160, &mut fleets.command(&["run", "--all", "-A", "-o", "wide"], &env));
    session.wait_for(QUESTION);
    thread::sleep(Duration::from_secs(9));
    session.answer(QUESTION, "no");
    let answered = Instant::now();
    while session.screen().matches(QUESTION).count() < 2 {
        assert!(answered.elapsed() < Duration::from_secs(20), "no second question: {}", session.screen());
        thread::sleep(Duration::from_millis(5));
    }
    session.answer(QUESTION, "yes");
    let (code, screen) = session.end();
    assert_eq!((code, fleets.evictions().len()), (Some(0), 1), "{screen}");
}

#[test]
fn a_cluster_that_does_not_answer_is_an_error_and_nothing_is_evicted() {
    let fleets = Fleets::of(&workloads());
    let closed = FakeBroker::start(|_, _| Reply::Close);
    for args in [&["scan", "-A"][..], &["run", "--all", "-A", "--yes"]] {
        let done = ask(&fleets, &closed, args, &[]);
        assert!(done.assert_one_error(1).contains("cannot find out which consumer group"), "{done}");
        assert_eq!(fleets.evictions(), Vec::<String>::new());
    }
}
