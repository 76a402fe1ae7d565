//! What a decision is made from: the metrics, the loads of the pods, the pods that exist, their past,
//! and the partitions they read.

pub mod history;
pub mod join;
pub mod live_pod;
pub mod metric;
pub mod names;
pub mod partitions;
pub mod pod;
