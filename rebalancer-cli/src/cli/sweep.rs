//! Several values of one threshold: `cpu=0.2..0.6/0.1`.

use std::str::FromStr;

use rebalancer_core::Metric;

use crate::cli::values;

/// Maximum number of values in one sweep, and of pairs in two: more rows than anyone compares.
pub const MOST_VALUES: usize = 100;

/// Values of one threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Sweep {
    /// The metric whose threshold is tried.
    pub metric: Metric,
    /// The values, in order.
    pub values: Vec<f64>,
}

impl FromStr for Sweep {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = "write a sweep such as cpu=0.2..0.6/0.1";
        let parts = || {
            let (name, rest) = text.split_once('=')?;
            let (bounds, step) = rest.split_once('/')?;
            let (from, to) = bounds.split_once("..")?;
            Some((name.trim(), [from, to, step]))
        };
        let (name, numbers) = parts().ok_or(shape)?;
        let metric = Metric::TRIGGERS.into_iter().find(|metric| metric.name() == name);
        let metric = metric.ok_or_else(|| format!("only cpu and lag have a threshold; {shape}"))?;
        let read = |text: &str| values::ratio(text.trim()).map_err(|error| format!("{text:?}: {error}"));
        let [from, to, step] = numbers.map(read);
        let (from, to, step) = (from?, to?, step?);
        if to < from {
            return Err(format!("it ends at {to}, before it begins at {from}; {shape}"));
        }
        if step <= 0.0 {
            return Err(format!("its step must be above 0; {shape}"));
        }
        // A step may miss the end only by a rounding error; then the end is included.
        let steps = ((to - from) / step + 1e-9).floor();
        if steps >= MOST_VALUES as f64 {
            return Err(format!("it has more than {MOST_VALUES} values; take a larger step"));
        }
        let values = (0..MOST_VALUES).map(|index| index as f64).take_while(|index| *index <= steps);
        // Nine digits are enough: 0.2 + 0.1 is meant to be 0.3.
        let rounded = |value: f64| (value * 1e9).round() / 1e9;
        Ok(Self { metric, values: values.map(|index| rounded(from + index * step)).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_has_both_ends_and_round_values() {
        let sweep: Sweep = "cpu=0.2..0.6/0.1".parse().expect("a sweep");
        assert_eq!(sweep, Sweep { metric: Metric::Cpu, values: vec![0.2, 0.3, 0.4, 0.5, 0.6] });
        let one: Sweep = "lag=50%..50%/1".parse().expect("a sweep of one value");
        assert_eq!(one.values, [0.5]);
    }

    #[test]
    fn a_sweep_of_nonsense_is_refused_in_words() {
        let cases = [
            ("cpu", "write a sweep such as cpu=0.2..0.6/0.1"),
            ("cpu=0.2..0.6", "write a sweep such as cpu=0.2..0.6/0.1"),
            ("memory=0.2..0.6/0.1", "only cpu and lag have a threshold"),
            ("cpu=0.6..0.2/0.1", "it ends at 0.2, before it begins at 0.6"),
            ("cpu=0.2..0.6/0", "its step must be above 0"),
            ("cpu=0.2..0.6/-0.1", "finite number, 0 or more"),
            ("cpu=NaN..0.6/0.1", "finite number, 0 or more"),
            ("cpu=0..inf/0.1", "finite number, 0 or more"),
            ("cpu=0..1/0.001", "more than 100 values"),
            ("cpu=0..1/1e-320", "more than 100 values"),
        ];
        for (text, expected) in cases {
            let error = text.parse::<Sweep>().expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
