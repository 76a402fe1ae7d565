//! The past of a stuck, a poisoned and a hot partition as exporters wrote it, read from each server.

use jiff::Timestamp;
use rebalancer_core::{Fact, LivePod, OffsetKind, Offsets, PartitionPast};
use rebalancer_io::facts::FactFinder;
use rebalancer_io::metrics::{FactQueries, KafkaPreset, QuerySet, QuerySettings};
use rebalancer_io::prometheus::{
    ApiRequest, ApiResponse, HttpTransport, PrometheusClient, Transport, TransportError,
};
use rebalancer_io::recording::{Recorder, Recording, RedactionKey, Replay};

use super::exporters::PRESETS;
use super::recorded::Recorded;
use super::servers::{TestSeries, on_each_server};

/// Moments of the recording, and how many minutes before the end they begin.
const UNTIL_ILL: [(&str, i64); 3] = [("t0", 59), ("t2", 40), ("t5", 15)];
const UNTIL_REPLACED: [(&str, i64); 4] = [("t2", 59), ("t5", 40), ("t6", 30), ("t8", 5)];

const GROUP: &str = "g-orders";
const PODS: &str = "orders-6b7c8d9f5-";

/// A whole minute of now.
fn now() -> Timestamp {
    let minute = Timestamp::now().as_second() / 60 * 60 - 120;
    Timestamp::from_second(minute).expect("a time of now")
}

fn queries(preset: KafkaPreset, group: Option<&str>) -> FactQueries {
    let settings = QuerySettings {
        preset,
        group: group.map(str::to_owned),
        pod_pattern: Some(format!("{PODS}.+")),
        ..QuerySettings::new("shop")
    };
    let queries = QuerySet::new(&settings).expect("a query set");
    FactQueries::new(&queries, &settings).expect("queries of the group")
}

fn found(client: &PrometheusClient, queries: &FactQueries, at: Timestamp, live: &[LivePod]) -> Fact<Offsets> {
    FactFinder::new(client, queries, at).offsets(live)
}

fn known(fact: Fact<Offsets>) -> Offsets {
    match fact {
        Fact::Known(offsets) => offsets,
        other => panic!("{other:?}"),
    }
}

fn partition<'o>(offsets: &'o Offsets, topic: &str, number: u32) -> &'o PartitionPast {
    let mut partitions = offsets.partitions();
    partitions.find(|past| (past.topic(), past.number()) == (topic, number)).expect("the partition")
}

/// The offsets that a column has, without gaps and repetitions.
fn steps(past: &PartitionPast, kind: OffsetKind) -> Vec<f64> {
    let mut steps: Vec<f64> = past.column(kind).iter().copied().filter(|offset| !offset.is_nan()).collect();
    steps.dedup();
    steps
}

#[test]
fn every_exporter_tells_what_stands_and_what_moves() {
    let recorded = Recorded::load("stuck-poison-hot", &UNTIL_ILL.map(|(moment, _)| moment));
    let at = now();
    let live: Vec<LivePod> = recorded.moment("t5").pods(PODS).into_iter().map(LivePod::assumed).collect();
    on_each_server(&recorded.over_an_hour(&UNTIL_ILL, at.as_millisecond(), ""), |server, client| {
        for preset in PRESETS {
            let what = format!("{server} {preset}");
            let offsets = known(found(client, &queries(preset, Some(GROUP)), at, &live));
            assert!(!offsets.is_in_rebalance, "{what}");
            assert_eq!(offsets.partitions().len(), 18, "{what}: the group's partitions and no other");
            for past in offsets.partitions() {
                let place = past.place();
                let told = UNTIL_ILL.map(|(moment, _)| recorded.moment(moment));
                let mut committed: Vec<f64> =
                    told.iter().map(|moment| moment.committed(preset, GROUP, &place)).collect();
                if preset == KafkaPreset::Kminion {
                    let told = told.iter();
                    committed = told
                        .map(|moment| moment.written(&place) - moment.lag(preset, GROUP, &place))
                        .collect();
                }
                committed.dedup();
                assert_eq!(steps(past, OffsetKind::Committed), committed, "{what}: {place:?}");
                assert!(steps(past, OffsetKind::End).len() > 1, "{what}: the end of {place:?} moves");
                assert_eq!(past.latest(OffsetKind::Start), Some(0.0), "{what}: some stand, so it was asked");
                let owner = past.owner().map(|owner| owner.pod.clone()).unwrap_or_default();
                assert!(
                    recorded.moment("t5").partitions(&owner).contains(&place),
                    "{what}: {owner} {place:?}"
                );
            }
            let [stuck, poisoned] = [4, 9].map(|number| partition(&offsets, "orders", number));
            assert_eq!(steps(stuck, OffsetKind::Committed), [68.0], "{what}");
            assert_eq!(stuck.latest(OffsetKind::Committed), Some(68.0), "{what}");
            assert!(stuck.other_groups().iter().all(|other| other.offset > 68.0), "{what}: {stuck:?}");
            let [other] = poisoned.other_groups() else { panic!("{what}: {poisoned:?}") };
            assert_eq!((other.group.as_str(), other.offset), ("g-kip", 69.0), "{what}");
            let hot = partition(&offsets, "orders", 2);
            assert!(steps(hot, OffsetKind::Committed).len() > 1, "{what}");
        }
    });
}

