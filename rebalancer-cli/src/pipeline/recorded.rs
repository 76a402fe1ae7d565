//! What a recording keeps of a run besides its raw answers, and how a replay takes it up again.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command};
use jiff::Timestamp;
use rebalancer_core::Workload;
use rebalancer_io::facts::{FactFinder, history_name};
use rebalancer_io::metrics::{FactQueries, OriginQueries};
use rebalancer_io::origin::one_origin;
use rebalancer_io::podstate::Answers;
use rebalancer_io::prometheus::{PrometheusClient, PrometheusConfig};
use rebalancer_io::recording::{Exchange, Recording, Replay};
use serde::{Deserialize, Serialize};

use crate::cli::args::DecisionArgs;
use crate::cli::catalog::settings;
use crate::failure::Failure;
use crate::pipeline::decide::WITH_A_PAST;

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

/// What a run saw.
///
/// # Errors
/// When the settings or the workload cannot be told as JSON.
pub fn recording(
    settings: &RecordedSettings,
    at: Timestamp,
    exchanges: Vec<Exchange>,
    workload: &Workload,
) -> Result<Recording, Failure> {
    let as_json =
        |error: serde_json::Error| Failure::Run(anyhow::Error::new(error).context("cannot record the run"));
    Ok(Recording {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        recorded_at: Timestamp::now(),
        evaluation_time: at,
        config: serde_json::to_value(settings).map_err(as_json)?,
        exchanges,
        workload: Some(serde_json::to_value(workload).map_err(as_json)?),
    })
}

/// What a recording holds.
pub struct ReadBack {
    /// The settings it was made with.
    pub settings: RecordedSettings,
    /// The workload, or every pod named in the answers where it was not recorded.
    pub workload: Workload,
    /// The loads.
    pub answers: Answers,
    /// The rest.
    pub recorded: Recorded,
}

/// What a recording answers beside the loads.
pub struct Recorded {
    client: PrometheusClient<Replay>,
    queries: FactQueries,
    has_past: bool,
}

impl Recorded {
    /// Whether the past of the pods was asked for when it was recorded, whatever was answered.
    pub const fn has_past(&self) -> bool {
        self.has_past
    }

    /// Finds what was recorded beside the loads of the moment `at`.
    pub fn finder(&self, at: Timestamp) -> FactFinder<'_> {
        FactFinder::new(&self.client, &self.queries, at)
    }
}

/// Takes a recording apart; `path` names it in messages.
///
/// # Errors
/// Settings, a workload or answers that cannot be used.
pub fn read_back(recording: &Recording, path: &Path) -> anyhow::Result<ReadBack> {
    let shown = path.display();
    let settings: RecordedSettings = serde_json::from_value(recording.config.clone())
        .with_context(|| format!("{shown}: the settings in it cannot be read"))?;
    let workload: Option<Workload> = recording
        .workload
        .clone()
        .map(serde_json::from_value)
        .transpose()
        .with_context(|| format!("{shown}: the workload in it cannot be read"))?;
    let namespace = settings.namespace.as_deref();
    let answers = Answers::replayed(recording, shown.to_string(), namespace, settings.pod_label.as_deref());
    let answers = answers.context("the recorded answers cannot be used")?;
    let workload = workload.unwrap_or_else(|| Workload { pods: answers.assumed_pods(), owners: Vec::new() });
    let pod_label = settings.pod_label.as_deref().unwrap_or("pod");
    let client =
        PrometheusClient::over(Replay::new(recording, shown.to_string()), PrometheusConfig::MAX_SAVED_BYTES);
    // A recording that was made before this was asked does not say.
    let origins = OriginQueries::recorded(|name| recording.promql(name));
    one_origin(&client, &origins, &workload.pods, recording.evaluation_time)
        .with_context(|| format!("{shown}: cannot tell whose series these are"))?;
    let queries = FactQueries::recorded(|name| recording.promqls(name), namespace, pod_label);
    let asked = |name: &str| recording.promql(name).is_some();
    let has_past = WITH_A_PAST.iter().any(|metric| asked(&history_name(metric.name())));
    let recorded = Recorded { client, queries, has_past };
    Ok(ReadBack { settings, workload, answers, recorded })
}

/// Id and flag of each setting of the decision.
fn decision_settings() -> Vec<(String, String)> {
    let decision = DecisionArgs::augment_args(Command::new("decision"));
    let settings = settings(&Command::new("all").subcommand(decision)).into_iter();
    settings.filter_map(|setting| Some((setting.id, setting.flag?))).collect()
}
