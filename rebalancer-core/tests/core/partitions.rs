//! The join of partition loads with live pods: spellings, ghosts, duplicates, two owners.

use rebalancer_core::{InvalidPartitions, PartitionSample, Partitions};

fn sample<'a>(pod: &'a str, topic: &'a str, partition: u32, load: f64) -> PartitionSample<'a> {
    PartitionSample { pod: Some(pod), topic, partition, load }
}

fn join(samples: &[PartitionSample<'_>]) -> Result<Partitions, InvalidPartitions> {
    Partitions::new(samples.iter().copied(), &["pod-b", "pod-a"])
}

fn owners(partitions: &Partitions) -> Vec<(usize, u32, Option<usize>)> {
    let all = partitions.all().iter();
    all.map(|partition| (partition.topic, partition.number, partition.owner.map(|owner| owner.0))).collect()
}

#[test]
fn owners_are_positions_among_the_live_pods() {
    let joined = join(&[
        sample("pod-a", "orders", 1, 5.0),
        sample("pod-b", "orders", 0, 3.0),
        sample("pod-a", "bills", 0, 2.0),
    ])
    .expect("each partition once");
    assert_eq!(joined.topics(), ["bills", "orders"]);
    assert_eq!(owners(&joined), [(0, 0, Some(1)), (1, 0, Some(0)), (1, 1, Some(1))]);
    assert_eq!(joined.pod_loads(2), [3.0, 7.0]);
    assert_eq!((joined.hottest().number, joined.total_load()), (1, 10.0));
    assert!(joined.owners_known());
}

#[test]
fn a_dotted_topic_under_both_spellings_counts_once() {
    let joined = join(&[
        sample("pod-a", "eu_orders_v1", 0, 5.0),
        sample("pod-a", "eu.orders.v1", 0, 5.0),
        sample("pod-b", "eu_orders_v1", 1, 3.0),
    ])
    .expect("two spellings are no duplicate");
    assert_eq!(joined.topics(), ["eu.orders.v1"]);
    assert_eq!(owners(&joined), [(0, 0, Some(1)), (0, 1, Some(0))]);
}

#[test]
fn topics_that_sort_between_the_spellings_stay_apart() {
    // '-' sorts before '.', '_' after the capitals.
    let joined = join(&[
        sample("pod-a", "a.b", 0, 1.0),
        sample("pod-a", "aXb", 0, 1.0),
        sample("pod-a", "a_b", 0, 1.0),
        sample("pod-a", "a-b", 0, 1.0),
    ])
    .expect("three topics");
    assert_eq!(joined.topics().len(), 3);
    assert_eq!(joined.all().len(), 3);
}

#[test]
fn ghost_owners_are_left_out() {
    let joined = join(&[sample("pod-gone", "orders", 0, 9.0), sample("pod-a", "orders", 0, 5.0)])
        .expect("one is alive");
    assert_eq!(owners(&joined), [(0, 0, Some(1))]);
    assert_eq!(joined.total_load(), 5.0);
    assert_eq!(join(&[sample("pod-gone", "orders", 0, 9.0)]), Err(InvalidPartitions::Empty));
    assert_eq!(join(&[]), Err(InvalidPartitions::Empty));
}

#[test]
fn a_partition_with_two_live_owners_is_contested() {
    let joined = join(&[
        sample("pod-a", "orders", 0, 5.0),
        sample("pod-b", "orders", 0, 5.0),
        sample("pod-b", "orders", 1, 1.0),
    ])
    .expect("told, not refused");
    assert_eq!(joined.contested(), [(0, 0)]);
    assert!(!joined.owners_known());
    assert_eq!(joined.total_load(), 6.0, "it is one partition");
}

#[test]
fn loads_without_pods_have_no_owners() {
    let nobody = PartitionSample { pod: None, topic: "orders", partition: 0, load: 4.0 };
    let joined = join(&[nobody, sample("pod-b", "orders", 1, 1.0)]).expect("owners are optional");
    assert_eq!(owners(&joined), [(0, 0, None), (0, 1, Some(0))]);
    assert!(!joined.owners_known());
    let owned = join(&[nobody, sample("pod-a", "orders", 0, 4.0)]).expect("one of them names the pod");
    assert_eq!(owners(&owned), [(0, 0, Some(1))]);
}

#[test]
fn duplicates_and_numbers_that_are_no_loads_are_refused() {
    let twice = join(&[sample("pod-a", "orders", 0, 5.0), sample("pod-a", "orders", 0, 5.0)]);
    let duplicate =
        InvalidPartitions::Duplicate { topic: "orders".into(), partition: 0, pod: "pod-a".into() };
    assert_eq!(twice, Err(duplicate));
    for load in [f64::NAN, f64::INFINITY, -1.0] {
        let refused = join(&[sample("pod-a", "orders", 3, load)]);
        assert_eq!(refused, Err(InvalidPartitions::NoLoad { topic: "orders".into(), partition: 3 }));
    }
}
