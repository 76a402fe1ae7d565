//! What holds of every spread, whatever the loads: algebra of the coefficient of variation,
//! against exact arithmetic, `statrs` and the textbook.

use proptest::prelude::*;
use rebalancer_core::{Load, Spread, median};
use rebalancer_sim::exact::Exact;
use rebalancer_sim::generators::{loads, positive_load, sample, whole_loads};
use statrs::statistics::{Data, Distribution};

/// Relative tolerance where a formula is computed in another way.
const TOLERANCE: f64 = 1e-12;

fn spread(loads: &[f64]) -> Spread {
    Spread::of(loads).expect("generated loads are finite and not none")
}

fn near(one: f64, other: f64) -> bool {
    (one - other).abs() <= TOLERANCE * one.abs().max(other.abs())
}

/// `one <= other`, give or take rounding.
fn at_most(one: f64, other: f64) -> bool {
    one <= other || near(one, other) || one - other <= 1e-15
}

fn jain(loads: &[f64]) -> f64 {
    let sum: f64 = loads.iter().sum();
    let squares: f64 = loads.iter().map(|load| load * load).sum();
    sum * sum / (loads.len() as f64 * squares)
}

fn gini(loads: &[f64]) -> f64 {
    let mut sorted = loads.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = sorted.len() as f64;
    let rank = |index: usize| 2.0 * (index as f64 + 1.0) - count - 1.0;
    let weighted: f64 = sorted.iter().enumerate().map(|(index, load)| rank(index) * load).sum();
    weighted / (count * sorted.iter().sum::<f64>())
}

