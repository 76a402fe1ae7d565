//! Reads files that may be compressed, whatever their name says, and writes files all or nothing.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

/// First bytes of every gzip file.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Opens a file, to be read as it is or decompressed.
///
/// # Errors
/// When it cannot be opened or its first bytes cannot be read.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    let mut reader = BufReader::new(File::open(path)?);
    if reader.fill_buf()?.starts_with(GZIP_MAGIC) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(reader))))
    } else {
        Ok(Box::new(reader))
    }
}

/// Puts a whole file in the place of `path`, or leaves what is there as it is. `write` fills a new
/// file of the same folder, which then takes the name.
///
/// # Errors
/// When the file cannot be made, filled, or renamed.
pub fn replace(path: &Path, write: impl FnOnce(File) -> io::Result<File>) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    // One that was killed in a container had the same number, and left this behind.
    fs::remove_file(&partial).ok();
    let written = File::create_new(&partial).and_then(write).and_then(|file| file.sync_all());
    written.and_then(|()| fs::rename(&partial, path)).inspect_err(|_| {
        // Nothing is lost if it cannot be removed; the first error is the one to tell.
        fs::remove_file(&partial).ok();
    })
}
