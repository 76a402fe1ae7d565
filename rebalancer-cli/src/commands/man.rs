//! `man`: the manual pages, generated from the definition of commands and settings.

use std::process::ExitCode;

use anyhow::Context as _;
use clap_mangen::{Man, generate_to};

use crate::cli::args::ManArgs;
use crate::cli::usage;
use crate::exit;
use crate::failure::Failure;
use crate::render;

/// Prints the program's page, or writes the pages of all commands to a folder.
///
/// # Errors
/// If they cannot be written.
pub fn run(args: &ManArgs) -> Result<ExitCode, Failure> {
    let command = usage::command();
    if let Some(dir) = &args.dir {
        let write = std::fs::create_dir_all(dir).and_then(|()| generate_to(command, dir));
        write.with_context(|| format!("cannot write the pages to {}", dir.display()))?;
    } else {
        let mut page: Vec<u8> = Vec::new();
        Man::new(command).render(&mut page).context("cannot write the page")?;
        render::print(&String::from_utf8_lossy(&page), std::io::stdout())?;
    }
    Ok(ExitCode::from(exit::DECIDED))
}
