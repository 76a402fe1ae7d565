//! Several brokers, and brokers that misbehave, refuse or are down.

use super::*;

/// One of two brokers, which answers rightly but for one request. The other has the same address.
fn beside_another(key: i16, reply: Reply) -> FakeBroker {
    let group = SimulatedGroup::healthy(&PODS, 2);
    let looks = std::sync::Mutex::new(Looks::default());
    FakeBroker::start(move |asked, address| {
        if asked.key == key {
            return reply.clone();
        }
        if let Some(brokers) = two_brokers(asked, address) {
            return brokers;
        }
        let mut looks = looks.lock().expect("no thread panics while it holds the lock");
        group.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
    })
}

#[test]
fn the_coordinator_and_the_leaders_are_looked_for_among_several_brokers() {
    let broker = beside_another(api::SASL_HANDSHAKE, Reply::Close);
    assert_eq!(watch(&broker).expect("a group").partitions.len(), 6);
    let asked = broker.asked();
    let of = |key: i16| asked.iter().filter(|asked| **asked == key).count();
    assert_eq!((of(api::METADATA), of(api::FIND_COORDINATOR)), (2, 1), "{asked:?}");
}

#[test]
fn a_broker_that_misbehaves_is_an_error_in_words() {
    let garbage = Reply::Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec());
    let huge = Reply::Raw([0, 0, 0, 30, 0, 0].to_vec());
    for (key, reply, words) in [
        (api::API_VERSIONS, garbage, "is this Kafka, and is KAFKA_TLS right?"),
        (api::API_VERSIONS, Reply::Close, "does its listener ask for KAFKA_TLS?"),
        (api::METADATA, Reply::Close, "does its listener ask for a sign-in (KAFKA_SASL_MECHANISM)?"),
        (api::OFFSET_FETCH, Reply::Close, "closed before the answer was complete"),
        (api::METADATA, Reply::Raw(vec![0, 0, 0, 4, 0, 0, 0, 99]), "the answer is to another question"),
        (api::METADATA, Reply::Body(vec![0; 5]), "it ends too early"),
        (api::LIST_OFFSETS, Reply::Body(vec![0x7f; 64]), "more elements than the answer has bytes"),
    ] {
        let error = watch(&wrong_in(key, reply)).expect_err("no answer").to_string();
        assert!(error.starts_with("Kafka at 127.0.0.1:") && error.contains(words), "{error}");
    }
    // Begins an answer and goes on no more.
    let broker = wrong_in(api::OFFSET_FETCH, huge);
    let deadline = Instant::now().checked_add(Duration::from_secs(1));
    let mut client = client_of(&[broker.address()], None, Patience { deadline, stop: Arc::default() });
    let begun = Instant::now();
    let error = client.watch(named("orders"), Duration::ZERO).expect_err("no answer");
    assert!(matches!(error.kind, KafkaErrorKind::Stopped), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn what_a_broker_refuses_is_named_with_what_to_do() {
    let refused = |code: i16| {
        let mut body = Bytes::default();
        body.i32(0);
        body.i16(code);
        body.i16(-1);
        body.i32(-1);
        body.text("");
        body.i32(-1);
        body.0
    };
    for (code, words) in [
        (30, "GROUP_AUTHORIZATION_FAILED (30): not authorised: the user needs Describe on it"),
        (15, "COORDINATOR_NOT_AVAILABLE (15)"),
        (1234, "error 1234"),
    ] {
        let broker = beside_another(api::FIND_COORDINATOR, Reply::Body(refused(code)));
        let error = watch(&broker).expect_err("refused").to_string();
        assert!(error.contains("the coordinator of group orders") && error.contains(words), "{error}");
    }
    let broker = wrong_in(api::API_VERSIONS, Reply::Body(vec![0; 6]));
    let error = watch(&broker).expect_err("no versions").to_string();
    assert!(error.contains("no Metadata that this program understands"), "{error}");
}

#[test]
fn one_broker_that_is_down_is_passed_over_and_a_stop_ends_the_wait() {
    let broker = SimulatedGroup::healthy(&PODS, 2).start();
    let servers = ["127.0.0.1:1".to_owned(), broker.address()];
    let mut client = client_of(&servers, None, patience());
    assert!(client.watch(named("orders"), Duration::ZERO).is_ok());
    let error =
        client_of(&servers[..1], None, patience()).watch(named("orders"), Duration::ZERO).expect_err("down");
    assert!(error.to_string().starts_with("Kafka at 127.0.0.1:1: cannot connect"), "{error}");

    let stop = Arc::new(AtomicBool::new(false));
    let mut client = client_of(&servers[1..], None, Patience { deadline: None, stop: Arc::clone(&stop) });
    let stopping = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        stop.store(true, Ordering::Relaxed);
    });
    let begun = Instant::now();
    let error = client.watch(named("orders"), Duration::from_secs(60)).expect_err("stopped");
    assert!(
        matches!(error.kind, KafkaErrorKind::Stopped) && begun.elapsed() < Duration::from_secs(5),
        "{error}"
    );
    stopping.join().expect("a thread that sleeps");
}
