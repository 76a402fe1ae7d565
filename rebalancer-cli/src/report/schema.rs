//! The JSON schema of everything that the program prints as JSON, derived from the types.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::report::Report;
use crate::report::backtest::BacktestReport;
use crate::report::check::CheckReport;
use crate::report::config::ConfigReport;
use crate::report::failed::FailureReport;
use crate::report::history::HistoryReport;
use crate::report::scan::ScanReport;

/// The schema, JSON Schema draft 2020-12: a document is one of the kinds, each under `$defs`.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let kinds = [
        reference::<Report>(&mut generator),
        reference::<BacktestReport>(&mut generator),
        reference::<CheckReport>(&mut generator),
        reference::<ConfigReport>(&mut generator),
        reference::<ScanReport>(&mut generator),
        reference::<HistoryReport>(&mut generator),
        reference::<FailureReport>(&mut generator),
    ];
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "What pod-rebalancer prints with --output json",
        "description": "Within pod-rebalancer/v1 keys and words are added, never taken away or changed.",
        "anyOf": kinds,
        "$defs": generator.take_definitions(false),
    })
}

fn reference<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}
