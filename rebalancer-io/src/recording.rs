//! A run's raw answers in one file, and their replay.
//!
//! A recording is JSON lines, compressed if its name ends in `.gz`: a header, one line for each exchange with
//! the metrics server, the workload as it was seen, and a last line that proves the file complete. Bodies are
//! kept verbatim, so that a replay decodes the same bytes. A page contains the same lines, possibly with
//! fewer digits of the past. Request headers, credentials and added parameters are never part of it.

mod exchange;
mod file;
mod lines;
mod matrix;
mod redact;
mod transport;

pub use exchange::{Exchange, Recording, RecordingError};
pub use redact::{InvalidKey, RedactionKey};
pub use transport::{Recorder, Replay};
