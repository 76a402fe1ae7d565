//! The parts of answers that are kept: pods, values and times.

use std::ops::AddAssign;

use super::samples::Samples;
use super::sink::Point;

/// Overhead of a string's allocation beyond its text, in bytes.
pub(super) const ALLOCATION_BYTES: usize = 16;

/// What to read from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// Name of the label that contains the pod.
    pub pod_label: &'a str,
    /// Namespace of the pods; series of other namespaces are counted and left out.
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

/// How many series an answer had, and how many of them were left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Series in the answer.
    pub series: usize,
    /// Left out because they name no pod.
    pub without_pod: usize,
    /// Left out because they name another namespace.
    pub other_namespace: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.series += more.series;
        self.without_pod += more.without_pod;
        self.other_namespace += more.other_namespace;
    }
}

/// An instant vector by pod. No two samples have the same pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct InstantAnswer {
    /// One sample per pod, in the order of the answer.
    pub samples: Samples,
    /// Remarks of the server that do not affect the data.
    pub infos: Vec<String>,
    /// What was left out.
    pub counts: Counts,
}

/// A matrix by pod. No two series have the same pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RangeAnswer {
    /// One series per pod, in the order of the answer.
    pub series: Vec<Series>,
    /// Remarks of the server that do not affect the data.
    pub infos: Vec<String>,
    /// What was left out.
    pub counts: Counts,
}

/// An instant vector with further labels besides the pod. A pod may have many samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct LabelledAnswer {
    /// The samples, in the order of the answer.
    pub samples: Vec<LabelledSample>,
    /// What was left out.
    pub counts: Counts,
}

/// What an answer contains besides its samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Remarks {
    /// Remarks of the server that do not affect the data.
    pub infos: Vec<String>,
    /// What was left out.
    pub counts: Counts,
}