/// Positions of the smallest and the largest load.
fn ends(loads: &[f64]) -> (usize, usize) {
    let by_load = |a: &usize, b: &usize| loads[*a].total_cmp(&loads[*b]);
    let smallest = (0..loads.len()).min_by(by_load).expect("not empty");
    let largest = (0..loads.len()).max_by(by_load).expect("not empty");
    (smallest, largest)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// The whole of the arithmetic, to the last digits.
    #[test]
    fn agrees_with_exact_arithmetic(loads in loads()) {
        let (found, exact) = (spread(&loads), Exact::of(&loads));
        let error = (found.mean - exact.mean).abs();
        prop_assert!(error <= 2.0 * f64::EPSILON * exact.mean, "mean {:e}, exactly {:e}", found.mean, exact.mean);
        // What is left of equal loads after their mean is rounded is below every square kept.
        let noise = (f64::EPSILON * found.mean).powi(2);
        let error = (found.variance - exact.variance).abs();
        prop_assert!(error <= 2e-14 * exact.variance + noise, "variance {:e}, exactly {:e}", found.variance, exact.variance);
        prop_assert!((found.cv - exact.cv).abs() <= 1e-14 * exact.cv + f64::EPSILON);
    }

    /// Where `statrs` keeps the digits it agrees.
    #[test]
    fn agrees_with_statrs(loads in whole_loads()) {
        let data = Data::new(loads.clone());
        let count = loads.len() as f64;
        let found = spread(&loads);
        prop_assert!(near(found.mean, data.mean().expect("not empty")));
        let sample_variance = data.variance().expect("not empty");
        prop_assert!((found.variance - sample_variance * (count - 1.0) / count).abs() <= 1e-11 * sample_variance);
        let mut sorted = loads.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        prop_assert_eq!(median(loads), Some(middle));
    }

    /// 1 of the specification: the order of the pods does not matter.
    #[test]
    fn order_does_not_matter((loads, shuffled) in loads().prop_flat_map(|loads| (Just(loads.clone()), Just(loads).prop_shuffle()))) {
        let (one, other) = (spread(&loads), spread(&shuffled));
        prop_assert!(near(one.mean, other.mean));
        prop_assert!((one.cv - other.cv).abs() <= TOLERANCE * one.cv + f64::EPSILON);
        prop_assert_eq!((one.min, one.max, one.count), (other.min, other.max, other.count));
        prop_assert_eq!(median(loads), median(shuffled));
    }

    /// 2: the unit does not matter; powers of two to the last bit.
    #[test]
    fn unit_does_not_matter(loads in loads(), power in -20_i32..20, factor in 1e-3..1e3_f64) {
        let scaled = |factor: f64| loads.iter().map(|load| load * factor).collect::<Vec<f64>>();
        let original = spread(&loads);
        let doubled = spread(&scaled(2.0_f64.powi(power)));
        prop_assert_eq!(doubled.cv, original.cv);
        prop_assert_eq!(doubled.max_over_mean, original.max_over_mean);
        // Any other factor rounds every load by itself.
        let cv = spread(&scaled(factor)).cv;
        prop_assert!((cv - original.cv).abs() <= TOLERANCE * original.cv + 1e-15 * loads.len() as f64);
    }

    /// 3: a constant added to every load keeps the variance and lowers the coefficient.
    #[test]
    fn shift_keeps_variance(loads in whole_loads(), shift in 0_u32..1_000_000) {
        let shift = f64::from(shift);
        let shifted: Vec<f64> = loads.iter().map(|load| load + shift).collect();
        let (one, other) = (spread(&loads), spread(&shifted));
        prop_assert!(near(one.variance, other.variance));
        prop_assert!(one.mean == 0.0 || near(other.cv, one.cv * one.mean / (one.mean + shift)));
    }

    /// 4, 6, 7: bounds of the coefficient, of the largest load (Samuelson) and of the Gini index.
    #[test]
    fn bounds_hold(loads in loads()) {
        let found = spread(&loads);
        let reach = (found.count as f64 - 1.0).sqrt();
        prop_assert!(found.cv >= 0.0 && at_most(found.cv, reach));
        if let Some(ratio) = found.max_over_mean {
            prop_assert!(at_most(1.0 + found.cv / reach, ratio), "{found:?}");
            prop_assert!(at_most(ratio, 1.0 + found.cv * reach), "{found:?}");
            let count = found.count as f64;
            let bound = found.cv * ((1.0 - 1.0 / (count * count)) / 3.0).sqrt();
            prop_assert!(gini(&loads) <= bound * (1.0 + 1e-9) + 1e-13, "{} above {bound}", gini(&loads));
        } else {
            prop_assert_eq!((found.cv, found.max), (0.0, 0.0));
        }
        prop_assert!(found.min <= found.mean * (1.0 + f64::EPSILON) && found.mean <= found.max * (1.0 + f64::EPSILON));
    }

    /// 5: Jain's fairness index says the same.
    #[test]
    fn jain_index_follows(loads in loads()) {
        prop_assume!(loads.iter().any(|load| *load > 0.0));
        let cv = spread(&loads).cv;
        prop_assert!(near(jain(&loads), 1.0 / (1.0 + cv * cv)));
    }

    /// 8: a pod at the mean evens the fleet out.
    #[test]
    fn average_pod_lowers_the_coefficient(loads in loads()) {
        let before = spread(&loads);
        let after = spread(&[loads.as_slice(), &[before.mean]].concat());
        prop_assume!(before.cv > 1e-6);
        let count = before.count as f64;
        prop_assert!(near(after.variance, before.variance * count / (count + 1.0)));
        prop_assert!(after.cv < before.cv);
    }

    /// 9: two of every pod are as uneven as one of each.
    #[test]
    fn doubled_fleet_keeps_the_coefficient(loads in loads()) {
        let (once, twice) = (spread(&loads), spread(&loads.repeat(2)));
        prop_assert!((once.cv - twice.cv).abs() <= TOLERANCE * once.cv + f64::EPSILON);
    }

    /// 10: more load on the busiest pod never makes a fleet more even, floor or not.
    #[test]
    fn raising_the_largest_never_evens(loads in loads(), more in positive_load(), floor in positive_load()) {
        let (_, largest) = ends(&loads);
        let mut raised = loads.clone();
        raised[largest] += more;
        let (before, after) = (spread(&loads), spread(&raised));
        prop_assert!(at_most(before.cv, after.cv));
        prop_assert!(at_most(before.cv_with_floor(floor), after.cv_with_floor(floor)));
    }

    /// 11: load on the least busy pod, up to the mean, never makes a fleet less even.
    #[test]
    fn raising_the_smallest_never_unevens(loads in loads(), part in 0.0..1.0_f64) {
        let (smallest, _) = ends(&loads);
        let before = spread(&loads);
        let mut raised = loads.clone();
        raised[smallest] += part * (before.mean - loads[smallest]).max(0.0);
        prop_assert!(at_most(spread(&raised).cv, before.cv));
    }

    /// 12: load moved from a busier to a less busy pod never makes a fleet less even.
    #[test]
    fn transfer_never_unevens(loads in whole_loads(), one: prop::sample::Index, other: prop::sample::Index, part in 0.0..0.5_f64) {
        let (one, other) = (one.index(loads.len()), other.index(loads.len()));
        let (poor, rich) = if loads[one] <= loads[other] { (one, other) } else { (other, one) };
        let moved = (part * (loads[rich] - loads[poor])).floor();
        let mut evened = loads.clone();
        evened[rich] -= moved;
        evened[poor] += moved;
        prop_assert!(at_most(spread(&evened).cv, spread(&loads).cv));
    }

    /// 13: a floor only lowers; none changes nothing.
    #[test]
    fn floor_only_lowers(loads in loads(), floor in positive_load()) {
        let found = spread(&loads);
        prop_assert_eq!(found.cv_with_floor(0.0), found.cv);
        let floored = found.cv_with_floor(floor);
        prop_assert!(floored <= found.cv);
        let expected = if floor <= found.mean { found.cv } else { found.std_dev / floor };
        prop_assert_eq!(floored, expected);
    }

    /// 14: equalising the two outliers lowers the variance by `(max - min)^2 / 2N`, which is between
    /// `2/N` and all of it.
    #[test]
    fn pooling_the_outliers_removes_their_share(loads in whole_loads()) {
        let before = spread(&loads);
        prop_assume!(before.variance > 0.0);
        let (smallest, largest) = ends(&loads);
        let mut pooled = loads.clone();
        pooled[smallest] = f64::midpoint(before.min, before.max);
        pooled[largest] = pooled[smallest];
        let count = before.count as f64;
        let removed = (before.max - before.min).powi(2) / (2.0 * count);
        prop_assert!(((before.variance - spread(&pooled).variance) - removed).abs() <= TOLERANCE * before.variance);
        let share = removed / before.variance;
        prop_assert!(at_most(2.0 / count, share) && at_most(share, 1.0));
    }

    /// 15: the spreads of two halves, merged as Chan does, are the spread of the whole.
    #[test]
    fn halves_merge(loads in whole_loads(), cut: prop::sample::Index) {
        let (left, right) = loads.split_at(1 + cut.index(loads.len() - 1));
        let (left, right, whole) = (spread(left), spread(right), spread(&loads));
        let (count_left, count_right) = (left.count as f64, right.count as f64);
        let count = count_left + count_right;
        let between = (right.mean - left.mean).powi(2) * count_left * count_right / count;
        let merged = (left.variance * count_left + right.variance * count_right + between) / count;
        prop_assert!((merged - whole.variance).abs() <= TOLERANCE * whole.variance.max(1.0));
    }

    /// 16: the sample coefficient is the population one times `sqrt(N / (N - 1))`.
    #[test]
    fn sample_coefficient_is_larger(loads in whole_loads()) {
        let found = spread(&loads);
        prop_assume!(found.cv > 0.0);
        let data = Data::new(loads);
        let sample_cv = data.std_dev().expect("not empty") / data.mean().expect("not empty");
        let count = found.count as f64;
        let expected = found.cv * found.cv * count / (count - 1.0);
        prop_assert!((sample_cv * sample_cv - expected).abs() <= 1e-10 * expected);
    }

    /// 21: equal loads have no spread at all, to the last bit.
    #[test]
    fn equal_loads_have_no_spread(load in positive_load(), count in 1_usize..300) {
        let found = spread(&vec![load; count]);
        prop_assert_eq!((found.mean, found.variance, found.cv), (load, 0.0, 0.0));
        prop_assert_eq!(found.max_over_mean, Some(1.0));
    }

    /// A sample is a load when it is a number between 0 and the largest, and nothing else is.
    #[test]
    fn samples_are_loads_or_missing(sample in sample()) {
        let load = Load::from_sample(sample);
        let valid = (0.0..=1e19).contains(&sample);
        prop_assert_eq!(load.map(Load::value), valid.then_some(sample));
        prop_assert!(load.is_none_or(|load| load.value().is_sign_positive()));
    }
}
