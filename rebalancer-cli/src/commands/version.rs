//! `version`: which program this is, and which files it writes and reads.

use std::process::ExitCode;

use anyhow::Context as _;
use serde::Serialize;

use crate::args::{VersionArgs, VersionFormat};
use crate::failure::Failure;
use crate::report::API_VERSION;
use crate::{exit, output};

/// The version for programs.
#[derive(Debug, Serialize)]
struct VersionReport {
    api_version: &'static str,
    kind: &'static str,
    version: &'static str,
}

/// Prints the version.
///
/// # Errors
/// When it cannot be written.
pub fn run(args: &VersionArgs) -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let text = match args.output {
        VersionFormat::Text => format!("pod-rebalancer {version}\n"),
        VersionFormat::Json => {
            let report = VersionReport { api_version: API_VERSION, kind: "Version", version };
            serde_json::to_string_pretty(&report).context("cannot write the version as JSON")? + "\n"
        }
    };
    output::print(&text, std::io::stdout())?;
    Ok(ExitCode::from(exit::DECIDED))
}
