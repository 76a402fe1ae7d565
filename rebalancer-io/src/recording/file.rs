//! Recording files: lines, compressed lines, or an HTML page with them; written atomically.

use std::fs::File;
use std::io::{self, BufRead, BufWriter, Read};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::error::RecordingError;
use super::exchange::Recording;
use super::lines::{MAX_BYTES, read_lines, write_lines};
use super::page;
use crate::file;

impl Recording {
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
        if reader.fill_buf().map_err(unreadable)?.starts_with(page::PAGE_START.as_bytes()) {
            return page::read(path, reader);
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
}
