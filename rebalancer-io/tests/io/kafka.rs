//! The consumer group asked directly: a simulated broker, and brokers that misbehave.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rebalancer_core::{Fact, LivePod, Metric, OffsetKind, Offsets, PartitionPast};
use rebalancer_io::facts::FactFinder;
use rebalancer_io::kafka::{
    KafkaAnswers, KafkaClient, KafkaConfig, KafkaError, KafkaErrorKind, NoServer, Patience, Sasl, ScramHash,
    ToWatch, Watched, WatchedPartition, WithKafka, groups_of_each,
};
use rebalancer_io::metrics::{FactQueries, KafkaPreset, MetricsSource as _, QuerySet, QuerySettings};
use rebalancer_io::prometheus::{AwsCredentials, PrometheusClient, SecretSource, SecretString};
use rebalancer_sim::broker::{
    Asked, Bytes, FakeBroker, KAFKA_4, KAFKA_4_CLASSIC, Looks, Reply, SimulatedCluster, SimulatedGroup, api,
    versions,
};

mod brokers;
mod explained;
mod forms;
mod frames;
mod slow;
mod standing;

const PODS: [&str; 3] = ["orders-0", "orders-1", "orders-2"];

fn patience() -> Patience {
    Patience { deadline: Instant::now().checked_add(Duration::from_secs(60)), stop: Arc::default() }
}

fn client_of(servers: &[String], sasl: Option<Sasl>, patience: Patience) -> KafkaClient {
    let servers = servers.iter().map(|server| server.parse().expect("an address")).collect();
    KafkaClient::new(KafkaConfig { servers, tls: None, sasl }, patience).expect("no file is read")
}

fn named(group: &str) -> ToWatch {
    ToWatch { group: group.to_owned(), youngest: None }
}

fn watch(broker: &FakeBroker) -> Result<Watched, KafkaError> {
    client_of(&[broker.address()], None, patience()).watch(named("orders"), Duration::from_millis(200))
}

/// A broker that answers rightly but for one request.
fn wrong_in(key: i16, reply: Reply) -> FakeBroker {
    wrong_of(SimulatedGroup::healthy(&PODS, 2), key, reply)
}

/// A broker with this group that answers rightly but for one request.
fn wrong_of(group: SimulatedGroup, key: i16, reply: Reply) -> FakeBroker {
    let looks = std::sync::Mutex::new(Looks::default());
    FakeBroker::start(move |asked, address| {
        if asked.key == key {
            return reply.clone();
        }
        let mut looks = looks.lock().expect("no thread panics while it holds the lock");
        group.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
    })
}

/// The answer about the brokers: two at the same address. `None` for other requests.
fn two_brokers(asked: &Asked, address: SocketAddr) -> Option<Reply> {
    if asked.key != api::METADATA || !asked.body.starts_with(&[0; 4]) {
        return None;
    }
    let mut body = Bytes(vec![0; 4]);
    body.count(2);
    for id in [1, 2] {
        body.i32(id);
        body.text(&address.ip().to_string());
        body.i32(address.port().into());
        // No rack.
        body.i16(-1);
    }
    // No name of the cluster, a controller, no topics.
    body.0.extend([0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 0]);
    Some(Reply::Body(body.0))
}

#[test]
fn a_group_of_either_protocol_is_described_with_what_its_members_own() {
    for (is_of_brokers, assignor) in [(false, "cooperative-sticky"), (true, "uniform")] {
        let group = SimulatedGroup {
            is_of_brokers,
            assignor: assignor.to_owned(),
            ..SimulatedGroup::healthy(&PODS, 2)
        };
        let broker = group.start();
        let watched = watch(&broker).expect("a group");
        assert_eq!(
            (watched.group.is_dealt_by_brokers, watched.group.assignor.as_str()),
            (is_of_brokers, assignor)
        );
        assert!(!watched.in_rebalance && !watched.group.has_unequal_subscriptions());
        let owners: Vec<Option<usize>> = watched.partitions.iter().map(|of| of.owner).collect();
        assert_eq!(owners, [0, 0, 1, 1, 2, 2].map(Some));
        let asked = broker.asked();
        assert_eq!(asked.len(), 8, "{asked:?}");
    }
}

