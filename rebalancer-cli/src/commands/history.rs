//! `history`: what each replacement of pods changed; nothing here can evict.

use std::io;
use std::process::ExitCode;

use clap::ArgMatches;
use rebalancer_core::Metric;

use crate::cli::args::HistoryArgs;
use crate::commands::page::{Page, page_settings};
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::backtest::times::bounds;
use crate::pipeline::clocks::now;
use crate::pipeline::history::look::look;
use crate::pipeline::live::Live;
use crate::render;
use crate::render::html::{self, Embedded, Extras};
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
    let live = Live::connect(&args.live, &decision, matches)?;
    let (report, queries) = look(&live, &decision, ends)?;
    let output = &args.live.output;
    render::print(&rendered(&report, output.output, Terminal::stdout(output.color))?, io::stdout())?;
    page.gather(|| {
        let why = "a look at the past asks for more than a page can carry".to_owned();
        let queries = html::of_queries(Metric::ALL.into_iter().filter_map(|metric| queries.get(metric)));
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
