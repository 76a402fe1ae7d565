//! What the benchmarks share: recorded answers, the stages of a decision with their floors and peers,
//! and how they are timed. Empty without the feature `measure`.
#![cfg(feature = "measure")]

pub mod instructions;
pub mod measure;
mod peers;
pub mod recorded;
pub mod report;
pub mod stages;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rebalancer_core::Metric;

/// Pods in a fleet: from a small one to two hundred times the largest that Kubernetes is made for.
pub const SIZES: [usize; 5] = [100, 1_000, 10_000, 100_000, 1_000_000];

/// Reads the four answers of a folder through one buffer and checks that they are UTF-8: what a
/// replay cannot do without.
///
/// # Errors
/// A file that cannot be read, and bytes that are no UTF-8.
pub fn read(folder: &Path) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    for metric in Metric::ALL {
        let mut file = File::open(folder.join(format!("{metric}.json")))?;
        let mut kept = 0;
        loop {
            let count = file.read(&mut buffer[kept..])?;
            let end = kept + count;
            let cut = simdutf8::compat::from_utf8(&buffer[..end])
                .map_or_else(|error| error.valid_up_to(), str::len);
            if end - cut > 3 || (count == 0 && cut < end) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if count == 0 {
                break;
            }
            // A character at the end is moved to the front.
            buffer.copy_within(cut..end, 0);
            kept = end - cut;
        }
    }
    Ok(())
}
