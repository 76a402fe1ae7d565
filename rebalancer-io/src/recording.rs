//! One run's raw answers in one file, and the same answers given again.
//!
//! A recording is JSON lines, compressed where its name ends in `.gz`: a header, one line for each
//! exchange with the metrics server, the workload as it was seen, and a last line that tells a whole
//! file from a cut one. Bodies are kept verbatim, so that a replay runs the same decoder on the same
//! bytes. A page holds the same lines, perhaps with fewer digits of the past. Headers of requests, credentials and added parameters are never part of it.

mod error;
mod exchange;
mod file;
mod lines;
mod matrix;
mod page;
mod redact;
mod transport;

pub use error::RecordingError;
pub use exchange::{Exchange, Recording};
pub use redact::{InvalidKey, RedactionKey};
pub use transport::{Recorder, Replay};
