//! What is read of an answer, and what is kept of it.

use super::samples::Point;

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
