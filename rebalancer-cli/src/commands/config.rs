//! `config`: every setting with its value and where the value comes from, and what was found where none is set.

use std::process::ExitCode;
use std::sync::Arc;

use clap::ArgMatches;
use rebalancer_io::push::Receiver;

use crate::cli::args::{ConfigArgs, OutputFormat, Shown};
use crate::cli::usage;
use crate::failure::Failure;
use crate::format::text::{masked, plain};
use crate::pipeline::live::Live;
use crate::render::text::config::table;
use crate::render::{self, data};
use crate::report::config::ConfigReport;
use crate::report::{FoundReport, schema};
use crate::settings::decision::DecisionSettings;
use crate::settings::{kafka, queries, servers, shown};

/// Shows the settings; fails if one is unusable.
///
/// # Errors
/// A setting that is wrong or missing.
pub fn run(args: &ConfigArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    if args.what == Shown::Schema {
        render::print(&data::json(&schema::document())?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.what == Shown::Found {
        return found(args, matches);
    }
    let live = &args.live;
    render::write(&ConfigReport(shown::settings(matches)), &live.output, |report, format, _| {
        table(&report.0, format == OutputFormat::Wide)
    })?;
    servers::check(&live.prometheus)?;
    servers::selector(&live.kubernetes, usage::source(matches, "selector") == "flag")?;
    if kafka::is_asked(&live.kafka, live.queries.metrics_preset) {
        kafka::config(&live.kafka)?;
    }
    queries::check(&queries::of(live, "namespace", &DecisionSettings::from(&live.decision)))?;
    servers::receivers(&args.push).into_iter().collect::<Result<Vec<Receiver>, Failure>>()?;
    servers::push(&args.push)?;
    servers::webhook(&args.webhook)?;
    Ok(ExitCode::SUCCESS)
}

/// Looks for what is not set, and prints it as it can be set.
fn found(args: &ConfigArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let decision = DecisionSettings::from(&args.live.decision);
    let live = Live::connect(&args.live, &decision, matches, &Arc::default())?;
    let found = live.pinned()?;
    let told = |FoundReport { setting, value, why }: &FoundReport, wide: bool| {
        let why = if wide { format!("# {}\n", plain(why)) } else { String::new() };
        format!("{why}{setting}={}\n", shell_word(&masked(value)))
    };
    render::write(&found, &args.live.output, |found, format, _| {
        found.iter().map(|found| told(found, format == OutputFormat::Wide)).collect()
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The text as one word of a shell.
fn shell_word(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=,@".contains(letter);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}
