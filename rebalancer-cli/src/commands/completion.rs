//! `completion`: the script with which a shell completes commands, flags and values.

use std::process::ExitCode;

use clap::CommandFactory as _;
use clap_complete::generate;

use crate::cli::args::{Cli, CompletionArgs};
use crate::failure::Failure;
use crate::render;

/// Prints the script.
///
/// # Errors
/// If it cannot be written.
pub fn run(args: &CompletionArgs) -> Result<ExitCode, Failure> {
    let mut script: Vec<u8> = Vec::new();
    generate(args.shell, &mut Cli::command(), "pod-rebalancer", &mut script);
    // clap_complete 4.6 writes the dash in a program's name in two ways into the bash script, which then
    // finds no command's flags.
    let script = String::from_utf8_lossy(&script).replace("pod__subcmd__rebalancer", "pod__rebalancer");
    render::print(&script)?;
    Ok(ExitCode::SUCCESS)
}