/// A second Kafka cluster in the server has topics of the same names, and no group of this name.
#[test]
fn the_ends_and_groups_of_another_cluster_do_not_count() {
    let recorded = Recorded::load("stuck-poison-hot", &UNTIL_ILL.map(|(moment, _)| moment));
    let at = now();
    let live: Vec<LivePod> = recorded.moment("t5").pods(PODS).into_iter().map(LivePod::assumed).collect();
    let mut series = recorded.over_an_hour(&UNTIL_ILL, at.as_millisecond(), "");
    let is_elsewhere = |TestSeries { name, labels, .. }: &&TestSeries| {
        let of_topics = ["kafka_topic_partition_", "kminion_kafka_topic_partition_"];
        of_topics.iter().any(|start| name.starts_with(start)) || labels.contains("\"g-kip\"")
    };
    let elsewhere: Vec<TestSeries> = series.iter().filter(is_elsewhere).cloned().collect();
    assert!(elsewhere.len() > 18, "{}", elsewhere.len());
    let further = |name: &str| if name.contains("group") { 0.0 } else { 10_000.0 };
    series.extend(elsewhere.into_iter().map(|TestSeries { name, labels, samples }| TestSeries {
        labels: format!("{},cluster=\"elsewhere\"", labels.replace("g-kip", "g-elsewhere")),
        samples: samples.into_iter().map(|(at_ms, offset)| (at_ms, offset + further(&name))).collect(),
        name,
    }));
    on_each_server(&series, |server, client| {
        for preset in [KafkaPreset::KafkaExporter, KafkaPreset::Kminion, KafkaPreset::Micrometer] {
            let offsets = known(found(client, &queries(preset, Some(GROUP)), at, &live));
            assert_eq!(offsets.partitions().len(), 18, "{server} {preset}");
            assert_eq!(partition(&offsets, "orders", 9).other_groups().len(), 1, "{server} {preset}");
            for past in offsets.partitions() {
                let ends = past.column(OffsetKind::End).iter().chain(past.column(OffsetKind::Start));
                let highest = ends.copied().fold(0.0, f64::max);
                assert!(highest < 10_000.0, "{server} {preset}: {past:?}");
                let others = past.other_groups().iter();
                assert!(
                    others.into_iter().all(|other| other.group == "g-kip"),
                    "{server} {preset}: {past:?}"
                );
            }
        }
    });
}

/// Where no exporter is asked, the lead of the clients tells a stuck partition from one that is fetched again and
/// again.
#[test]
fn clients_alone_tell_their_lead() {
    let recorded = Recorded::load("stuck-poison-hot", &UNTIL_ILL.map(|(moment, _)| moment));
    let at = now();
    on_each_server(&recorded.over_an_hour(&UNTIL_ILL, at.as_millisecond(), ""), |server, client| {
        for preset in [KafkaPreset::Micrometer, KafkaPreset::JmxDefault, KafkaPreset::OtelJava] {
            let offsets = known(found(client, &queries(preset, None), at, &[]));
            assert_eq!(offsets.partitions().len(), 18, "{server} {preset}");
            let [stuck, poisoned] = [4, 9].map(|number| partition(&offsets, "orders", number));
            assert!(
                stuck.column(OffsetKind::Committed).is_empty() && stuck.column(OffsetKind::End).is_empty()
            );
            assert_eq!(steps(stuck, OffsetKind::Lead).len(), 1, "{server} {preset}: {stuck:?}");
            assert!(steps(poisoned, OffsetKind::Lead).len() > 1, "{server} {preset}: {poisoned:?}");
            let owner = stuck.owner().map(|owner| owner.pod.as_str()).expect("an owner");
            let lead = recorded.moment("t5").lead(owner, &("orders".to_owned(), 4));
            assert_eq!(stuck.latest(OffsetKind::Lead), Some(lead), "{server} {preset}");
        }
    });
}

