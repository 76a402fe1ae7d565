//! `check`: whether a run would work, category by category; changes nothing.

use std::process::ExitCode;

use clap::ArgMatches;

use crate::args::CheckArgs;
use crate::decide::DecisionSettings;
use crate::exit;
use crate::failure::Failure;
use crate::live::Live;
use crate::typo::Typo;

mod configuration;
mod kubernetes;
mod prometheus;
mod report;

pub use report::CheckReport;

/// Checks. Fails when any check does; warnings never fail it.
///
/// # Errors
/// A setting that is missing or wrong.
pub fn run(args: &CheckArgs, matches: &ArgMatches, typos: &[Typo]) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let live = Live::connect(&args.live, &decision, matches)?;
    let configuration = configuration::check(&args.live, matches, typos);
    let (kubernetes, workload) = kubernetes::check(&live, &decision, args);
    let prometheus = prometheus::check(&live, &decision, &workload)?;
    let report = CheckReport::new(vec![configuration, prometheus, kubernetes]);
    report.write(&args.live.output)?;
    Ok(ExitCode::from(if report.success { exit::DECIDED } else { exit::FAILED }))
}
