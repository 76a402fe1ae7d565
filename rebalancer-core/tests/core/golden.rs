//! The golden decisions: every case of `testdata/golden/decision.json`, to the tolerance it names.

use std::path::Path;

use rebalancer_core::{
    Analysis, Engine, Finding, Load, Metric, Outliers, PerMetric, PodState, Spread, Thresholds, median,
};
use serde_json::Value;

#[test]
fn statistics_of_one_metric() {
    let golden = golden();
    let cases = section(&golden, "stats");
    assert_eq!(cases.len(), 27, "no case may go missing");
    for case in cases {
        check_statistics(case);
        check_decision(case, 0.3);
        check_decision(case, 0.5);
        check_floored(case);
    }
    let with_floor = cases.iter().filter(|case| case["expected"].get("floor").is_some()).count();
    assert_eq!(with_floor, 3, "no floored variant may go missing");
}

#[test]
fn scores_of_four_metrics() {
    let golden = golden();
    let cases = section(&golden, "score");
    assert_eq!(cases.len(), 7, "no case may go missing");
    cases.iter().for_each(check_score);
}

/// The smallest fleets whose spread is a threshold exactly: `>` is strict.
#[test]
fn a_spread_equal_to_its_threshold_does_not_fire() {
    for (loads, limit) in [
        (vec![1.0, 3.0, 1.0, 3.0], 0.5),
        (vec![7.0, 13.0, 7.0, 13.0], 0.3),
        (vec![3.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], 0.5),
    ] {
        let spread = Spread::of(&loads).expect("there are loads");
        assert_eq!(spread.cv, limit, "{loads:?}");
        let pods: Vec<PodState> = rebalancer_sim::generators::pods_of(Metric::Cpu, &loads);
        let at = Thresholds { cpu: limit, ..Thresholds::default() };
        let below = Thresholds { cpu: limit.next_down(), ..at };
        assert!(!analyze(&pods, at).should_rebalance(), "{loads:?} at {limit}");
        assert!(analyze(&pods, below).should_rebalance(), "{loads:?} just above {limit}");
    }
}

fn check_statistics(case: &Value) {
    let id = text(&case["id"]);
    let expected = &case["expected"];
    let loads: Vec<f64> =
        raw_samples(case).into_iter().filter_map(Load::from_sample).map(Load::value).collect();
    let given: Vec<f64> = array(&case["loads"]).iter().map(number).collect();
    assert_eq!(loads, given, "{id}: valid samples");
    let Some(spread) = Spread::of(&loads) else {
        assert_eq!(expected["n"], 0, "{id}: only nothing has no spread");
        assert_eq!(median(loads), None, "{id}");
        return;
    };
    assert_eq!(spread.count as u64, expected["n"].as_u64().expect("a count"), "{id}: count");
    for (what, found) in [
        ("mean", Some(spread.mean)),
        ("variance_pop", Some(spread.variance)),
        ("std_pop", Some(spread.std_dev)),
        ("cv_pop", Some(spread.cv)),
        ("median", median(loads)),
        ("min", Some(spread.min)),
        ("max", Some(spread.max)),
        ("max_over_mean", spread.max_over_mean),
    ] {
        near(&format!("{id}: {what}"), found, expected[what].as_f64(), number(&case["rel_tol"]));
    }
    // `near_boundary` cases ask for the spread to the last bit.
    let limits: Vec<f64> = case
        .get("near_boundary")
        .map_or(Vec::new(), |near| array(&near["thresholds"]).iter().map(number).collect());
    for limit in limits {
        let expects = &expected["decision"][decision_key("cv", limit)];
        if expected["decision"]["insufficient_data"] == false {
            assert_eq!(spread.cv > limit, *expects, "{id}: near {limit}");
        }
    }
}

