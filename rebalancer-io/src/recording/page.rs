//! A recording inside an HTML page: its lines, compressed and base64-encoded, in one element.

use std::io::{self, Cursor, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::error::RecordingError;
use super::exchange::Recording;
use super::lines::{MAX_BYTES, read_lines, write_lines};

/// The beginning of a page.
pub(super) const PAGE_START: &str = "<!DOCTYPE html>";

/// Largest page that is read: pages are not written with recordings of more than a few megabytes.
const MOST_PAGE_BYTES: u64 = 64 << 20;

impl Recording {
    /// Type of the element that contains a recording. Browsers do not execute it.
    pub const ELEMENT_TYPE: &str = "application/octet-stream+base64";

    /// Id of the element. Text from outside cannot forge it: a page escapes every quotation mark.
    pub const ELEMENT_ID: &str = "recording";

    /// The text of the element. With `digits`, the answers to range queries are rounded to that many
    /// significant digits, which makes them several times smaller; everything else is kept exactly.
    ///
    /// # Errors
    /// If the recording is larger than allowed.
    pub fn to_page(&self, digits: Option<usize>) -> io::Result<String> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        write_lines(self, &mut encoder, digits)?;
        Ok(STANDARD.encode(encoder.finish()?))
    }

    /// Reads the text of the element back; `place` names it in messages.
    ///
    /// # Errors
    /// If it is damaged; else as for [`Recording::read`].
    pub fn from_page(text: &str, place: &Path) -> Result<Self, RecordingError> {
        let wrong = |reason: String| RecordingError::new(place, None, reason);
        let bytes = STANDARD
            .decode(text.trim())
            .map_err(|error| wrong(format!("the recording in the page is damaged: {error}")))?;
        read_lines(place, GzDecoder::new(Cursor::new(bytes)).take(MAX_BYTES + 1))
    }
}

/// Finds the recording in a page.
pub(super) fn read(path: &Path, page: impl Read) -> Result<Recording, RecordingError> {
    let wrong = |reason: &str| RecordingError::new(path, None, reason);
    let mut bytes: Vec<u8> = Vec::new();
    page.take(MOST_PAGE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| wrong(&format!("cannot read: {error}")))?;
    if bytes.len() as u64 > MOST_PAGE_BYTES {
        return Err(wrong("the page is too large to be one of pod-rebalancer"));
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong("the page is not UTF-8"))?;
    let marker = format!(r#"id="{}">"#, Recording::ELEMENT_ID);
    let inside = text.split_once(marker.as_str()).and_then(|(_, rest)| rest.split_once("</script>"));
    let (element, _) = inside.ok_or_else(|| {
        wrong("the page holds no recording; its section \"Recording\" says why, or it was cut off")
    })?;
    Recording::from_page(element, path)
}
