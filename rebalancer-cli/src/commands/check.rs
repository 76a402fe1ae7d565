//! `check`: whether a run could act, one category after another. Changes nothing.

use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;

use crate::cli::args::CheckArgs;
use crate::cli::spelling::Typo;
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::check::{configuration, kubernetes, servers};
use crate::pipeline::clocks::{ADVICE, Finding, findings};
use crate::pipeline::live::Live;
use crate::render::{self, text::checks};
use crate::report::check::{Category, CheckReport, Grade};
use crate::settings::decision::DecisionSettings;

/// Runs the checks. Fails if any check fails; warnings do not count.
///
/// # Errors
/// A setting that is missing or wrong.
pub fn run(args: &CheckArgs, matches: &ArgMatches, typos: &[Typo]) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let live = Live::connect(&args.live, &decision, matches, &Arc::default())?;
    let configuration = configuration::check(&args.live, matches, typos);
    let (kubernetes, workload) = kubernetes::check(&live, &decision, args);
    // The cluster's checks come first: without its pods no metric is found either.
    let mut categories = vec![configuration, kubernetes];
    categories.extend(servers(&live, &decision, workload)?);
    categories.push(clocks(&live));
    let report = CheckReport::new(categories);
    render::write(&report, &args.live.output, checks::render)?;
    Ok(ExitCode::from(if report.success { exit::DECIDED } else { exit::FAILED }))
}

/// Whether the clocks of the servers agree with this machine's.
fn clocks(live: &Live) -> Category {
    let mut category = Category::new("clocks", None);
    for finding in findings(&live.clocks()) {
        match finding {
            Finding::Agrees(words) => category.good(words),
            Finding::Told(words) => category.add(Grade::Warning, words, None),
            Finding::Refused(words) => category.add(Grade::Error, words, Some(ADVICE.to_owned())),
        }
    }
    category
}
