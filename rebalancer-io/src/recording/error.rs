//! Why a recording cannot be read or written.

use std::path::{Path, PathBuf};

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
