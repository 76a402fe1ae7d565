//! What was typed, as the pipeline takes it.

pub mod decision;
pub mod servers;
