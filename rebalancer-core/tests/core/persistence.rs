//! The persistence guard: golden cases, a naive oracle, and histories that are not what they should be.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use rebalancer_core::guard::{Persistence, Standing, persistence_of_window};
use rebalancer_core::{Grid, History, InvalidHistory};
use serde_json::Value;

const MINUTE: Duration = Duration::from_secs(60);

/// A rule over `steps` minutes that is otherwise the standard one.
fn rule(steps: usize, min_history: usize) -> Persistence {
    let window = MINUTE * u32::try_from(steps).expect("tests are short");
    Persistence { window, min_history, ..Persistence::STANDARD }
}

/// A history of one minute steps; `None` is a gap.
fn history(columns: &[(&str, Vec<Option<f64>>)]) -> History {
    let steps = columns.iter().map(|(_, column)| column.len()).max().unwrap_or(0);
    let mut history = History::new(Grid { start_s: 1_700_000_000.0, step: MINUTE, steps });
    for (pod, column) in columns {
        let known = column.iter().enumerate().filter_map(|(index, load)| Some((index, (*load)?)));
        let samples: Vec<(f64, f64)> =
            known.map(|(index, load)| (1_700_000_000.0 + 60.0 * index as f64, load)).collect();
        history.add_series(pod, samples).expect("a series a pod, on the grid");
    }
    history
}

fn all(loads: &[f64]) -> Vec<Option<f64>> {
    loads.iter().copied().map(Some).collect()
}

#[test]
fn golden_cases() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/golden/decision.json");
    let text = std::fs::read_to_string(path).expect("the golden file is in the tree");
    let golden: Value = serde_json::from_str(&text).expect("it is JSON");
    let cases = golden["persistence"].as_array().expect("it has a section persistence");
    assert_eq!(cases.len(), 4, "no case may go missing");
    for case in cases {
        check_golden(case);
    }
}

fn check_golden(case: &Value) {
    let id = &case["id"];
    let windows = case["windows"].as_object().expect("windows by pod");
    let columns: Vec<(&str, Vec<Option<f64>>)> = windows
        .iter()
        .map(|(pod, column)| {
            (pod.as_str(), column.as_array().expect("samples").iter().map(Value::as_f64).collect())
        })
        .collect();
    let candidates: Vec<&str> = columns.iter().map(|(pod, _)| *pod).collect();
    let steps = columns[0].1.len();
    let min_history = case["min_history_samples"].as_u64().expect("a number");
    let rule = Persistence {
        factor: case["factor"].as_f64().expect("a number"),
        ..rule(steps, usize::try_from(min_history).expect("small"))
    };
    assert_eq!(case["min_fraction"], 0.8, "{id}: the rule says 80 %");
    let busiest = case["busiest"].as_str().expect("a name");
    let floor = case["floor"].as_f64().expect("a number");
    let verdict = persistence_of_window(&history(&columns), busiest, &candidates, floor, &rule);

    let expected = &case["expected"];
    assert_eq!(verdict.standing == Standing::Pass, expected["persistent"] == true, "{id}: {verdict:?}");
    let counted = expected["samples"].as_u64() >= Some(min_history);
    let share = expected["fraction"].as_f64().map(|fraction| 100.0 * fraction);
    assert_eq!(verdict.value, share.filter(|_| counted), "{id}");
    let judged = verdict.standing != Standing::Unknown;
    assert_eq!(judged, counted, "{id}: too little history is unknown, not a refusal on merit");
}

#[test]
fn exactly_the_percentage_passes() {
    let busy = |hits: usize| {
        let own: Vec<f64> = (0..10).map(|index| if index < hits { 3.0 } else { 1.0 }).collect();
        let history = history(&[("a", all(&own)), ("b", all(&[1.0; 10])), ("c", all(&[1.0; 10]))]);
        persistence_of_window(&history, "a", &["a", "b", "c"], 0.0, &rule(10, 5)).standing
    };
    assert_eq!(
        busy(8),
        Standing::Pass,
        "8 of 10 are 80 %, though 8 >= 0.8 * 10 is false of the exact 0.8_f64"
    );
    assert_eq!(busy(7), Standing::Hold);
}

