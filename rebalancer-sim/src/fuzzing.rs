//! The bodies of the fuzz targets: plain functions of bytes that panic when a promise is broken.
//!
//! `fuzz/` calls them with whatever a fuzzer makes up; the seeds in `fuzz/seeds/` are replayed by
//! ordinary tests on a stable compiler.

use std::fs;
use std::path::Path;

#[cfg(feature = "io")]
mod answers;
#[cfg(feature = "io")]
mod decoder;
mod engine;
#[cfg(feature = "io")]
mod recording;
mod rotation;

#[cfg(feature = "io")]
pub use answers::{answers, splits};
#[cfg(feature = "io")]
pub use decoder::decoder;
pub use engine::engine;
#[cfg(feature = "io")]
pub use recording::recording;
pub use rotation::rotation;

/// Calls `body` with every seed of `target`, and returns how many there are.
///
/// # Panics
/// When `fuzz/seeds/<target>` cannot be read, and when `body` does; the seed is named on stderr.
pub fn replay(target: &str, body: fn(&[u8])) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut seeds = 0;
    for entry in entries {
        let path = entry.expect("a readable entry").path();
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        eprintln!("{}", path.display());
        body(&bytes);
        seeds += 1;
    }
    seeds
}
