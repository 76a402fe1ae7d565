//! A folder of raw API answers saved with `curl`, each named by its metric, such as `cpu.json`, and each
//! optional, and `pods.json`; each may be compressed as `.gz`.

use std::fmt;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rebalancer_core::{Freshness, Join, JoinError, Joined, LivePod, Metric, Sample};

use crate::file;
use crate::prometheus::{ErrorKind, Point, QueryError, Wanted, decode_instant_by_sample, one_a_pod, seconds};

/// The answers of one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    join: Join,
    /// The metrics that have a file.
    pub asked: Vec<Metric>,
    /// The time of the answers: the newest time of any sample; `None` without samples.
    pub at: Option<Timestamp>,
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
        let mut snapshot = Self { join: Join::default(), asked: Vec::new(), at: None, pods: None };
        let mut newest_ms = None;
        for metric in Metric::ALL {
            let Some(path) = find(folder, metric.name())? else { continue };
            newest_ms = newest_ms.max(add_answer(&mut snapshot.join, metric, &path, wanted)?);
            snapshot.asked.push(metric);
        }
        if snapshot.asked.is_empty() {
            return Err(SnapshotError::Empty { folder: folder.to_owned() });
        }
        snapshot.pods = find(folder, "pods")?.map(|path| read_whole(&path, wanted.max_bytes)).transpose()?;
        snapshot.at = newest_ms
            .map(Timestamp::from_millisecond)
            .transpose()
            .map_err(|_| SnapshotError::OutOfRange { folder: folder.to_owned() })?;
        Ok(snapshot)
    }

    /// Joins the answers with the live pods.
    ///
    /// # Errors
    /// Two live pods with the same name, or two samples of one metric for one live pod.
    pub fn with_live(self, live: &[LivePod], freshness: Freshness) -> Result<Joined, JoinError> {
        let now_s = self.now_s();
        self.join.with_live(live, freshness, now_s)
    }

    /// Joins the answers with all pods that they name.
    ///
    /// # Errors
    /// Two samples of one metric for one pod.
    pub fn with_named(self, max_sample_age: Duration) -> Result<Joined, JoinError> {
        let now_s = self.now_s();
        self.join.with_named(max_sample_age, now_s)
    }

    /// The time of the answers; any will do for answers without a sample.
    fn now_s(&self) -> f64 {
        self.at.map_or(0.0, |at| seconds(at.as_millisecond()))
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

/// Adds the samples of a file to the join; returns the newest of their times, in milliseconds since 1970. Files are
/// decoded one after another: in parallel would be faster, but with more CPU and four buffers. The first bad one in the
/// order of the metrics is the error.
fn add_answer(
    join: &mut Join,
    metric: Metric,
    path: &Path,
    wanted: &Wanted<'_>,
) -> Result<Option<i64>, SnapshotError> {
    let reader = file::open(path).map_err(|error| unreadable(path, &error))?;
    let mut newest_ms = None;
    let mut adding = join.adding(metric);
    let mut each = |pod: &str, Point { timestamp_ms, value }| {
        newest_ms = newest_ms.max(Some(timestamp_ms));
        adding.push(Sample { pod, value, timestamp_s: seconds(timestamp_ms) });
    };
    let decoded = decode_instant_by_sample(reader, wanted, &mut each);
    decoded.and_then(|()| one_a_pod(&join.repeated(metric))).map_err(|kind| {
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
    })?;
    Ok(newest_ms)
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