#[test]
fn a_load_of_exactly_the_factor_times_the_mean_does_not_count() {
    // Mean of 5, 3 and 4 is 4; 1.25 times 4 is 5.
    let history = history(&[("a", all(&[5.0; 10])), ("b", all(&[3.0; 10])), ("c", all(&[4.0; 10]))]);
    let verdict = persistence_of_window(&history, "a", &["a", "b", "c"], 0.0, &rule(10, 5));
    assert_eq!((verdict.standing, verdict.value), (Standing::Hold, Some(0.0)));
}

#[test]
fn pods_that_came_or_went_count_while_they_were_there() {
    // d was there for the first half and is gone; c came in the second half.
    let gap_then = |load: f64| [vec![None; 5], all(&[load; 5])].concat();
    let history = history(&[
        ("a", all(&[3.0; 10])),
        ("b", all(&[1.0; 10])),
        ("c", gap_then(9.0)),
        ("d", [all(&[100.0; 5]), vec![None; 5]].concat()),
    ]);
    let verdict = persistence_of_window(&history, "a", &["a", "b", "c"], 0.0, &rule(10, 5));
    // First half: 3 > 1.25 * 2. Second half: 3 < 1.25 * 13 / 3. d is no candidate and counts for nothing.
    assert_eq!((verdict.standing, verdict.value), (Standing::Hold, Some(50.0)), "{verdict:?}");
}

#[test]
fn a_pod_without_history_is_unknown() {
    let verdict =
        persistence_of_window(&history(&[("b", all(&[1.0; 10]))]), "a", &["a", "b"], 0.0, &rule(10, 5));
    assert_eq!(verdict.standing, Standing::Unknown);
    assert!(verdict.reason.contains("pod a has no history"), "{}", verdict.reason);
}

#[test]
fn an_answer_that_is_not_a_series_a_pod_is_refused() {
    let grid = Grid::ending(600.0, Duration::from_secs(600), MINUTE);
    let mut history = History::new(grid);
    history.add_series("a", [(60.0, 1.0), (120.0, f64::NAN), (180.0, -1.0)]).expect("gaps are no error");
    let column: Vec<Option<f64>> = history.column("a").expect("added").collect();
    assert_eq!(column[..3], [Some(1.0), None, None], "NaN and -1 are gaps");
    let before = history.clone();
    let twice = history.add_series("a", [(60.0, 1.0)]);
    assert_eq!(twice, Err(InvalidHistory::DuplicateSeries { pod: "a".into() }), "a series per container");
    let off = history.add_series("b", [(61.0, 1.0)]);
    assert_eq!(off, Err(InvalidHistory::OffGrid { pod: "b".into(), timestamp_s: 61.0 }));
    let outside = history.add_series("b", [(660.0, 1.0)]);
    assert_eq!(outside, Err(InvalidHistory::OffGrid { pod: "b".into(), timestamp_s: 660.0 }));
    let again = history.add_series("b", [(60.0, 1.0), (60.0, 2.0)]);
    assert_eq!(again, Err(InvalidHistory::DuplicateSample { pod: "b".into(), timestamp_s: 60.0 }));
    assert_eq!(history, before, "a refused series leaves nothing behind");
    for timestamp_s in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1e300] {
        assert!(history.add_series("b", [(timestamp_s, 1.0)]).is_err(), "{timestamp_s}");
    }
}

#[test]
fn a_grid_without_steps_has_no_samples() {
    let empty = Grid::ending(0.0, MINUTE, Duration::ZERO);
    assert_eq!(empty.steps, 0);
    let mut history = History::new(empty);
    assert!(history.add_series("a", [(0.0, 1.0)]).is_err());
    assert_eq!(Grid::ending(0.0, MINUTE, 2 * MINUTE).steps, 0, "a step longer than the window");
}

