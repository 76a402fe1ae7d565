//! The moments of a folder of recordings.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rebalancer_io::facts::FactFinder;
use rebalancer_io::podstate::Freshness;
use rebalancer_io::recording::Recording;

use super::moment::Moment;
use crate::pipeline::recorded::{Recorded, read_back};

/// The recordings of a folder, in time order.
pub struct Recordings {
    all: Vec<(Moment, Recorded)>,
}

impl Recordings {
    /// Reads every file of the folder whose name ends in `.jsonl` or `.jsonl.gz`.
    ///
    /// # Errors
    /// A folder without recordings, or a file that cannot be replayed.
    pub fn open(folder: &Path, freshness: Freshness) -> anyhow::Result<Self> {
        let files = files(folder)?;
        let mut all: Vec<(Moment, Recorded)> = Vec::with_capacity(files.len());
        for path in files {
            let recording = Recording::read(&path)?;
            let back = read_back(&recording, &path)?;
            let allow_many_controllers = back.settings.allow_multiple_controllers;
            let (workload, answers) = (back.workload, back.answers);
            let has_past = back.recorded.has_past();
            let moment = Moment { workload, answers, freshness, allow_many_controllers, has_past };
            all.push((moment, back.recorded));
        }
        all.sort_by_key(|(moment, _)| moment.at());
        Ok(Self { all })
    }

    /// Each moment, with the finder for its other facts.
    pub fn moments(&self) -> impl Iterator<Item = (&Moment, FactFinder<'_>)> {
        self.all.iter().map(|(moment, recorded)| (moment, recorded.finder(moment.at())))
    }
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
