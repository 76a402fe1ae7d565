//! Answers without a list of live pods, against a join over exactly the pods that they name.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use rebalancer_core::{Join, JoinRules, LivePod, Metric, PerMetric, Sample};
use rebalancer_sim::generators::sample;

const RULES: JoinRules =
    JoinRules { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180), now_s: 1_000.0 };

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
    (answer(), answer(), answer(), answer()).prop_map(|(cpu, memory, lag, rate)| PerMetric {
        cpu,
        memory,
        lag,
        rate,
    })
}

fn name(pod: usize) -> String {
    format!("orders-{pod:02}")
}

proptest! {
    #[test]
    fn named_pods_are_joined_as_assumed_ones(answers in answers()) {
        let mut named = Join::of_named_pods(RULES.max_sample_age);
        let mut live: Vec<LivePod> = Vec::new();
        let mut seen: BTreeSet<usize> = BTreeSet::new();
        let mut taken: PerMetric<Vec<Row>> = PerMetric::default();
        for metric in Metric::ALL {
            let mut answer = named.answer(metric);
            let mut again: Vec<String> = Vec::new();
            for &(pod, value, time_ms) in &answers[metric] {
                answer.take(&name(pod), value, time_ms as f64 / 1000.0);
                if taken[metric].iter().any(|(other, ..)| *other == pod) {
                    again.push(name(pod));
                } else {
                    taken[metric].push((pod, value, time_ms));
                }
                if seen.insert(pod) {
                    live.push(LivePod::assumed(name(pod)));
                }
            }
            prop_assert_eq!(answer.repeated(), &again);
            if !again.is_empty() {
                return Ok(());
            }
        }
        let newest = taken.iter().flat_map(|(_, rows)| rows).map(|(.., time_ms)| *time_ms).max();
        let newest = newest.map(|time_ms| time_ms as f64 / 1000.0);
        let rules = JoinRules { now_s: newest.unwrap_or_default(), ..RULES };
        prop_assert_eq!(named.newest_s(), newest);

        let mut join = Join::new(&live, rules).expect("names differ");
        for (metric, rows) in taken.iter() {
            let names: Vec<String> = rows.iter().map(|(pod, ..)| name(*pod)).collect();
            let samples = rows.iter().zip(&names).map(|(&(_, value, time_ms), pod)| Sample {
                pod,
                value,
                timestamp_s: time_ms as f64 / 1000.0,
            });
            join.add(metric, samples).expect("one sample a pod");
        }
        let (expected, joined) = (join.finish(), named.finish());
        prop_assert_eq!(&joined.names, &expected.names);
        prop_assert_eq!(&joined.issues, &expected.issues);
        for metric in Metric::ALL {
            let bits = |loads: &[f64]| loads.iter().map(|load| load.to_bits()).collect::<Vec<u64>>();
            prop_assert_eq!(bits(&joined.loads[metric]), bits(&expected.loads[metric]), "{}", metric);
        }
    }
}
