//! Turns the arguments into the pipeline's settings.

pub mod decision;
pub mod recorded;
pub mod servers;
pub mod shown;
