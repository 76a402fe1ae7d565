//! Records the answers of a run, saves them, and reads them back for a replay.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::Workload;
use rebalancer_io::facts::{FactFinder, WITH_A_PAST, history_name};
use rebalancer_io::metrics::{AlertPattern, FactQueries, OriginQueries};
use rebalancer_io::origin::one_origin;
use rebalancer_io::podstate::Answers;
use rebalancer_io::prometheus::{PrometheusClient, PrometheusConfig, StoppableTransport};
use rebalancer_io::recording::{Recorder, Recording, RedactionKey, Replay};

use crate::failure::Failure;
use crate::settings::recorded::RecordedSettings;

/// What to keep of the answers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep<'a> {
    /// The file to save them to.
    pub file: Option<&'a Path>,
    /// Whether a page needs them.
    pub page: bool,
    /// The key for hashing names in the file; `None` leaves names unchanged.
    pub redact: Option<&'a RedactionKey>,
}

/// Records the answers and knows where to save them.
pub struct Saver {
    /// The file; `None` if only a page needs them.
    pub path: Option<PathBuf>,
    /// The key for hashing names in the file; `None` leaves names unchanged.
    pub redact: Option<RedactionKey>,
    /// The settings of the run.
    pub settings: RecordedSettings,
    /// The moment of the answers.
    pub at: Timestamp,
    /// What records.
    pub recorder: Arc<Recorder<StoppableTransport>>,
}

impl Saver {
    /// Saves everything so far, if there is a file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, workload: &Workload) -> Result<(), Failure> {
        let Some(path) = &self.path else { return Ok(()) };
        let mut recording = self.recording(workload)?;
        if let Some(key) = &self.redact {
            recording = recording.redacted(key);
        }
        Ok(recording.write(path).map_err(anyhow::Error::new)?)
    }

    /// Everything so far.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub fn recording(&self, workload: &Workload) -> Result<Recording, Failure> {
        let as_json = |error: serde_json::Error| anyhow::Error::new(error).context("cannot record the run");
        Ok(Recording {
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            recorded_at: Timestamp::now(),
            evaluation_time: self.at,
            config: serde_json::to_value(&self.settings).map_err(as_json)?,
            exchanges: self.recorder.exchanges(),
            workload: Some(serde_json::to_value(workload).map_err(as_json)?),
        })
    }
}

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