/// Groups of both protocols on one broker: found by a few requests, and looked at within the same time.
#[test]
fn all_groups_are_found_and_looked_at_together() {
    let group_called = |name: &str, is_of_brokers: bool| SimulatedGroup {
        name: name.to_owned(),
        topic: name.to_owned(),
        is_of_brokers,
        rack: Some("zone-a".to_owned()),
        ..SimulatedGroup::healthy(&PODS, 2)
    };
    let names: Vec<String> = (0..30).map(|number| format!("group-{number:02}")).collect();
    let groups = names.iter().enumerate().map(|(number, name)| group_called(name, number % 3 == 0)).collect();
    let cluster = SimulatedCluster {
        groups,
        others: vec![("queue".to_owned(), "share"), ("joins".to_owned(), "streams")],
    };
    let broker = cluster.start();
    let mut client = client_of(&[broker.address()], None, patience());
    let found = client.groups().expect("the groups");
    let of_brokers = found.of_consumers.iter().filter(|group| group.is_dealt_by_brokers).count();
    assert_eq!(
        (found.of_consumers.len(), of_brokers, found.shared.as_slice()),
        (30, 10, &["queue".to_owned()][..])
    );
    assert_eq!(found.streams, ["joins"]);
    assert!(found.of_consumers.iter().map(|group| &group.name).eq(&names));
    assert_eq!(client.requests(), 6, "brokers, groups, and each of two parts in both ways");
    let live = PODS.map(LivePod::assumed);
    let other = [LivePod::assumed("web-7d9f8-xk2pq")];
    let met = groups_of_each(&found.of_consumers, &[&live, &other]);
    assert!(
        met.iter().all(std::collections::BTreeMap::is_empty),
        "names with numbers tell nothing alone: {met:?}"
    );

    let begun = Instant::now();
    let mut asked = names.clone();
    asked[7] = "nobody".to_owned();
    let asked: Vec<ToWatch> = asked.iter().map(|name| named(name)).collect();
    let watched = client.watch_each(&asked, Duration::from_millis(500)).expect("answers");
    assert!(begun.elapsed() < Duration::from_secs(5), "one wait for all: {:?}", begun.elapsed());
    for (number, watched) in watched.into_iter().enumerate() {
        if number == 7 {
            let error = watched.expect_err("no such group").to_string();
            assert!(error.contains("there is no group nobody"), "{error}");
            continue;
        }
        let watched = watched.expect("a group");
        assert_eq!((watched.group.name.as_str(), watched.partitions.len()), (names[number].as_str(), 6));
        assert!(watched.partitions.iter().all(|of| of.moved() && of.place.0 == names[number]));
        assert!(watched.group.members.iter().all(|member| member.rack.as_deref() == Some("zone-a")));
    }
    let hanging = wrong_in(api::OFFSET_FETCH, Reply::Close);
    let mut client = client_of(&[hanging.address()], None, patience());
    assert!(client.watch_each(&[named("orders")], Duration::ZERO).is_err(), "a lost answer is no answer");
}

/// Answers of a broker with bytes changed: whatever they are, they are an answer or an error.
#[test]
fn changed_answers_never_end_the_program() {
    let config =
        proptest::test_runner::Config { cases: 300, failure_persistence: None, ..Default::default() };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let change = (
        proptest::num::u8::ANY,
        proptest::bool::ANY,
        proptest::collection::vec(proptest::num::u8::ANY, 0..12),
    );
    let held = runner.run(&change, |(wrong, is_of_brokers, changes)| {
        rebalancer_sim::fuzzing::kafka(&[&[wrong, 2 | u8::from(is_of_brokers)], changes.as_slice()].concat());
        Ok(())
    });
    held.expect("every answer is an answer or an error");
}

