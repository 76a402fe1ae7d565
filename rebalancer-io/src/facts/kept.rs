//! What is kept of a history while it is read.

use std::collections::BTreeSet;

use rebalancer_core::{History, InvalidHistory};

use crate::prometheus::Series;

/// The pods whose single samples are kept of a history. Of the others only means are, as
/// [`History::add_pooled`] says: single samples of 10,000 pods are 5 MB a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept<'a> {
    /// All pods: who is rotated is found out by the history.
    All,
    /// The pods that may be rotated.
    Only {
        /// Their names.
        pods: BTreeSet<&'a str>,
        /// Names of the candidates, whose mean at each instant these pods are held against.
        candidates: BTreeSet<&'a str>,
    },
}

impl Kept<'_> {
    /// No pod: nothing is decided by the history.
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
