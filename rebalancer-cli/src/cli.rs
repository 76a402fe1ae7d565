//! The command line: arguments, their values, and how errors in them are explained.

pub mod args;
pub mod catalog;
#[cfg(test)]
mod chart;
pub mod earlier;
pub mod help;
pub mod secrets;
pub mod spelling;
pub mod sweep;
pub mod usage;
pub mod values;
pub mod words;
