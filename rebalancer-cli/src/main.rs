//! `pod-rebalancer`: decides whether two pods of a workload should be rotated, and rotates them.

mod args;
mod decide;
mod exit;
mod output;
mod report;
mod secret;
mod usage;
mod value;

fn main() {}
