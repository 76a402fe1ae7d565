//! The metrics, and one value for each of them.

use core::ops::{Index, IndexMut};

/// The metrics of a pod, in the order of every table and array of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, strum::Display, strum::IntoStaticStr)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "lowercase"))]
#[strum(serialize_all = "lowercase")]
pub enum Metric {
    /// CPU usage in cores.
    Cpu,
    /// Memory working set in bytes.
    Memory,
    /// Kafka consumer lag in messages.
    Lag,
    /// Consumed messages per second.
    Rate,
}

impl Metric {
    /// All metrics, in index order.
    pub const ALL: [Self; 4] = [Self::Cpu, Self::Memory, Self::Lag, Self::Rate];

    /// The metrics whose spread can trigger a rotation: those with a threshold.
    pub const TRIGGERS: [Self; 2] = [Self::Cpu, Self::Lag];

    /// Position in [`Metric::ALL`] and in every array indexed by metric.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word used in reports, configuration and file names.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The unit of its loads.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Cpu => "cores",
            Self::Memory => "bytes",
            Self::Lag => "messages",
            Self::Rate => "messages/s",
        }
    }
}

/// The default weights of the composite score; only their ratios matter. Memory has the smallest: it depends on uptime
/// and heap size rather than on work.
pub const DEFAULT_WEIGHTS: PerMetric<f64> = PerMetric { cpu: 0.4, memory: 0.1, lag: 0.3, rate: 0.2 };

/// The default floors, each in the unit of its metric: a lower mean counts as this value. Without them, the jitter of an
/// idle metric would decide.
pub const DEFAULT_FLOORS: PerMetric<f64> =
    PerMetric { cpu: 0.05, memory: 64.0 * 1024.0 * 1024.0, lag: 1000.0, rate: 1.0 };

/// One value for each metric.
///
/// ```
/// use rebalancer_core::{Metric, PerMetric};
///
/// let units = PerMetric::from_fn(Metric::unit);
/// assert_eq!(units[Metric::Lag], "messages");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "schemars", derive(schemars::JsonSchema), schemars(rename = "PerMetric_of_{T}"))]
pub struct PerMetric<T> {
    /// Value for CPU.
    pub cpu: T,
    /// Value for memory.
    pub memory: T,
    /// Value for Kafka lag.
    pub lag: T,
    /// Value for the message rate.
    pub rate: T,
}

impl<T> PerMetric<T> {
    /// Calls `value` once for each metric, in index order.
    pub fn from_fn(mut value: impl FnMut(Metric) -> T) -> Self {
        Self {
            cpu: value(Metric::Cpu),
            memory: value(Metric::Memory),
            lag: value(Metric::Lag),
            rate: value(Metric::Rate),
        }
    }

    /// Changes each value, in index order.
    pub fn map<U>(self, mut change: impl FnMut(T) -> U) -> PerMetric<U> {
        let Self { cpu, memory, lag, rate } = self;
        PerMetric { cpu: change(cpu), memory: change(memory), lag: change(lag), rate: change(rate) }
    }

    /// The values themselves with their metrics, in index order.
    pub fn into_pairs(self) -> impl Iterator<Item = (Metric, T)> {
        let Self { cpu, memory, lag, rate } = self;
        let values: [T; Metric::ALL.len()] = [cpu, memory, lag, rate];
        Metric::ALL.into_iter().zip(values)
    }

    /// The values with their metrics, in index order.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, &T)> {
        Metric::ALL.into_iter().map(|metric| (metric, &self[metric]))
    }
}

impl<T> Index<Metric> for PerMetric<T> {
    type Output = T;

    fn index(&self, metric: Metric) -> &T {
        match metric {
            Metric::Cpu => &self.cpu,
            Metric::Memory => &self.memory,
            Metric::Lag => &self.lag,
            Metric::Rate => &self.rate,
        }
    }
}

impl<T> IndexMut<Metric> for PerMetric<T> {
    fn index_mut(&mut self, metric: Metric) -> &mut T {
        match metric {
            Metric::Cpu => &mut self.cpu,
            Metric::Memory => &mut self.memory,
            Metric::Lag => &mut self.lag,
            Metric::Rate => &mut self.rate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::thresholds::Thresholds;

    #[test]
    fn each_metric_stands_at_its_index_and_those_with_a_threshold_are_the_triggers() {
        for (index, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric.index(), index, "{metric}");
            let has_threshold = Thresholds::default().of(metric).is_some();
            assert_eq!(Metric::TRIGGERS.contains(&metric), has_threshold, "{metric}");
        }
    }
}
