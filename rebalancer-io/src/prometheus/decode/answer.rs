//! What is read of an answer, and what is kept of it.

use rebalancer_core::NameList;

/// Overhead of a string's allocation beyond its text, in bytes.
pub(super) const ALLOCATION_BYTES: usize = 16;

/// What to read from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Name of the label that contains the pod.
    pub pod_label: &'a str,
    /// Namespace of the pods; series of other namespaces are left out.
    pub namespace: Option<&'a str>,
    /// Largest answer to read, in bytes. What is kept may use half as much memory.
    pub max_bytes: u64,
}

impl Wanted<'_> {
    /// Maximum memory to keep for an answer, in bytes; a megabyte is always allowed.
    pub(super) fn max_kept(&self) -> usize {
        usize::try_from((self.max_bytes / 2).max(1 << 20)).unwrap_or(usize::MAX)
    }
}

/// The values of one pod over a range.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Name of the pod.
    pub pod: String,
    /// Its values, in the order of the answer.
    pub points: Vec<Point>,
}

/// The value of one label set at one instant.
#[derive(Debug, Clone, PartialEq)]
pub struct LabelledSample {
    /// Name of the pod; `None` if the label is absent or empty.
    pub pod: Option<String>,
    /// Values of the selected labels, in order; empty if a label is absent.
    pub labels: Vec<String>,
    /// The value as sent; may be NaN, infinite or negative.
    pub value: f64,
}

/// How many series an answer has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub series: usize,
    /// Those that name no pod.
    pub without_pod: usize,
}

/// A value at one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Milliseconds since 1970, the resolution of Prometheus.
    pub timestamp_ms: i64,
    /// The value as sent; may be NaN, infinite or negative.
    pub value: f64,
}

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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples {
    pods: NameList,
    points: Vec<Point>,
}

impl Samples {
    /// Adds a sample at the end.
    #[inline]
    pub fn push(&mut self, pod: &str, point: Point) {
        self.pods.push(pod);
        self.points.push(point);
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.points.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// The sample at `position`.
    pub fn get(&self, position: usize) -> Option<Sample<'_>> {
        let Point { timestamp_ms, value } = *self.points.get(position)?;
        Some(Sample { pod: self.pods.get(position), value, timestamp_ms })
    }

    /// The samples in order.
    pub fn iter(&self) -> impl Iterator<Item = Sample<'_>> + Clone {
        let sample = |(pod, &Point { timestamp_ms, value })| Sample { pod, value, timestamp_ms };
        self.pods.iter().zip(&self.points).map(sample)
    }

    /// The samples in order, for a [`Join`](rebalancer_core::Join).
    pub fn with_seconds(&self) -> impl Iterator<Item = rebalancer_core::Sample<'_>> {
        self.iter().map(|Sample { pod, value, timestamp_ms }| rebalancer_core::Sample {
            pod,
            value,
            timestamp_s: seconds(timestamp_ms),
        })
    }

    /// The names of the pods in order.
    pub fn pods(&self) -> impl Iterator<Item = &str> + Clone {
        self.pods.iter()
    }

    /// The pods with more than one sample, one entry for each repetition.
    pub(super) fn repeated(&self) -> Vec<&str> {
        self.pods.repeated()
    }
}

/// A time in milliseconds as seconds.
pub(crate) const fn seconds(timestamp_ms: i64) -> f64 {
    // Exact: milliseconds of any year are far below 2^53.
    timestamp_ms as f64 / 1000.0
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
