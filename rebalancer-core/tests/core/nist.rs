//! Digits: NIST's accuracy sets, generated from their published definitions, and any further sets
//! of a folder that `POD_REBALANCER_NIST` names.

use std::path::{Path, PathBuf};

use rebalancer_core::Spread;
use rebalancer_sim::exact::Exact;
use serde_json::Value;

/// Correct significant digits against the certificate that rounding the decimal inputs to binary
/// leaves, from exact arithmetic on the rounded inputs, cut to what is reached.
struct Certificate {
    name: &'static str,
    values: Vec<f64>,
    mean: f64,
    sample_std_dev: f64,
    std_dev_digits: f64,
}

#[test]
fn numacc_1_to_4_reach_their_certificates() {
    for set in numacc() {
        let spread = Spread::of(&set.values).expect("the set is not empty");
        let mean = digits(spread.mean, set.mean);
        assert!(mean >= 15.0, "{}: the mean has {mean:.1} digits", set.name);
        let std_dev = digits(sample_std_dev(&spread), set.sample_std_dev);
        assert!(std_dev >= set.std_dev_digits, "{}: the deviation has {std_dev:.1} digits", set.name);
    }
}

#[test]
fn numacc_1_to_4_are_exact_for_their_binary_inputs() {
    for set in numacc() {
        assert_exact(set.name, &set.values);
    }
}

/// More than one block of the sums: the sets go on to sizes at which plain lanes have 12 digits.
#[test]
fn sets_of_many_blocks_keep_fifteen_digits() {
    let around = |middle: f64, count: usize| -> Vec<f64> {
        let pairs = [middle - 0.1, middle + 0.1].into_iter().cycle().take(count - 1);
        std::iter::once(middle).chain(pairs).collect()
    };
    let sets = [
        ("NumAcc2", around(1.2, 100_001)),
        ("NumAcc3", around(1_000_000.2, 100_001)),
        ("NumAcc4", around(10_000_000.2, 100_001)),
        ("like memory", around(400_000_000.2, 1_000_001)),
        ("one block and one", around(10_000_000.2, 1_025)),
    ];
    for (name, values) in sets {
        let (spread, exact) = (Spread::of(&values).expect("the set is not empty"), Exact::of(&values));
        for (what, found, exact) in
            [("mean", spread.mean, exact.mean), ("deviation", spread.std_dev, exact.std_dev)]
        {
            let digits = digits(found, exact);
            assert!(digits >= 15.0, "{name} of {}: the {what} has {digits:.1} digits", values.len());
        }
    }
}

/// What monitoring really has: 8 GiB give or take a KiB, and counters near 2^53.
#[test]
fn large_means_with_small_spreads_keep_their_digits() {
    let wobble = |index: usize, width: usize| ((index * 7_919) % (2 * width + 1)) as f64 - width as f64;
    let memory: Vec<f64> = (0..10_000).map(|index| 8_589_934_592.0 + wobble(index, 1_024)).collect();
    let counter: Vec<f64> =
        (0..1_000).map(|index| 9_007_199_254_740_992.0 + 2.0 * wobble(index, 50)).collect();
    assert_exact("8 GiB +-1 KiB", &memory);
    assert_exact("2^53 +-100", &counter);
}

