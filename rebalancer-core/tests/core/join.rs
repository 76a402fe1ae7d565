//! What holds of every join: any order of samples, duplicates, unknown, stale and young pods,
//! against the naive oracle.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use rebalancer_core::{
    Engine, Freshness, Join, JoinError, Joined, LivePod, Metric, Phase, Sample, SetAsideReason, Thresholds,
};
use rebalancer_sim::generators::{load, sample};
use rebalancer_sim::oracle::{self, JoinedMetric};

/// One sample, owned.
type Given = (String, f64, f64);

const NOW_S: f64 = 1_795_410_000.0;

fn rules() -> impl Strategy<Value = Freshness> {
    let warm_up = prop_oneof![Just(0), Just(300), 0_u64..600];
    warm_up.prop_map(|warm_up_s| Freshness {
        warm_up: Duration::from_secs(warm_up_s),
        max_sample_age: Duration::from_secs(180),
    })
}

fn live_pod(name: String) -> impl Strategy<Value = LivePod> {
    let age = prop::option::weighted(0.8, prop_oneof![Just(300_u64), 0_u64..900]);
    let phase = prop_oneof![8 => Just(Phase::Running), 1 => Just(Phase::Pending), 1 => Just(Phase::Unknown)];
    (age.clone(), age, phase, prop::bool::weighted(0.9), prop::bool::weighted(0.1)).prop_map(
        move |(age, uptime, phase, ready, terminating)| LivePod {
            phase,
            ready,
            terminating,
            age: age.map(Duration::from_secs),
            uptime: uptime.map(Duration::from_secs),
            ..LivePod::assumed(name.clone())
        },
    )
}

fn live_pods() -> impl Strategy<Value = Vec<LivePod>> {
    let names = (0..12_usize).prop_map(|count| (0..count).map(|index| format!("orders-{index}")).collect());
    let shuffled = names.prop_flat_map(|names: Vec<String>| Just(names).prop_shuffle());
    shuffled.prop_flat_map(|names| names.into_iter().map(live_pod).collect::<Vec<_>>())
}

fn timestamp() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => Just(NOW_S),
        2 => prop::sample::select(vec![-180.0, 180.0, -180.001, 180.001, 3_600.0]).prop_map(|offset| NOW_S + offset),
        1 => Just(f64::NAN),
    ]
}

/// An answer: most pods once, some twice, some unknown, in any order or sorted.
fn answer(duplicates: bool) -> impl Strategy<Value = Vec<Given>> {
    let one = (0..16_usize, sample(), timestamp());
    (vec(one, 0..20), any::<bool>()).prop_map(move |(samples, sorted)| {
        let mut seen = BTreeSet::new();
        let mut given: Vec<Given> = samples
            .into_iter()
            .filter(|(index, ..)| seen.insert(*index) || duplicates)
            .map(|(index, value, timestamp_s)| (format!("orders-{index}"), value, timestamp_s))
            .collect();
        if sorted {
            given.sort_by(|one, other| one.0.cmp(&other.0));
        }
        given
    })
}

fn samples(given: &[Given]) -> Vec<Sample<'_>> {
    given
        .iter()
        .map(|(pod, value, timestamp_s)| Sample { pod, value: *value, timestamp_s: *timestamp_s })
        .collect()
}

