//! What can be typed: arguments, their values, and how a wrong one is explained.

pub mod args;
pub mod catalog;
#[cfg(test)]
mod chart;
pub mod secrets;
pub mod spelling;
pub mod sweep;
pub mod usage;
pub mod values;
