//! How numbers, durations, names and text from outside are written, in every form of output.

pub mod metric;
pub mod names;
pub mod number;
pub mod text;