/// A group that a broker cannot tell of now may be the one that is looked for; one that the user may not see is not.
#[test]
fn a_group_that_is_not_told_of_ends_the_search_unless_it_is_hidden() {
    let refused = |code: i16| {
        let mut body = Bytes::default();
        body.i32(0);
        body.count(1);
        body.i16(code);
        for text in ["orders", "", "", ""] {
            body.text(text);
        }
        body.count(0);
        body.i32(0);
        body.0
    };
    let groups = |code: i16| {
        let broker = wrong_in(api::DESCRIBE_GROUPS, Reply::Body(refused(code)));
        client_of(&[broker.address()], None, patience()).groups()
    };
    for hidden in [30, 29] {
        let found = groups(hidden).expect("the others");
        assert_eq!((found.of_consumers, found.hidden), (Vec::new(), vec!["orders".to_owned()]));
    }
    let error = groups(14).expect_err("it is being loaded").to_string();
    assert!(error.contains("group orders: COORDINATOR_LOAD_IN_PROGRESS"), "{error}");
}

#[test]
fn a_classic_group_is_found_on_a_broker_that_has_both_protocols() {
    let group = SimulatedGroup::healthy(&PODS, 2);
    let looks = std::sync::Mutex::new(Looks::default());
    let broker = FakeBroker::start(move |asked, address| {
        let mut looks = looks.lock().expect("no thread panics while it holds the lock");
        match asked.key {
            api::API_VERSIONS => Reply::Body(versions(KAFKA_4)),
            api::CONSUMER_GROUP_DESCRIBE => {
                let mut body = Bytes(vec![0, 0, 0, 0, 2]);
                body.i16(69);
                // No message, no name, no state, two epochs, no assignor, no members, operations, tags.
                body.0.extend([0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0]);
                Reply::Body(body.0)
            }
            _ => group.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body),
        }
    });
    let watched = watch(&broker).expect("a group");
    assert!(!watched.group.is_dealt_by_brokers);
    assert_eq!(watched.group.members.len(), 3);
}

#[test]
fn what_waits_is_dated_by_the_times_of_records() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    group.stick(3, 12);
    let watched = watch(&group.start()).expect("a group");
    let stood: Vec<(usize, u32)> = watched
        .partitions
        .iter()
        .enumerate()
        .filter(|(_, of)| of.stood())
        .map(|(number, of)| (number, of.waits_minutes()))
        .collect();
    assert_eq!(stood, [(3, 10)], "twelve minutes are at least ten");
    assert!(watched.partitions.iter().filter(|of| of.moved()).count() == 5);
}

/// However long a record has waited, three questions tell since when; less than five minutes are no stand.
#[test]
fn a_wait_of_any_length_is_found_by_three_questions() {
    for (minutes, known) in [(0, 0), (2, 0), (4, 0), (7, 5), (12, 10), (20, 15), (45, 30), (90, 59)] {
        let mut group = SimulatedGroup::healthy(&PODS, 2);
        group.stick(3, minutes);
        let broker = group.start();
        let watched = watch(&broker).expect("a group");
        assert_eq!(watched.partitions[3].waits_minutes(), known, "{minutes} minutes");
        let asked = broker.asked().into_iter().filter(|key| *key == api::LIST_OFFSETS).count();
        assert!(asked <= 2 + 3, "{asked} questions for ends and the start");
    }
}

#[test]
fn the_answers_enter_a_decision_as_those_of_a_metrics_server() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    group.stick(3, 12);
    let watched = watch(&group.start()).expect("a group");
    let day = Some(Duration::from_secs(86_400));
    let live = PODS.map(|name| LivePod { uid: format!("uid-{name}"), age: day, ..LivePod::assumed(name) });
    let answers = Arc::new(KafkaAnswers::new(&watched, &live));
    assert_eq!((answers.members(), answers.remarks()), ((3, 3), [].as_slice()));
    let client = PrometheusClient::over(WithKafka::new(answers, NoServer), 1 << 20);
    let settings = settings();
    let queries = QuerySet::new(&settings).expect("the queries");
    let facts = FactQueries::new(&queries, &settings).expect("the queries about the group");
    let at = Timestamp::from_second(1_795_410_007).expect("a time");
    let lag = client.instant(queries.get(Metric::Lag).expect("a query"), at).expect("an answer");
    let lag: Vec<(String, f64)> = lag.iter().map(|of| (of.pod.to_owned(), of.value)).collect();
    assert_eq!(
        lag,
        [("orders-0".to_owned(), 4.0), ("orders-1".to_owned(), 7203.0), ("orders-2".to_owned(), 4.0)]
    );
    assert_eq!(queries.get(Metric::Cpu), None, "nobody knows it");

    let finder = FactFinder::new(&client, &facts, at);
    let offsets = finder.offsets(&live);
    let offsets = offsets.known().expect("the past of the partitions");
    assert!(offsets.is_inferred && !offsets.is_in_rebalance);
    let stuck = offsets.partition(&("orders".to_owned(), 3)).expect("it is known");
    let committed = stuck.column(OffsetKind::Committed);
    assert_eq!(committed.iter().filter(|offset| !offset.is_nan()).count(), 11, "now and ten minutes back");
    assert_eq!(stuck.owner().map(|owner| owner.pod.as_str()), Some("orders-1"));
}

