//! Reports as text for people.

pub mod backtest;
pub mod checks;
pub mod config;
pub mod history;
pub mod pods;
pub mod scan;
pub mod screen;
pub mod sheet;
pub mod spreads;
pub mod table;
