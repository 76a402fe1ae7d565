//! Reports for programs.

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use crate::format::text::plain;

/// `value` as JSON, ending with a line break.
///
/// # Errors
/// A value that JSON cannot represent.
pub fn json(value: &impl Serialize) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(value).context("cannot write the report as JSON")? + "\n")
}

/// `value` as YAML.
///
/// # Errors
/// A value that YAML cannot represent.
pub fn yaml(value: &impl Serialize) -> anyhow::Result<String> {
    serde_saphyr::to_string(value).context("cannot write the report as YAML")
}

/// `rows` as CSV, one line each below the `head`, which names keys of a row.
pub fn csv<R: Serialize>(head: &str, rows: impl Iterator<Item = R>) -> String {
    let columns: Vec<&str> = head.split(',').collect();
    let written = || -> anyhow::Result<String> {
        let mut lines = csv::Writer::from_writer(Vec::new());
        lines.write_record(&columns)?;
        for row in rows {
            let row = serde_json::to_value(row)?;
            lines.write_record(columns.iter().map(|column| cell(&row[column])))?;
        }
        Ok(String::from_utf8(lines.into_inner()?)?)
    };
    written().expect("a row of a report is JSON, and memory takes every line")
}

/// A value as a cell: nothing for null, and the values of a list in a row.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => plain(text),
        Value::Number(number) => number.as_f64().unwrap_or(f64::NAN).to_string(),
        Value::Array(values) => values.iter().map(cell).collect::<Vec<String>>().join(" "),
        Value::Bool(_) | Value::Object(_) => value.to_string(),
    }
}
