//! Reads a recording back for a replay.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::Workload;
use rebalancer_io::facts::{FactFinder, WITH_A_PAST, history_name};
use rebalancer_io::metrics::{AlertPattern, FactQueries, OriginQueries};
use rebalancer_io::origin::one_origin;
use rebalancer_io::podstate::Answers;
use rebalancer_io::prometheus::{PrometheusClient, PrometheusConfig};
use rebalancer_io::recording::{Recording, Replay};

use crate::settings::recorded::RecordedSettings;

/// The contents of a recording.
pub struct ReadBack {
    /// The settings of the recorded run.
    pub settings: RecordedSettings,
    /// The workload, or every pod named in the answers if it was not recorded.
    pub workload: Workload,
    /// The loads.
    pub answers: Answers,
    /// The rest.
    pub recorded: Recorded,
}

/// A recording's answers besides the loads.
pub struct Recorded {
    client: PrometheusClient<Replay>,
    queries: FactQueries,
    /// Whether the recorded run queried the history of the pods, whatever the answer.
    pub has_past: bool,
}

impl Recorded {
    /// Finds what was recorded besides the loads at the moment `at`.
    pub fn finder(&self, at: Timestamp) -> FactFinder<'_> {
        FactFinder::new(&self.client, &self.queries, at)
    }
}

/// Reads a recording back; `path` names it in messages.
///
/// # Errors
/// Settings, a workload or answers that are unusable.
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
    // Older recordings lack this query; the check is then skipped.
    let origins = OriginQueries::recorded(|name| recording.promql(name));
    one_origin(&client, &origins, &workload.pods, recording.evaluation_time)
        .with_context(|| format!("{shown}: cannot tell whose series these are"))?;
    let alerts: Option<AlertPattern> = settings
        .veto_alerts
        .as_deref()
        .map(str::parse)
        .transpose()
        .with_context(|| format!("{shown}: VETO_ALERTS in it cannot be used"))?;
    let queries =
        FactQueries::recorded(|name| recording.promqls(name), namespace, pod_label, alerts.as_ref());
    let asked = |name: &str| recording.promql(name).is_some();
    let has_past = WITH_A_PAST.iter().any(|metric| asked(&history_name(metric.name())));
    let recorded = Recorded { client, queries, has_past };
    Ok(ReadBack { settings, workload, answers, recorded })
}
