//! `report`: a page of what was saved, a report or a recording; decides at most again, and changes
//! nothing.

use std::io::{self, BufReader};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;
use rebalancer_io::file;
use serde_json::Value;

use super::replay::Replayed;
use crate::args::ReportArgs;
use crate::failure::Failure;
use crate::html::{self, Embedded, Extras};
use crate::page::Page;
use crate::telemetry::Notes;
use crate::{exit, output};

/// Makes the page.
///
/// # Errors
/// A path that cannot be read or holds something else, or a page that cannot be written.
pub fn run(args: &ReportArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let page = Page::new(args.file.as_deref())?;
    let (report, extras) = if let Some(report) = saved_report(&args.saved.path)? {
        let why = "a JSON report does not hold the answers it was made from".to_owned();
        (report, Extras { recording: Embedded::LeftOut(why), ..Extras::default() })
    } else {
        let replayed = Replayed::new(&args.saved, matches, &Notes::begin(), true)?;
        let report = serde_json::to_value(&replayed.report).context("cannot write the report as JSON")?;
        (report, replayed.extras(matches))
    };
    let text = html::page(&report, &extras).with_context(|| args.saved.path.display().to_string())?;
    if page.is_wanted() {
        page.put(&text)?;
    } else {
        output::print(&text, io::stdout())?;
    }
    Ok(ExitCode::from(exit::DECIDED))
}

/// The report in a file; `None` where the file is something else, which a replay may know.
fn saved_report(path: &Path) -> Result<Option<Value>, Failure> {
    let shown = path.display();
    let facts =
        std::fs::metadata(path).map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    if facts.is_dir() {
        return Ok(None);
    }
    let file = file::open(path).with_context(|| format!("cannot read {shown}"))?;
    // The first value alone: the lines of a recording are many.
    let first = serde_json::Deserializer::from_reader(BufReader::new(file)).into_iter().next();
    let report: Option<Value> = first.and_then(Result::ok);
    Ok(report.filter(|report| report.get("api_version").is_some()))
}
