//! Which of the analysed pods are candidates.

use alloc::vec::Vec;

/// Positions of the candidates in ascending order: the pods that have all usable metrics.
///
/// ```
/// use rebalancer_core::{Engine, Metric, PodState, Thresholds};
///
/// let pods = ["a", "b", "c", "d"].map(|name| PodState::new(name).with(Metric::Cpu, 1.0));
/// let [a, b, c, d] = pods;
/// let pods = [a, b, c.with(Metric::Cpu, -1.0), d];
/// let engine = Engine::new(Thresholds { min_coverage: 0.5, ..Thresholds::default() });
/// let analysis = engine.analyze(&pods)?;
/// let candidates = analysis.candidates();
/// assert_eq!(candidates.iter().collect::<Vec<usize>>(), [0, 1, 3]);
/// assert!(!candidates.contains(2));
/// assert_eq!(candidates.position(2), 3);
/// assert_eq!(candidates.row(3), Some(2));
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Candidates(Positions);

#[derive(Debug, Clone)]
enum Positions {
    /// The first so many pods. Fleets are complete as a rule, and a list would say nothing.
    First(usize),
    /// These.
    Listed(Vec<usize>),
}

impl Candidates {
    pub(crate) const fn all_of(count: usize) -> Self {
        Self(Positions::First(count))
    }

    /// The positions ascend.
    pub(crate) const fn listed(positions: Vec<usize>) -> Self {
        Self(Positions::Listed(positions))
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        match &self.0 {
            Positions::First(count) => *count,
            Positions::Listed(positions) => positions.len(),
        }
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The positions, in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + Clone + '_ {
        (0..self.len()).map(|row| self.position(row))
    }

    /// Position of the candidate in a row, the rows being counted from 0.
    ///
    /// # Panics
    /// When there are not so many candidates.
    pub fn position(&self, row: usize) -> usize {
        match &self.0 {
            Positions::First(count) => {
                assert!(row < *count, "row {row} of {count} candidates");
                row
            }
            Positions::Listed(positions) => positions[row],
        }
    }

    /// Row of the candidate at a position; `None` when that pod is none.
    pub fn row(&self, position: usize) -> Option<usize> {
        match &self.0 {
            Positions::First(count) => (position < *count).then_some(position),
            Positions::Listed(positions) => positions.binary_search(&position).ok(),
        }
    }

    /// Whether the pod at a position is one.
    pub fn contains(&self, position: usize) -> bool {
        self.row(position).is_some()
    }
}

impl PartialEq for Candidates {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}
