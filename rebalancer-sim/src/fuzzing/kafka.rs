//! Arbitrary answers of something that is taken for a Kafka broker.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rebalancer_core::LivePod;
use rebalancer_io::kafka::{KafkaAnswers, KafkaClient, KafkaConfig, Patience};

use crate::broker::{FakeBroker, Looks, Reply, SimulatedGroup, api};

/// Lets a broker answer rightly but for one answer, which is made of `data`: its first byte tells which one, its second
/// whether the group has the protocol of KIP-848. Nothing that is answered may end the program.
///
/// # Panics
/// When the group is found although its members are not.
pub fn kafka(data: &[u8]) {
    let [wrong, is_of_brokers, body @ ..] = data else { return };
    let (wrong, body) = (*wrong % 10, body.to_vec());
    let pods = ["orders-0", "orders-1"];
    let group = SimulatedGroup { is_of_brokers: is_of_brokers % 2 == 1, ..SimulatedGroup::healthy(&pods, 2) };
    let state = Mutex::new((0_u8, Looks::default()));
    let broker = FakeBroker::start(move |asked, address| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        let (count, looks) = &mut *state;
        *count = count.saturating_add(1);
        let right = group.answer(asked, address, looks);
        if *count == wrong + 1 && asked.key != api::METADATA {
            return Reply::Body(body.clone());
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
    if let Ok(watched) = client.watch("orders", Duration::ZERO) {
        let live = pods.map(LivePod::assumed);
        let (members, met) = KafkaAnswers::new(&watched, &live).members();
        assert!(met <= members, "{met} of {members}");
    }
}