#[test]
fn members_that_are_in_none_of_the_pods_are_counted_and_said() {
    let watched = watch(&SimulatedGroup::healthy(&PODS, 2).start()).expect("a group");
    let live = [LivePod::assumed("orders-0")];
    let answers = KafkaAnswers::new(&watched, &live);
    assert_eq!(answers.members(), (3, 1));
    assert!(
        answers.remarks()[0].starts_with("2 of 3 members of group orders run in none"),
        "{:?}",
        answers.remarks()
    );
}

#[test]
fn a_group_that_is_dealt_anew_has_no_rates() {
    let group =
        SimulatedGroup { state: "PreparingRebalance".to_owned(), ..SimulatedGroup::healthy(&PODS, 2) };
    let watched = watch(&group.start()).expect("a group");
    assert!(watched.in_rebalance);
    let answers = KafkaAnswers::new(&watched, &PODS.map(LivePod::assumed));
    assert!(answers.remarks()[0].contains("PreparingRebalance"), "{:?}", answers.remarks());
}

/// The pods that have a load by what Kafka answers.
fn pods_with(metric: Metric, answers: KafkaAnswers) -> Vec<String> {
    let client = PrometheusClient::over(WithKafka::new(Arc::new(answers), NoServer), 1 << 20);
    let queries = QuerySet::new(&settings()).expect("the queries");
    let query = queries.get(metric).expect("a query");
    let answer = client.instant(query, Timestamp::UNIX_EPOCH).expect("an answer");
    answer.pods().map(str::to_owned).collect()
}

fn settings() -> QuerySettings {
    QuerySettings {
        preset: KafkaPreset::Kafka,
        group: Some("orders".into()),
        has_server: false,
        ..QuerySettings::new("shop")
    }
}

/// What the past of the partitions is, by what Kafka answers.
fn past_of(answers: KafkaAnswers, live: &[LivePod]) -> Fact<Offsets> {
    let client = PrometheusClient::over(WithKafka::new(Arc::new(answers), NoServer), 1 << 20);
    let queries = QuerySet::new(&settings()).expect("the queries");
    let facts = FactQueries::new(&queries, &settings()).expect("the queries about the group");
    FactFinder::new(&client, &facts, Timestamp::from_second(1_795_410_007).expect("a time")).offsets(live)
}

fn answers_of(group: SimulatedGroup) -> KafkaAnswers {
    let watched = watch(&group.start()).expect("a group");
    KafkaAnswers::new(&watched, &PODS.map(LivePod::assumed))
}

#[test]
fn a_partition_without_a_commit_makes_the_load_unknown_unless_its_log_is_empty() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    // Nothing was ever read, or everything was deleted since.
    group.partitions[0].committed = [-1; 2];
    for emptied in [1, 4] {
        group.partitions[emptied].committed = [-1; 2];
        group.partitions[emptied].start = group.partitions[emptied].end;
        group.partitions[emptied].rate = 0.0;
    }
    let answers = answers_of(group);
    let remark = answers.remarks()[0].clone();
    assert!(remark.contains("no offset of 1 of its 6 partitions"), "{remark}");
    assert_eq!(pods_with(Metric::Lag, answers.clone()), ["orders-1", "orders-2"]);
    assert_eq!(pods_with(Metric::Rate, answers), ["orders-1", "orders-2"]);
}

