//! The moments of a folder of recordings.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rebalancer_io::podstate::Freshness;
use rebalancer_io::recording::Recording;

use super::judge::Moment;
use crate::pipeline::recorded::{Recorded, read_back};

/// The moments of the recordings in a folder, in time order, each with its other facts. A recording is a file whose name
/// ends in `.jsonl` or `.jsonl.gz`.
///
/// # Errors
/// A folder without recordings, or a file that cannot be replayed.
pub fn recordings(folder: &Path, freshness: Freshness) -> anyhow::Result<Vec<(Moment, Recorded)>> {
    let read = |path: PathBuf| -> anyhow::Result<(Moment, Recorded)> {
        let back = read_back(&Recording::read(&path)?, &path)?;
        let moment = Moment {
            workload: back.workload,
            answers: back.answers,
            freshness,
            allow_many_controllers: back.settings.allow_multiple_controllers,
            has_past: back.recorded.has_past(),
        };
        Ok((moment, back.recorded))
    };
    let mut all = files(folder)?.into_iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
    all.sort_by_key(|(moment, _)| moment.at());
    Ok(all)
}

fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let shown = folder.display();
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read the folder {shown}"))?;
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read the folder {shown}"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let uncompressed = Path::new(name.strip_suffix(".gz").unwrap_or(&name));
        if uncompressed.extension().is_some_and(|extension| extension == "jsonl") {
            files.push(path);
        }
    }
    anyhow::ensure!(
        !files.is_empty(),
        "{shown} holds no recording (*.jsonl, *.jsonl.gz); make some with record"
    );
    files.sort();
    Ok(files)
}
