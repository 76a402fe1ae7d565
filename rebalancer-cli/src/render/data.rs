//! Reports for programs.

use anyhow::Context as _;
use serde::Serialize;

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
