//! Answers without a list of live pods, against a join over exactly the pods that they name.

use std::collections::BTreeSet;
use std::mem;
use std::time::Duration;

use proptest::prelude::*;
use rebalancer_core::{Freshness, Join, LivePod, Metric, PerMetric, Sample};
use rebalancer_sim::generators::sample;

const NOW_S: f64 = 1_000.0;

const FRESHNESS: Freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180) };

/// Pod, value and time in milliseconds.
type Row = (usize, f64, i64);

/// Pods in order or in any, in a few answers some of them again.
fn pods() -> impl Strategy<Value = Vec<usize>> {
    let sorted = || prop::sample::subsequence((0..30).collect::<Vec<usize>>(), 0..=30);
    let again = prop_oneof![9 => Just(Vec::new()), 1 => prop::collection::vec(0_usize..30, 0..4)];
    let once = prop_oneof![sorted().boxed(), sorted().prop_shuffle().boxed()];
    (once, again).prop_map(|(once, again)| [once, again].concat())
}

fn answers() -> impl Strategy<Value = PerMetric<Vec<Row>>> {
    let time = prop_oneof![8 => Just(1_000_000_i64), 1 => Just(999_500), 1 => 0_i64..2_000_000];
    let row = (sample(), time);
    let answer = move || {
        let rows = prop::collection::vec(row.clone(), 34);
        (pods(), rows).prop_map(|(pods, rows)| {
            pods.into_iter().zip(rows).map(|(pod, (value, time_ms))| (pod, value, time_ms)).collect()
        })
    };
    Metric::ALL
        .map(|_| answer())
        .prop_map(|mut answers| PerMetric::from_fn(|metric| mem::take(&mut answers[metric.index()])))
}

fn name(pod: usize) -> String {
    format!("orders-{pod:02}")
}

proptest! {
    #[test]
    fn named_pods_are_joined_as_assumed_ones(answers in answers()) {
        let named: PerMetric<Vec<(String, f64, f64)>> = answers.map(|rows| {
            rows.into_iter().map(|(pod, value, time_ms)| (name(pod), value, time_ms as f64 / 1000.0)).collect()
        });
        let pods = named.iter().flat_map(|(_, rows)| rows).map(|(pod, ..)| pod.as_str());
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let live: Vec<LivePod> = pods.filter(|pod| seen.insert(*pod)).map(LivePod::assumed).collect();
        let mut join = Join::default();
        for (metric, rows) in named.iter() {
            let samples = rows.iter().map(|(pod, value, timestamp_s)| Sample {
                pod,
                value: *value,
                timestamp_s: *timestamp_s,
            });
            join.add(metric, samples);
        }
        let expected = join.clone().with_live(&live, FRESHNESS, NOW_S);
        match (join.with_named(FRESHNESS.max_sample_age, NOW_S), expected) {
            (Ok(joined), Ok(expected)) => {
                prop_assert_eq!(&joined.names, &expected.names);
                prop_assert_eq!(&joined.issues, &expected.issues);
                prop_assert_eq!(joined.pods(), expected.pods());
            }
            (joined, expected) => prop_assert_eq!(joined.err(), expected.err()),
        }
    }
}
