//! Arbitrary bytes as a page that was saved, and as the recording in one.

use std::fs;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use rebalancer_io::recording::Recording;

/// Reads `data` as the lines of a recording within a page, and as the page itself.
///
/// # Panics
/// When an error says nothing, or what was read is something else once it is in another page.
pub fn page(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("given.html");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(data).expect("bytes in memory");
    let element = STANDARD.encode(gzip.finish().expect("bytes in memory"));
    let within = format!("<!DOCTYPE html><script id=\"{}\">{element}</script>", Recording::ELEMENT_ID);
    for text in [within.into_bytes(), [b"<!DOCTYPE html>", data].concat()] {
        fs::write(&file, text).expect("a temporary file");
        let recording = match Recording::read(&file) {
            Ok(recording) => recording,
            Err(error) => {
                assert!(!error.reason.is_empty(), "an error says what is wrong");
                continue;
            }
        };
        let again = recording.to_page(None).expect("what was read can be written");
        assert_eq!(Recording::from_page(&again, &file).as_ref(), Ok(&recording));
        let rounded = recording.to_page(Some(3)).expect("what was read can be written");
        let back = Recording::from_page(&rounded, &file).expect("what was written can be read");
        assert_eq!(back.exchanges.len(), recording.exchanges.len());
    }
}
