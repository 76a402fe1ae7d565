//! One file per command; `program` has those about the program itself.

pub mod backtest;
pub mod check;
pub mod config;
pub mod consent;
pub mod history;
pub mod page;
pub mod plan;
pub mod program;
pub mod record;
pub mod replay;
pub mod report;
pub mod run;
pub mod run_all;
pub mod scan;
pub mod watch;
