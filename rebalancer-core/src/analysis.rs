//! The decision together with the pod states it is about.

use alloc::vec::Vec;
use core::ops::Deref;

use crate::decision::Decision;
use crate::metric::Metric;
use crate::pod::PodState;

/// The analysis of one set of pod states, which it borrows: everything a [`Decision`] says, and the
/// pods behind its positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis<'a> {
    pub(crate) pods: &'a [PodState],
    pub(crate) decision: Decision,
}

impl<'a> Analysis<'a> {
    /// The analysed pods, in the order they were given.
    pub const fn pods(&self) -> &'a [PodState] {
        self.pods
    }

    /// Usable metrics that the pod at `position` lacks, which is why it is no candidate.
    pub fn lacks(&self, position: usize) -> Vec<Metric> {
        let Some(pod) = self.pods.get(position) else { return Vec::new() };
        Metric::ALL
            .into_iter()
            .filter(|metric| self.coverage()[*metric].is_usable() && pod.load(*metric).is_none())
            .collect()
    }
}

impl Deref for Analysis<'_> {
    type Target = Decision;

    fn deref(&self) -> &Decision {
        &self.decision
    }
}
