//! The fast paths beside naive twins: sums in lanes and blocks beside exact arithmetic, and the engine
//! beside loops over pods, to the last bit, at every length around the end of a lane or a block.

use std::mem;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use rebalancer_core::{
    Analysis, Coverage, Engine, Load, Metric, Outliers, PerMetric, PodState, Spread, Thresholds,
};
use rebalancer_sim::exact::Exact;
use rebalancer_sim::generators::{load, positive_load, sample, thresholds};

/// Up to so many values every addition is compensated.
const FEW: usize = 1024;

/// Lengths around the ends of lanes and blocks, and others.
fn length() -> impl Strategy<Value = usize> {
    let near = |end: usize| end - 1..=end + 1;
    prop_oneof![
        0_usize..=20,
        near(64),
        near(128),
        near(512),
        near(1024),
        near(1536),
        near(2048),
        20_usize..300
    ]
}

/// Numbers of any sign, size and likeness.
fn numbers(count: usize) -> impl Strategy<Value = Vec<f64>> {
    let signed = (any::<bool>(), -40.0..40.0_f64)
        .prop_map(|(less, power)| 10.0_f64.powf(power) * if less { -1.0 } else { 1.0 });
    prop_oneof![
        3 => vec(load(), count),
        2 => near_ties(count),
        1 => vec(select(vec![0.0, -0.0, 1.0]), count),
        1 => vec(signed, count),
        1 => vec(140.0..153.9_f64, count).prop_map(|powers| powers.into_iter().map(|power| 10.0_f64.powf(power)).collect()),
        1 => vec(-1e3..1e3_f64, count),
        1 => load().prop_map(move |load| vec![load; count]),
        1 => (near_ties(count), 1.0..10.0_f64).prop_map(|(mut numbers, factor)| {
            numbers.iter_mut().take(1).for_each(|first| *first *= factor);
            numbers
        }),
    ]
}

/// Numbers that differ in their last bits, or not at all.
fn near_ties(count: usize) -> impl Strategy<Value = Vec<f64>> {
    (positive_load(), vec(0_u8..4, count)).prop_map(|(base, steps)| {
        steps.into_iter().map(|step| base * (1.0 + f64::from(step) * f64::EPSILON)).collect()
    })
}

/// A column as it may be given: complete, with gaps, with one, or none.
fn column(count: usize) -> impl Strategy<Value = Vec<f64>> {
    let complete = prop_oneof![
        2 => vec(load(), count),
        2 => vec((0_u8..3).prop_map(f64::from), count),
        2 => near_ties(count),
        1 => Just(vec![0.0; count]),
        1 => vec(select(vec![0.0, 5e-324, 1e-310, 1e19]), count),
    ];
    prop_oneof![
        6 => complete.clone(),
        1 => vec(sample(), count),
        2 => (complete, any::<Index>(), sample()).prop_map(|(mut column, at, sample)| {
            if !column.is_empty() {
                let at = at.index(column.len());
                column[at] = sample;
            }
            column
        }),
        1 => Just(Vec::new()),
        1 => Just(vec![f64::NAN; count]),
    ]
}

fn columns() -> impl Strategy<Value = PerMetric<Vec<f64>>> {
    let columns = length().prop_flat_map(|count| Metric::ALL.map(|_| column(count).boxed()));
    columns.prop_map(|mut columns| PerMetric::from_fn(|metric| mem::take(&mut columns[metric.index()])))
}

/// Names whose order is not that of the pods.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("orders-{}", (index * 7_919 + 41) % 10_007)).collect()
}

/// What the engine should find, pod by pod.
struct Naive {
    coverage: PerMetric<Coverage>,
    candidates: Vec<usize>,
    spreads: PerMetric<Option<Spread>>,
    /// Of every candidate.
    scores: Vec<f64>,
    outliers: Option<Outliers>,
}

impl Naive {
    fn of(names: &[&str], columns: &PerMetric<Vec<f64>>, thresholds: &Thresholds) -> Self {
        let count = names.len();
        let load = |metric: Metric, at: usize| Load::from_sample(*columns[metric].get(at)?).map(Load::value);
        let share = thresholds.min_coverage * count as f64 - 1e-9;
        let enough = |pods: &usize| *pods >= thresholds.min_pods && *pods as f64 >= share;
        let needed = (0..=count + thresholds.min_pods).find(enough).expect("a share of the pods");
        let coverage = PerMetric::from_fn(|metric| {
            let having = (0..count).filter(|at| load(metric, *at).is_some()).count();
            Coverage { having, needed, eligible: count }
        });
        let usable = || Metric::ALL.into_iter().filter(|metric| coverage[*metric].is_usable());
        let complete =
            |at: &usize| usable().count() > 0 && usable().all(|metric| load(metric, *at).is_some());
        let candidates: Vec<usize> = (0..count).filter(complete).collect();
        let spreads = PerMetric::from_fn(|metric| {
            let loads: Vec<f64> = candidates.iter().filter_map(|at| load(metric, *at)).collect();
            Spread::of(&loads).filter(|_| coverage[metric].is_usable())
        });
        let total: f64 = usable().map(|metric| thresholds.weights[metric]).sum();
        let part = |metric: Metric, at: usize| {
            let denominator =
                spreads[metric].map_or(0.0, |spread| spread.mean.max(thresholds.score_floors[metric]));
            if total == 0.0 || denominator == 0.0 {
                return 0.0;
            }
            thresholds.weights[metric] / total * (load(metric, at).expect("a candidate") / denominator)
        };
        let scores: Vec<f64> = candidates
            .iter()
            .map(|at| usable().map(|metric| part(metric, *at)).fold(0.0, |a, b| a + b))
            .collect();
        let best = |sign: f64, except: Option<usize>| {
            let rows = (0..candidates.len()).filter(|row| Some(*row) != except);
            rows.min_by(|one, other| {
                let by_score = (sign * scores[*other]).total_cmp(&(sign * scores[*one]));
                by_score.then(names[candidates[*one]].cmp(names[candidates[*other]]))
            })
        };
        let busiest = best(1.0, None);
        let outliers = busiest.and_then(|busiest| {
            let least_busy = best(-1.0, Some(busiest))?;
            Some(Outliers { busiest: candidates[busiest], least_busy: candidates[least_busy] })
        });
        Self { coverage, candidates, spreads, scores, outliers }
    }

