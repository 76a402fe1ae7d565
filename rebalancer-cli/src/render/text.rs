//! Reports as text for people.

pub mod bar;
pub mod names;
pub mod number;
pub mod pods;
pub mod screen;
pub mod sheet;
pub mod spreads;
pub mod table;
