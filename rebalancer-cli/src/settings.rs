//! Turns the arguments into the pipeline's settings.

pub mod decision;
pub mod kafka;
pub mod own;
pub mod queries;
pub mod recorded;
pub mod servers;
pub mod shown;