#[test]
fn an_offset_that_went_back_or_is_past_the_end_makes_the_load_unknown() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    group.partitions[0].committed = [1_000_000; 2];
    group.partitions[4].committed = [100_005, 100_001];
    let answers = answers_of(group);
    assert_eq!(pods_with(Metric::Lag, answers.clone()), ["orders-1", "orders-2"], "orders-0 is past the end");
    assert_eq!(pods_with(Metric::Rate, answers), ["orders-0", "orders-1"], "orders-2 went back");
}

#[test]
fn no_load_is_known_of_a_classic_group_that_begins_to_deal_between_the_looks() {
    for state in ["PreparingRebalance", "CompletingRebalance"] {
        let group =
            SimulatedGroup { state_later: Some(state.to_owned()), ..SimulatedGroup::healthy(&PODS, 2) };
        let answers = answers_of(group);
        assert!(answers.remarks()[0].contains(state), "{:?}", answers.remarks());
        for metric in [Metric::Lag, Metric::Rate] {
            assert_eq!(pods_with(metric, answers.clone()), [] as [&str; 0], "{metric} is missing, not zero");
        }
        let past = past_of(answers, &PODS.map(LivePod::assumed));
        assert!(past.known().is_some_and(|offsets| offsets.is_in_rebalance), "{past:?}");
    }
}

#[test]
fn a_group_without_members_is_not_said_to_deal() {
    let group = SimulatedGroup { state: "Empty".to_owned(), ..SimulatedGroup::healthy(&[], 2) };
    let answers = answers_of(group);
    assert_eq!(answers.remarks(), ["group orders has no members: nobody reads"]);
}

#[test]
fn a_secret_is_not_sent_in_the_open_to_a_broker_that_the_cluster_names() {
    let password = || SecretSource::Value(SecretString::from("hunter2-hunter2"));
    for sasl in [
        Sasl::Plain { username: "orders".to_owned(), password: password() },
        Sasl::OauthBearer { token: password() },
        Sasl::AwsMskIam(AwsCredentials::new([("AWS_REGION".to_owned(), "eu-west-1".to_owned())].into())),
    ] {
        let error = client_of(&["192.0.2.1:9092".to_owned()], Some(sasl), patience());
        let error = { error }.group("orders").expect_err("refused").to_string();
        assert!(
            error.contains("set KAFKA_TLS=true") && error.starts_with("Kafka at 192.0.2.1:9092"),
            "{error}"
        );
    }
}

#[test]
fn a_group_that_is_not_there_is_told_with_those_that_are() {
    let group = SimulatedGroup { state: "Dead".to_owned(), ..SimulatedGroup::healthy(&PODS, 2) };
    let error = watch(&group.start()).expect_err("no group").to_string();
    assert!(error.contains("there is no group orders") && error.contains("the user sees orders"), "{error}");
}

