//! The decision at its edges, through lists of pod states.

use std::fs;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Done, run};

/// Decides on these states.
fn decide(states: &Value, args: &[&str]) -> Done {
    let folder = TempDir::new().expect("a folder for temporary files");
    let file = folder.path().join("states.json");
    fs::write(&file, states.to_string()).expect("a file in a folder of ours");
    let path = file.to_str().expect("a path of ours");
    let args: Vec<&str> = ["replay", path, "-o", "json"].into_iter().chain(args.iter().copied()).collect();
    run(&args, &[])
}

/// Pods `a`, `b` and so on with these loads of one metric.
fn fleet(load: &str, values: &[f64]) -> Value {
    let pod = |(position, value): (usize, &f64)| {
        let name = char::from(b'a' + u8::try_from(position).expect("a small fleet"));
        json!({"name": name.to_string(), load: value})
    };
    values.iter().enumerate().map(pod).collect()
}

#[track_caller]
fn assert_ends(states: &Value, args: &[&str], outcome: &str, should_rebalance: bool) {
    let done = decide(states, args);
    let report = done.json();
    assert_eq!(report["outcome"], outcome, "{done}");
    assert_eq!(report["should_rebalance"], should_rebalance, "{done}");
    assert_eq!(done.code, Some(0), "{done}");
}

/// Means 10 and 4, standard deviations 3 and 2: the spread is the threshold to the last digit.
#[test]
fn a_spread_on_its_threshold_does_not_trigger() {
    let cpu = fleet("cpu_usage", &[7.0, 13.0, 7.0, 13.0]);
    assert_ends(&cpu, &[], "balanced", false);
    assert_ends(&cpu, &["--cpu-variance-threshold", "0.2999999"], "planned", true);
    let lag = fleet("kafka_lag", &[20_000.0, 60_000.0, 20_000.0, 60_000.0]);
    assert_ends(&lag, &[], "balanced", false);
    assert_ends(&lag, &["--lag-variance-threshold", "0.4999999"], "planned", true);
}

#[test]
fn either_cpu_or_lag_is_enough_and_nothing_else_is() {
    let even = [5000.0, 5000.0, 5000.0];
    let uneven = [1000.0, 5000.0, 90_000.0];
    assert_ends(&fleet("cpu_usage", &uneven), &[], "planned", true);
    assert_ends(&fleet("kafka_lag", &uneven), &[], "planned", true);
    for other in ["memory_usage", "message_rate"] {
        let mut states = fleet("cpu_usage", &even);
        for (pod, value) in states.as_array_mut().expect("a list").iter_mut().zip(uneven) {
            pod[other] = json!(value);
        }
        assert_ends(&states, &[], "balanced", false);
    }
}

/// The spread is of the idle kind: five thousandths of a core against one.
#[test]
fn an_idle_fleet_is_held_by_the_floor_and_only_by_it() {
    let idle = fleet("cpu_usage", &[0.001, 0.002, 0.02]);
    let report = decide(&idle, &[]).json();
    assert_eq!(report["outcome"], "withheld", "{report}");
    assert_eq!(report["should_rebalance"], true);
    assert!(report["reason"].as_str().is_some_and(|reason| reason.contains("floor")), "{report}");
    let floor = report["guards"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|guard| guard["guard"] == "floor" || guard["name"] == "floor");
    assert_eq!(floor.map(|guard| &guard["verdict"]), Some(&json!("hold")), "{report}");
    let statistics = &report["statistics"]["cpu"];
    assert!(statistics["cv"].as_f64() > Some(0.3), "the spread itself is never floored: {statistics}");
    assert!(statistics["cv_compared"].as_f64() < Some(0.3), "{statistics}");
    assert_ends(&idle, &["--guards", "off"], "planned", true);
    assert_ends(&idle, &["--floors", "cpu=off"], "planned", true);
}

