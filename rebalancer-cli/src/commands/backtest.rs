//! `backtest`: decides over the past; nothing here can evict.

use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressStyle};
use rebalancer_core::Metric;

use crate::cli::args::BacktestArgs;
use crate::commands::page::Page;
use crate::failure::Failure;
use crate::pipeline::backtest::judge::{OwnRotations, judge};
use crate::pipeline::backtest::past::Past;
use crate::pipeline::backtest::{recordings, times, variants};
use crate::pipeline::clocks::now;
use crate::pipeline::history::look::subject;
use crate::pipeline::live::Live;
use crate::render::html::{self, QueryRow};
use crate::render::terminal::progress_bar;
use crate::render::{self, text};
use crate::report::WorkloadReport;
use crate::report::backtest::BacktestReport;
use crate::report::backtest::Decision;
use crate::settings::decision::DecisionSettings;

/// Decides over the past.
///
/// # Errors
/// A setting, a server, an answer or a recording that is wrong.
pub fn run(args: &BacktestArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut page = Page::new(args.page.report.as_deref())?;
    let settings = DecisionSettings::from(&args.live.decision);
    let variants = variants(&settings, &args.sweep)?;
    let (report, queries) = match &args.recordings {
        Some(folder) => {
            let mut own = vec![OwnRotations::default(); variants.len()];
            let recordings = recordings(folder)?;
            let decided = recordings
                .iter()
                .map(|(moment, other)| judge(&variants, &mut own, moment, &other.finder(moment.at())));
            let decided = decided.collect::<anyhow::Result<Decided>>()?;
            let workload = WorkloadReport::default();
            (BacktestReport::new(&settings, &variants, workload, None, decided), Vec::new())
        }
        None => over_history(args, matches, &settings, &variants)?,
    };
    render::write(&report, &args.live.output, text::backtest::render)?;
    page.gather_without_recording("a backtest", matches, || queries);
    page.write(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// The decisions at each moment; `None` if there are no data.
type Decided = Vec<Option<Vec<Decision>>>;

fn over_history(
    args: &BacktestArgs,
    matches: &ArgMatches,
    settings: &DecisionSettings,
    variants: &[DecisionSettings],
) -> Result<(BacktestReport, Vec<QueryRow>), Failure> {
    let times = times(args, now())?;
    let live = Live::connect(&args.live, settings, matches, &Arc::default())?;
    let (subject, client) = subject(&live)?;
    let (queries, facts) = subject.all_queries()?;
    let mut past =
        Past::new(&client, &subject, (&queries, &facts), args.live.kubernetes.allow_multiple_controllers);
    let progress = progress(times.len());
    let mut own = vec![OwnRotations::default(); variants.len()];
    let mut decided: Decided = Vec::with_capacity(times.len());
    for chunk in times.chunks(past.chunk()) {
        for moment in past.moments(chunk, args.every)? {
            let judged = moment.map(|moment| judge(variants, &mut own, &moment, &past.finder(moment.at())));
            decided.push(judged.transpose()?.flatten());
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    let asked = html::of_queries(&queries);
    let described = subject.described.clone();
    let mut report = BacktestReport::new(settings, variants, described, Some(args.every), decided);
    let unaged = Metric::ALL.into_iter().filter(|metric| queries.is_own(*metric)).map(|metric| {
        format!(
            "the age of the samples behind the own query of {metric}: MAX_SAMPLE_AGE is not held against it"
        )
    });
    report.not_had = past.not_had().into_iter().chain(unaged).collect();
    Ok((report, asked))
}

/// A progress bar on standard error, only on a terminal.
fn progress(moments: usize) -> ProgressBar {
    let bar = progress_bar(u64::try_from(moments).ok());
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} moments, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
