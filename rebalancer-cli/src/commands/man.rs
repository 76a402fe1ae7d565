//! `man`: the manual pages, made from the one definition of commands and settings.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Command;
use clap_mangen::Man;

use crate::cli::args::ManArgs;
use crate::cli::{help, usage};
use crate::failure::Failure;
use crate::render;

/// Prints the page of the program, or writes those of all commands to a folder.
///
/// # Errors
/// When they cannot be written.
pub fn run(args: &ManArgs) -> Result<ExitCode, Failure> {
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
