//! The report of `config`, for people.

use super::sheet::plain_table;
use crate::report::config::Row;

/// The settings as a table; `wide` adds defaults and descriptions.
pub fn table(rows: &[Row], wide: bool) -> String {
    let mut header = vec!["VARIABLE", "FLAG", "VALUE", "FROM"];
    if wide {
        header.extend(["DEFAULT", "WHAT IT DOES"]);
    }
    let mut table = plain_table(header);
    for row in rows {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let mut cells = vec![text(&row.variable), text(&row.flag), text(&row.value), row.source.to_owned()];
        if wide {
            cells.extend([text(&row.default), row.help.clone()]);
        }
        table.add_row(cells);
    }
    format!("{}\n", table.trim_fmt())
}
