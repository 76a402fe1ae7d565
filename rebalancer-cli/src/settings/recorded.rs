//! The settings kept in a recording, and how a replay reuses them.

use std::collections::BTreeMap;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command};
use rebalancer_core::{Strategy, UnknownStrategy};
use serde::{Deserialize, Serialize};

use crate::cli::args::DecisionArgs;
use crate::cli::catalog::{self, settings};
use crate::cli::{earlier, usage};
use crate::failure::Failure;
use crate::format::text::plain;

/// The settings that a run's decision depends on. None of them is a secret.
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
    /// The alerts that forbid a rotation.
    pub veto_alerts: Option<String>,
    /// Thresholds, floors and guards: the value given by each flag.
    pub decision: BTreeMap<String, String>,
}

/// Flags of the decision with their values as text.
pub fn decision_flags(matches: &ArgMatches) -> BTreeMap<String, String> {
    let flags = decision_settings().into_iter();
    flags.filter_map(|(id, flag)| Some((flag, catalog::text(matches, &id)?))).collect()
}

/// The arguments of the decision of this call, with recorded values for those not given.
///
/// # Errors
/// A recorded value that is not understood.
pub fn taken_up(
    args: &DecisionArgs,
    recorded: &RecordedSettings,
    matches: &ArgMatches,
) -> Result<DecisionArgs, Failure> {
    let flags =
        flags_to_take_up(recorded, matches).into_iter().map(|(flag, value)| format!("{flag}={value}"));
    let changed = usage::changed(args, flags);
    changed.map_err(|error| Failure::usage(format!("the recorded settings cannot be used: {error}")))
}

/// What a recording sets and this version does not know, in words; `None` if it knows all.
pub fn unknown(recorded: &RecordedSettings) -> Option<String> {
    let known = decision_settings();
    let is_known = |flag: &String| {
        earlier::now(flag.trim_start_matches('-')).is_some() || known.iter().any(|(_, known)| known == flag)
    };
    let unknown: Vec<String> =
        recorded.decision.keys().filter(|flag| !is_known(flag)).map(|flag| plain(flag)).collect();
    (!unknown.is_empty()).then(|| {
        format!(
            "the recording has settings that this version does not know and does not decide by: {}",
            unknown.join(", ")
        )
    })
}

/// The recorded flags with their values that neither the command line nor the environment of this replay
/// overrides.
pub fn flags_to_take_up(recorded: &RecordedSettings, matches: &ArgMatches) -> BTreeMap<String, String> {
    let untouched = |id: &str| matches!(matches.value_source(id), None | Some(ValueSource::DefaultValue));
    let known = decision_settings().into_iter().filter(|(id, _)| untouched(id));
    let given = |flag: &str| recorded.decision.get(&format!("--{flag}")).cloned();
    let value = |id: &str, flag: &str| match recorded.decision.get(flag) {
        Some(value) => Some(in_words_of_now(flag, value).to_owned()),
        None => earlier::joined(id, given),
    };
    known.filter_map(|(id, flag)| Some((flag.clone(), value(&id, &flag)?))).collect()
}

/// The value of a flag in this version's words. A renamed strategy of earlier versions is translated; given
/// by hand it is refused.
fn in_words_of_now<'v>(flag: &str, value: &'v str) -> &'v str {
    let name = value.to_ascii_lowercase().replace('-', "_");
    let is_replaced = matches!(name.parse(), Err::<Strategy, _>(UnknownStrategy::Replaced(_)));
    if flag == "--strategy" && is_replaced { Strategy::ByCause.name() } else { value }
}

/// Id and flag of each setting of the decision.
fn decision_settings() -> Vec<(String, String)> {
    let all = Command::new("all").subcommand(DecisionArgs::augment_args(Command::new("decision")));
    let flag = |arg: &Arg| Some((arg.get_id().to_string(), format!("--{}", arg.get_long()?)));
    settings(&all).into_iter().filter_map(flag).collect()
}
