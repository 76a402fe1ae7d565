//! Decides whether and which two pods of an unevenly loaded workload to rotate.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod pod;
mod workload;

pub use pod::{Load, Metric, PodState};
pub use workload::{Controller, LivePod, Phase, Protection};
