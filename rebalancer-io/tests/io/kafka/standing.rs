//! Partitions that may stand are looked at further.

use super::*;

#[test]
fn a_slow_consumer_is_seen_to_move_by_looking_further() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    for partition in [3, 5] {
        group.stick(partition, 60);
    }
    group.partitions[3].committed_later = Some(group.partitions[3].committed[0] + 500);
    let watched = watch(&group.start()).expect("a group");
    let stood = watched.partitions.iter().map(WatchedPartition::may_stand).collect::<Vec<bool>>();
    assert_eq!(stood, [false, false, false, false, false, true]);
    assert!(watched.partitions[3].moved(), "it commits rarely");
    assert_eq!(watched.partitions[5].watched, watched.needed, "three times the time between two looks");
    let past = past_of(KafkaAnswers::new(&watched, &PODS.map(LivePod::assumed)), &[]);
    let past = past.known().expect("the past");
    assert_eq!(past.watch_needed, Some(watched.needed));
    let watched_for =
        |number: u32| past.partition(&("orders".to_owned(), number)).and_then(PartitionPast::watched);
    assert_eq!([3, 5].map(watched_for), [None, Some(watched.needed)]);
}

#[test]
fn a_run_without_time_to_look_further_says_so_and_one_without_suspects_does_not_look() {
    let mut group = SimulatedGroup::healthy(&PODS, 2);
    group.stick(3, 60);
    let (broker, healthy) = (group.start(), SimulatedGroup::healthy(&PODS, 2).start());
    let deadline = Instant::now().checked_add(Duration::from_secs(10));
    let mut client = client_of(&[broker.address()], None, Patience { deadline, stop: Arc::default() });
    let watched = client.watch(named("orders"), Duration::from_millis(200)).expect("a group");
    assert!(watched.partitions[3].may_stand());
    assert_eq!(
        (watched.partitions[3].watched, watched.needed),
        (Duration::from_millis(200), Duration::from_millis(600))
    );
    watch(&healthy).expect("a group");
    let fetches = healthy.asked().iter().filter(|key| **key == api::OFFSET_FETCH).count();
    assert_eq!(fetches, 2, "nothing stands, so nothing is watched further");
}
