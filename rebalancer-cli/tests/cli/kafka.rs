//! `METRICS_PRESET=kafka`: the consumer group asked directly, with a metrics server and without one.

use std::thread;
use std::time::{Duration, SystemTime};

use rebalancer_sim::apiserver::Fleet;
use rebalancer_sim::broker::{
    FakeBroker, Looks, OTHER_BROKERS, Reply, SimulatedCluster, SimulatedGroup, Understood, api, versions,
};
use serde_json::Value;

use crate::program::{Done, run};
use crate::servers::{Servers, fleet};

/// A fleet whose pods are all two hours old.
fn settled() -> Fleet {
    let mut fleet = fleet();
    for pod in &mut fleet.pods {
        pod.created = SystemTime::now() - Duration::from_secs(2 * 3600);
    }
    fleet
}

/// A group whose members are the pods, and one partition of the fourth of them that stands since some minutes.
fn group(servers: &Servers, minutes: Option<u32>) -> SimulatedGroup {
    let pods = servers.pods();
    let clients: Vec<String> = pods.iter().map(|pod| format!("consumer-{pod}")).collect();
    let clients: Vec<&str> = clients.iter().map(String::as_str).collect();
    let mut group = SimulatedGroup::healthy(&clients, 4);
    if let Some(minutes) = minutes {
        group.stick(STUCK, minutes);
    }
    group
}

/// A partition of the fourth pod.
const STUCK: usize = 13;

/// Runs the program with this broker and without a metrics server.
fn ask(servers: &Servers, broker: &FakeBroker, args: &[&str], env: &[(&str, &str)]) -> Done {
    let address = broker.address();
    let direct = [
        ("PROMETHEUS_ENDPOINT", ""),
        ("METRICS_PRESET", "auto"),
        ("KAFKA_BOOTSTRAP_SERVERS", address.as_str()),
        ("KAFKA_GROUP", "orders"),
        ("KAFKA_WATCH", "1s"),
        ("STRATEGY", "by_cause"),
    ];
    servers.run(args, &[&direct, env].concat())
}

fn cause(report: &Value) -> &str {
    report["diagnosis"]["cause"]["code"].as_str().unwrap_or_default()
}

#[test]
fn a_stuck_partition_is_named_and_cured_without_any_metrics_server() {
    let servers = Servers::over(settled());
    let owner = servers.pods()[STUCK / 4].clone();
    let done = ask(&servers, &group(&servers, Some(20)).start(), &["run", "--yes"], &[]);
    let report = done.json();
    assert_eq!((cause(&report), report["outcome"].as_str()), ("stuck_partition", Some("rotated")), "{done}");
    assert_eq!(servers.evictions(), [owner], "{done}");
    assert!(done.stdout.contains("CPU, memory and all history are unknown"), "{done}");
    assert_eq!(report["diagnosis"]["cause"]["watched_seconds"], 3, "{done}");
}

/// A broker that tells which versions it understands, and closes the connection at any other, as Kafka does.
fn of_versions(group: SimulatedGroup, understood: Understood) -> FakeBroker {
    let looks = std::sync::Mutex::new(Looks::default());
    FakeBroker::start(move |asked, address| {
        let is_understood = |&(key, least, most): &(i16, i16, i16)| {
            key == asked.key && (least..=most).contains(&asked.version)
        };
        if !understood.iter().any(is_understood) {
            return Reply::Close;
        }
        if asked.key == api::API_VERSIONS {
            return Reply::Body(versions(understood));
        }
        let mut looks = looks.lock().expect("no thread panics while it holds the lock");
        group.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
    })
}

#[test]
fn old_and_other_brokers_are_asked_in_versions_that_they_understand() {
    thread::scope(|scope| {
        for (broker, understood) in OTHER_BROKERS {
            scope.spawn(move || assert_understood(broker, understood));
        }
    });
}

