//! `config`: every setting with its value and where the value comes from.

use std::io;
use std::process::ExitCode;

use clap::ArgMatches;
use rebalancer_io::push::Receiver;

use crate::cli::args::{ConfigArgs, OutputFormat, Shown};
use crate::exit;
use crate::failure::Failure;
use crate::render::text::config::table;
use crate::render::{self, data};
use crate::report::config::ConfigReport;
use crate::report::schema;
use crate::settings::{servers, shown};

/// Shows the settings; fails if one is unusable.
///
/// # Errors
/// A setting that is wrong or missing.
pub fn run(args: &ConfigArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    if args.what == Shown::Schema {
        render::print(&data::json(&schema::document())?, io::stdout())?;
        return Ok(ExitCode::from(exit::DECIDED));
    }
    let report = ConfigReport(shown::settings(matches));
    let text = match args.live.output.output {
        OutputFormat::Json => data::json(&report)?,
        OutputFormat::Yaml => data::yaml(&report)?,
        OutputFormat::Csv | OutputFormat::Short | OutputFormat::None => String::new(),
        OutputFormat::Table | OutputFormat::Name => table(&report.0, false),
        OutputFormat::Wide => table(&report.0, true),
    };
    render::print(&text, io::stdout())?;
    servers::prometheus(&args.live.prometheus)?;
    servers::selector(&args.live.kubernetes)?;
    servers::receivers(&args.push).into_iter().collect::<Result<Vec<Receiver>, Failure>>()?;
    servers::push(&args.push)?;
    Ok(ExitCode::from(exit::DECIDED))
}
