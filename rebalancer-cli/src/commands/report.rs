//! `report`: makes a page from a saved report or recording.

use std::io::{self, BufRead as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;
use rebalancer_io::file;
use rebalancer_io::json::{MAX_VALUES, is_crowded};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::cli::args::ReportArgs;
use crate::commands::page::{Page, replay_extras};
use crate::exit;
use crate::failure::Failure;
use crate::pipeline::replay::Replayed;
use crate::render;
use crate::render::html::{self, Embedded, Extras};
use crate::telemetry::notes::Notes;

/// Largest saved report that is read, in bytes after decompression: one of 30,000 pods.
const MAX_REPORT_BYTES: u64 = 32 << 20;

/// Makes the page.
///
/// # Errors
/// A path that cannot be read or contains something else, or a page that cannot be written.
pub fn run(args: &ReportArgs, matches: &ArgMatches) -> Result<ExitCode, Failure> {
    let page = Page::new(args.file.as_deref())?;
    let (report, extras) = if let Some(report) = saved_report(&args.saved.path)? {
        let why = "a JSON report does not hold the answers it was made from".to_owned();
        (report, Extras { recording: Embedded::LeftOut(why), ..Extras::default() })
    } else {
        let replayed = Replayed::new(&args.saved, matches, &Notes::begin(), true)?;
        let report = serde_json::to_value(&replayed.report).context("cannot write the report as JSON")?;
        (report, replay_extras(&replayed, matches))
    };
    let text = html::page(&report, &extras).with_context(|| args.saved.path.display().to_string())?;
    if page.is_wanted() {
        page.put(&text)?;
    } else {
        render::print(&text, io::stdout())?;
    }
    Ok(ExitCode::from(exit::DECIDED))
}

/// The report in a file; `None` if the file is something else, which a replay may understand.
fn saved_report(path: &Path) -> Result<Option<Value>, Failure> {
    let shown = path.display();
    let facts =
        std::fs::metadata(path).map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    if facts.is_dir() {
        return Ok(None);
    }
    let mut file = file::open(path).with_context(|| format!("cannot read {shown}"))?;
    // A report is a JSON object, and so is the first line of a recording; a list or a page is neither.
    let head = file.fill_buf().unwrap_or_default();
    if head.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Ok(None);
    }
    let mut text: Vec<u8> = Vec::new();
    if file.take(MAX_REPORT_BYTES).read_to_end(&mut text).is_err() {
        return Ok(None);
    }
    // In a recording each line is a JSON value.
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_value = serde_json::from_slice::<IgnoredAny>(line).is_ok();
    let first = if is_value { line } else { text.as_slice() };
    if first.len() as u64 == MAX_REPORT_BYTES || is_crowded(first, MAX_VALUES) {
        let limit = MAX_REPORT_BYTES >> 20;
        return Err(Failure::usage(format!(
            "{shown} is no report: it is larger than {limit} MiB, or holds more than {MAX_VALUES} values"
        )));
    }
    let value = serde_json::Deserializer::from_slice(first).into_iter().next();
    let report: Option<Value> = value.and_then(Result::ok);
    Ok(report.filter(|report| report.get("api_version").is_some()))
}
