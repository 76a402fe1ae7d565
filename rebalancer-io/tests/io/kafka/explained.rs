//! What a stand, a tenure and a missing group are told by.

use rebalancer_core::PartitionPast;

use rebalancer_io::kafka::WatchedPartition;

use super::*;

#[test]
fn where_the_log_of_a_partition_that_stands_begins_is_asked() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    for partition in [3, 5] {
        group.stick(partition, 60);
    }
    group.partitions[3].start = group.partitions[3].committed[0] + 400;
    let watched = watch(&group.start()).expect("a group");
    let answers = KafkaAnswers::new(&watched, &PODS.map(LivePod::assumed));
    let past = past_of(answers, &PODS.map(LivePod::assumed));
    let past = past.known().expect("the past");
    let start = |number: u32| past.partition(&("orders".to_owned(), number))?.latest(OffsetKind::Start);
    assert_eq!(start(3), Some(watched.partitions[3].committed[0].expect("a commit") as f64 + 400.0));
    assert_eq!(start(5), Some(0.0));
    assert_eq!(start(0), None, "it moves");
}

/// Records before it may be aborted, or be markers of transactions that ended: consumers skip them, and many commit the
/// offset after the last record that they were handed.
#[test]
fn a_partition_before_an_open_transaction_is_said_to_be_and_does_not_stand() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    for (partition, further) in [(1, Some(0)), (2, Some(1)), (3, Some(500)), (5, None)] {
        group.stick(partition, 60);
        let of = &mut group.partitions[partition];
        of.open_transaction = further.map(|records| of.committed[0] + records);
    }
    let broker = group.start();
    let watched = watch(&broker).expect("a group");
    let may_stand: Vec<bool> = watched.partitions.iter().map(WatchedPartition::may_stand).collect();
    assert_eq!(may_stand, [false, false, false, false, false, true]);
    let answers = KafkaAnswers::new(&watched, &PODS.map(LivePod::assumed));
    assert_eq!(answers.remarks().len(), 3, "{:?}", answers.remarks());
    for (remark, partition) in answers.remarks().iter().zip([1, 2, 3]) {
        let words = format!("partition {partition} of topic orders does not move, and a transaction is open");
        assert!(remark.contains(&words), "{remark}");
    }
    assert!(broker.asked().len() <= 13, "{:?}", broker.asked());
}

/// One that began just now, in the midst of traffic, holds nobody.
#[test]
fn a_partition_stands_although_a_transaction_began_lately() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    group.stick(3, 60);
    group.partitions[3].open_transaction = Some(group.partitions[3].end - 5);
    let watched = watch(&group.start()).expect("a group");
    assert!(watched.partitions[3].may_stand() && !watched.partitions[3].may_wait_for_transaction());
}

#[test]
fn how_long_a_pod_owns_its_partitions_is_unknown_where_a_member_or_a_pod_stands_alone() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    group.stick(3, 60);
    let watched = watch(&group.start()).expect("a group");
    let day = Some(Duration::from_secs(86_400));
    let pod = |name: &str| LivePod { age: day, ..LivePod::assumed(name) };
    let tenure = |live: &[LivePod]| {
        let past = past_of(KafkaAnswers::new(&watched, live), live);
        let past = past.known().expect("the past");
        let owner =
            past.partition(&("orders".to_owned(), 3)).and_then(PartitionPast::owner).expect("an owner");
        owner.last - owner.first
    };
    assert_eq!(tenure(&PODS.map(pod)), 59);
    assert_eq!(tenure(&PODS.map(pod)[..2]), 1, "the third member is a stranger");
    assert_eq!(
        tenure(&["orders-0", "orders-1", "orders-2", "orders-3"].map(pod)),
        1,
        "the fourth pod reads nothing"
    );
    let mut live = PODS.map(pod);
    live[2].age = None;
    assert_eq!(tenure(&live), 1, "nobody knows how old it is");
}