#[test]
fn after_a_replacement_both_owners_are_told() {
    let recorded = Recorded::load("stuck-poison-hot", &UNTIL_REPLACED.map(|(moment, _)| moment));
    let at = now();
    let live: Vec<LivePod> = recorded.moment("t8").pods(PODS).into_iter().map(LivePod::assumed).collect();
    on_each_server(&recorded.over_an_hour(&UNTIL_REPLACED, at.as_millisecond(), ""), |server, client| {
        for preset in PRESETS {
            let offsets = known(found(client, &queries(preset, Some(GROUP)), at, &live));
            let [cured, poisoned] = [4, 9].map(|number| partition(&offsets, "orders", number));
            let owners = |past: &PartitionPast| -> Vec<String> {
                past.owners().iter().map(|tenure| tenure.pod[PODS.len()..].to_owned()).collect()
            };
            assert_eq!(owners(cured), ["fdghw", "d9v6w"], "{server} {preset}");
            assert_eq!(owners(poisoned), ["zr2p7", "zdl4v"], "{server} {preset}");
            assert_eq!(steps(poisoned, OffsetKind::Committed), [69.0], "{server} {preset}");
            assert!(steps(cured, OffsetKind::Committed).len() > 1, "{server} {preset}: {cured:?}");
        }
    });
}

/// All lags stand then, and nothing is known of now.
#[test]
fn an_exporter_that_stops_leaves_a_gap() {
    let recorded = Recorded::load("stuck-poison-hot", &UNTIL_ILL.map(|(moment, _)| moment));
    let at = now();
    let series = recorded.over_an_hour(&UNTIL_ILL, at.as_millisecond(), "kafka_exporter");
    on_each_server(&series, |server, client| {
        let told = queries(KafkaPreset::KafkaExporter, Some(GROUP));
        let offsets = known(found(client, &told, at, &[]));
        for past in offsets.partitions() {
            for kind in [OffsetKind::Committed, OffsetKind::End] {
                assert_eq!(past.latest(kind), None, "{server}: {past:?}");
                assert!(!past.column(kind)[..35].iter().all(|offset| offset.is_nan()), "{server}: {past:?}");
            }
        }
        let nobody = queries(KafkaPreset::KafkaLagExporterIp, Some(GROUP));
        assert_eq!(found(client, &nobody, at, &[]), Fact::Absent, "{server}: nobody writes its metrics");
    });
}

/// A client's own way to its server.
struct Through<'a>(&'a HttpTransport);

impl Transport for Through<'_> {
    fn send(&self, request: &ApiRequest<'_>) -> Result<ApiResponse, TransportError> {
        self.0.send(request)
    }

    fn place(&self) -> &str {
        self.0.place()
    }

    fn masked(&self, said: &[u8]) -> Option<Vec<u8>> {
        self.0.masked(said)
    }
}

const MAX_BYTES: u64 = 64 << 20;

/// A replay finds what the run found, and so does one without names, under other names.
#[test]
fn a_recording_tells_the_same_past() {
    let exporters = Recorded::load("stuck-poison-hot", &UNTIL_ILL.map(|(moment, _)| moment));
    let at = now();
    let series = exporters.over_an_hour(&UNTIL_ILL, at.as_millisecond(), "");
    on_each_server(&series, |server, client| {
        let recorder = Recorder::new(Through(client.transport()), MAX_BYTES);
        let recording_client = PrometheusClient::over(recorder, MAX_BYTES);
        let live = queries(KafkaPreset::KafkaExporter, Some(GROUP));
        let finder = FactFinder::new(&recording_client, &live, at);
        let hour = known(finder.offsets(&[]));
        let day = known(finder.offsets_of_day(&[], &hour));
        let recording = Recording {
            tool_version: String::new(),
            recorded_at: at,
            evaluation_time: at,
            config: serde_json::json!({"namespace": "shop"}),
            exchanges: recording_client.transport().exchanges(),
            workload: None,
        };
        let key = RedactionKey::new(&[7; 16]).expect("a key that is long enough");
        for (recording, has_names) in [(recording.redacted(&key), false), (recording, true)] {
            let replay = PrometheusClient::over(Replay::new(&recording, "run.jsonl"), MAX_BYTES);
            let asked = FactQueries::recorded(|name| recording.promqls(name), Some("shop"), "pod", None);
            let finder = FactFinder::new(&replay, &asked, at);
            let replayed = known(finder.offsets(&[]));
            if has_names {
                assert_eq!(format!("{replayed:?}"), format!("{hour:?}"), "{server}");
                let of_day = known(finder.offsets_of_day(&[], &replayed));
                assert_eq!(format!("{of_day:?}"), format!("{day:?}"), "{server}");
            }
            let standing = replayed.partitions().filter(|past| steps(past, OffsetKind::Committed).len() == 1);
            let standing: Vec<(u32, usize)> =
                standing.map(|past| (past.number(), past.other_groups().len())).collect();
            assert_eq!(standing, [(4, 1), (9, 1)], "{server}");
            assert_eq!(replayed.partitions().any(|past| past.topic() == "orders"), has_names, "{server}");
        }
    });
}
