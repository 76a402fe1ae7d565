//! `version`, `completion` and `man`: what the program tells of itself.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_complete::generate;
use clap_mangen::Man;
use serde::Serialize;

use crate::cli::args::{Cli, CompletionArgs, ManArgs, VersionArgs, VersionFormat};
use crate::cli::{help, usage};
use crate::failure::Failure;
use crate::render::{self, data};
use crate::report::version::API_VERSION;
use crate::revision::REVISION;

/// `completion`: prints the script with which a shell completes commands, flags and values.
///
/// # Errors
/// If it cannot be written.
pub fn completion(args: &CompletionArgs) -> Result<ExitCode, Failure> {
    let mut script: Vec<u8> = Vec::new();
    generate(args.shell, &mut Cli::command(), "pod-rebalancer", &mut script);
    // clap_complete 4.6 writes the dash in a program's name in two ways into the bash script, which then
    // finds no command's flags.
    let script = String::from_utf8_lossy(&script).replace("pod__subcmd__rebalancer", "pod__rebalancer");
    render::print(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// `man`: prints the manual page of the program, made from the one definition of commands and settings, or writes those of all commands to a folder.
///
/// # Errors
/// If they cannot be written.
pub fn man(args: &ManArgs) -> Result<ExitCode, Failure> {
    let mut program = usage::command().disable_help_subcommand(true);
    program.build();
    if let Some(dir) = &args.dir {
        write_all(&program, dir).with_context(|| format!("cannot write the pages to {}", dir.display()))?;
    } else {
        let page = page(&program).context("cannot write the page")?;
        render::print(&String::from_utf8_lossy(&page))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the pages of the program and of its commands.
fn write_all(program: &Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for command in [program].into_iter().chain(program.get_subcommands()) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        std::fs::write(dir.join(format!("{name}.1")), page(command)?)?;
    }
    Ok(())
}

fn page(command: &Command) -> io::Result<Vec<u8>> {
    let has_commands = command.get_subcommands().next().is_some();
    let man = Man::new(command.clone());
    let mut page: Vec<u8> = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(help::sections(command, "pod-rebalancer").into_bytes());
    if command.get_version().is_some() {
        man.render_version_section(&mut page)?;
    }
    Ok(page)
}

/// The version in the form for programs.
#[derive(Debug, Serialize)]
struct VersionReport {
    api_version: &'static str,
    kind: &'static str,
    version: &'static str,
    /// The commit it was built from, if known.
    revision: Option<&'static str>,
}

/// `version`: prints the version of the program and of its reports.
///
/// # Errors
/// If it cannot be written.
pub fn version(args: &VersionArgs) -> Result<ExitCode, Failure> {
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
