//! `history`: what each replacement of pods changed; nothing here can evict.

use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;

use crate::cli::args::HistoryArgs;
use crate::commands::page::Page;
use crate::failure::Failure;
use crate::pipeline::backtest::bounds;
use crate::pipeline::clocks::now;
use crate::pipeline::history::look::look;
use crate::pipeline::live::Live;
use crate::render::{self, html, text};
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
    render::write(&report, &args.live.output, text::history::render)?;
    page.gather_without_recording("a look at the past", matches, || html::of_queries(&queries));
    page.write(&report)?;
    Ok(ExitCode::SUCCESS)
}