fn assert_understood(broker: &str, understood: Understood) {
    let servers = Servers::over(settled());
    let owner = servers.pods()[STUCK / 4].clone();
    let asked = of_versions(group(&servers, Some(20)), understood);
    let done = ask(&servers, &asked, &["run", "--yes"], &[("KAFKA_GROUP", "")]);
    let report = done.json();
    let ended = (cause(&report), report["outcome"].as_str());
    assert_eq!(ended, ("stuck_partition", Some("rotated")), "{broker}: {done}");
    assert_eq!(servers.evictions(), [owner], "{broker}: {done}");
    let done = ask(&servers, &asked, &["check"], &[]);
    assert_eq!(done.code, Some(0), "{broker}: {done}");
}

#[test]
fn what_has_not_stood_for_long_and_what_is_merely_behind_is_left_alone() {
    let behind = |servers: &Servers| {
        let mut group = group(servers, Some(30));
        // Its offset moves: it is slow, not stuck.
        group.partitions[STUCK].committed[1] += 50;
        group
    };
    let servers = Servers::over(settled());
    for group in [group(&servers, None), group(&servers, Some(7)), group(&servers, Some(2)), behind(&servers)]
    {
        let done = ask(&servers, &group.start(), &["run", "--yes"], &[("LAG_VARIANCE_THRESHOLD", "0.3")]);
        let report = done.json();
        assert_ne!(report["outcome"], "rotated", "{done}");
        assert_eq!(done.code, Some(0), "{done}");
        servers.assert_untouched();
    }
}

#[test]
fn a_consumer_that_commits_rarely_is_seen_to_move_and_is_left_alone() {
    let servers = Servers::over(settled());
    let mut group = group(&servers, Some(60));
    // Two looks find the same offset, the next one does not.
    group.partitions[STUCK].committed_later = Some(group.partitions[STUCK].committed[0] + 500);
    let done = ask(&servers, &group.start(), &["run", "--yes"], &[]);
    assert_ne!(done.json()["outcome"], "rotated", "{done}");
    servers.assert_untouched();
}

#[test]
fn a_run_without_time_to_watch_calls_nothing_stuck_and_says_what_to_raise() {
    let servers = Servers::over(settled());
    // Three times 3 s and 20 s fit, but by then the second look has taken time from it.
    let times = [("KAFKA_WATCH", "3s"), ("RUN_TIMEOUT", "29s")];
    let slow = slow(group(&servers, Some(60)), Duration::from_secs(4));
    let done = ask(&servers, &slow, &["run", "--yes"], &times);
    let report = done.json();
    assert_ne!(report["outcome"], "rotated", "{done}");
    servers.assert_untouched();
    let said = report["diagnosis"]["notes"].to_string();
    assert!(said.contains("it was watched for") && said.contains("raise RUN_TIMEOUT"), "{said}");
}

/// A broker that waits before it tells the brokers.
fn slow(group: SimulatedGroup, wait: Duration) -> FakeBroker {
    let looks = std::sync::Mutex::new(Looks::default());
    FakeBroker::start(move |asked, address| {
        if asked.key == api::METADATA {
            thread::sleep(wait);
        }
        let mut looks = looks.lock().expect("no thread panics while it holds the lock");
        group.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
    })
}

#[test]
fn a_group_that_deals_its_partitions_is_left_alone_and_its_lag_is_not_zero() {
    let servers = Servers::over(settled());
    let group =
        SimulatedGroup { state_later: Some("PreparingRebalance".to_owned()), ..group(&servers, Some(60)) };
    let done = ask(&servers, &group.start(), &["run", "--yes"], &[]);
    let report = done.json();
    assert!(report["statistics"]["lag"]["mean"].is_null(), "{done}");
    assert_ne!(report["outcome"], "rotated", "{done}");
    assert!(done.stdout.contains("PreparingRebalance"), "{done}");
    servers.assert_untouched();
}

