//! The inputs of a decision: metrics, pod loads, live pods, their history, and the partitions they read, now
//! and in the past.

pub(crate) mod history;
pub(crate) mod join;
pub(crate) mod live_pod;
pub(crate) mod metric;
pub(crate) mod names;
pub(crate) mod offsets;
pub(crate) mod partitions;
pub(crate) mod pod;
