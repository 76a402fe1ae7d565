//! Which samples of a history are kept while reading it.

use std::collections::BTreeSet;

use rebalancer_core::{History, InvalidHistory};

use crate::prometheus::Series;

/// The pods whose single samples are kept. For others only means are kept ([`History::add_pooled`]): single
/// samples of 10,000 pods take 5 MB per metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept<'a> {
    /// All pods: the history decides which pod is rotated.
    All,
    /// The pods that may be rotated.
    Only {
        /// Their names.
        pods: BTreeSet<&'a str>,
        /// Names of the candidates; their mean at each instant is the comparison for these pods.
        candidates: BTreeSet<&'a str>,
    },
}

impl Kept<'_> {
    /// No pod: the history decides nothing.
    pub const fn none() -> Self {
        Self::Only { pods: BTreeSet::new(), candidates: BTreeSet::new() }
    }

    pub(super) fn add(&self, history: &mut History, series: &Series) -> Result<(), InvalidHistory> {
        let samples = series.points.iter().map(|point| (point.timestamp_ms as f64 / 1000.0, point.value));
        let name = series.pod.as_str();
        match self {
            Self::Only { pods, candidates } if !pods.contains(name) => {
                history.add_pooled(name, samples, candidates.contains(name))
            }
            _ => history.add_series(name, samples),
        }
    }
}
