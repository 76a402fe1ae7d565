//! How unevenly the pods are loaded: the spread of each metric, the score of each pod, and whether a
//! threshold is passed.

pub(crate) mod analysis;
pub(crate) mod engine;
pub(crate) mod outliers;
pub(crate) mod spread;
pub(crate) mod thresholds;
