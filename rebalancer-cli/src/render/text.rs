//! Reports as text for people.

use crate::format::text::plain;

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

/// Each value that is known, behind its word.
fn named<const N: usize>(values: [(&str, &Option<String>); N]) -> Vec<String> {
    let known = values.into_iter().filter_map(|(word, value)| Some((word, value.as_ref()?)));
    known.map(|(word, value)| format!("{word} {}", plain(value))).collect()
}

/// Names, one on each line.
fn lines<'n>(names: impl Iterator<Item = &'n String>) -> String {
    names.map(|name| plain(name) + "\n").collect()
}
