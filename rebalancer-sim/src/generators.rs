//! Random loads, pods, thresholds and samples for property tests, the bad cases included: zeros,
//! ties, values around a boundary, missing and impossible samples.

use proptest::collection::vec;
use proptest::prelude::*;
use rebalancer_core::{DEFAULT_FLOORS, DEFAULT_WEIGHTS, Metric, PerMetric, PodState, Thresholds};

/// A load as the specification bounds it: zero, or between `1e-9` and `1e15`.
pub fn load() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        1 => Just(0.0),
        2 => (0_u8..6).prop_map(f64::from),
        3 => positive_load(),
        1 => (0.0..1e6_f64).prop_map(f64::round),
    ]
}

/// A load between `1e-9` and `1e15`, its magnitude evenly spread.
pub fn positive_load() -> impl Strategy<Value = f64> + Clone {
    (-9.0..15.0_f64).prop_map(|magnitude| 10.0_f64.powf(magnitude))
}

/// 3 to 200 loads of one metric, of one of the shapes that are hard in different ways.
pub fn loads() -> impl Strategy<Value = Vec<f64>> + Clone {
    prop_oneof![
        2 => vec(load(), 3..200),
        2 => tied_loads(),
        2 => clustered_loads(),
        2 => one_hot(),
        1 => around_threshold(),
        1 => (load(), 3_usize..200).prop_map(|(load, count)| vec![load; count]),
    ]
}

/// 3 to 200 whole numbers below a million, on which sums of 64-bit floats are exact.
pub fn whole_loads() -> impl Strategy<Value = Vec<f64>> + Clone {
    vec((0_u32..1_000_000).prop_map(f64::from), 3..200)
}

/// Few different values, so that nearly every pod ties with another.
fn tied_loads() -> impl Strategy<Value = Vec<f64>> + Clone {
    (positive_load(), vec(0_u8..3, 3..200))
        .prop_map(|(unit, steps)| steps.into_iter().map(|step| unit * f64::from(step)).collect())
}

/// A large base with a small jitter: the case in which sums of squares lose every digit.
fn clustered_loads() -> impl Strategy<Value = Vec<f64>> + Clone {
    let jitter = -12.0..-1.0_f64;
    (1e-3..1e12_f64, jitter, vec(-1.0..1.0_f64, 3..200)).prop_map(|(base, jitter, noise)| {
        noise.into_iter().map(|noise| base * (1.0 + noise * 10.0_f64.powf(jitter))).collect()
    })
}

/// Equal pods, one of them hotter.
fn one_hot() -> impl Strategy<Value = Vec<f64>> + Clone {
    (positive_load(), 1.0..200.0_f64, 3_usize..200, any::<prop::sample::Index>()).prop_map(
        |(usual, factor, count, hot)| {
            let mut loads = vec![usual; count];
            loads[hot.index(count)] = (usual * factor).min(1e15);
            loads
        },
    )
}

/// Half of the pods above and half below the mean by a share that is a default threshold, give or
/// take the last bits.
fn around_threshold() -> impl Strategy<Value = Vec<f64>> + Clone {
    let share = prop_oneof![Just(0.3), Just(0.5), Just(0.3 - 1e-15), Just(0.5 + 1e-15), Just(0.25)];
    (positive_load(), share, 2_usize..100).prop_map(|(mean, share, pairs)| {
        let pair = [mean * (1.0 - share), mean * (1.0 + share)];
        pair.into_iter().cycle().take(2 * pairs).collect()
    })
}

/// A sample as a server may give it: mostly a load, sometimes nothing of the kind.
pub fn sample() -> impl Strategy<Value = f64> + Clone {
    prop_oneof![
        8 => load(),
        1 => prop::sample::select(vec![
            f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, -0.0, 1e19, 1.0000001e19, 5e-324, f64::MAX,
        ]),
        1 => any::<u64>().prop_map(f64::from_bits),
    ]
}

/// Up to `most` pods with different names, their loads as `sample` gives them, most of them there.
pub fn pods(
    most: usize,
    sample: impl Strategy<Value = f64> + Clone + 'static,
) -> impl Strategy<Value = Vec<PodState>> + Clone {
    let samples = vec(prop::option::weighted(0.93, sample), Metric::ALL.len());
    let presence = Metric::ALL.map(|_| prop::bool::weighted(0.85));
    (vec(samples, 0..=most), presence).prop_flat_map(|(rows, presence)| {
        let names = shuffled_names(rows.len());
        names.prop_map(move |names| {
            let fill = |(name, row): (String, &Vec<Option<f64>>)| {
                let mut pod = PodState::new(name);
                for (metric, sample) in Metric::ALL.into_iter().zip(row) {
                    let known = sample.filter(|_| presence[metric.index()]);
                    pod = pod.with(metric, known.unwrap_or(f64::NAN));
                }
                pod
            };
            names.into_iter().zip(&rows).map(fill).collect()
        })
    })
}

/// Pods whose loads of one metric are given, named so that the order of names is not theirs.
pub fn pods_of(metric: Metric, loads: &[f64]) -> Vec<PodState> {
    let name = |index: usize| format!("orders-{:03}", (index * 89 + 41) % 997);
    loads.iter().enumerate().map(|(index, load)| PodState::new(name(index)).with(metric, *load)).collect()
}

/// Thresholds the engine accepts, the defaults often among them.
pub fn thresholds() -> impl Strategy<Value = Thresholds> + Clone {
    let limit = prop_oneof![Just(0.0), Just(0.3), Just(0.5), 0.0..3.0_f64];
    let coverage = prop_oneof![Just(0.0), Just(0.8), Just(1.0), 0.0..=1.0_f64];
    let floors = prop_oneof![Just(PerMetric::default()), Just(DEFAULT_FLOORS)];
    let weights = prop_oneof![Just(DEFAULT_WEIGHTS), any_weights()];
    (limit.clone(), limit, 2_usize..6, coverage, floors.clone(), floors, weights).prop_map(
        |(cpu, lag, min_pods, min_coverage, trigger_floors, score_floors, weights)| Thresholds {
            cpu,
            lag,
            min_pods,
            min_coverage,
            trigger_floors,
            score_floors,
            weights,
        },
    )
}

fn any_weights() -> impl Strategy<Value = PerMetric<f64>> + Clone {
    let weight = prop_oneof![Just(0.0), 0.0..10.0_f64];
    Metric::ALL
        .map(|_| weight.clone())
        .prop_filter("at least one weight", |weights| weights.iter().any(|weight| *weight > 0.0))
        .prop_map(|weights| PerMetric::from_fn(|metric| weights[metric.index()]))
}

fn shuffled_names(count: usize) -> impl Strategy<Value = Vec<String>> + Clone {
    let names: Vec<String> = (0..count).map(|index| format!("orders-{index}")).collect();
    Just(names).prop_shuffle()
}
