//! What was typed, as the pipeline takes it.

pub mod decision;
pub mod recorded;
pub mod servers;
pub mod shown;
