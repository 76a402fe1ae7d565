//! The report of `config`.

use schemars::JsonSchema;
use serde::Serialize;

/// One setting as it is in force.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Setting")]
pub struct Row {
    /// The environment variable.
    pub variable: Option<String>,
    /// The flag with its dashes.
    pub flag: Option<String>,
    /// The value; a secret is hidden.
    pub value: Option<String>,
    /// `flag`, `environment`, `default` or `unset`.
    pub source: &'static str,
    /// The default, as it is written.
    pub default: Option<String>,
    /// What it does.
    pub help: String,
}

/// Every setting.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct ConfigReport(pub Vec<Row>);
