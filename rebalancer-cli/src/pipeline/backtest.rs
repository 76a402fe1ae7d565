//! Decides over the past: at many moments, each with several thresholds.
//!
//! It uses the same core and queries as a plan, so both decide the same at the same moment. Here are the settings and the
//! moments that a backtest tries.

pub mod judge;
pub mod past;
pub mod pieces;
pub mod remembered;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use rebalancer_core::Metric;
use rebalancer_io::recording::Recording;

use crate::cli::args::{BacktestArgs, Moment as Bound};
use crate::cli::sweep::{MOST_VALUES, Sweep};
use crate::failure::Failure;
use crate::pipeline::recorded::{Recorded, read_back};
use crate::settings::decision::DecisionSettings;
use judge::Moment;

/// Maximum number of moments: a year in steps of 15 minutes, or a month in steps of a minute.
const MOST_MOMENTS: u64 = 50_000;

/// The settings with each pair of the swept values as their thresholds.
///
/// # Errors
/// A threshold that is swept twice, or too many pairs.
pub fn variants(settings: &DecisionSettings, sweeps: &[Sweep]) -> Result<Vec<DecisionSettings>, Failure> {
    let values = |metric: Metric, own: f64| {
        let mut of_metric = sweeps.iter().filter(|sweep| sweep.metric == metric);
        match (of_metric.next(), of_metric.next()) {
            (None, _) => Ok(vec![own]),
            (Some(sweep), None) => Ok(sweep.values.clone()),
            (Some(_), Some(_)) => Err(Failure::usage(format!("--sweep names {metric} twice"))),
        }
    };
    let cpu = values(Metric::Cpu, settings.thresholds.cpu)?;
    let lag = values(Metric::Lag, settings.thresholds.lag)?;
    if cpu.len() * lag.len() > MOST_VALUES {
        return Err(Failure::usage(format!(
            "the sweeps have {} pairs of thresholds, more than {MOST_VALUES}; take larger steps",
            cpu.len() * lag.len()
        )));
    }
    let pairs = cpu.iter().flat_map(|cpu| lag.iter().map(move |lag| (*cpu, *lag)));
    Ok(pairs
        .map(|(cpu, lag)| {
            let mut variant = *settings;
            (variant.thresholds.cpu, variant.thresholds.lag) = (cpu, lag);
            variant
        })
        .collect())
}

/// The moments: multiples of `--every` since 1970, because servers that align ranges answer only for those.
///
/// # Errors
/// Bounds with no moment between them, or too many moments.
pub fn times(args: &BacktestArgs, now: Timestamp) -> Result<Vec<Timestamp>, Failure> {
    let Some(from) = args.from else {
        return Err(Failure::usage("--from is not given: a time, or a duration ago such as 7d"));
    };
    let (from, to) = bounds(from, args.to, now)?;
    let every_ms = i64::try_from(args.every.as_millis()).unwrap_or(i64::MAX);
    let aligned = |at: Timestamp| at.as_millisecond() - at.as_millisecond().rem_euclid(every_ms);
    let (first, last) = (aligned(from), aligned(to));
    let steps = (last - first) / every_ms;
    if u64::try_from(steps).unwrap_or_default() >= MOST_MOMENTS {
        return Err(Failure::usage(format!(
            "from {from} to {to} there are {steps} moments to decide, more than {MOST_MOMENTS}; \
             take a longer --every or a later --from"
        )));
    }
    let moments = (0..=steps).map(|step| first + step * every_ms);
    Ok(moments.filter_map(|ms| Timestamp::from_millisecond(ms).ok()).collect())
}

/// The two ends of the past to look at; `now` where there is no `to`.
///
/// # Errors
/// An end in the future, or a start that is not before it.
pub fn bounds(from: Bound, to: Option<Bound>, now: Timestamp) -> Result<(Timestamp, Timestamp), Failure> {
    let resolved = |bound: Bound| {
        bound.resolve(now).ok_or_else(|| Failure::usage("--from or --to lies beyond all time"))
    };
    let (from, to) = (resolved(from)?, to.map_or(Ok(now), resolved)?);
    if to > now {
        return Err(Failure::usage(format!("--to is {to}, which is in the future")));
    }
    if from >= to {
        return Err(Failure::usage(format!("--from is {from}, which is not before --to, {to}")));
    }
    Ok((from, to))
}

/// The moments of the recordings in a folder, in time order, each with its other facts. A recording is a file whose name
/// ends in `.jsonl` or `.jsonl.gz`.
///
/// # Errors
/// A folder without recordings, or a file that cannot be replayed.
pub fn recordings(folder: &Path) -> anyhow::Result<Vec<(Moment, Recorded)>> {
    let read = |path: PathBuf| -> anyhow::Result<(Moment, Recorded)> {
        let back = read_back(&Recording::read(&path)?, &path)?;
        let moment = Moment {
            workload: back.workload,
            answers: back.answers,
            allow_many_controllers: back.settings.allow_multiple_controllers,
            has_past: back.recorded.has_past,
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
