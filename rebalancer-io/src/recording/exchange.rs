//! The contents of a recording, and why one cannot be read or written.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::prometheus::When;

/// The questions and answers of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Version of the program that recorded.
    pub tool_version: String,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The moment for which all queries were sent.
    pub evaluation_time: Timestamp,
    /// The settings of the run, without secrets.
    pub config: Value,
    /// The exchanges.
    pub exchanges: Vec<Exchange>,
    /// The workload as it was seen; only the Kubernetes side interprets it.
    pub workload: Option<Value>,
}

impl Recording {
    /// The first query with a name, as sent.
    pub fn promql(&self, name: &str) -> Option<&str> {
        self.promqls(name).into_iter().next()
    }

    /// The queries with a name, as sent.
    pub fn promqls(&self, name: &str) -> Vec<&str> {
        let of_name = self.exchanges.iter().filter(|exchange| exchange.name == name);
        of_name.map(|exchange| exchange.query.as_str()).collect()
    }
}

/// One call of the query API and its answer.
#[derive(Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Name of the query, for instance `cpu`.
    pub name: String,
    /// The query.
    pub query: String,
    /// The moments queried.
    pub when: When,
    /// HTTP status.
    pub status: u16,
    /// Declared content type.
    pub content_type: Option<String>,
    /// Target of a redirect.
    pub location: Option<String>,
    /// The body, decompressed; as much as was read.
    pub body: Arc<[u8]>,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, when, status, body, .. } = self;
        write!(f, "Exchange({name}, {when:?}, HTTP {status}, {} bytes)", body.len())
    }
}

/// A recording that cannot be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {reason}", .path.display(), .line.map(|line| format!(": line {line}")).unwrap_or_default())]
pub struct RecordingError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from one, if the error is in a line.
    pub line: Option<usize>,
    /// What is wrong.
    pub reason: String,
}

impl RecordingError {
    pub(super) fn new(path: &Path, line: Option<usize>, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, reason: reason.into() }
    }
}
