//! The report of `config`, for people.

use super::sheet::{Columns, UNKNOWN};
use crate::report::config::Row;

/// The settings as a table; `wide` adds defaults and descriptions.
pub fn table(rows: &[Row], wide: bool) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_else(|| UNKNOWN.to_owned());
    let mut columns: Columns<'_, Row> = Columns::new();
    columns.words("VARIABLE", |row| text(&row.variable));
    columns.words("FLAG", |row| text(&row.flag));
    columns.words("VALUE", |row| text(&row.value));
    columns.words("FROM", |row| row.source);
    if wide {
        columns.words("DEFAULT", |row| text(&row.default));
        columns.words("WHAT IT DOES", |row| row.help.clone());
    }
    columns.plain(rows)
}
