//! What a recording keeps of a run besides its raw answers, and how a replay takes it up again.

use std::collections::BTreeMap;
use std::path::Path;

use clap::ArgMatches;
use clap::parser::ValueSource;
use jiff::Timestamp;
use rebalancer_core::Workload;
use rebalancer_io::recording::{Exchange, Recording};
use serde::{Deserialize, Serialize};

use crate::config_table::settings;
use crate::failure::Failure;
use crate::usage;

/// Settings of a run that its decision depends on; none of them is a secret.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedSettings {
    /// Namespace of the workload.
    pub namespace: Option<String>,
    /// Label selector of the workload.
    pub selector: Option<String>,
    /// Label that holds the pod.
    pub pod_label: Option<String>,
    /// Whether pods of several controllers were accepted.
    pub allow_multiple_controllers: bool,
    /// Thresholds, floors and guards: what was given by each flag.
    pub decision: BTreeMap<String, String>,
}

/// Flags of the decision with the text of their values.
pub fn decision_flags(matches: &ArgMatches) -> BTreeMap<String, String> {
    let flags = decision_settings().into_iter().filter_map(|(id, flag)| {
        let raw = matches.try_get_raw(&id).ok().flatten()?;
        let text: Vec<String> = raw.map(|value| value.to_string_lossy().into_owned()).collect();
        Some((flag, text.join(",")))
    });
    flags.collect()
}

/// The recorded flags that neither the command line nor the environment of this replay overrides,
/// as arguments.
pub fn flags_to_take_up(recorded: &RecordedSettings, matches: &ArgMatches) -> Vec<String> {
    let untouched = |id: &str| matches!(matches.value_source(id), None | Some(ValueSource::DefaultValue));
    let known = decision_settings().into_iter().filter(|(id, _)| untouched(id));
    known.filter_map(|(_, flag)| Some(format!("{flag}={}", recorded.decision.get(&flag)?))).collect()
}

/// Saves what a run saw.
///
/// # Errors
/// When the file cannot be written.
pub fn save(
    path: &Path,
    settings: &RecordedSettings,
    at: Timestamp,
    exchanges: Vec<Exchange>,
    workload: &Workload,
) -> Result<(), Failure> {
    let as_json =
        |error: serde_json::Error| Failure::Run(anyhow::Error::new(error).context("cannot record the run"));
    let recording = Recording {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        recorded_at: Timestamp::now(),
        evaluation_time: at,
        config: serde_json::to_value(settings).map_err(as_json)?,
        exchanges,
        workload: Some(serde_json::to_value(workload).map_err(as_json)?),
    };
    Ok(recording.write(path).map_err(anyhow::Error::new)?)
}

/// Id and flag of each setting of the decision.
fn decision_settings() -> Vec<(String, String)> {
    let command = usage::command();
    let decision = settings(&command).into_iter().filter(|setting| setting.heading == "Decision");
    decision.filter_map(|setting| Some((setting.id, setting.flag?))).collect()
}
