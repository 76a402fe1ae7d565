//! From the command line and the environment to arguments; what is wrong is said with the name
//! of the variable or flag, the value, and what is expected.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, FromArgMatches};

use crate::cli::args::{self, Cli, OutputFormat};
use crate::cli::secrets;
use crate::cli::spelling::{self, Typo};
use crate::exit;
use crate::failure::Failure;

/// Parsed arguments, and where each came from.
pub struct Usage {
    /// What was typed.
    pub cli: Cli,
    /// The matches of the chosen command, for the source of each value.
    pub matches: ArgMatches,
    /// Variables that are set and look like settings, and are none.
    pub typos: Vec<Typo>,
}

/// Parses the arguments of this process.
///
/// # Errors
/// Help and version were printed (exit 0), or a usage error was (exit 64).
pub fn parse() -> Result<Usage, ExitCode> {
    let mut matches =
        command_typed().try_get_matches_from(std::env::args_os()).map_err(|error| refuse(&error))?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| refuse(&error))?;
    if let Some(secret) = secrets::ALL.iter().find(|secret| secret.is_garbled()) {
        return Err(Failure::usage(format!("{} is not UTF-8", secret.variable)).report());
    }
    if let Some(refusal) = refuse_format(&cli.command) {
        return Err(refusal.report());
    }
    let matches = matches.remove_subcommand().map(|(_, chosen)| chosen).unwrap_or_default();
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let set = set.filter_map(|(name, _)| name.into_string().ok());
    let typos = if cli.command.output().is_some() { spelling::find(&variables(), set) } else { Vec::new() };
    Ok(Usage { cli, matches, typos })
}

/// A form of the output that another command has.
fn refuse_format(command: &args::Command) -> Option<Failure> {
    let (form, only) = match (command.output()?.output, command) {
        (OutputFormat::Csv, args::Command::Backtest(_)) | (OutputFormat::Short, args::Command::Check(_)) => {
            return None;
        }
        (OutputFormat::Csv, _) => ("csv", "backtest"),
        (OutputFormat::Short, _) => ("short", "check"),
        _ => return None,
    };
    Some(Failure::usage(format!("--output {form} (variable OUTPUT) is for {only} only")))
}

/// The names of all variables that are read.
fn variables() -> Vec<&'static str> {
    args::VARIABLES.into_iter().chain(secrets::ALL.map(|secret| secret.variable)).collect()
}

/// The clap definition, with empty environment variables taken out, and without their values in
/// the help: an address or a parameter may hold a credential.
pub fn command() -> Command {
    defined().mut_subcommands(quiet)
}

/// The clap definition as it is written.
pub fn defined() -> Command {
    stubs().mut_subcommands(define)
}

/// The same as [`command`] for what was typed to this process. Of one command only its own settings
/// are defined, and none for the version: those of all cost more than the rest of a start.
pub fn command_typed() -> Command {
    let typed = std::env::args_os().nth(1).unwrap_or_default();
    let typed = typed.to_str().unwrap_or_default();
    let stubs = stubs();
    if matches!(typed, "--version" | "-V") {
        return stubs;
    }
    if stubs.find_subcommand(typed).is_none() {
        return command();
    }
    stubs
        .mut_subcommands(|command| if command.get_name() == typed { quiet(define(command)) } else { command })
}

/// The commands without their settings.
fn stubs() -> Command {
    let command = Cli::command();
    match plugin_name() {
        Some(name) => command.bin_name(name),
        None => command,
    }
}

/// Defines the settings of a command. What comes with them is said of their group and not of the
/// command, and is put back.
fn define(mut command: Command) -> Command {
    let about = command.get_about().cloned().unwrap_or_default();
    command.build();
    command.about(about)
}

fn quiet(command: Command) -> Command {
    command.mut_args(with_quiet_variable)
}

/// How the program is called as a plugin: `kubectl rebalance-pods` for `kubectl-rebalance_pods`.
fn plugin_name() -> Option<String> {
    let typed = std::env::args_os().next()?;
    let name = Path::new(&typed).file_stem()?.to_str()?.strip_prefix("kubectl-")?.to_owned();
    Some(format!("kubectl {}", name.replace('-', " ").replace('_', "-")))
}

fn with_quiet_variable(arg: Arg) -> Arg {
    let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if empty { arg.env(None) } else { arg.hide_env_values(true) }
}

/// Where the value of the argument `id` came from, in words.
pub fn source(matches: &ArgMatches, id: &str) -> &'static str {
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        Some(_) => "default",
        None => "unset",
    }
}

/// Prints a parse error in the program's own words and picks the exit code.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        let printed = error.print().or_else(|error| if gone(&error) { Ok(()) } else { Err(error) });
        return ExitCode::from(if printed.is_ok() { exit::DECIDED } else { exit::FAILED });
    }
    let mut command = command();
    // Arguments can be shown in messages only once they are complete.
    command.build();
    if let Some(message) = explain(error, &command) {
        return Failure::usage(message).report();
    }
    // The rest of clap's own messages name the argument and the usage well.
    drop(error.print());
    ExitCode::from(exit::USAGE)
}

/// A bad value, told with the variable or flag it came by.
fn explain(error: &clap::Error, command: &Command) -> Option<String> {
    if error.kind() == ErrorKind::InvalidUtf8 {
        return Some(format!("{} is not UTF-8", garbled_variable(command)?));
    }
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return None;
    }
    let ContextValue::String(usage) = error.get(ContextKind::InvalidArg)? else { return None };
    let ContextValue::String(value) = error.get(ContextKind::InvalidValue)? else { return None };
    let arg = find(command, usage)?;
    let flag = arg.get_long().map(|long| format!("--{long}"));
    let flag = flag.unwrap_or_else(|| usage.clone());
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
    let assigned = format!("{flag}=");
    let typed = std::env::args_os()
        .any(|typed| typed == *flag || typed.to_string_lossy().starts_with(assigned.as_str()));
    let (name, other) = match variable {
        Some(variable) if !typed => (variable, format!(" (flag {flag})")),
        Some(variable) => (flag, format!(" (variable {variable})")),
        None => (flag, String::new()),
    };
    let fix = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => {
            format!("expected one of {}", values.join(", "))
        }
        _ => std::error::Error::source(error)
            .map_or_else(|| "the value is not understood".to_owned(), ToString::to_string),
    };
    Some(format!("{name} is {value:?}: {fix}{other}"))
}

/// The first variable that holds bytes which are no text.
fn garbled_variable(command: &Command) -> Option<String> {
    let variables = arguments(command).filter_map(Arg::get_env);
    let garbled =
        |name: &&std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
    variables.into_iter().find(garbled).map(|name| name.to_string_lossy().into_owned())
}

/// The argument that clap calls `usage` in its messages.
fn find<'a>(command: &'a Command, usage: &str) -> Option<&'a Arg> {
    arguments(command).find(|arg| arg.to_string() == usage)
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    std::iter::once(command).chain(command.get_subcommands()).flat_map(Command::get_arguments)
}