/// The record has waited for longer than the pod has been there, whatever the moments at which that is usually asked.
#[test]
fn a_partition_that_stood_before_its_pod_came_may_be_a_poison_record() {
    thread::scope(|scope| {
        for (age, waits, is_cured) in
            [(15, 40, false), (20, 29, false), (70, 100, false), (35, 32, true), (120, 100, true)]
        {
            scope.spawn(move || assert_cured(age, waits, is_cured));
        }
    });
}

/// Whether a partition is cured that has stood for so many minutes in a pod that is so many minutes old.
fn assert_cured(age: u64, waits: u32, is_cured: bool) {
    let mut fleet = fleet();
    for pod in &mut fleet.pods {
        pod.created = SystemTime::now() - Duration::from_secs(age * 60);
    }
    let servers = Servers::over(fleet);
    let done = ask(&servers, &group(&servers, Some(waits)).start(), &["run", "--yes"], &[]);
    assert_eq!(done.json()["outcome"] == "rotated", is_cured, "{waits} of {age} minutes: {done}");
    assert_eq!(servers.evictions().len(), usize::from(is_cured), "{done}");
}

#[test]
fn cpu_comes_from_the_metrics_server_and_lag_from_kafka() {
    let servers = Servers::over(settled());
    let broker = group(&servers, None).start();
    let url = servers.metrics.url();
    let done = ask(&servers, &broker, &["plan"], &[("PROMETHEUS_ENDPOINT", &url)]);
    let report = done.json();
    for metric in ["cpu", "memory", "lag", "rate"] {
        assert!(report["statistics"][metric]["mean"].is_number(), "{metric}: {done}");
    }
    let asked = servers.metrics.requests();
    let asked = asked.iter().filter_map(|request| request.parameter("query"));
    assert!(!asked.into_iter().any(|query| query.contains("kafka")), "no query about Kafka is sent");
}

#[test]
fn a_recording_replays_the_same_decision() {
    let servers = Servers::over(settled());
    let folder = tempfile::tempdir().expect("a temporary folder");
    for redact in [false, true] {
        let file = folder.path().join(format!("{redact}.jsonl")).display().to_string();
        let broker = group(&servers, Some(20)).start();
        let mut args = vec!["record", file.as_str()];
        args.extend(redact.then_some("--redact"));
        let done = ask(&servers, &broker, &args, &[]);
        assert_eq!(done.code, Some(0), "{done}");
        let saved = std::fs::read_to_string(&file).expect("a recording");
        assert!(!saved.contains(&broker.address()), "the brokers are not recorded");
        assert!(!redact || !saved.contains("consumer-"), "no name is left");
        let done = run(&["replay", &file], &[("OUTPUT", "json"), ("STRATEGY", "by_cause")]);
        let report = done.json();
        assert_eq!(
            (cause(&report), report["outcome"].as_str()),
            ("stuck_partition", Some("planned")),
            "{done}"
        );
    }
}

