//! `report`: makes a page from a saved report or recording.

use std::io::{BufRead as _, Cursor, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ArgMatches;
use rebalancer_io::json::{MAX_VALUES, is_crowded};
use serde::de::IgnoredAny;
use serde_json::Value;

use crate::cli::args::ReportArgs;
use crate::commands::page::{Page, replay_extras};
use crate::failure::Failure;
use crate::pipeline::replay::{Reader, Replayed, open};
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
    let path = args.saved.path.as_path();
    let (report, opened) = match open(path, "read")? {
        Some(reader) => saved_report(path, reader)?,
        None => (None, None),
    };
    let (report, extras) = if let Some(report) = report {
        let why = "a JSON report does not hold the answers it was made from".to_owned();
        (report, Extras { recording: Embedded::LeftOut(why), ..Extras::default() })
    } else {
        let replayed = Replayed::new(opened, &args.saved, matches, &Notes::begin(), true)?;
        let report = serde_json::to_value(&replayed.report).context("cannot write the report as JSON")?;
        (report, replay_extras(&replayed, matches))
    };
    let text = html::page(&report, &extras).with_context(|| args.saved.path.display().to_string())?;
    if page.is_wanted() {
        page.put(&text)?;
    } else {
        render::print(&text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The report in a file; if the file is something else, which a replay may understand, that from its beginning.
fn saved_report(path: &Path, mut file: Reader) -> Result<(Option<Value>, Option<Reader>), Failure> {
    // A report is a JSON object, and so is the first line of a recording; a list or a page is neither.
    let head = file.fill_buf().unwrap_or_default();
    if head.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
        return Ok((None, Some(file)));
    }
    let mut text: Vec<u8> = Vec::new();
    let read = (&mut file).take(MAX_REPORT_BYTES).read_to_end(&mut text);
    // In a recording each line is a JSON value.
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let is_value = serde_json::from_slice::<IgnoredAny>(line).is_ok();
    let first = if is_value { line } else { text.as_slice() };
    if first.len() as u64 == MAX_REPORT_BYTES || is_crowded(first, MAX_VALUES) {
        let limit = MAX_REPORT_BYTES >> 20;
        return Err(Failure::usage(format!(
            "{} is no report: it is larger than {limit} MiB, or holds more than {MAX_VALUES} values",
            path.display()
        )));
    }
    let value = serde_json::Deserializer::from_slice(first).into_iter().next();
    let report: Option<Value> = value.and_then(Result::ok);
    Ok(match report.filter(|report| read.is_ok() && report.get("api_version").is_some()) {
        Some(report) => (Some(report), None),
        None => (None, Some(Box::new(Cursor::new(text).chain(file)))),
    })
}