fn check_decision(case: &Value, limit: f64) {
    let id = text(&case["id"]);
    let expected = &case["expected"];
    // The cases are about one metric, whose coverage is not their subject.
    let thresholds = Thresholds { cpu: limit, min_coverage: 0.0, ..Thresholds::default() };
    let pods = pods_of(case, Metric::Cpu);
    let analysis = analyze(&pods, thresholds);
    let insufficient = analysis.finding() == Finding::InsufficientData;
    assert_eq!(insufficient, expected["decision"]["insufficient_data"], "{id}: insufficient data");
    assert_eq!(
        analysis.should_rebalance(),
        expected["decision"][decision_key("cv", limit)],
        "{id}: over {limit}"
    );
    if insufficient {
        assert_eq!(analysis.outliers(), None, "{id}");
    } else {
        check_outliers(id, &analysis, expected);
    }
    if let Some(names) = case.get("rejected_names") {
        let rejected: Vec<&str> =
            pods.iter().filter(|pod| pod.cpu_usage.is_none()).map(|pod| pod.name.as_str()).collect();
        assert_eq!(rejected, strings(names), "{id}: rejected");
    }

    let as_lag: Vec<PodState> = pods_of(case, Metric::Lag);
    let lag = Thresholds { lag: limit, min_coverage: 0.0, ..Thresholds::default() };
    assert_eq!(analyze(&as_lag, lag).should_rebalance(), analysis.should_rebalance(), "{id}: as lag");
}

fn check_floored(case: &Value) {
    let id = text(&case["id"]);
    let expected = &case["expected"];
    let Some(floor) = expected.get("floor").map(number) else { return };
    for limit in [0.3, 0.5] {
        let mut thresholds = Thresholds { cpu: limit, ..Thresholds::default() };
        thresholds.trigger_floors.cpu = floor;
        let pods = pods_of(case, Metric::Cpu);
        let analysis = analyze(&pods, thresholds);
        let floored = expected["cv_floored"].as_f64();
        near(
            &format!("{id}: cv with floor"),
            analysis.cv_compared(Metric::Cpu),
            floored,
            number(&case["rel_tol"]),
        );
        let plain = expected["decision"][decision_key("cv", limit)] == true;
        let stands = expected["decision_floored"][decision_key("cv", limit)] == true;
        let finding = match (plain, stands) {
            (true, true) => Finding::OverThreshold,
            (true, false) => Finding::BelowFloor,
            (false, _) => Finding::Balanced,
        };
        assert_eq!(analysis.finding(), finding, "{id}: with floor at {limit}");
    }
}

fn check_score(case: &Value) {
    let id = text(&case["id"]);
    let expected = &case["expected"];
    let each = |of: &Value| PerMetric::from_fn(|metric| of[metric.name()].as_f64().unwrap_or_default());
    let floors = each(&case["floors"]);
    let thresholds = Thresholds {
        min_pods: usize::try_from(case["min_pods"].as_u64().expect("a count")).expect("a small count"),
        min_coverage: number(&case["min_coverage"]),
        trigger_floors: floors,
        score_floors: floors,
        weights: each(&case["weights"]),
        ..Thresholds::default()
    };
    let pods: Vec<PodState> = array(&case["pods"])
        .iter()
        .map(|pod| {
            Metric::ALL.into_iter().fold(PodState::new(text(&pod["name"])), |state, metric| {
                state.with(metric, pod[metric.name()].as_f64().unwrap_or(f64::NAN))
            })
        })
        .collect();
    let analysis = analyze(&pods, thresholds);
    let usable: Vec<&str> = Metric::ALL
        .into_iter()
        .filter(|metric| analysis.coverage()[*metric].is_usable())
        .map(Metric::name)
        .collect();
    assert_eq!(usable, strings(&expected["usable_metrics"]), "{id}: usable metrics");
    let is_candidate = |position: &usize| analysis.is_candidate(*position);
    let (inside, outside): (Vec<usize>, Vec<usize>) = (0..pods.len()).partition(is_candidate);
    let names = |positions: &[usize]| positions.iter().map(|at| pods[*at].name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&inside), strings(&expected["candidates"]), "{id}: candidates");
    assert_eq!(names(&outside), strings(&expected["excluded"]), "{id}: excluded");
    let insufficient = analysis.finding() == Finding::InsufficientData;
    assert_eq!(insufficient, expected["insufficient_data"], "{id}: insufficient data");
    if insufficient {
        assert_eq!(analysis.outliers(), None, "{id}");
        return;
    }
    check_metrics(id, &analysis, &expected["metric"]);
    for (position, pod) in pods.iter().enumerate() {
        let score = expected["score"].get(&pod.name).and_then(Value::as_f64);
        near(&format!("{id}: score of {}", pod.name), analysis.score(position), score, 1e-14);
    }
    check_outliers(id, &analysis, expected);
    let floored: Vec<&str> = [Metric::Cpu, Metric::Lag]
        .into_iter()
        .filter(|metric| analysis.cv_compared(*metric) > analysis.thresholds().of(*metric))
        .filter(|metric| analysis.spread(*metric).is_some())
        .map(Metric::name)
        .collect();
    assert_eq!(floored, strings(&expected["triggered_metrics"]), "{id}: triggered");
    let acts = analysis.finding() == Finding::OverThreshold;
    assert_eq!(acts, !floored.is_empty(), "{id}: over a threshold");
}

