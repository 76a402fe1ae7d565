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
    /// Its spread in a sentence.
    pub spread: &'static str,
    /// The unit after a load.
    unit: &'static str,
    /// A load without its unit.
    short: fn(f64) -> String,
}

/// How a metric is shown.
pub const fn shown(metric: Metric) -> Shown {
    match metric {
        Metric::Cpu => Shown {
            title: "CPU",
            column: "CPU",
            heading: "CPU, cores",
            spread: "the CPU spread",
            unit: " cores",
            short: three_digits,
        },
        Metric::Memory => Shown {
            title: "Memory",
            column: "MEMORY",
            heading: "Memory",
            spread: "the memory spread",
            unit: "",
            short: bytes,
        },
        Metric::Lag => Shown {
            title: "Kafka lag",
            column: "LAG",
            heading: "Lag, msgs",
            spread: "the lag spread",
            unit: " msgs",
            short: messages,
        },
        Metric::Rate => Shown {
            title: "Message rate",
            column: "RATE",
            heading: "Rate, msgs/s",
            spread: "the spread of the message rate",
            unit: " msgs/s",
            short: thousands,
        },
    }
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
