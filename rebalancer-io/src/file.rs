//! Reads files that may be compressed, whatever their name, and replaces files atomically.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

/// First bytes of every gzip file.
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Maximum number of links on a path, as in Linux: more are a loop.
const MAX_LINKS: usize = 40;

/// Opens a file and decompresses it if it is a gzip file.
///
/// # Errors
/// If it cannot be opened or its first bytes cannot be read.
pub fn open(path: &Path) -> io::Result<Box<dyn BufRead + Send>> {
    unpacked(BufReader::new(File::open(path)?))
}

/// Decompresses what is read if it is a gzip file.
///
/// # Errors
/// If its first bytes cannot be read.
pub fn unpacked(mut reader: impl BufRead + Send + 'static) -> io::Result<Box<dyn BufRead + Send>> {
    if reader.fill_buf()?.starts_with(GZIP_MAGIC) {
        Ok(Box::new(BufReader::new(MultiGzDecoder::new(reader))))
    } else {
        Ok(Box::new(reader))
    }
}

/// Replaces the file at `path` as a whole, or leaves it as it is. `write` fills a new file in the same
/// directory, which then gets the old file's name, permissions and owner.
///
/// A link stays a link, and the file it points to is replaced. Anything but a regular file, such as
/// `/dev/stdout` or a pipe, is written to directly.
///
/// # Errors
/// If the file cannot be created, filled or renamed, or if a link is in a directory that others may write to:
/// they could point it at a file that only this user may write.
pub fn replace(path: &Path, write: impl FnOnce(File) -> io::Result<File>) -> io::Result<()> {
    let path = resolved(path)?;
    match fs::metadata(&path) {
        Ok(there) if there.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            File::options().write(true).open(&path).and_then(write)?;
            Ok(())
        }
        there => put(&path, there.ok().as_ref(), write),
    }
}

fn put(
    path: &Path,
    there: Option<&Metadata>,
    write: impl FnOnce(File) -> io::Result<File>,
) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let partial = path.with_file_name(format!(".{name}.{}.partial", std::process::id()));
    // A killed process may have left this file behind: in a container, its process id was the same.
    fs::remove_file(&partial).ok();
    let written = create(&partial, there.is_some()).and_then(write).and_then(|file| {
        there.map_or(Ok(()), |there| keep_rights(&file, there))?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&partial, path)).inspect_err(|_| {
        // The first error is the one to report. A leftover file does no harm.
        fs::remove_file(&partial).ok();
    })
}

/// Creates a file. It is private until it gets the permissions of the file it replaces.
fn create(path: &Path, is_private: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    if is_private {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Gives a file the permissions of the one it replaces, and its owner if that is allowed.
#[cfg(unix)]
fn keep_rights(file: &File, there: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (there.uid(), there.gid()) {
        // Only root may give a file away. Anyone else who replaces a file becomes its owner.
        fchown(file, Some(there.uid()), Some(there.gid())).ok();
    }
    file.set_permissions(there.permissions())
}

#[cfg(not(unix))]
fn keep_rights(file: &File, there: &Metadata) -> io::Result<()> {
    file.set_permissions(there.permissions())
}

/// The path with its links resolved, except links of pseudo files such as `/dev/stdout`.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut done = if path.is_absolute() { PathBuf::new() } else { PathBuf::from(".") };
    let mut ahead: Vec<OsString> = parts(path);
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        let next = done.join(&part);
        let Some(link) = fs::symlink_metadata(&next).ok().filter(Metadata::is_symlink) else {
            done = next;
            continue;
        };
        if next.starts_with("/proc") {
            // An open file of a process. Only a regular file can be replaced.
            let is_file = fs::metadata(&next).is_ok_and(|there| there.is_file());
            done = if is_file { fs::canonicalize(&next)? } else { next };
            continue;
        }
        links += 1;
        if links > MAX_LINKS {
            return Err(io::Error::other("its links lead in a circle"));
        }
        if can_be_of_others(&link, &done) {
            let words = format!(
                "{} is a link in a folder that others may write to, which is not followed",
                next.display()
            );
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, words));
        }
        let target = fs::read_link(&next)?;
        if target.is_absolute() {
            done = PathBuf::new();
        }
        ahead.extend(parts(&target));
    }
    Ok(done)
}

