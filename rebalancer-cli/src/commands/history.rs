//! `history`: what each replacement of pods changed; nothing here can evict.

use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;
use rebalancer_core::Metric;

use crate::cli::args::HistoryArgs;
use crate::commands::page::Page;
use crate::failure::Failure;
use crate::pipeline::backtest::bounds;
use crate::pipeline::clocks::now;
use crate::pipeline::history::look::look;
use crate::pipeline::live::Live;
use crate::render;
use crate::render::html;
use crate::render::terminal::Terminal;
use crate::render::text::history::render as rendered;
use crate::settings::decision::DecisionSettings;

/// Looks at the past of a workload.
///
/// # Errors
/// A setting, a server or an answer that is wrong.
pub fn run(args: &HistoryArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut page = Page::new(args.page.report.as_deref())?;
    let decision = DecisionSettings::from(&args.live.decision);
    let ends = bounds(args.from, args.to, now())?;
    let live = Live::connect(&args.live, &decision, matches, &Arc::default())?;
    let (report, queries) = look(&live, &decision, ends)?;
    let output = &args.live.output;
    render::print(&rendered(&report, output.output, Terminal::stdout(output.color))?)?;
    page.gather_without_recording("a look at the past", matches, || {
        html::of_queries(Metric::ALL.into_iter().filter_map(|metric| queries.get(metric)))
    });
    page.write(&report)?;
    Ok(ExitCode::SUCCESS)
}