#[test]
fn ties_go_to_the_smallest_name() {
    let twins = json!([
        {"name": "d", "cpu_usage": 9.0}, {"name": "c", "cpu_usage": 9.0},
        {"name": "b", "cpu_usage": 1.0}, {"name": "a", "cpu_usage": 1.0},
    ]);
    let report = decide(&twins, &[]).json();
    assert_eq!(
        report["targets"],
        json!([{"pod": "c", "role": "busiest"}, {"pod": "a", "role": "least_busy"}])
    );
}

#[test]
fn the_order_of_the_input_changes_nothing() {
    let mut states = fleet("cpu_usage", &[0.3, 1.7, 0.9, 2.4, 0.31, 0.9, 2.4]);
    let first = decide(&states, &[]).json();
    states.as_array_mut().expect("a list").reverse();
    let second = decide(&states, &[]).json();
    for key in ["outcome", "targets", "reason"] {
        assert_eq!(first[key], second[key]);
    }
}

#[test]
fn a_metric_that_too_few_pods_have_is_not_used() {
    let mut states = fleet("cpu_usage", &[1.0, 1.0, 1.0, 1.0]);
    for (position, lag) in [(0, 100.0), (1, 90_000.0), (2, 5.0)] {
        states[position]["kafka_lag"] = json!(lag);
    }
    for args in [&[][..], &["--guards", "off"]] {
        let report = decide(&states, args).json();
        assert_eq!(report["outcome"], "balanced", "three of four are less than 80 %: {report}");
        assert!(report["statistics"]["lag"].is_null() && report["statistics"]["cpu"].is_object(), "{report}");
        assert!(report["pods"][3]["composite_score"].is_number(), "no pod is lost for it: {report}");
    }
    let report = decide(&states, &["--min-coverage", "0.75"]).json();
    assert_eq!(report["outcome"], "planned", "{report}");
    assert!(report["pods"][3]["composite_score"].is_null(), "{report}");
    assert_eq!(report["pods"][3]["verdict"], "missing_metrics", "{report}");
}

#[test]
fn too_few_pods_decide_nothing() {
    for count in 0..3 {
        let states = fleet("cpu_usage", &[1.0, 9.0][..count]);
        assert_ends(&states, &[], "insufficient_data", false);
        assert_ends(&states, &["--guards", "off"], "insufficient_data", false);
    }
    assert_ends(&fleet("cpu_usage", &[1.0, 9.0]), &["--min-pods", "2"], "planned", true);
}

#[test]
fn a_fleet_without_any_load_is_balanced() {
    let report = decide(&fleet("cpu_usage", &[0.0, 0.0, 0.0]), &["--guards", "off"]).json();
    assert_eq!(report["outcome"], "balanced", "{report}");
    assert_eq!(report["statistics"]["cpu"]["cv"], 0.0);
    assert!(report["statistics"]["cpu"]["max_over_mean"].is_null(), "{report}");
}

#[test]
fn a_threshold_that_cannot_be_passed_is_warned_of() {
    let states = fleet("cpu_usage", &[0.0, 0.0, 9.0]);
    let report = decide(&states, &["--cpu-variance-threshold", "1.5"]).json();
    assert_eq!(report["outcome"], "balanced");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("cpu threshold 1.5 cannot be passed by 3 pods"), "{warnings}");
}

#[test]
fn detailed_exit_codes_follow_the_outcome() {
    let code = |states: &Value, args: &[&str]| {
        let plain = decide(states, args);
        assert_eq!(plain.code, Some(0), "{plain}");
        let args: Vec<&str> = args.iter().copied().chain(["--detailed-exitcode"]).collect();
        decide(states, &args).code
    };
    assert_eq!(code(&fleet("cpu_usage", &[1.0, 2.0, 9.0]), &[]), Some(2), "planned");
    assert_eq!(code(&fleet("cpu_usage", &[0.001, 0.002, 0.02]), &[]), Some(3), "withheld");
    assert_eq!(code(&fleet("cpu_usage", &[1.0, 1.0, 1.0]), &[]), Some(0), "balanced");
    assert_eq!(code(&fleet("cpu_usage", &[1.0]), &[]), Some(4), "insufficient data");
}

