//! What holds of every decision, whatever the pods: against the naive oracle, and the rules a
//! rotation relies on.

use proptest::prelude::*;
use rebalancer_core::guard::{self, Standing};
use rebalancer_core::{
    Analysis, DEFAULT_FLOORS, Engine, Finding, Load, Metric, PerMetric, PodState, Thresholds,
};
use rebalancer_sim::fleet::{FleetShape, fleet};
use rebalancer_sim::generators::{load, loads, pods, pods_of, positive_load, sample, thresholds};
use rebalancer_sim::oracle;

fn analyze(pods: &[PodState], thresholds: Thresholds) -> Analysis<'_> {
    Engine::new(thresholds).analyze(pods).expect("generated thresholds are valid and names differ")
}

/// Without a score no pod is busier than another, whatever the spread.
#[test]
fn where_nothing_that_is_there_has_weight_no_pod_is_chosen() {
    let lags = [("a", 10.0), ("b", 9_000.0), ("c", 10.0), ("d", 5_000.0)];
    let pods = lags.map(|(name, lag)| PodState::new(name).with(Metric::Lag, lag));
    let weights = PerMetric { cpu: 1.0, ..PerMetric::default() };
    let analysis = analyze(&pods, Thresholds { weights, ..Thresholds::default() });
    assert_eq!((analysis.finding(), analysis.targets()), (Finding::InsufficientData, None));
    assert_eq!(analysis.reason(), "enough pods have lag, and the score gives weight to none of these");
}

fn name_of<'a>(analysis: &Analysis<'a>, position: usize) -> &'a str {
    analysis.name(position)
}

/// Whether rounding alone may decide: a spread within `1e-12` of its threshold.
fn is_on_the_edge(analysis: &Analysis<'_>) -> bool {
    [Metric::Cpu, Metric::Lag].into_iter().any(|metric| {
        let limit = analysis.thresholds().of(metric).expect("cpu and lag have limits");
        let plain = analysis.spread(metric).map(|spread| spread.cv);
        [plain, analysis.cv_compared(metric)].into_iter().flatten().any(|cv| (cv - limit).abs() <= 1e-12)
    })
}

/// The same pod, unless two pods of different loads score alike to the last bits.
fn same_target(
    one: &Analysis<'_>,
    first: usize,
    other: &Analysis<'_>,
    second: usize,
) -> Result<(), TestCaseError> {
    let (first_pod, second_pod) = (one.pod(first), other.pod(second));
    if first_pod == second_pod {
        return Ok(());
    }
    let (Some(first), Some(second)) = (one.score(first), other.score(second)) else {
        return Err(TestCaseError::fail("a target without a score"));
    };
    prop_assert!((first - second).abs() <= 1e-12 * first.max(1.0), "{first_pod:?} and {second_pod:?}");
    let equal = Metric::ALL.into_iter().all(|metric| first_pod.load(metric) == second_pod.load(metric));
    prop_assert!(!equal, "{} and {} tie, and the smallest name wins", first_pod.name, second_pod.name);
    Ok(())
}