fn check_metrics(id: &str, analysis: &Analysis<'_>, expected: &Value) {
    for metric in Metric::ALL {
        let Some(expected) = expected.get(metric.name()) else {
            assert_eq!(analysis.spread(metric), None, "{id}: {metric} is unusable");
            continue;
        };
        let spread = analysis.spread(metric).expect("a usable metric has a spread");
        assert_eq!(spread.count as u64, expected["n"].as_u64().expect("a count"), "{id}: {metric} count");
        near(&format!("{id}: {metric} mean"), Some(spread.mean), expected["mean"].as_f64(), 1e-14);
        let (found, golden) = (analysis.cv_compared(metric), expected["cv_floored"].as_f64());
        near(&format!("{id}: {metric} cv with floor"), found, golden, 1e-14);
    }
}

fn check_outliers(id: &str, analysis: &Analysis<'_>, expected: &Value) {
    let Outliers { busiest, least_busy } = analysis.outliers().expect("enough candidates have outliers");
    let name = |position: usize| analysis.name(position);
    assert_eq!(name(busiest), expected["busiest"], "{id}: busiest");
    assert_eq!(name(least_busy), expected["least_busy"], "{id}: least busy");
}

fn analyze(pods: &[PodState], thresholds: Thresholds) -> Analysis<'_> {
    Engine::new(thresholds).analyze(pods).expect("golden thresholds are valid")
}

fn pods_of(case: &Value, metric: Metric) -> Vec<PodState> {
    let samples = raw_samples(case).into_iter().enumerate();
    samples.map(|(index, sample)| PodState::new(name(case, index)).with(metric, sample)).collect()
}

/// Large cases give the rule of their names in words instead of a list.
fn name(case: &Value, index: usize) -> String {
    case["names"].as_array().map_or_else(|| format!("pod-{index:04}"), |names| text(&names[index]).to_owned())
}

/// The samples before they are parsed; JSON has no NaN, so the file says it in words.
fn raw_samples(case: &Value) -> Vec<f64> {
    let raw = case.get("raw_loads").unwrap_or(&case["loads"]);
    array(raw).iter().map(|sample| sample.as_str().map_or_else(|| number(sample), parsed)).collect()
}

fn parsed(word: &str) -> f64 {
    word.parse().expect("NaN or an infinity")
}

fn decision_key(what: &str, limit: f64) -> String {
    format!("{what}_gt_{}", limit.to_string().replace('.', "_"))
}

fn near(what: &str, found: Option<f64>, expected: Option<f64>, rel_tol: f64) {
    let (Some(found), Some(expected)) = (found, expected) else {
        assert_eq!(found, expected, "{what}");
        return;
    };
    let agree = (found - expected).abs() <= rel_tol * expected.abs();
    assert!(agree, "{what} is {found:e}, expected {expected:e} within {rel_tol:e}");
}

fn golden() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden/decision.json");
    let text = std::fs::read_to_string(&path).expect("the golden file is part of the repository");
    serde_json::from_str(&text).expect("the golden file is JSON")
}

fn section<'a>(golden: &'a Value, name: &str) -> &'a Vec<Value> {
    array(&golden[name])
}

fn array(value: &Value) -> &Vec<Value> {
    value.as_array().expect("an array")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

fn strings(value: &Value) -> Vec<&str> {
    array(value).iter().map(text).collect()
}