/// The broker computes the signature of what it is told, as Amazon's does.
#[test]
fn an_identity_of_aws_signs_in_with_a_signature_that_the_broker_finds_right() {
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let of_broker = Arc::clone(&told);
    let group = SimulatedGroup::healthy(&PODS, 2);
    let looks = std::sync::Mutex::new(Looks::default());
    let broker = FakeBroker::start(move |asked, address| match asked.key {
        api::SASL_HANDSHAKE => Reply::Body(vec![0, 0, 0, 0, 0, 0]),
        api::SASL_AUTHENTICATE => {
            *of_broker.lock().expect("no thread panics") = asked.body[4..].to_vec();
            let mut body = Bytes::default();
            body.i16(0);
            body.i16(-1);
            body.bytes(br#"{"version":"2020_10_22","request-id":"1"}"#);
            Reply::Body(body.0)
        }
        _ => {
            let mut looks = looks.lock().expect("no thread panics while it holds the lock");
            group.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
        }
    });
    let key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let variables = |region: &str| {
        let all = [
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", key),
            ("AWS_SESSION_TOKEN", "session/hunter2=="),
            ("AWS_REGION", region),
        ];
        all.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    };
    let of_aws = |region: &str| Some(Sasl::AwsMskIam(AwsCredentials::new(variables(region))));
    // Also where the caller's thread runs a runtime already.
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let group = runtime
        .block_on(async { client_of(&[broker.address()], of_aws("eu-west-1"), patience()).group("orders") });
    assert_eq!(group.expect("a group").members.len(), 3);
    let told: serde_json::Value =
        serde_json::from_slice(&told.lock().expect("no thread panics")).expect("a message in JSON");
    let text = |name: &str| told[name].as_str().unwrap_or_else(|| panic!("{name}: {told}")).to_owned();
    assert_eq!((text("version"), text("host")), ("2020_10_22".to_owned(), "127.0.0.1".to_owned()));
    assert_eq!(text("x-amz-signature"), msk_signature(&text, key), "{told}");
    assert!(!told.to_string().contains(key));

    let error =
        client_of(&[broker.address()], of_aws(""), patience()).group("orders").expect_err("no region");
    assert!(error.to_string().contains("set AWS_REGION"), "{error}");
}

/// The signature that fits the other fields of a message of `AWS_MSK_IAM`.
fn msk_signature(text: &dyn Fn(&str) -> String, key: &str) -> String {
    use ring::digest::{SHA256, digest};
    use ring::hmac::{HMAC_SHA256, Key, sign};
    let hex = |bytes: &[u8]| -> String {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        digits.concat()
    };
    let escaped = |text: &str| text.replace(':', "%3A").replace('/', "%2F").replace('=', "%3D");
    let query = format!(
        "Action={}&X-Amz-Algorithm={}&X-Amz-Credential={}&X-Amz-Date={}&X-Amz-Expires={}&X-Amz-Security-Token={}\
         &X-Amz-SignedHeaders={}",
        escaped(&text("action")),
        text("x-amz-algorithm"),
        escaped(&text("x-amz-credential")),
        text("x-amz-date"),
        text("x-amz-expires"),
        escaped(&text("x-amz-security-token")),
        text("x-amz-signedheaders"),
    );
    let nothing = hex(digest(&SHA256, b"").as_ref());
    let request = format!("GET\n/\n{query}\nhost:{}\n\nhost\n{nothing}", text("host"));
    let credential = text("x-amz-credential");
    let (_, scope) = credential.split_once('/').expect("a scope");
    let request = hex(digest(&SHA256, request.as_bytes()).as_ref());
    let signed = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{request}", text("x-amz-date"));
    let mut by = format!("AWS4{key}").into_bytes();
    for part in scope.split('/').chain([signed.as_str()]) {
        by = sign(&Key::new(HMAC_SHA256, &by), part.as_bytes()).as_ref().to_vec();
    }
    hex(&by)
}

#[test]
fn a_password_that_the_broker_repeats_is_masked() {
    const PASSWORD: &str = "hunter2-hunter2";
    let password = || SecretSource::Value(SecretString::from(PASSWORD));
    let username = || "orders".to_owned();
    let broker = FakeBroker::start(|asked, _| match asked.key {
        api::API_VERSIONS => Reply::Body(versions(KAFKA_4_CLASSIC)),
        api::SASL_HANDSHAKE => Reply::Body(vec![0, 0, 0, 0, 0, 0]),
        _ => {
            let mut body = Bytes::default();
            body.i16(58);
            body.text(&format!("{PASSWORD} is wrong"));
            body.bytes(&[]);
            Reply::Body(body.0)
        }
    });
    for sasl in [
        Sasl::Plain { username: username(), password: password() },
        Sasl::Scram { hash: ScramHash::Sha512, username: username(), password: password() },
        Sasl::OauthBearer { token: password() },
    ] {
        let mechanism = sasl.mechanism();
        let error =
            client_of(&[broker.address()], Some(sasl), patience()).group("orders").expect_err("refused");
        let error = error.to_string();
        assert!(
            error.contains(&format!("signing in by {mechanism}: SASL_AUTHENTICATION_FAILED (58)")),
            "{error}"
        );
        assert!(!error.contains("hunter2") && error.contains("***"), "{error}");
    }
}