/// The sets that are not part of the repository, checked where they lie.
#[test]
fn further_sets_are_exact_for_their_binary_inputs() {
    let Some(folder) = std::env::var_os("POD_REBALANCER_NIST").map(PathBuf::from) else {
        println!("skipped: POD_REBALANCER_NIST names no folder with nist.json and nist-oracle.json");
        return;
    };
    let oracle = read(&folder.join("nist-oracle.json"));
    let sets = read(&folder.join("nist.json"));
    let sets = sets["stats"].as_array().expect("nist.json has stats").clone();
    assert!(!sets.is_empty(), "nist.json holds sets");
    for set in sets {
        let id = set["id"].as_str().expect("an id");
        let values: Vec<f64> = set["loads"]
            .as_array()
            .expect("values")
            .iter()
            .map(|value| value.as_f64().expect("a number"))
            .collect();
        assert_exact(id, &values);
        let spread = Spread::of(&values).expect("the set is not empty");
        for (what, found) in [
            ("mean", spread.mean),
            ("variance_pop", spread.variance),
            ("std_pop", spread.std_dev),
            ("cv_pop", spread.cv),
        ] {
            let expected = set["expected"][what].as_f64().expect("a number");
            assert!(
                (found - expected).abs() <= 1e-14 * expected.abs(),
                "{id}: {what} is {found:e}, expected {expected:e}"
            );
        }
        let certified = |what: &str| -> f64 {
            set["nist_certified"][what]
                .as_str()
                .and_then(|word| word.parse().ok())
                .expect("a certified number")
        };
        println!(
            "{id}: mean {:.1}, sample standard deviation {:.1} digits against the certificate",
            digits(spread.mean, certified("mean")),
            digits(sample_std_dev(&spread), certified("std_sample")),
        );
    }
    check_oracle(&oracle);
}

/// The oracle's exact values of the generated sets agree with the exact arithmetic of the tests.
fn check_oracle(oracle: &Value) {
    for set in numacc() {
        let expected = &oracle[set.name]["exact_over_f64_inputs"];
        let number = |what: &str| -> f64 {
            expected[what].as_str().and_then(|word| word.parse().ok()).expect("an exact number")
        };
        let exact = Exact::of(&set.values);
        assert_eq!(exact.mean, number("mean"), "{}", set.name);
        assert_eq!(exact.variance, number("var_n"), "{}", set.name);
        assert!(digits(exact.std_dev, number("sd_n")) >= 15.0, "{}", set.name);
    }
}

fn assert_exact(name: &str, values: &[f64]) {
    let spread = Spread::of(values).expect("the set is not empty");
    let exact = Exact::of(values);
    for (what, found, exact) in [
        ("mean", spread.mean, exact.mean),
        ("variance", spread.variance, exact.variance),
        ("standard deviation", spread.std_dev, exact.std_dev),
        ("coefficient of variation", spread.cv, exact.cv),
    ] {
        let error = (found - exact).abs() / exact.abs();
        assert!(error <= 1e-14, "{name}: the {what} is {found:e}, exactly {exact:e}, off by {error:e}");
    }
}

fn numacc() -> [Certificate; 4] {
    let alternating = |first: f64, low: f64, high: f64| -> Vec<f64> {
        let pairs = [low, high].into_iter().cycle().take(1_000);
        std::iter::once(first).chain(pairs).collect()
    };
    let set = |name, values, mean, sample_std_dev, std_dev_digits| Certificate {
        name,
        values,
        mean,
        sample_std_dev,
        std_dev_digits,
    };
    [
        set("NumAcc1", vec![10_000_001.0, 10_000_003.0, 10_000_002.0], 10_000_002.0, 1.0, 15.0),
        set("NumAcc2", alternating(1.2, 1.1, 1.3), 1.2, 0.1, 15.0),
        set("NumAcc3", alternating(1_000_000.2, 1_000_000.1, 1_000_000.3), 1_000_000.2, 0.1, 9.4),
        set("NumAcc4", alternating(10_000_000.2, 10_000_000.1, 10_000_000.3), 10_000_000.2, 0.1, 8.2),
    ]
}

fn sample_std_dev(spread: &Spread) -> f64 {
    let count = spread.count as f64;
    (spread.variance * (count / (count - 1.0))).sqrt()
}

/// NIST's log relative error: the number of significant digits that agree, at most 16.
fn digits(found: f64, certified: f64) -> f64 {
    if found == certified {
        return 16.0;
    }
    (-((found - certified).abs() / certified.abs()).log10()).min(16.0)
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("the file is JSON")
}