#[test]
fn a_coordinator_that_does_not_list_its_groups_says_why() {
    let group = SimulatedGroup { state: "Dead".to_owned(), ..SimulatedGroup::healthy(&PODS, 2) };
    for (body, words) in [
        (vec![0, 14, 0, 0, 0, 0], "the list of groups: COORDINATOR_LOAD_IN_PROGRESS (14)"),
        (b"\0\0\0\0\0\x01\0\x06orders\0\x07streams".to_vec(), "group orders is a streams group (KIP-1071)"),
        (b"\0\0\0\0\0\x01\0\x06orders\0\x05share".to_vec(), "group orders is a share group"),
        (b"\0\0\0\0\0\x01\0\x06orders\0\x07connect".to_vec(), "group orders is of type connect"),
    ] {
        let (group, looks) = (group.clone(), std::sync::Mutex::new(Looks::default()));
        let broker = FakeBroker::start(move |asked, address| {
            if asked.key == api::LIST_GROUPS {
                return Reply::Body(body.clone());
            }
            let mut looks = looks.lock().expect("no thread panics while it holds the lock");
            group.answer(asked, address, &mut looks).map_or(Reply::Close, Reply::Body)
        });
        let error = watch(&broker).expect_err("no group").to_string();
        assert!(error.contains(words), "{error}");
    }
}

/// The brokers that deal a group say only that there is such a topic.
#[test]
fn of_a_topic_that_the_user_may_not_see_is_said_what_it_is_not() {
    let group = SimulatedGroup { is_of_brokers: true, ..SimulatedGroup::healthy(&PODS, 2) };
    let mut body = Bytes(vec![0, 0, 0, 0, 2]);
    body.i16(29);
    // No message, a name, no state, two epochs, no assignor, no members, operations, tags.
    body.0.extend(b"\0\x07orders\x01\0\0\0\0\0\0\0\0\x01\x01\0\0\0\0\0\0");
    let broker = wrong_of(group, api::CONSUMER_GROUP_DESCRIBE, Reply::Body(body.0));
    let error = watch(&broker).expect_err("refused").to_string();
    for words in [
        "a topic of group orders (the user may see orders of those with a committed offset): TOPIC_AUTHORIZATION_FAILED (29)",
        "the user needs Describe on every topic that the group reads",
    ] {
        assert!(error.contains(words), "{words}: {error}");
    }
}

/// However long one partition stands, and in both protocols, no more than twelve requests are sent to a single broker: for
/// the versions, the brokers, the group twice, its commits three times, and offsets five times.
#[test]
fn a_group_in_which_a_partition_stands_takes_twelve_requests() {
    for (is_of_brokers, minutes) in [(false, 12), (true, 20), (false, 40), (true, 90)] {
        let mut group = SimulatedGroup { is_of_brokers, ..SimulatedGroup::healthy(&PODS, 2) };
        group.stick(3, minutes);
        // Nothing was ever written to it.
        group.partitions[0] = rebalancer_sim::broker::SimulatedPartition {
            committed: [-1; 2],
            end: 0,
            rate: 0.0,
            ..group.partitions[0].clone()
        };
        let broker = group.start();
        let watched = watch(&broker).expect("a group");
        assert!(watched.partitions[3].may_stand(), "{minutes} minutes");
        let asked = broker.asked();
        assert!(asked.len() <= 12, "{minutes} minutes: {} requests: {asked:?}", asked.len());
    }
}

/// Nothing newer than the record that waits: one more request tells an open transaction from no traffic.
#[test]
fn where_nothing_was_written_lately_an_open_transaction_is_asked_for() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    group.partitions[3].committed = [group.partitions[3].end - 1; 2];
    group.partitions[3].rate = 0.0;
    let broker = group.start();
    let watched = watch(&broker).expect("a group");
    assert_eq!(watched.partitions[3].waits_minutes(), 59, "it was there at all times");
    assert_eq!(watched.partitions[3].committed_end, watched.partitions[3].end[1]);
    assert!(!watched.partitions[3].may_wait_for_transaction());
    assert_eq!(broker.asked().len(), 13, "{:?}", broker.asked());
}