/// The part of a join that the oracle knows of one metric.
fn found(joined: &Joined, metric: Metric) -> JoinedMetric {
    let loads = joined.pods().into_iter();
    let loads = loads.filter_map(|pod| Some((pod.load(metric)?.value().to_bits(), pod.name)));
    let loads = loads.map(|(load, name)| (name, load));
    let issues = &joined.issues[metric];
    JoinedMetric::Loads {
        loads: loads.collect::<BTreeMap<_, _>>(),
        invalid: issues.invalid.iter().cloned().collect(),
        stale: issues.stale.iter().cloned().collect(),
        unknown: issues.unknown_pods,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_024) })]

    #[test]
    fn equals_the_oracle(live in live_pods(), rules in rules(), cpu in answer(true), lag in answer(false)) {
        let answers = [(Metric::Cpu, samples(&cpu)), (Metric::Lag, samples(&lag))];
        let mut join = Join::default();
        for (metric, samples) in &answers {
            join.add(*metric, samples.iter().copied());
        }
        let joined = join.with_live(&live, rules, NOW_S);
        let [cpu, lag] = [0, 1].map(|of: usize| oracle::join(&live, rules, NOW_S, &answers[of].1));
        prop_assert!(!matches!(lag, JoinedMetric::Duplicates(_)), "{:?}", lag);
        let joined = match (joined, cpu) {
            (Err(JoinError::DuplicateSample { metric, pod }), JoinedMetric::Duplicates(pods)) => {
                prop_assert_eq!(metric, Metric::Cpu);
                prop_assert!(pods.contains(&pod), "{pod}");
                return Ok(());
            }
            (joined, cpu) => {
                prop_assert!(!matches!(cpu, JoinedMetric::Duplicates(_)), "{:?}", cpu);
                joined.map_err(|error| TestCaseError::fail(error.to_string()))?
            }
        };
        let pods: Vec<String> = joined.pods().iter().map(|pod| pod.name.clone()).collect();
        prop_assert_eq!(pods, oracle::eligible(&live, rules));
        for (metric, samples) in &answers {
            prop_assert_eq!(found(&joined, *metric), oracle::join(&live, rules, NOW_S, samples));
        }
        for metric in Metric::ALL {
            let without = joined.pods().into_iter().filter(|pod| pod.load(metric).is_none());
            let missing: BTreeSet<String> = without.map(|pod| pod.name).collect();
            prop_assert!(joined.issues[metric].missing.iter().eq(&missing), "missing, by name");
        }
    }

    /// Every live pod is either joined or set aside, with the first reason that holds.
    #[test]
    fn every_live_pod_is_accounted_for(live in live_pods(), rules in rules()) {
        let joined = Join::default().with_live(&live, rules, NOW_S).expect("names differ");
        prop_assert_eq!(joined.names.len() + joined.set_aside.len(), live.len());
        for aside in &joined.set_aside {
            let pod = live.iter().find(|pod| pod.name == aside.pod).expect("set aside pods live");
            let expected = if pod.terminating {
                SetAsideReason::Terminating
            } else if pod.phase != Phase::Running {
                SetAsideReason::NotRunning
            } else if !pod.ready {
                SetAsideReason::NotReady
            } else {
                SetAsideReason::WarmingUp
            };
            prop_assert_eq!(aside.reason, expected);
            let young = pod.warm_for().is_some_and(|warm| warm < rules.warm_up);
            prop_assert!(expected != SetAsideReason::WarmingUp || young);
        }
    }

    /// The order of an answer does not show.
    #[test]
    fn order_does_not_matter(
        (given, shuffled) in answer(false).prop_flat_map(|given| (Just(given.clone()), Just(given).prop_shuffle())),
        live in live_pods(),
        rules in rules(),
    ) {
        let joined = |given: &[Given]| {
            let mut join = Join::default();
            join.add(Metric::Rate, samples(given));
            join.with_live(&live, rules, NOW_S).map(|joined| (joined.pods(), joined.issues))
        };
        prop_assert_eq!(joined(&given), joined(&shuffled));
    }

    /// 23 of the specification: a pod that is still warming up changes nothing.
    #[test]
    fn warming_pod_changes_nothing(loads in vec(load(), 3..12), newborn in load(), age_s in 0_u64..300) {
        let pod = |index: usize| LivePod::assumed(format!("orders-{index}"));
        let mut live: Vec<LivePod> = (0..loads.len()).map(pod).collect();
        let now = |(pod, load): (&LivePod, &f64)| (pod.name.clone(), *load, NOW_S);
        let mut given: Vec<Given> = live.iter().zip(&loads).map(now).collect();
        let (warm_up, max_sample_age) = (Duration::from_secs(300), Duration::from_secs(180));
        let rules = Freshness { warm_up, max_sample_age };
        let pods = |live: &[LivePod], given: &[Given]| {
            let mut join = Join::default();
            join.add(Metric::Cpu, samples(given));
            join.with_live(live, rules, NOW_S).expect("no duplicates").pods()
        };
        let without = pods(&live, &given);
        live.insert(1, LivePod { age: Some(Duration::from_secs(age_s)), ..LivePod::assumed("newborn") });
        given.insert(0, ("newborn".to_owned(), newborn, NOW_S));
        let with = pods(&live, &given);
        prop_assert_eq!(&without, &with);
        let engine = Engine::new(Thresholds::default());
        prop_assert_eq!(engine.analyze(&without), engine.analyze(&with));
    }
}
