//! Decides over the past: at many moments, each with several thresholds.
//!
//! It uses the same core and queries as a plan, so both decide the same at the same moment.

pub mod judge;
pub mod own;
pub mod past;
pub mod pieces;
pub mod recordings;
pub mod remembered;
pub mod times;
pub mod variants;
