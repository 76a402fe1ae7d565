//! Arbitrary bytes as a recording: read or refused in words, and what is read survives being
//! written.

use std::fs;

use rebalancer_io::recording::Recording;

/// Reads `data` as a file, writes what was read, plain and compressed, and reads it again.
///
/// # Panics
/// When what is read again is something else, or an error says nothing.
pub fn recording(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let given = folder.path().join("given.jsonl");
    fs::write(&given, data).expect("a temporary file");
    let recording = match Recording::read(&given) {
        Ok(recording) => recording,
        Err(error) => {
            assert!(!error.reason.is_empty(), "an error says what is wrong");
            return;
        }
    };
    for name in ["again.jsonl", "again.jsonl.gz"] {
        let path = folder.path().join(name);
        recording.write(&path).expect("what was read can be written");
        assert_eq!(Recording::read(&path).as_ref(), Ok(&recording), "{name}");
    }
}
