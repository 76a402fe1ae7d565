//! The decision together with the pods it is about.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::ops::Deref;

use crate::input::metric::{Metric, PerMetric};
use crate::input::pod::{Load, PodState};
use crate::measure::decision::Decision;
use crate::measure::spread::median;

/// The analysis of one set of pods, which it borrows: everything a [`Decision`] says, and the pods
/// behind its positions.
#[derive(Debug, Clone, PartialEq)]
pub struct Analysis<'a> {
    pub(crate) pods: Pods<'a>,
    /// Loads of the candidates in their order, a column for each usable metric.
    pub(crate) columns: PerMetric<Cow<'a, [f64]>>,
    pub(crate) decision: Decision,
}

/// Where the analysed pods lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Pods<'a> {
    /// One object a pod.
    States(&'a [PodState]),
    /// One column a metric, NaN where a load is missing; an empty one has no loads at all.
    Columns { names: &'a [&'a str], loads: &'a PerMetric<Vec<f64>> },
}

impl<'a> Pods<'a> {
    pub(crate) const fn len(self) -> usize {
        match self {
            Self::States(pods) => pods.len(),
            Self::Columns { names, .. } => names.len(),
        }
    }

    /// Name of the pod at a position that exists.
    pub(crate) fn name(self, position: usize) -> &'a str {
        match self {
            Self::States(pods) => &pods[position].name,
            Self::Columns { names, .. } => names[position],
        }
    }

    pub(crate) fn load(self, position: usize, metric: Metric) -> Option<Load> {
        match self {
            Self::States(pods) => pods.get(position)?.load(metric),
            Self::Columns { loads, .. } => Load::from_sample(*loads[metric].get(position)?),
        }
    }
}

impl<'a> Analysis<'a> {
    /// The pod states that were given to [`crate::Engine::analyze`], in their order; none when the
    /// pods were given as columns.
    pub const fn pods(&self) -> &'a [PodState] {
        match self.pods {
            Pods::States(pods) => pods,
            Pods::Columns { .. } => &[],
        }
    }

    /// Number of analysed pods.
    pub const fn count(&self) -> usize {
        self.pods.len()
    }

    /// Name of the pod at `position`.
    ///
    /// # Panics
    /// When there are not so many pods.
    pub fn name(&self, position: usize) -> &'a str {
        self.pods.name(position)
    }

    /// Load of the pod at `position`; `None` where it is missing.
    pub fn load(&self, position: usize, metric: Metric) -> Option<Load> {
        self.pods.load(position, metric)
    }

    /// Composite score of the pod at `position`, 1.0 being an average pod; computed when asked for.
    /// `None` outside the candidates.
    pub fn score(&self, position: usize) -> Option<f64> {
        let row = self.candidates().row(position)?;
        Some(self.decision.scale.score(&self.columns, row))
    }

    /// Median of a usable metric over the candidates; computed when asked for.
    pub fn median(&self, metric: Metric) -> Option<f64> {
        self.spread(metric)?;
        median(self.columns[metric].to_vec())
    }

    /// Loads of the candidates in their order; NaN where one of an unusable metric is missing.
    pub(crate) fn loads_of_candidates(&self, metric: Metric) -> Cow<'_, [f64]> {
        if self.spread(metric).is_some() {
            return Cow::Borrowed(&self.columns[metric]);
        }
        let load = |position: usize| self.load(position, metric).map_or(f64::NAN, Load::value);
        self.candidates().iter().map(load).collect()
    }

    /// Usable metrics that the pod at `position` lacks, which is why it is no candidate.
    pub fn lacks(&self, position: usize) -> Vec<Metric> {
        if position >= self.count() {
            return Vec::new();
        }
        Metric::ALL
            .into_iter()
            .filter(|metric| self.coverage()[*metric].is_usable() && self.load(position, *metric).is_none())
            .collect()
    }
}

impl Deref for Analysis<'_> {
    type Target = Decision;

    fn deref(&self) -> &Decision {
        &self.decision
    }
}
