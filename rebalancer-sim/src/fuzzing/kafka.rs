//! Arbitrary answers of something that is taken for a Kafka broker.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rebalancer_core::LivePod;
use rebalancer_io::facts::FactFinder;
use rebalancer_io::kafka::{
    KafkaAnswers, KafkaClient, KafkaConfig, NoServer, Patience, ToWatch, Watched, WithKafka,
};
use rebalancer_io::metrics::{FactQueries, KafkaPreset, QuerySet, QuerySettings};
use rebalancer_io::prometheus::PrometheusClient;

use crate::broker::{FakeBroker, Looks, Reply, SimulatedGroup, api};

/// Lets a broker answer rightly but for one answer, which is made of `data`: its first byte tells which one, the lowest bit of
/// its second whether the group has the protocol of KIP-848. The next bit tells whether the rest is the answer, or changes
/// of the right one: a place of two bytes and what stands there. All groups are asked for, then one is watched. Nothing that
/// is answered may end the program.
///
/// # Panics
/// When the group is found although its members are not.
pub fn kafka(data: &[u8]) {
    let [wrong, kind, rest @ ..] = data else { return };
    let (wrong, is_changed, rest) = (*wrong % MOST_REQUESTS, kind & 2 != 0, rest.to_vec());
    let pods = ["orders-0", "orders-1"];
    let group = SimulatedGroup { is_of_brokers: kind & 1 == 1, ..SimulatedGroup::healthy(&pods, 2) };
    let state = Mutex::new((0_u8, Looks::default()));
    let broker = FakeBroker::start(move |asked, address| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, looks) = &mut *state;
        *count = count.saturating_add(1);
        let right = group.answer(asked, address, looks);
        if *count == wrong + 1 && asked.key != api::METADATA {
            return Reply::Body(if is_changed {
                changed(right.unwrap_or_default(), &rest)
            } else {
                rest.clone()
            });
        }
        right.map_or(Reply::Close, Reply::Body)
    });
    let servers = vec![broker.address().parse().expect("an address")];
    let patience = Patience {
        deadline: Instant::now().checked_add(Duration::from_secs(2)),
        stop: Arc::new(AtomicBool::new(false)),
    };
    let config = KafkaConfig { servers, tls: None, sasl: None };
    let mut client = KafkaClient::new(config, patience).expect("no file is read");
    drop(client.groups());
    let youngest = Some(Duration::from_secs(60 * u64::from(*kind)));
    let wanted = ToWatch { group: "orders".to_owned(), youngest };
    if let Ok(watched) = client.watch(wanted, Duration::ZERO) {
        decide(&watched, &pods.map(LivePod::assumed));
    }
}

/// The requests for all groups and for one of them, in both ways.
const MOST_REQUESTS: u8 = 16;

/// Reads what was found as a decision does.
fn decide(watched: &Watched, live: &[LivePod]) {
    let answers = KafkaAnswers::new(watched, live);
    let (members, met) = answers.members();
    assert!(met <= members, "{met} of {members}");
    let client = PrometheusClient::over(WithKafka::new(Arc::new(answers), NoServer), 1 << 20);
    let settings = QuerySettings {
        preset: KafkaPreset::Kafka,
        group: Some("orders".into()),
        has_server: false,
        ..QuerySettings::new("shop")
    };
    let queries = QuerySet::new(&settings).expect("the group is named");
    let facts = FactQueries::new(&queries, &settings).expect("the group is named");
    let at = Timestamp::from_second(1_795_410_007).expect("a time");
    drop(FactFinder::new(&client, &facts, at).offsets(live));
}

/// The answer with other bytes at some places; a place behind its end cuts it.
fn changed(mut answer: Vec<u8>, changes: &[u8]) -> Vec<u8> {
    for change in changes.chunks_exact(3) {
        let place = usize::from(u16::from_be_bytes([change[0], change[1]])) % (answer.len() + 1);
        match answer.get_mut(place) {
            Some(byte) => *byte = change[2],
            None => answer.truncate(usize::from(change[2])),
        }
    }
    answer
}