/// A sticky group whose partitions differ: what comes of a rotation depends on the order of the members.
#[test]
fn a_forecast_by_the_ids_of_the_members_is_exact_and_stays_so_in_a_recording_without_names() {
    let mut fleet = settled();
    for (number, pod) in fleet.pods.iter_mut().enumerate() {
        pod.ip = Some(format!("10.0.0.{number}"));
    }
    let servers = Servers::over(fleet);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let broker = || {
        let mut group = group(&servers, None);
        // As the Java client calls itself.
        for (number, client) in group.clients.iter_mut().enumerate() {
            *client = ("consumer-orders-1".to_owned(), format!("/10.0.0.{number}"));
        }
        for (number, partition) in group.partitions.iter_mut().enumerate() {
            partition.rate = f64::from(u32::try_from(number * number * 7 % 50).expect("a small number") + 1);
        }
        group.stick(STUCK, 20);
        SimulatedGroup { assignor: "sticky".to_owned(), ..group }.start()
    };
    let spread = |done: &Done| done.json()["diagnosis"]["spread"].clone();
    let done = ask(&servers, &broker(), &["plan"], &[]);
    let planned = spread(&done);
    assert_eq!(planned["expected_orders"], 1, "{done}");
    assert!(planned["expected"].is_number() && planned["expected"] != planned["now"], "{done}");
    for redact in [false, true] {
        let file = folder.path().join(format!("{redact}.jsonl")).display().to_string();
        let mut args = vec!["record", file.as_str()];
        args.extend(redact.then_some("--redact"));
        let done = ask(&servers, &broker(), &args, &[]);
        assert_eq!(done.code, Some(0), "{done}");
        let done = run(&["replay", &file], &[("OUTPUT", "json"), ("STRATEGY", "by_cause")]);
        let replayed = spread(&done);
        assert_eq!(replayed["expected_orders"], 1, "{done}");
        for key in ["now", "expected", "expected_low", "expected_high"] {
            let [planned, replayed] =
                [&planned, &replayed].map(|spread| spread[key].as_f64().expect("a spread"));
            assert!((planned - replayed).abs() < 1e-6, "{key}: {planned} is not {replayed}: {done}");
        }
    }
}

