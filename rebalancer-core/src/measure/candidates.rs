//! Which of the analysed pods are candidates.

use alloc::vec::Vec;

/// The pods that have all usable metrics. Only they enter statistics, scores and selection.
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
/// # Ok::<(), rebalancer_core::AnalyzeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    positions: Vec<usize>,
}

impl Candidates {
    /// Candidates at these positions, in ascending order.
    pub(crate) const fn new(positions: Vec<usize>) -> Self {
        Self { positions }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.positions.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// Their positions among the analysed pods, in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = usize> + Clone + '_ {
        self.positions.iter().copied()
    }

    /// Whether the pod at a position is one.
    pub fn contains(&self, position: usize) -> bool {
        self.positions.binary_search(&position).is_ok()
    }
}
