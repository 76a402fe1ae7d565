//! The bodies of the fuzz targets: plain functions of bytes that panic when a promise is broken.
//!
//! `fuzz/` calls them with whatever a fuzzer makes up; the seeds in `fuzz/seeds/`, and what the fuzzer
//! has found beside them in `fuzz/packed/`, are replayed by ordinary tests on a stable compiler.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::GzDecoder;

#[cfg(feature = "io")]
mod answers;
#[cfg(feature = "io")]
mod api;
#[cfg(feature = "io")]
mod decoder;
mod engine;
#[cfg(feature = "io")]
mod folders;
#[cfg(feature = "io")]
mod kafka;
#[cfg(feature = "io")]
mod kubeconfig;
mod ownership;
#[cfg(feature = "io")]
mod page;
#[cfg(feature = "io")]
mod recording;
mod rotation;
#[cfg(feature = "io")]
mod selectors;
#[cfg(feature = "io")]
mod settings;

#[cfg(feature = "io")]
pub use answers::{answers, splits};
#[cfg(feature = "io")]
pub use api::api;
#[cfg(feature = "io")]
pub use decoder::decoder;
pub use engine::engine;
#[cfg(feature = "io")]
pub use folders::folders;
#[cfg(feature = "io")]
pub use kafka::kafka;
#[cfg(feature = "io")]
pub use kubeconfig::kubeconfig;
pub use ownership::ownership;
#[cfg(feature = "io")]
pub use page::page;
#[cfg(feature = "io")]
pub use recording::recording;
pub use rotation::rotation;
#[cfg(feature = "io")]
pub use selectors::selectors;
#[cfg(feature = "io")]
pub use settings::settings;

/// Calls `body` with every seed of `target` and all that is packed for it, and returns how many
/// there are.
///
/// # Panics
/// When `fuzz/seeds/<target>` or `fuzz/packed/<target>.tar.gz`, which need not be there, cannot be
/// read, and when `body` does; the seed is named on stderr.
pub fn replay(target: &str, body: fn(&[u8])) -> usize {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let folder = fuzz.join("seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds = 0;
    for entry in entries {
        let path = entry.expect("a readable entry").path();
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        eprintln!("{}", path.display());
        body(&bytes);
        seeds += 1;
    }
    seeds + replay_packed(&fuzz.join("packed").join(format!("{target}.tar.gz")), body)
}

fn replay_packed(path: &Path, body: fn(&[u8])) -> usize {
    if !path.exists() {
        return 0;
    }
    let unreadable = |error: std::io::Error| -> ! { panic!("{}: {error}", path.display()) };
    let file = File::open(path).unwrap_or_else(|error| unreadable(error));
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let mut seeds = 0;
    for entry in archive.entries().unwrap_or_else(|error| unreadable(error)) {
        let mut entry = entry.unwrap_or_else(|error| unreadable(error));
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let mut bytes: Vec<u8> = Vec::new();
        entry.read_to_end(&mut bytes).unwrap_or_else(|error| unreadable(error));
        eprintln!("{}: {}", path.display(), String::from_utf8_lossy(&entry.path_bytes()));
        body(&bytes);
        seeds += 1;
    }
    seeds
}