#[test]
fn check_tells_of_the_group_and_what_it_may_not_see() {
    let servers = Servers::over(settled());
    let done = ask(&servers, &group(&servers, None).start(), &["check"], &[]);
    assert_eq!(done.code, Some(0), "{done}");
    for words in [
        "the brokers answer",
        "12 of 12 members run in these pods",
        "which is Stable",
        "lag: 12 of 12 live pods",
    ] {
        assert!(done.stdout.contains(words), "{words}: {done}");
    }
    let mut strange = group(&servers, None);
    for (number, (client_id, _)) in strange.clients.iter_mut().enumerate() {
        *client_id = format!("billing-{number}");
    }
    let done = ask(&servers, &strange.start(), &["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stdout.contains("0 of 12 members run in these pods: is KAFKA_GROUP the group"), "{done}");
    let closed = FakeBroker::start(|_, _| Reply::Close);
    let done = ask(&servers, &closed, &["check"], &[]);
    assert_eq!(done.code, Some(1), "{done}");
    assert!(done.stdout.contains("does its listener ask for KAFKA_TLS?"), "{done}");
    let done = ask(&servers, &closed, &["plan"], &[]);
    assert!(done.assert_one_error(1).contains("cannot ask Kafka about the group"), "{done}");
}

/// The group of the pods, and others.
fn cluster(servers: &Servers, others: &[(&str, usize)]) -> SimulatedCluster {
    let pods = servers.pods();
    let other = |(name, members): &(&str, usize)| {
        let clients: Vec<&str> = pods[..*members].iter().map(String::as_str).collect();
        let [name, topic] = [name, "the topic of another group"].map(|text| (*text).to_owned());
        SimulatedGroup { name, topic, ..SimulatedGroup::healthy(&clients, 1) }
    };
    let of_brokers = SimulatedGroup {
        name: "payments".to_owned(),
        topic: "payments".to_owned(),
        is_of_brokers: true,
        ..SimulatedGroup::healthy(&["pay-5d8c9-x2x4z"], 3)
    };
    let others = others.iter().map(other);
    let groups = [group(servers, Some(20)), of_brokers].into_iter().chain(others).collect();
    SimulatedCluster { groups, others: vec![("queue".to_owned(), "share")] }
}

/// The group is found among those of both protocols, also where a person looks into a topic from one of the pods.
#[test]
fn the_group_is_found_by_the_pods_of_its_members_and_said() {
    let servers = Servers::over(settled());
    let broker = cluster(&servers, &[("console", 1)]).start();
    let done = ask(&servers, &broker, &["plan"], &[("KAFKA_GROUP", "")]);
    let report = done.json();
    assert_eq!((cause(&report), report["outcome"].as_str()), ("stuck_partition", Some("planned")), "{done}");
    let found = &report["workload"]["found"][1];
    assert_eq!((&found["setting"], &found["value"]), (&"KAFKA_GROUP".into(), &"orders".into()), "{done}");
    assert_eq!(found["why"], "its members run in 12 of these 12 pods, as Kafka tells");

    let broker = cluster(&servers, &[]).start();
    let done = ask(&servers, &broker, &["check"], &[("KAFKA_GROUP", "")]);
    assert_eq!(done.code, Some(0), "{done}");
    for words in ["KAFKA_GROUP=orders was found", "12 of 12 members run in these pods"] {
        assert!(done.stdout.contains(words), "{words}: {done}");
    }
    let done = ask(&servers, &broker, &["config", "found"], &[("KAFKA_GROUP", ""), ("OUTPUT", "table")]);
    assert!(done.stdout.contains("METRICS_PRESET=kafka\nKAFKA_GROUP=orders\n"), "{done}");
}

/// The names of the pods make the query longer than servers take.
#[test]
fn a_query_that_cannot_be_written_hides_nothing_of_kafka_from_a_check() {
    let servers = Servers::over(settled());
    let url = servers.metrics.url();
    let own = format!("max by (pod) (cpu{{pod=~\"{{{{pods_regex}}}}\", x=\"{}\"}})", "x".repeat(16_330));
    let env = [("KAFKA_GROUP", ""), ("PROMETHEUS_ENDPOINT", url.as_str()), ("QUERY_CPU", own.as_str())];
    let done = ask(&servers, &cluster(&servers, &[]).start(), &["check"], &env);
    assert_eq!(done.code, Some(1), "{done}");
    for words in ["KAFKA_GROUP=orders was found", "12 of 12 members run in these pods", "write the queries"] {
        assert!(done.stdout.contains(words), "{words}: {done}");
    }
    let env = [("METRICS_PRESET", "auto"), ("QUERY_CPU", own.as_str())];
    let done = servers.run(&["check"], &env);
    for words in ["METRICS_PRESET=micrometer was found", "write the queries"] {
        assert!(done.stdout.contains(words), "{words}: {done}");
    }
}

#[test]
fn of_several_groups_none_is_taken_and_nothing_is_evicted() {
    let servers = Servers::over(settled());
    let url = servers.metrics.url();
    for endpoint in ["", url.as_str()] {
        let broker = cluster(&servers, &[("audit", 12)]).start();
        let env = [("KAFKA_GROUP", ""), ("PROMETHEUS_ENDPOINT", endpoint)];
        let done = ask(&servers, &broker, &["run", "--yes"], &env);
        assert!(
            done.assert_one_error(64).contains("none is chosen: audit, orders; set KAFKA_GROUP"),
            "{done}"
        );
        servers.assert_untouched();
        let done = ask(&servers, &broker, &["check"], &env);
        assert_eq!(done.code, Some(1), "{done}");
        assert!(done.stdout.contains("none is chosen: audit, orders; set KAFKA_GROUP"), "{done}");
    }
}

#[test]
fn pods_of_no_group_are_decided_on_without_kafka_only_where_they_can_be() {
    let servers = Servers::over(settled());
    let url = servers.metrics.url();
    let strangers = || {
        let clients = ["pay-5d8c9-x2x4z", "pay-5d8c9-7wz2p"];
        let groups = vec![SimulatedGroup::healthy(&clients, 2)];
        SimulatedCluster { groups, others: vec![("payments-streams".to_owned(), "streams")] }.start()
    };
    let (auto, named) = (("METRICS_PRESET", "auto"), ("METRICS_PRESET", "kafka"));
    let with_server = [("KAFKA_GROUP", ""), ("PROMETHEUS_ENDPOINT", url.as_str()), auto];
    let done = ask(&servers, &strangers(), &["plan"], &with_server);
    let report = done.json();
    assert_eq!(
        (done.code, report["workload"]["found"][0]["value"].as_str()),
        (Some(0), Some("none")),
        "{done}"
    );
    assert!(report["statistics"]["cpu"]["mean"].is_number(), "{done}");
    let done = ask(&servers, &strangers(), &["check"], &with_server);
    assert!(done.stdout.contains("the pods are members of no consumer group"), "{done}");
    for env in [[with_server[0], with_server[1], named], [with_server[0], ("PROMETHEUS_ENDPOINT", ""), auto]]
    {
        let done = ask(&servers, &strangers(), &["run", "--yes"], &env);
        assert!(
            done.assert_one_error(1).contains("none of the 1 consumer groups that Kafka shows"),
            "{done}"
        );
        assert!(done.stderr.contains("streams groups (KIP-1071: payments-streams)"), "{done}");
        servers.assert_untouched();
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let servers = Servers::over(settled());
    let broker = FakeBroker::start(|_, _| Reply::Close);
    let absent = "absent.pem";
    for (env, words) in [
        (vec![("KAFKA_BOOTSTRAP_SERVERS", "http://kafka:9092")], "is no address of a broker"),
        (vec![("KAFKA_BOOTSTRAP_SERVERS", " , ")], "it names no broker"),
        (vec![("KAFKA_BOOTSTRAP_SERVERS", ""), ("METRICS_PRESET", "kafka")], "needs KAFKA_BOOTSTRAP_SERVERS"),
        (vec![("KAFKA_WATCH", "2h")], "KAFKA_WATCH is too long for RUN_TIMEOUT"),
        (vec![("KAFKA_WATCH", "20s"), ("RUN_TIMEOUT", "79s")], "20 s more, which is 80 s"),
        (
            vec![
                ("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092, kafka.example:9092"),
                ("KAFKA_SASL_MECHANISM", "plain"),
                ("KAFKA_USERNAME", "orders"),
                ("KAFKA_PASSWORD", "hunter2"),
            ],
            "KAFKA_SASL_MECHANISM=PLAIN would send the secret to kafka.example:9092 unencrypted",
        ),
        (
            vec![
                ("KAFKA_BOOTSTRAP_SERVERS", "kafka.example"),
                ("KAFKA_SASL_MECHANISM", "oauthbearer"),
                ("KAFKA_TOKEN_FILE", absent),
            ],
            "KAFKA_SASL_MECHANISM=OAUTHBEARER would send the secret",
        ),
        (
            vec![("KAFKA_BOOTSTRAP_SERVERS", "msk.example"), ("KAFKA_SASL_MECHANISM", "AWS_MSK_IAM")],
            "KAFKA_SASL_MECHANISM=AWS_MSK_IAM would send the secret",
        ),
        (vec![("KAFKA_CA_FILE", absent)], "set KAFKA_TLS=true"),
        (vec![("KAFKA_TLS", "true"), ("KAFKA_CA_FILE", absent)], "KAFKA_CA_FILE: absent.pem"),
        (vec![("KAFKA_TLS", "true"), ("KAFKA_CLIENT_CERT", absent)], "only of use together"),
        (vec![("KAFKA_PASSWORD", "hunter2")], "KAFKA_SASL_MECHANISM is not"),
        (vec![("KAFKA_SASL_MECHANISM", "plain")], "without a user or without a password"),
        (vec![("KAFKA_SASL_MECHANISM", "oauthbearer")], "needs KAFKA_TOKEN_FILE"),
        (
            vec![("KAFKA_PASSWORD", "hunter2"), ("KAFKA_PASSWORD_FILE", absent)],
            "both KAFKA_PASSWORD and KAFKA_PASSWORD_FILE are set",
        ),
    ] {
        let done = ask(&servers, &broker, &["plan"], &env);
        let error = done.assert_one_error(64);
        assert!(error.contains(words) && !error.contains("hunter2"), "{env:?}: {error}");
    }
}
