//! What a decision is made from: the metrics, the loads of the pods, the pods that exist, their past,
//! and the partitions they read, now and in the past.

pub(crate) mod history;
pub(crate) mod join;
pub(crate) mod live_pod;
pub(crate) mod metric;
pub(crate) mod names;
pub(crate) mod offsets;
pub(crate) mod partitions;
pub(crate) mod pod;
pub(crate) mod topic;
