//! `backtest`: decides over the past; nothing here can evict.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::ArgMatches;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rebalancer_core::Metric;
use rebalancer_io::metrics::{FactQueries, OriginQueries, QuerySet};
use rebalancer_io::origin::one_origin;

use crate::cli::args::BacktestArgs;
use crate::commands::page::{Page, page_settings};
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::backtest::judge::judge;
use crate::pipeline::backtest::own::OwnRotations;
use crate::pipeline::backtest::past::Past;
use crate::pipeline::backtest::recordings::Recordings;
use crate::pipeline::backtest::times::times;
use crate::pipeline::backtest::variants::variants;
use crate::pipeline::clocks::{self, now};
use crate::pipeline::live::{AskedOf, Live};
use crate::render;
use crate::render::html::{self, Embedded, Extras, QueryRow};
use crate::render::text::backtest::render as rendered;
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
            let recordings = Recordings::open(folder, settings.freshness())?;
            let decided = over_recordings(&recordings, &variants)?;
            let workload = WorkloadReport::default();
            (BacktestReport::new(&settings, &variants, workload, None, decided), Vec::new())
        }
        None => over_history(args, matches, &settings, &variants)?,
    };
    render::print(&rendered(&report, args.live.output.output)?, io::stdout())?;
    page.gather(|| {
        let why = "a backtest asks for more than a page can carry".to_owned();
        Extras {
            settings: page_settings(matches, None),
            queries,
            recording: Embedded::LeftOut(why),
            pasts: Vec::new(),
        }
    });
    page.write(&report)?;
    Ok(ExitCode::from(exit::DECIDED))
}

/// The decisions at each moment; `None` if there are no data.
type Decided = Vec<Option<Vec<Decision>>>;

fn over_recordings(recordings: &Recordings, variants: &[DecisionSettings]) -> anyhow::Result<Decided> {
    let mut own = vec![OwnRotations::default(); variants.len()];
    recordings.moments().map(|(moment, finder)| judge(variants, &mut own, moment, &finder)).collect()
}

fn over_history(
    args: &BacktestArgs,
    matches: &ArgMatches,
    settings: &DecisionSettings,
    variants: &[DecisionSettings],
) -> Result<(BacktestReport, Vec<QueryRow>), Failure> {
    let times = times(args, now())?;
    let live = Live::connect(&args.live, settings, matches)?;
    let listed_at = now();
    let workload = live.workload()?;
    let AskedOf { settings: query_settings, found, unclear } = live.asked_of(&workload)?;
    for unclear in unclear {
        tracing::warn!(event = "setting.unclear", "{unclear}");
    }
    let queries = QuerySet::new(&query_settings).map_err(|error| Failure::Usage(error.into()))?;
    let facts = FactQueries::new(&queries, &query_settings).map_err(|error| Failure::Usage(error.into()))?;
    let client = live.client(None)?;
    one_origin(&client, &OriginQueries::new(&query_settings), &workload.pods, listed_at)
        .context("cannot tell whose series these are")?;
    for told in clocks::held_against(&live.clocks())? {
        tracing::warn!(event = "clock.skewed", "{told}");
    }
    let past = Past::new(&client, &queries, &facts, &workload, listed_at, settings.freshness());
    let mut past = past.allowing_many_controllers(args.live.kubernetes.allow_multiple_controllers);
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
    let asked = html::of_queries(Metric::ALL.into_iter().filter_map(|metric| queries.get(metric)));
    let described = live.describe(&workload, found);
    let report = BacktestReport::new(settings, variants, described, Some(args.every), decided);
    let unaged = Metric::ALL.into_iter().filter(|metric| queries.is_own(*metric)).map(|metric| {
        format!(
            "the age of the samples behind the own query of {metric}: MAX_SAMPLE_AGE is not held against it"
        )
    });
    Ok((report.lacking(past.not_had().into_iter().chain(unaged).collect()), asked))
}

/// A progress bar on standard error, only on a terminal.
fn progress(moments: usize) -> ProgressBar {
    let terminal = io::stderr().is_terminal();
    let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(u64::try_from(moments).ok(), target);
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} moments, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
