//! Arbitrary samples of partitions joined with arbitrary live pods: each partition once, no load lost or
//! made up, an owner that lives and was named, whatever the order of the samples.

use std::collections::BTreeSet;

use arbitrary::{Result, Unstructured};
use rebalancer_core::{PartitionSample, Partitions};

/// Most samples of one input.
const MAX_SAMPLES: usize = 96;

const PODS: [&str; 6] = ["orders-0", "orders-1", "orders-10", "orders-ä", "", "ghost-0"];

/// Some are one topic in two spellings, some only look alike.
const TOPICS: [&str; 7] = ["orders.paid", "orders_paid", "orders-paid", "a.b.c", "a_b.c", "a_b_c", "é"];

/// Joins what `data` describes.
///
/// # Panics
/// When a partition is there twice, has a load or an owner that no sample gives, or another order of the
/// samples gives another answer.
pub fn ownership(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok((live, samples)) = described(&mut input) else { return };
    let joined = Partitions::new(samples.iter().copied(), &live);
    let reversed = Partitions::new(samples.iter().rev().copied(), &live);
    match (&joined, &reversed) {
        (Ok(one), Ok(other)) => assert_eq!(one, other, "{samples:?}"),
        (Err(one), Err(_)) => {
            let words = one.to_string();
            assert!(!words.is_empty() && words.len() < 500, "{words}");
            return;
        }
        _ => panic!("the order decides: {joined:?}, {reversed:?} of {samples:?}"),
    }
    let Ok(joined) = joined else { return };
    holds(&joined, &samples, &live);
    nothing_is_lost(&joined, &samples, &live);
}

/// Every partition is one of the samples, once, and owned by who claims it and lives.
fn holds(joined: &Partitions, samples: &[PartitionSample<'_>], live: &[&str]) {
    let mut seen: BTreeSet<(String, u32)> = BTreeSet::new();
    for partition in joined.all() {
        let topic = underscored(&joined.topics()[partition.topic]);
        assert!(seen.insert((topic.clone(), partition.number)), "{topic} {} twice", partition.number);
        let mut of = samples
            .iter()
            .filter(|it| (underscored(it.topic), it.partition) == (topic.clone(), partition.number));
        assert!(of.clone().any(|sample| sample.load.to_bits() == partition.load.to_bits()), "{partition:?}");
        assert!(partition.load.is_finite() && partition.load >= 0.0, "{partition:?}");
        if let Some(owner) = partition.owner {
            assert!(of.any(|sample| sample.pod == Some(live[owner.0])), "{partition:?} was not claimed");
        }
    }
    let topics: BTreeSet<String> = joined.topics().iter().map(|topic| underscored(topic)).collect();
    assert_eq!(topics.len(), joined.topics().len(), "a topic in two spellings: {:?}", joined.topics());
    for place in joined.contested() {
        let partition = joined.all().iter().find(|it| (it.topic, it.number) == *place);
        assert!(
            partition.is_some_and(|partition| partition.owner.is_some()),
            "{place:?} is contested by nobody"
        );
    }
    assert!(joined.owners_known() <= joined.contested().is_empty());
}

/// Every partition of a live pod is there, and the pods' loads and those of nobody make up the whole.
fn nothing_is_lost(joined: &Partitions, samples: &[PartitionSample<'_>], live: &[&str]) {
    for sample in samples.iter().filter(|it| it.pod.is_some_and(|pod| live.contains(&pod))) {
        let is_it = |partition: &&rebalancer_core::Partition| {
            underscored(&joined.topics()[partition.topic]) == underscored(sample.topic)
                && partition.number == sample.partition
        };
        let partition = joined.all().iter().find(is_it);
        assert!(partition.is_some_and(|partition| partition.owner.is_some()), "{sample:?} is lost");
    }
    let pods: f64 = joined.pod_loads(live.len()).iter().sum();
    let nobodys: f64 = joined.all().iter().filter(|it| it.owner.is_none()).map(|it| it.load).sum();
    let total = joined.total_load();
    assert!((pods + nobodys - total).abs() <= 1e-9 * total.max(1.0), "{pods} + {nobodys} is not {total}");
    assert!(joined.all().iter().all(|partition| partition.load <= joined.hottest().load));
}

fn described<'a>(input: &mut Unstructured<'_>) -> Result<(Vec<&'a str>, Vec<PartitionSample<'a>>)> {
    let alive: u8 = input.arbitrary()?;
    // The last is never alive.
    let live = (0..PODS.len() - 1).filter(|place| alive >> place & 1 == 1).map(|place| PODS[place]).collect();
    let mut samples: Vec<PartitionSample<'_>> = Vec::new();
    while !input.is_empty() && samples.len() < MAX_SAMPLES {
        let pod = input.int_in_range(0..=PODS.len())?;
        let (topic, partition) = (*input.choose(&TOPICS)?, input.int_in_range(0..=3_u32)?);
        let load = match input.int_in_range(0..=15_u8)? {
            0 => f64::from_bits(input.arbitrary()?),
            tenths => f64::from(tenths) / 10.0,
        };
        samples.push(PartitionSample { pod: PODS.get(pod).copied(), topic, partition, load });
    }
    Ok((live, samples))
}

fn underscored(topic: &str) -> String {
    topic.replace('.', "_")
}
