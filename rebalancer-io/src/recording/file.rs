//! Recording files: lines, compressed lines, or an HTML page with them, compressed and base64-encoded, in one element.
//! Files are written atomically.

use std::fs::File;
use std::io::{self, BufRead, BufWriter, Cursor, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::exchange::{Recording, RecordingError};
use super::lines::{MAX_BYTES, read_lines, write_lines};
use crate::file;

/// The beginning of a page.
const PAGE_START: &str = "<!DOCTYPE html>";

/// Largest page that is read: pages are not written with recordings of more than a few megabytes.
const MOST_PAGE_BYTES: u64 = 64 << 20;

impl Recording {
    /// Type of the element that contains the recording in a page. Browsers do not execute it.
    pub const ELEMENT_TYPE: &str = "application/octet-stream+base64";

    /// Id of the element. Text from outside cannot forge it: a page escapes every quotation mark.
    pub const ELEMENT_ID: &str = "recording";

    /// Reads a file, compressed or not, or an HTML page that contains a recording.
    ///
    /// # Errors
    /// If it cannot be read, or is malformed, incomplete, too large or of an unknown version.
    pub fn read(path: &Path) -> Result<Self, RecordingError> {
        let unreadable = |error: io::Error| RecordingError::new(path, None, error.to_string());
        Self::read_from(path, file::open(path).map_err(unreadable)?)
    }

    /// The same of what `reader` gives, which errors call `path`.
    ///
    /// # Errors
    /// As [`Recording::read`].
    pub fn read_from(path: &Path, mut reader: Box<dyn BufRead + Send>) -> Result<Self, RecordingError> {
        let unreadable = |error: io::Error| RecordingError::new(path, None, error.to_string());
        if reader.fill_buf().map_err(unreadable)?.starts_with(PAGE_START.as_bytes()) {
            return read_page(path, reader);
        }
        read_lines(path, reader.take(MAX_BYTES + 1))
    }

    /// Writes a file atomically, replacing an existing one.
    ///
    /// # Errors
    /// If it cannot be written; an existing file is then unchanged.
    pub fn write(&self, path: &Path) -> Result<(), RecordingError> {
        let compress = path.extension().is_some_and(|extension| extension == "gz");
        file::replace(path, |file| self.write_to(file, compress))
            .map_err(|error| RecordingError::new(path, None, format!("cannot write: {error}")))
    }

    fn write_to(&self, file: File, compress: bool) -> io::Result<File> {
        if compress {
            let mut encoder = GzEncoder::new(file, Compression::default());
            write_lines(self, &mut encoder, None)?;
            return encoder.finish();
        }
        let mut writer = BufWriter::new(file);
        write_lines(self, &mut writer, None)?;
        Ok(writer.into_inner()?)
    }

    /// The text of the element of a page. With `digits`, the answers to range queries are rounded to that many
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
        let bytes = STANDARD.decode(text.trim()).map_err(|error| {
            RecordingError::new(place, None, format!("the recording in the page is damaged: {error}"))
        })?;
        read_lines(place, GzDecoder::new(Cursor::new(bytes)).take(MAX_BYTES + 1))
    }
}

/// Finds the recording in a page.
fn read_page(path: &Path, page: impl Read) -> Result<Recording, RecordingError> {
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