/// Every load known: all pods are candidates.
fn complete_pods() -> impl Strategy<Value = Vec<PodState>> {
    let row = Metric::ALL.map(|_| load());
    prop::collection::vec(row, 3..40).prop_map(|rows| {
        let name = |index: usize| format!("orders-{:02}", (index * 17 + 5) % 41);
        let fill = |(index, row): (usize, [f64; Metric::ALL.len()])| {
            let loads = Metric::ALL.into_iter().zip(row);
            loads.fold(PodState::new(name(index)), |pod, (metric, load)| pod.with(metric, load))
        };
        rows.into_iter().enumerate().map(fill).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    /// The engine is the specification, on pods with ties, gaps and impossible samples.
    #[test]
    fn equals_the_oracle(pods in pods(40, sample()), thresholds in thresholds()) {
        let analysis = analyze(&pods, thresholds);
        prop_assert_eq!(oracle::compare(&analysis), Ok(()));
    }

    /// The same for the shapes of one metric, near its threshold and far from it.
    #[test]
    fn equals_the_oracle_on_one_metric(loads in loads(), thresholds in thresholds(), lag: bool) {
        let pods = pods_of(if lag { Metric::Lag } else { Metric::Cpu }, &loads);
        prop_assert_eq!(oracle::compare(&analyze(&pods, thresholds)), Ok(()));
    }

    /// The same for fleets as they are.
    #[test]
    fn equals_the_oracle_on_fleets(
        seed: u64,
        count in 3_usize..300,
        jitter in 0.0..1.0_f64,
        missing in 0.0..0.3_f64,
        thresholds in thresholds(),
    ) {
        let shape = FleetShape { jitter, missing, ..FleetShape::skewed(count) };
        prop_assert_eq!(oracle::compare(&analyze(&fleet(seed, &shape), thresholds)), Ok(()));
    }

    /// 1 of the specification: the order of the pods changes neither decision nor targets.
    #[test]
    fn order_does_not_matter(
        (pods, shuffled) in pods(25, load()).prop_flat_map(|pods| (Just(pods.clone()), Just(pods).prop_shuffle())),
        thresholds in thresholds(),
    ) {
        let (one, other) = (analyze(&pods, thresholds), analyze(&shuffled, thresholds));
        if !is_on_the_edge(&one) {
            prop_assert_eq!(one.finding(), other.finding());
            prop_assert_eq!(one.triggered(), other.triggered());
        }
        prop_assert_eq!(one.outliers().is_some(), other.outliers().is_some());
        if let (Some(first), Some(second)) = (one.outliers(), other.outliers()) {
            same_target(&one, first.busiest, &other, second.busiest)?;
            same_target(&one, first.least_busy, &other, second.least_busy)?;
        }
    }

    /// 17: more load on a pod never makes it look less busy beside another, nor the other busier.
    #[test]
    fn more_load_is_never_less_busy(
        pods in complete_pods(),
        at: prop::sample::Index,
        metric in prop::sample::select(&Metric::ALL),
        more in positive_load(),
        floors: bool,
    ) {
        let raised_at = at.index(pods.len());
        let score_floors = if floors { DEFAULT_FLOORS } else { PerMetric::default() };
        let thresholds = Thresholds { score_floors, ..Thresholds::default() };
        let mut raised = pods.clone();
        let load = raised[raised_at].load(metric).expect("complete").value();
        *raised[raised_at].slot(metric) = Load::from_sample(load + more);
        let (before, after) = (analyze(&pods, thresholds), analyze(&raised, thresholds));
        let score = |of: &Analysis<'_>, position: usize| of.score(position).expect("all are candidates");
        let slack = 1e-12 * pods.len() as f64;
        for other in (0..pods.len()).filter(|other| *other != raised_at) {
            prop_assert!(score(&after, other) <= score(&before, other) + slack);
            let lead = |of: &Analysis<'_>| score(of, raised_at) - score(of, other);
            prop_assert!(lead(&after) >= lead(&before) - slack, "{} < {}", lead(&after), lead(&before));
        }
    }

    /// 18: without an active floor the average score is 1.
    #[test]
    fn average_score_is_one(pods in complete_pods()) {
        let works = |metric: Metric| pods.iter().any(|pod| pod.load(metric) > Some(Load::ZERO));
        prop_assume!(Metric::ALL.into_iter().all(works));
        let thresholds = Thresholds { score_floors: PerMetric::default(), ..Thresholds::default() };
        let analysis = analyze(&pods, thresholds);
        let sum: f64 = (0..pods.len()).filter_map(|position| analysis.score(position)).sum();
        prop_assert!((sum / pods.len() as f64 - 1.0).abs() <= 1e-12);
    }

    /// 19, 20: two different targets, both candidates, and only when a threshold is passed by
    /// enough candidates; only usable metrics have statistics.
    #[test]
    fn targets_are_two_candidates(pods in pods(12, sample()), thresholds in thresholds()) {
        let analysis = analyze(&pods, thresholds);
        let enough = analysis.candidates().len() >= thresholds.min_pods;
        prop_assert!(enough || analysis.finding() == Finding::InsufficientData);
        prop_assert_eq!(analysis.targets().is_some(), analysis.should_rebalance());
        prop_assert_eq!(analysis.should_rebalance(), !analysis.triggered().is_empty());
        if let Some(pair) = analysis.targets() {
            prop_assert!(enough);
            prop_assert_ne!(pair.busiest, pair.least_busy);
            for target in [pair.busiest, pair.least_busy] {
                prop_assert!(analysis.is_candidate(target));
                prop_assert!(analysis.score(target).is_some_and(f64::is_finite));
                prop_assert!(analysis.lacks(target).is_empty());
            }
        }
        for metric in Metric::ALL {
            let usable = analysis.coverage()[metric].is_usable();
            prop_assert_eq!(analysis.spread(metric).is_some(), usable && !analysis.candidates().is_empty());
            prop_assert_eq!(analysis.median(metric).is_some(), analysis.spread(metric).is_some());
        }
        for (position, pod) in pods.iter().enumerate() {
            let candidate = analysis.is_candidate(position);
            prop_assert_eq!(analysis.score(position).is_some(), candidate, "{}", &pod.name);
        }
    }

    /// 21: a fleet of equal pods, idle or not, never acts, however low the threshold.
    #[test]
    fn equal_pods_never_act(load in load(), count in 3_usize..100, floors: bool) {
        let trigger_floors = if floors { DEFAULT_FLOORS } else { PerMetric::default() };
        let thresholds = Thresholds { cpu: 0.0, lag: 0.0, trigger_floors, ..Thresholds::default() };
        let pods = pods_of(Metric::Cpu, &vec![load; count]);
        let analysis = analyze(&pods, thresholds);
        prop_assert_eq!(analysis.finding(), Finding::Balanced);
        prop_assert_eq!(analysis.targets(), None);
    }

    /// 22 for the floor: it only takes triggers away, and off it is the plain rule.
    #[test]
    fn floor_only_withholds(pods in pods(20, load()), thresholds in thresholds()) {
        let off = Thresholds { trigger_floors: PerMetric::default(), ..thresholds };
        let on = Thresholds { trigger_floors: DEFAULT_FLOORS, ..thresholds };
        let (plain, floored) = (analyze(&pods, off), analyze(&pods, on));
        prop_assert!(plain.finding() == Finding::OverThreshold || floored.finding() != Finding::OverThreshold);
        prop_assert_ne!(plain.finding(), Finding::BelowFloor);
        prop_assert_eq!(plain.should_rebalance(), floored.should_rebalance(), "the plain rule's answer stays");
        prop_assert_eq!(plain.targets(), floored.targets());
        let verdict = guard::floor(&floored);
        prop_assert_eq!(verdict.standing == Standing::Hold, floored.finding() == Finding::BelowFloor);
        prop_assert_eq!(guard::floor(&plain).standing, Standing::Pass);
    }

    /// 24: a sample that is no load is the same as no sample.
    #[test]
    fn impossible_samples_are_absent(
        pods in pods(20, load()),
        at: prop::sample::Index,
        metric in prop::sample::select(&Metric::ALL),
        bad in prop::sample::select(vec![f64::NAN, f64::INFINITY, -1.0, -1e-300, 1e20]),
        thresholds in thresholds(),
    ) {
        prop_assume!(!pods.is_empty());
        let position = at.index(pods.len());
        let mut absent = pods.clone();
        *absent[position].slot(metric) = None;
        let mut impossible = pods;
        impossible[position] = impossible[position].clone().with(metric, bad);
        let (one, other) = (analyze(&absent, thresholds), analyze(&impossible, thresholds));
        prop_assert_eq!(one, other);
    }

    /// 25, 26: any bits decide the same way twice, and every word about them can be said.
    #[test]
    fn any_bits_decide_once(pods in pods(15, any::<u64>().prop_map(f64::from_bits)), thresholds in thresholds()) {
        let (one, other) = (analyze(&pods, thresholds), analyze(&pods, thresholds));
        prop_assert_eq!(&one, &other);
        prop_assert_eq!(one.reason(), other.reason());
        prop_assert!(!one.reason().is_empty());
        prop_assert_eq!(guard::coverage(&one, &Metric::ALL), guard::coverage(&other, &Metric::ALL));
        prop_assert_eq!(oracle::compare(&one), Ok(()));
    }

    /// A threshold no fleet of this size can pass is named, and only such.
    #[test]
    fn dead_thresholds_cannot_fire(count in 3_usize..60, limit in 0.0..8.0_f64) {
        let mut loads = vec![0.0; count];
        loads[0] = 1.0;
        let thresholds = Thresholds { cpu: limit, ..Thresholds::default() };
        let pods = pods_of(Metric::Cpu, &loads);
        let analysis = analyze(&pods, thresholds);
        prop_assume!((limit - (count as f64 - 1.0).sqrt()).abs() > 1e-12);
        prop_assert_eq!(analysis.dead_thresholds().contains(&Metric::Cpu), !analysis.should_rebalance());
    }
}

/// The bug one candidate set prevents: a pod without lag must not get *another* pod evicted.
#[test]
fn an_incomplete_pod_never_condemns_another() {
    let pod =
        |name: &str, cpu: f64, lag: f64| PodState::new(name).with(Metric::Cpu, cpu).with(Metric::Lag, lag);
    let mut pods =
        vec![pod("a", 1.5, 10.0), pod("b", 9.0, f64::NAN), pod("c", 1.0, 10.0), pod("d", 1.0, 10.0)];
    let four = analyze(&pods, Thresholds::default());
    assert_eq!(
        four.targets().map(|pair| name_of(&four, pair.busiest)),
        Some("b"),
        "3 of 4 is too few for lag"
    );

    pods.push(pod("e", 1.0, 10.0));
    let five = analyze(&pods, Thresholds::default());
    assert_eq!(five.targets(), None, "4 of 5 have lag: b is no candidate and the others are even");
    assert_eq!(five.lacks(1), [Metric::Lag]);
}
