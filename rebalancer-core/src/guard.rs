//! Guards: what holds a rotation back although a threshold is passed.
//!
//! Each guard is a pure function from facts to a [`Verdict`] that carries its number and its limit.
//! A guard that is off is not asked, and leaves exactly the plain rule.

use alloc::string::String;

mod coverage;
mod floor;
mod warm_up;

pub use coverage::coverage;
pub use floor::floor;
pub use warm_up::warm_up;

/// What a guard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "snake_case"))]
pub enum Standing {
    /// Nothing to object.
    Pass,
    /// The rotation must not happen now.
    Hold,
    /// The data the guard needs is not there; who acts treats it as [`Standing::Hold`].
    Unknown,
}

/// The answer of one guard.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Verdict {
    /// Name of the guard, the stable word of reports and configuration.
    pub guard: &'static str,
    /// What it says.
    pub standing: Standing,
    /// The number it looked at, where there is one.
    pub value: Option<f64>,
    /// The limit it held the number against.
    pub limit: Option<f64>,
    /// Both in words.
    pub reason: String,
}
