//! The format of numbers, durations, names and outside text, in every form of output.

pub mod metric;
pub mod names;
pub mod number;
pub mod text;
