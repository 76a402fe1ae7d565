//! How each metric is shown: its titles, and the format of its loads.

use rebalancer_core::Metric;

use super::number::{bytes, thousands, three_digits};

/// How one metric is shown.
pub struct Shown {
    /// Its name in a sentence, or above a plot.
    pub title: &'static str,
    /// The heading of its column in a table.
    pub column: &'static str,
    /// The heading of its column on a page, with the unit if the loads lack it.
    pub heading: &'static str,
    /// The unit after a load.
    unit: &'static str,
    /// A load without its unit.
    short: fn(f64) -> String,
}

/// How a metric is shown.
pub const fn shown(metric: Metric) -> Shown {
    let (title, column, heading, unit, short): (_, _, _, _, fn(f64) -> String) = match metric {
        Metric::Cpu => ("CPU", "CPU", "CPU, cores", " cores", three_digits),
        Metric::Memory => ("Memory", "MEMORY", "Memory", "", bytes),
        Metric::Lag => ("Kafka lag", "LAG", "Lag, msgs", " msgs", messages),
        Metric::Rate => ("Message rate", "RATE", "Rate, msgs/s", " msgs/s", thousands),
    };
    Shown { title, column, heading, unit, short }
}

/// A load with its unit: `0.94 cores`, `1.18 GiB`, `14.8k msgs`, `5.1k msgs/s`.
pub fn with_unit(metric: Metric, value: f64) -> String {
    format!("{}{}", short(metric, value), shown(metric).unit)
}

/// A load without its unit, for columns that name it.
pub fn short(metric: Metric, value: f64) -> String {
    (shown(metric).short)(value)
}

/// Messages are whole numbers: 2, not 2.00.
fn messages(value: f64) -> String {
    if value < 1000.0 && value.fract() == 0.0 { format!("{value}") } else { thousands(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_read_well() {
        assert_eq!(with_unit(Metric::Cpu, 0.9412), "0.94 cores");
        assert_eq!(with_unit(Metric::Memory, 1_267_000_000.0), "1.18 GiB");
        assert_eq!(with_unit(Metric::Lag, 14_816.0), "14.8k msgs");
        assert_eq!(with_unit(Metric::Rate, 5_100.0), "5.10k msgs/s");
        assert_eq!(short(Metric::Rate, 999.6), "1000");
        assert_eq!(short(Metric::Lag, 2.0), "2");
        assert_eq!(short(Metric::Cpu, 0.0), "0");
        assert_eq!(short(Metric::Cpu, 0.00012), "1.2e-4");
        assert_eq!(short(Metric::Lag, 1e19), "10000P");
    }
}
