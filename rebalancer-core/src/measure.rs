//! How unevenly the pods are loaded: the spread of each metric, the score of each pod, and whether a
//! threshold is passed.

pub mod analysis;
pub mod candidates;
pub mod engine;
pub mod outliers;
pub mod score;
pub mod spread;
pub mod thresholds;