/// The parts of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.map(|part| part.as_os_str().to_owned()).rev().collect()
}

/// Whether a link in `folder` may have been created by someone other than the folder's owner.
#[cfg(unix)]
fn can_be_of_others(link: &Metadata, folder: &Path) -> bool {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let Ok(folder) = fs::metadata(folder) else { return true };
    let rights = folder.permissions().mode();
    rights & 0o002 != 0 || (rights & 0o020 != 0 && link.uid() != folder.uid())
}

#[cfg(not(unix))]
fn can_be_of_others(_: &Metadata, _: &Path) -> bool {
    false
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, lchown, symlink};
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

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
    }

    #[test]
    fn a_file_keeps_its_rights() {
        let folder = tempfile::TempDir::new().expect("a folder for temporary files");
        let file = folder.path().join("file");
        for rights in [0o600, 0o640, 0o666] {
            replace(&file, write("first")).expect("a folder of ours");
            fs::set_permissions(&file, fs::Permissions::from_mode(rights)).expect("a file of ours");
            let open_to_all = |file: File| {
                let partial = fs::read_dir(folder.path()).expect("a folder").find_map(|entry| {
                    let path = entry.expect("an entry").path();
                    path.extension().is_some_and(|extension| extension == "partial").then_some(path)
                });
                assert_eq!(mode(&partial.expect("what is being written")) & 0o077, 0, "private meanwhile");
                file.set_permissions(fs::Permissions::from_mode(0o644)).map(|()| file)
            };
            replace(&file, |file| write("second")(file).and_then(open_to_all)).expect("a folder of ours");
            assert_eq!(mode(&file), rights);
            assert_eq!(fs::read_to_string(&file).expect("a file"), "second");
            fs::remove_file(&file).expect("a file of ours");
        }
    }

    #[test]
    fn a_link_in_a_shared_folder_is_not_followed() {
        let folder = tempfile::TempDir::new().expect("a folder for temporary files");
        let (shared, victim) = (folder.path().join("shared"), folder.path().join("victim"));
        let inside = folder.path().join("inside");
        for private in [&shared, &inside] {
            fs::create_dir(private).expect("a folder of ours");
        }
        replace(&victim, write("mine")).expect("a folder of ours");
        let links = [("file", &victim), ("folder", &inside), ("missing", &folder.path().join("new"))];
        for (name, target) in links {
            symlink(target, shared.join(name)).expect("a folder of ours");
        }
        symlink(shared.join("file"), folder.path().join("detour")).expect("a folder of ours");
        for rights in [0o777, 0o1777, 0o772] {
            fs::set_permissions(&shared, fs::Permissions::from_mode(rights)).expect("a folder of ours");
            for path in ["shared/file", "shared/folder/new", "shared/missing", "detour"] {
                let error = replace(&folder.path().join(path), write("theirs")).expect_err(path);
                assert!(error.to_string().contains("is not followed"), "{path}: {error}");
            }
            replace(&shared.join("report"), write("a file is no link"))
                .expect("a folder anyone may write to");
        }
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o775)).expect("a folder of ours");
        // Only root can make a link of somebody else.
        if lchown(shared.join("file"), Some(65_534), None).is_ok() {
            replace(&shared.join("file"), write("theirs")).expect_err("a link of another of the group");
        }
        assert_eq!(fs::read_to_string(&victim).expect("a file"), "mine");
        assert!(!folder.path().join("new").exists());
        assert_eq!(fs::read_dir(&inside).expect("a folder").count(), 0);
    }

    #[test]
    fn links_in_a_circle_are_an_error() {
        let folder = tempfile::TempDir::new().expect("a folder for temporary files");
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        symlink(&one, &two).expect("a folder of ours");
        symlink(&two, &one).expect("a folder of ours");
        assert!(replace(&one, write("x")).is_err());
    }
}
