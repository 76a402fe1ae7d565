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
/// file of the same folder, which then takes the name. A link stays one: what it leads to is replaced.
/// What is no file, such as `/dev/stdout` or a pipe, stays what it is, and is written to.
///
/// # Errors
/// When the file cannot be made, filled, or renamed.
pub fn replace(path: &Path, write: impl FnOnce(File) -> io::Result<File>) -> io::Result<()> {
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            File::options().write(true).open(path).and_then(write)?;
            Ok(())
        }
        Ok(_) => put(&fs::canonicalize(path)?, write),
        Err(_) => put(path, write),
    }
}

fn put(path: &Path, write: impl FnOnce(File) -> io::Result<File>) -> io::Result<()> {
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

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{FileTypeExt as _, symlink};
    use std::process::Command;
    use std::thread;

    use super::*;

    fn write(text: &'static str) -> impl FnOnce(File) -> io::Result<File> {
        move |mut file| file.write_all(text.as_bytes()).map(|()| file)
    }

    #[test]
    fn what_is_no_file_stays_what_it_is() {
        let folder = tempfile::TempDir::new().expect("a folder for temporary files");
        let pipe = folder.path().join("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo is part of every system");
        assert!(made.success());
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).and_then(|mut pipe| pipe.read_to_string(&mut text)).map(|_| text)
            }
        });
        replace(&pipe, write("through")).expect("a pipe is written to");
        assert_eq!(reader.join().expect("a reader").expect("text"), "through");
        assert!(fs::metadata(&pipe).expect("it is there").file_type().is_fifo());
        let error = replace(folder.path(), write("x")).expect_err("a folder");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_link_goes_on_leading_to_the_file() {
        let folder = tempfile::TempDir::new().expect("a folder for temporary files");
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        replace(&file, write("first")).expect("a folder of ours");
        symlink(&file, &link).expect("a folder of ours");
        replace(&link, write("second")).expect("a folder of ours");
        assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
        assert_eq!(fs::read_to_string(&file).expect("a file"), "second");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 2, "nothing is left behind");
    }
}