/// Of a large fleet single samples are kept of the pods that may be rotated only.
#[test]
fn pooled_candidates_count_as_those_whose_samples_are_kept() {
    let columns = [
        ("a", all(&[3.0; 10])),
        ("b", [all(&[1.0; 5]), vec![None; 5]].concat()),
        ("c", all(&[2.0; 10])),
        ("d", all(&[100.0; 10])),
    ];
    let kept = history(&columns);
    let mut pooled = History::new(*kept.grid());
    for (pod, column) in &columns {
        let samples = column
            .iter()
            .enumerate()
            .filter_map(|(index, load)| Some((1_700_000_000.0 + 60.0 * index as f64, (*load)?)));
        let added = if *pod == "a" {
            pooled.add_series(pod, samples)
        } else {
            pooled.add_pooled(pod, samples, *pod != "d")
        };
        added.expect("a series a pod, on the grid");
    }
    let judge = |history: &History| persistence_of_window(history, "a", &["a", "b", "c"], 0.0, &rule(10, 5));
    assert_eq!(judge(&pooled), judge(&kept));
    assert_eq!(judge(&pooled).value, Some(50.0), "above 1.25 times 2, not above 1.25 times 2.5");
    assert_eq!((pooled.samples("b"), pooled.samples("d"), pooled.samples("e")), (5, 10, 0));
    assert!(pooled.column("b").is_none());
    let twice = pooled.add_pooled("b", [(1_700_000_000.0, 1.0)], true);
    assert_eq!(twice, Err(InvalidHistory::DuplicateSeries { pod: "b".into() }));
}

#[test]
fn the_standard_rule_can_be_asked_over_another_window() {
    let day = Persistence::over(Duration::from_secs(24 * 60 * 60));
    assert_eq!((day.grid(0.0).steps, day.min_history), (1440, 720));
    for now_s in [1_795_410_000.0, 1_795_410_000.619, 1_795_410_059.999] {
        let grid = day.grid(now_s);
        assert_eq!((grid.end_s(), grid.steps), (1_795_410_000.0, 1440), "whole minutes");
    }
    assert_eq!(Persistence::over(Duration::from_secs(3600)), Persistence::STANDARD);
}

/// Small whole loads with gaps: `columns[pod][step]`, the first pod being the busiest.
fn columns() -> impl Strategy<Value = Vec<Vec<Option<u32>>>> {
    (1_usize..5, 1_usize..40).prop_flat_map(|(pods, steps)| {
        let sample = prop_oneof![4 => (0_u32..12).prop_map(Some), 1 => Just(None)];
        prop::collection::vec(prop::collection::vec(sample, steps), pods)
    })
}

proptest! {
    /// Counted in integers: `4 x * n > 5 * sum` is `x > 1.25 * mean` without rounding.
    #[test]
    fn agrees_with_counting_by_hand(columns in columns()) {
        let names = ["a", "b", "c", "d"];
        let floats: Vec<(&str, Vec<Option<f64>>)> = names
            .iter()
            .zip(&columns)
            .map(|(name, column)| (*name, column.iter().map(|load| load.map(f64::from)).collect()))
            .collect();
        let candidates: Vec<&str> = floats.iter().map(|(name, _)| *name).collect();
        let steps = columns[0].len();
        let verdict = persistence_of_window(&history(&floats), "a", &candidates, 0.0, &rule(steps, 10));

        let (mut samples, mut hits) = (0_u32, 0_u32);
        for step in 0..steps {
            let Some(own) = columns[0][step] else { continue };
            let present: Vec<u32> = columns.iter().filter_map(|column| column[step]).collect();
            let count = u32::try_from(present.len()).expect("few");
            samples += 1;
            hits += u32::from(4 * own * count > 5 * present.iter().sum::<u32>());
        }
        let expected = match samples {
            0..10 => Standing::Unknown,
            _ if 10 * hits >= 8 * samples => Standing::Pass,
            _ => Standing::Hold,
        };
        prop_assert_eq!(verdict.standing, expected, "{} of {}: {}", hits, samples, verdict.reason);
    }
}
