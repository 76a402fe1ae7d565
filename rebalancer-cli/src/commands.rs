//! One file per command.

pub mod backtest;
pub mod check;
pub mod completion;
pub mod config;
pub mod consent;
pub mod history;
pub mod man;
pub mod page;
pub mod plan;
pub mod record;
pub mod replay;
pub mod report;
pub mod run;
pub mod run_all;
pub mod scan;
pub mod version;
pub mod watch;
