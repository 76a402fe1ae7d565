//! The samples of an instant vector: names in one string, values in one column.

use std::fmt;

use rebalancer_core::NameList;

use super::sink::{Point, Sink};

/// The value of one pod at one instant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample<'a> {
    /// Name of the pod.
    pub pod: &'a str,
    /// The value as sent; may be NaN, infinite or negative.
    pub value: f64,
    /// Milliseconds since 1970, the resolution of Prometheus.
    pub timestamp_ms: i64,
}

/// Samples in the order of their answer, without an allocation per sample.
///
/// ```
/// use rebalancer_io::prometheus::{Sample, Samples};
///
/// let sample = Sample { pod: "orders-0", value: 0.5, timestamp_ms: 1_795_410_000_000 };
/// let samples: Samples = [sample].into_iter().collect();
/// assert_eq!(samples.get(0), Some(sample));
/// ```
#[derive(Clone, Default)]
pub struct Samples {
    pods: NameList,
    values: Vec<f64>,
    /// Each time, with the position of its first sample: the samples of an instant answer nearly always share
    /// one time.
    moments: Vec<(usize, i64)>,
}

impl Samples {
    /// Adds a sample at the end.
    pub fn push(&mut self, pod: &str, point: Point) {
        if self.moments.last().is_none_or(|(_, moment)| *moment != point.timestamp_ms) {
            self.moments.push((self.values.len(), point.timestamp_ms));
        }
        self.pods.push(pod);
        self.values.push(point.value);
    }

    /// Adds the samples of `later` at the end.
    pub fn append(&mut self, later: &Self) {
        for Sample { pod, value, timestamp_ms } in later.iter() {
            self.push(pod, Point { timestamp_ms, value });
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The sample at `position`.
    pub fn get(&self, position: usize) -> Option<Sample<'_>> {
        let value = *self.values.get(position)?;
        let moment = self.moments.partition_point(|(first, _)| *first <= position).checked_sub(1)?;
        Some(Sample { pod: self.pods.get(position), value, timestamp_ms: self.moments[moment].1 })
    }

    /// The samples in order.
    pub fn iter(&self) -> impl Iterator<Item = Sample<'_>> + Clone {
        let mut moments = self.moments.iter();
        let mut timestamp_ms = 0;
        let mut until = 0;
        self.pods.iter().zip(&self.values).enumerate().map(move |(position, (pod, &value))| {
            if position == until {
                timestamp_ms = moments.next().map_or(timestamp_ms, |(_, moment)| *moment);
                until = moments.as_slice().first().map_or(usize::MAX, |(first, _)| *first);
            }
            Sample { pod, value, timestamp_ms }
        })
    }

    /// The names of the pods in order.
    pub fn pods(&self) -> impl Iterator<Item = &str> + Clone {
        self.pods.iter()
    }

    /// The newest time of any sample, in milliseconds since 1970.
    pub fn newest_ms(&self) -> Option<i64> {
        self.moments.iter().map(|(_, moment)| *moment).max()
    }
}

impl Sink for Samples {
    fn take(&mut self, pod: &str, point: Point) {
        self.push(pod, point);
    }

    fn repeated(&self) -> Vec<&str> {
        self.pods.repeated()
    }
}

impl<'a> FromIterator<Sample<'a>> for Samples {
    fn from_iter<I: IntoIterator<Item = Sample<'a>>>(samples: I) -> Self {
        let mut all = Self::default();
        for Sample { pod, value, timestamp_ms } in samples {
            all.push(pod, Point { timestamp_ms, value });
        }
        all
    }
}

impl PartialEq for Samples {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl fmt::Debug for Samples {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