/// A list of states holds no past, so nobody asks for one; that is said in one line, and only where
/// it would have been asked for.
#[test]
fn a_replay_without_history_asks_no_guard_that_needs_it_and_says_so() {
    let uneven = fleet("cpu_usage", &[1.0, 2.0, 9.0]);
    let told = |states: &Value, args: &[&str]| {
        let report = decide(states, args).json();
        let guards = report["guards"].to_string();
        assert!(!guards.contains("persistence") && !guards.contains("unknown"), "{report}");
        let warnings = report["warnings"].as_array().cloned().unwrap_or_default();
        warnings.iter().filter(|line| line.to_string().contains("holds no history")).count()
    };
    assert_eq!(told(&uneven, &[]), 1);
    assert_eq!(told(&uneven, &["--persistence", "off"]), 0, "it is not wanted");
    assert_eq!(told(&uneven, &["--guards", "off"]), 0, "it is not wanted");
    assert_eq!(told(&fleet("cpu_usage", &[1.0, 1.0, 1.0]), &[]), 0, "nothing asks for a rotation");
}

/// What would not go is no target; the two ends are named all the same.
#[test]
fn a_report_that_does_not_act_has_no_targets_and_names_both_ends() {
    let ends = json!([{"pod": "c", "role": "busiest"}, {"pod": "a", "role": "least_busy"}]);
    let cases: [(&[f64], &[&str], &str); 3] = [
        (&[1.0, 2.0, 9.0], &[], "planned"),
        (&[0.001, 0.002, 0.02], &[], "withheld"),
        (&[1.0, 1.1, 1.2], &[], "balanced"),
    ];
    for (loads, args, outcome) in cases {
        let report = decide(&fleet("cpu_usage", loads), args).json();
        assert_eq!(report["outcome"], outcome, "{report}");
        assert_eq!(report["outliers"], ends, "{report}");
        let targets = if outcome == "planned" { ends.clone() } else { json!([]) };
        assert_eq!(report["targets"], targets, "{report}");
    }
    let nothing = decide(&fleet("cpu_usage", &[1.0, 9.0]), &[]).json();
    assert_eq!((&nothing["targets"], &nothing["outliers"]), (&json!([]), &json!([])), "{nothing}");
}

/// Too few pods are called that, and not a lack of what all of them have.
#[test]
fn coverage_says_what_is_lacking() {
    let coverage = |report: &Value| {
        let guards = report["guards"].as_array().expect("a report lists the guards");
        let guard = guards.iter().find(|guard| guard["name"] == "coverage").expect("it is always asked");
        (guard["verdict"].clone(), guard["reason"].as_str().unwrap_or_default().to_owned())
    };
    let report = decide(&fleet("cpu_usage", &[1.0, 9.0]), &[]).json();
    assert_eq!(coverage(&report), (json!("hold"), "2 pods take part, 3 are required".to_owned()));
    let mut states = fleet("cpu_usage", &[1.0, 1.0, 1.0, 1.0]);
    states[0]["kafka_lag"] = json!(5.0);
    let report = decide(&states, &[]).json();
    assert_eq!(coverage(&report), (json!("pass"), "enough pods have cpu".to_owned()), "{report}");
    let lag = json!({"asked": true, "having": 1, "needed": 4, "eligible": 4, "usable": false});
    assert_eq!(report["coverage"]["lag"], lag, "{report}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("lag: 3 of 4 pods have no usable sample"), "{warnings}");
    assert!(warnings.contains("4 must have it, so nothing is decided by lag"), "{warnings}");
}

/// Squares and sums of what no pod can have would overflow.
#[test]
fn loads_beyond_measure_are_missing() {
    let states = fleet("cpu_usage", &[f64::MAX, f64::MIN_POSITIVE, 0.0, f64::MAX]);
    let report = decide(&states, &["--guards", "off", "--min-coverage", "0"]).json();
    assert_eq!(report["outcome"], "insufficient_data", "{report}");
    let missing = [0, 1, 2, 3].map(|position| report["pods"][position]["cpu_usage"].is_null());
    assert_eq!(missing, [true, false, false, true], "{report}");
}
