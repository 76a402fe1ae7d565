//! `replay`: decides again from saved data, offline.

use std::process::ExitCode;

use clap::ArgMatches;

use crate::cli::args::ReplayArgs;
use crate::commands::page::{Page, replay_extras};
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::replay::{Replayed, open};
use crate::render::{self, text::table};
use crate::telemetry::delivery::Delivery;
use crate::telemetry::notes::Notes;

/// Replays.
///
/// # Errors
/// A path that cannot be read, or that contains something else.
pub fn run(args: &ReplayArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let mut page = Page::new(args.page.report.as_deref())?;
    let notes = Notes::begin();
    let delivery = Delivery::to_file(&args.textfile);
    let detailed = args.output.output.shows_pods() || delivery.is_wanted() || page.is_wanted();
    let replayed = Replayed::new(open(&args.saved.path, "replay")?, &args.saved, matches, &notes, detailed)?;
    delivery.deliver(&notes.end(replayed.told_about(), Ok(&replayed.report)));
    render::write(&replayed.report, &args.output, table::render)?;
    page.gather(|| replay_extras(&replayed, matches));
    page.write(&replayed.report)?;
    Ok(exit::code(replayed.report.outcome, args.output.detailed_exitcode))
}
