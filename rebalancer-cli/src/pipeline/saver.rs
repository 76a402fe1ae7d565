//! Records the answers of a run and saves them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use rebalancer_core::Workload;
use rebalancer_io::prometheus::StoppableTransport;
use rebalancer_io::recording::{Recorder, Recording, RedactionKey};

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
