//! From settings to a report: what is observed, decided and done. No command owns it.

pub mod backtest;
pub mod check;
pub mod clocks;
pub mod decide;
pub mod observe;
pub mod plan;
pub mod recorded;
pub mod replay;
pub mod rotate;
