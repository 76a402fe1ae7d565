//! `version`: the version of the program and of its reports.

use std::process::ExitCode;

use serde::Serialize;

use crate::cli::args::{VersionArgs, VersionFormat};
use crate::failure::Failure;
use crate::render::{self, data};
use crate::report::version::API_VERSION;
use crate::revision::REVISION;

/// The version in the form for programs.
#[derive(Debug, Serialize)]
struct VersionReport {
    api_version: &'static str,
    kind: &'static str,
    version: &'static str,
    /// The commit it was built from, if known.
    revision: Option<&'static str>,
}

/// Prints the version.
///
/// # Errors
/// If it cannot be written.
pub fn run(args: &VersionArgs) -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    let text = match args.output {
        VersionFormat::Text => line(version, REVISION),
        VersionFormat::Json => {
            let (api_version, revision) = (API_VERSION, REVISION);
            let report = VersionReport { api_version, kind: "Version", version, revision };
            data::json(&report)?
        }
    };
    render::print(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn line(version: &str, revision: Option<&str>) -> String {
    let revision = revision.map_or_else(String::new, |revision| format!(" ({revision})"));
    format!("pod-rebalancer {version}{revision}\n")
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_release_names_its_commit() {
        assert_eq!(line("1.2.3", Some("0123abc")), "pod-rebalancer 1.2.3 (0123abc)\n");
        assert_eq!(line("1.2.3", None), "pod-rebalancer 1.2.3\n");
    }
}
