//! Numbers at the edge of what a float holds: an answer or an error, never a silent nonsense.

use core::time::Duration;

use rebalancer_core::{
    Coverage, Engine, Freshness, Join, LivePod, Metric, PerMetric, PodState, Sample, Spread, Thresholds,
};

#[test]
fn a_value_that_is_no_number_is_never_skipped() {
    for values in [[1.0, f64::NAN], [f64::NAN, 1.0], [f64::INFINITY, 1.0], [f64::INFINITY; 2], [f64::NAN; 2]]
    {
        assert_eq!(Spread::of(&values), None, "{values:?}");
    }
}

#[test]
fn scores_of_tiny_loads_stay_finite() {
    let tiny = 5e-324;
    let thresholds = Thresholds { score_floors: PerMetric::default(), ..Thresholds::default() };
    let pods: Vec<PodState> = [0.0, tiny, 4.0 * tiny]
        .into_iter()
        .zip(["a", "b", "c"])
        .map(|(load, name)| PodState::new(name).with(Metric::Cpu, load))
        .collect();
    let analysis = Engine::new(thresholds).analyze(&pods).expect("valid thresholds");
    let scores: Vec<Option<f64>> = (0..3).map(|position| analysis.score(position)).collect();
    assert_eq!(
        scores,
        [Some(0.0), Some(0.5), Some(2.0)],
        "mean 5/3 of the smallest float, stored as 2 of it"
    );
    let outliers = analysis.outliers().expect("three candidates");
    assert_eq!((outliers.busiest, outliers.least_busy), (2, 0));
}

/// `0.07 * 100.0` is a little more than 7 in binary, and 7 pods of 100 are 7 % all the same.
#[test]
fn a_share_of_the_pods_is_not_rounded_up() {
    let thresholds = Thresholds { min_coverage: 0.07, ..Thresholds::default() };
    let lag = |index: u32| if index < 7 { 100.0 } else { f64::NAN };
    let pod = |index: u32| PodState::new(format!("orders-{index}")).with(Metric::Lag, lag(index));
    let pods: Vec<PodState> = (0..100).map(pod).collect();
    let analysis = Engine::new(thresholds).analyze(&pods).expect("valid thresholds");
    assert_eq!(analysis.coverage()[Metric::Lag], Coverage { having: 7, needed: 7, eligible: 100 });
    assert_eq!(analysis.candidates().len(), 7);
}

#[test]
fn weights_that_add_up_to_infinity_are_refused() {
    let weights = PerMetric::from_fn(|_| f64::MAX);
    let error = Thresholds { weights, ..Thresholds::default() }.validate().expect_err("an infinite sum");
    assert_eq!(
        error.to_string(),
        "the sum of the score weights is inf; it must be a finite number, 0 or more"
    );
}

#[test]
fn what_is_wrong_is_listed_by_name_whatever_the_order_of_the_answer() {
    let live: Vec<LivePod> = ["d", "b", "a", "c"].into_iter().map(LivePod::assumed).collect();
    let freshness = Freshness { warm_up: Duration::ZERO, max_sample_age: Duration::from_secs(180) };
    let sample = |pod, value, timestamp_s| Sample { pod, value, timestamp_s };
    let answer = [
        sample("d", -1.0, 1_000.0),
        sample("b", f64::NAN, 1_000.0),
        sample("c", 1.0, 1.0),
        sample("a", 1.0, 2_000.0),
    ];
    let mut join = Join::default();
    join.add(Metric::Lag, answer);
    let issues = join.with_live(&live, freshness, 1_000.0).expect("no duplicates").issues.lag;
    assert_eq!(issues.missing, ["a", "b", "c", "d"]);
    assert_eq!(
        (issues.invalid, issues.stale),
        (vec!["b".to_owned(), "d".to_owned()], vec!["a".to_owned(), "c".to_owned()])
    );
}