    fn assert_is(&self, analysis: &Analysis<'_>) -> Result<(), TestCaseError> {
        prop_assert_eq!(analysis.coverage(), &self.coverage);
        let candidates: Vec<usize> = analysis.candidates().to_vec();
        prop_assert_eq!(&candidates, &self.candidates);
        prop_assert_eq!(analysis.candidates().len(), candidates.len());
        for metric in Metric::ALL {
            prop_assert_eq!(analysis.spread(metric), self.spreads[metric].as_ref());
        }
        let mut scores = self.scores.iter();
        for position in 0..analysis.count() {
            let is_candidate = candidates.binary_search(&position).is_ok();
            let score = if is_candidate { scores.next() } else { None };
            prop_assert_eq!(analysis.score(position).map(f64::to_bits), score.map(|score| score.to_bits()));
            prop_assert_eq!(analysis.is_candidate(position), is_candidate);
        }
        let sufficient = analysis.outliers().is_some() || analysis.candidates().len() < 2;
        if sufficient {
            prop_assert_eq!(analysis.outliers(), self.outliers);
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Sums, ranges and the merging of blocks.
    #[test]
    fn spreads_are_exact(numbers in length().prop_flat_map(numbers)) {
        let Some(found) = Spread::of(&numbers) else {
            let width = numbers.iter().fold(0.0_f64, |most, number| most.max(number.abs()));
            prop_assert!(numbers.is_empty() || width > 1e150, "none of {numbers:?}");
            return Ok(());
        };
        let exact = Exact::of(&numbers);
        let largest = numbers.iter().fold(0.0_f64, |most, number| most.max(number.abs()));
        let few = numbers.len() <= FEW;
        let (of_mean, of_variance) = if few { (1.0, 8.0) } else { (4.0, 128.0) };
        let size = if few { exact.mean.abs() } else { largest };
        let error = (found.mean - exact.mean).abs();
        prop_assert!(error <= of_mean * f64::EPSILON * size + 5e-324, "mean {:e}, exactly {:e}", found.mean, exact.mean);
        let noise = (f64::EPSILON * largest).powi(2).min(f64::MAX);
        let error = (found.variance - exact.variance).abs();
        prop_assert!(error <= of_variance * f64::EPSILON * exact.variance + noise, "variance {:e}, exactly {:e}", found.variance, exact.variance);
        prop_assert_eq!(Some(found.min), numbers.iter().copied().reduce(f64::min));
        prop_assert_eq!(Some(found.max), numbers.iter().copied().reduce(f64::max));
        prop_assert_eq!(found.count, numbers.len());
    }

    /// A number that is none is never left out, wherever it stands.
    #[test]
    fn no_spread_with_a_value_that_is_no_number(
        (mut numbers, at) in length().prop_flat_map(|count| (column(count + 1), any::<Index>())),
        none in select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ) {
        prop_assume!(!numbers.is_empty());
        let at = at.index(numbers.len());
        numbers[at] = none;
        prop_assert_eq!(Spread::of(&numbers), None);
    }

    /// Candidates, spreads, scores and outliers, from columns and from pod states.
    #[test]
    fn the_engine_is_its_naive_twin(columns in columns(), thresholds in thresholds()) {
        let count = columns.iter().map(|(_, column)| column.len()).max().unwrap_or(0);
        let names = names(count);
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let naive = Naive::of(&names, &columns, &thresholds);
        let engine = Engine::new(thresholds);
        naive.assert_is(&engine.analyze_columns(&names, &columns).expect("valid thresholds"))?;
        let state = |at: usize| {
            let fill = |pod: PodState, metric: Metric| {
                pod.with(metric, columns[metric].get(at).copied().unwrap_or(f64::NAN))
            };
            Metric::ALL.into_iter().fold(PodState::new(names[at]), fill)
        };
        let states: Vec<PodState> = (0..count).map(state).collect();
        naive.assert_is(&engine.analyze(&states).expect("valid thresholds"))?;
    }
}
