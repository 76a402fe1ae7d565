//! From settings to a report: observe, decide, act. No single command owns these steps.

pub mod all;
pub mod backtest;
pub mod check;
pub mod clocks;
pub mod decide;
pub mod discover;
pub mod history;
pub mod kafka;
pub mod live;
pub mod plan;
pub mod recorded;
pub mod replay;
pub mod rotate;
pub mod saved_plan;
pub mod scan;
