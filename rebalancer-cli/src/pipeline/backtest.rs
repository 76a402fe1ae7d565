//! The decision over the past: many moments, and at each of them several thresholds.
//!
//! The same core decides as in a plan, on the same queries: at one moment both come to the same.

pub mod judge;
pub mod moment;
pub mod own;
pub mod past;
pub mod pieces;
pub mod recordings;
pub mod remembered;
pub mod times;
pub mod variants;
