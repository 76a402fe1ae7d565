//! A folder of raw API answers saved with `curl`, each named by its metric, such as `cpu.json`, and each
//! optional, and `pods.json`; each may be compressed as `.gz`.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rebalancer_core::{Metric, PerMetric};

use crate::file;
use crate::prometheus::{ErrorKind, QueryError, Samples, Wanted, decode_instant};

/// The answers of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The answers of the metrics that have a file.
    pub answers: PerMetric<Option<Samples>>,
    /// The bytes of `pods.json`, decompressed, if the file exists.
    pub pods: Option<Vec<u8>>,
}

impl Snapshot {
    /// Reads a whole folder.
    ///
    /// # Errors
    /// If it has no answer, one of its files cannot be read or is no complete answer, or the newest sample is of a time
    /// that is none.
    pub fn open(folder: &Path, wanted: &Wanted<'_>) -> Result<Self, SnapshotError> {
        let mut answers: PerMetric<Option<Samples>> = PerMetric::default();
        for metric in Metric::ALL {
            let file = find(folder, metric.name())?;
            answers[metric] = file.map(|path| read_answer(metric, &path, wanted)).transpose()?;
        }
        if answers.iter().all(|(_, answer)| answer.is_none()) {
            return Err(SnapshotError::Empty { folder: folder.to_owned() });
        }
        let pods = find(folder, "pods")?.map(|path| read_whole(&path, wanted.max_bytes)).transpose()?;
        let snapshot = Self { answers, pods };
        if snapshot.newest_ms().is_some() && snapshot.evaluation_time().is_none() {
            return Err(SnapshotError::OutOfRange { folder: folder.to_owned() });
        }
        Ok(snapshot)
    }

    /// The time of the answers: the newest time of any sample; `None` without samples.
    pub fn evaluation_time(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.newest_ms()?).ok()
    }

    fn newest_ms(&self) -> Option<i64> {
        let answers = self.answers.iter().filter_map(|(_, answer)| answer.as_ref());
        answers.filter_map(Samples::newest_ms).max()
    }
}

/// The file with this name, plain or compressed.
fn find(folder: &Path, name: &str) -> Result<Option<PathBuf>, SnapshotError> {
    let plain = folder.join(format!("{name}.json"));
    let gzip = folder.join(format!("{name}.json.gz"));
    match (plain.exists(), gzip.exists()) {
        (true, true) => Err(SnapshotError::Ambiguous { plain, gzip }),
        (true, false) => Ok(Some(plain)),
        (false, true) => Ok(Some(gzip)),
        (false, false) => Ok(None),
    }
}

/// Decodes a file. Files are decoded one after another: in parallel would be faster, but with more CPU and
/// four buffers. The first bad one in the order of the metrics is the error.
fn read_answer(metric: Metric, path: &Path, wanted: &Wanted<'_>) -> Result<Samples, SnapshotError> {
    let reader = file::open(path).map_err(|error| unreadable(path, &error))?;
    decode_instant(reader, wanted).map_err(|kind| {
        let kind = match kind {
            ErrorKind::NotJson { words, .. } => {
                ErrorKind::NotJson { content_type: "other text".into(), words }
            }
            kind => kind,
        };
        SnapshotError::Answer(QueryError {
            name: metric.name().to_owned(),
            place: path.display().to_string(),
            query: String::new(),
            kind: Box::new(kind),
        })
    })
}

fn read_whole(path: &Path, max_bytes: u64) -> Result<Vec<u8>, SnapshotError> {
    let mut bytes: Vec<u8> = Vec::new();
    file::open(path)
        .and_then(|reader| reader.take(max_bytes + 1).read_to_end(&mut bytes))
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > max_bytes {
        return Err(unreadable(path, &format!("is larger than {max_bytes} bytes")));
    }
    Ok(bytes)
}

/// The names of the answers, for a message.
fn names() -> String {
    Metric::ALL.map(|metric| format!("{metric}.json")).join(", ")
}

fn unreadable(path: &Path, reason: &dyn fmt::Display) -> SnapshotError {
    SnapshotError::Unreadable { path: path.to_owned(), reason: reason.to_string() }
}

/// A folder that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// None of the files exists.
    #[error(
        "{}: holds none of {}; save answers of /api/v1/query under these names",
        .folder.display(), names()
    )]
    Empty {
        /// The folder.
        folder: PathBuf,
    },
    /// The newest sample is of a time that is none, such as milliseconds in place of seconds.
    #[error("{}: the times of the samples are out of range; the query API writes seconds", .folder.display())]
    OutOfRange {
        /// The folder.
        folder: PathBuf,
    },
    /// One metric has two files.
    #[error("{} and {} are both there; remove one of them", .plain.display(), .gzip.display())]
    Ambiguous {
        /// The plain file.
        plain: PathBuf,
        /// The compressed file.
        gzip: PathBuf,
    },
    /// A file cannot be read, or `pods.json` is larger than allowed.
    #[error("{}: {reason}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's message, or the limit in bytes after decompression.
        reason: String,
    },
    /// A file is not a complete answer; the error names it.
    #[error(transparent)]
    Answer(#[from] QueryError),
}
