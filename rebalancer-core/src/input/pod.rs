//! The loads of a pod: optional numbers, each finite and not negative.

use alloc::string::String;

use crate::input::metric::Metric;

/// One load of one pod: finite, not negative, at most [`Load::MAX`], never `-0.0`.
///
/// The unit is that of the [`Metric`] it belongs to. A sample that is not a load (`NaN`, infinite,
/// negative, absurdly large) is *missing*, never zero: exporters write `-1` for "unknown".
///
/// ```
/// use rebalancer_core::Load;
///
/// assert_eq!(Load::from_sample(1.5).map(Load::value), Some(1.5));
/// assert_eq!(Load::from_sample(-1.0), None);
/// assert_eq!(Load::from_sample(f64::NAN), None);
/// assert!(Load::from_sample(-0.0).is_some_and(|zero| zero.value().is_sign_positive()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(transparent))]
pub struct Load(f64);

impl Load {
    /// The largest valid load. Squares of larger numbers could make sums infinite, and no count of cores,
    /// bytes or messages gets there.
    pub const MAX: f64 = 1e19;

    /// No load at all.
    pub const ZERO: Self = Self(0.0);

    /// Parses a sample; `None` means missing.
    pub fn from_sample(sample: f64) -> Option<Self> {
        // `-0.0 + 0.0` is `0.0`; every other value is unchanged.
        (0.0..=Self::MAX).contains(&sample).then_some(Self(sample + 0.0))
    }

    /// The load as a number in the unit of its metric.
    pub const fn value(self) -> f64 {
        self.0
    }
}

/// The loads of one pod at one instant.
///
/// ```
/// use rebalancer_core::{Metric, PodState};
///
/// let pod = PodState::new("orders-0").with(Metric::Cpu, 0.8).with(Metric::Lag, -1.0);
/// assert_eq!(pod.load(Metric::Cpu).map(|load| load.value()), Some(0.8));
/// assert_eq!(pod.load(Metric::Lag), None, "-1 says unknown");
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct PodState {
    /// Name of the pod, unique within its namespace.
    pub name: String,
    /// CPU usage in cores; `None` is missing.
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "de::load"))]
    pub cpu_usage: Option<Load>,
    /// Memory working set in bytes; `None` is missing.
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "de::load"))]
    pub memory_usage: Option<Load>,
    /// Kafka lag in messages, summed over the partitions of the pod; `None` is missing.
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "de::load"))]
    pub kafka_lag: Option<Load>,
    /// Consumed messages per second; `None` is missing.
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "de::load"))]
    pub message_rate: Option<Load>,
    /// Composite score, 1.0 for an average pod. Ignored on input; the analysis computes the scores.
    #[cfg_attr(feature = "serde", serde(default, deserialize_with = "de::ignored"))]
    pub composite_score: Option<f64>,
}

impl PodState {
    /// A pod without any load yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The same pod with one load set from a sample; an invalid sample makes the load missing.
    #[must_use]
    pub fn with(mut self, metric: Metric, sample: f64) -> Self {
        *self.slot(metric) = Load::from_sample(sample);
        self
    }

    /// The field that holds the load of `metric`.
    pub fn slot(&mut self, metric: Metric) -> &mut Option<Load> {
        match metric {
            Metric::Cpu => &mut self.cpu_usage,
            Metric::Memory => &mut self.memory_usage,
            Metric::Lag => &mut self.kafka_lag,
            Metric::Rate => &mut self.message_rate,
        }
    }

    /// The load of `metric`, if known.
    pub const fn load(&self, metric: Metric) -> Option<Load> {
        match metric {
            Metric::Cpu => self.cpu_usage,
            Metric::Memory => self.memory_usage,
            Metric::Lag => self.kafka_lag,
            Metric::Rate => self.message_rate,
        }
    }
}

#[cfg(feature = "serde")]
mod de {
    use super::Load;
    use serde::{Deserialize, Deserializer, de::IgnoredAny};

    /// A number that is not a load, or null, is missing.
    pub fn load<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Load>, D::Error> {
        let sample: Option<f64> = Option::deserialize(deserializer)?;
        Ok(sample.and_then(Load::from_sample))
    }

    pub fn ignored<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
        IgnoredAny::deserialize(deserializer)?;
        Ok(None)
    }
}
