//! Parses the command line and the environment. An error names the variable or flag, the value, and what is
//! expected.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Id};
use rebalancer_core::UnknownStrategy;

use crate::cli::args::{self, Cli, OutputFormat, RunArgs};
use crate::cli::catalog;
use crate::cli::earlier;
use crate::cli::help;
use crate::cli::secrets;
use crate::cli::spelling::{self, Typo};
use crate::exit;
use crate::failure::Failure;

/// Parsed arguments, and the source of each.
pub struct Usage {
    /// The parsed command line.
    pub cli: Cli,
    /// The matches of the chosen command, for the source of each value.
    pub matches: ArgMatches,
    /// Set variables that no setting reads, but that look like a setting.
    pub typos: Vec<Typo>,
    /// What to set instead of earlier names.
    pub renamed: Vec<String>,
}

/// Why there are no arguments to continue with. All output has already been printed.
pub struct Stopped {
    /// The exit code.
    pub code: ExitCode,
    /// What is wrong with the settings; `None` after printing help or the version.
    pub wrong: Option<Failure>,
}

impl From<Failure> for Stopped {
    fn from(wrong: Failure) -> Self {
        Self { code: wrong.report(), wrong: Some(wrong) }
    }
}

/// Parses the arguments and the environment of this process.
///
/// # Errors
/// Help or the version was requested (exit 0), or a setting is wrong (exit 64).
pub fn parse() -> Result<Usage, Stopped> {
    let command = command();
    let read =
        |typed: &[OsString]| command.clone().try_get_matches_from(typed).map_err(|error| refuse(&error));
    let typed: Vec<OsString> = std::env::args_os().collect();
    let first = read(&typed)?;
    let (typed, renamed) = in_names_of_now(&command, &first, typed)?;
    let mut matches = if renamed.is_empty() { first } else { read(&typed)? };
    let cli = Cli::from_arg_matches(&matches).map_err(|error| refuse(&error))?;
    if let Some(secret) = secrets::ALL.iter().find(|secret| secret.is_garbled()) {
        return Err(Failure::usage(format!("{} is not UTF-8", secret.variable)).into());
    }
    if let Some(refusal) = refuse_format(&cli.command) {
        return Err(refusal.into());
    }
    let matches = matches.remove_subcommand().map(|(_, chosen)| chosen).unwrap_or_default();
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let set = set.filter_map(|(name, _)| name.into_string().ok());
    Ok(Usage { cli, matches, typos: spelling::find(&variables(), set), renamed })
}

/// What was typed, with the settings that were given by earlier names as parts of the settings of now; and a warning about
/// each of them.
fn in_names_of_now(
    command: &Command,
    matches: &ArgMatches,
    mut typed: Vec<OsString>,
) -> Result<(Vec<OsString>, Vec<String>), Failure> {
    let Some((name, chosen)) = matches.subcommand() else { return Ok((typed, Vec::new())) };
    let Some(definition) = command.find_subcommand(name) else { return Ok((typed, Vec::new())) };
    let (flags, renamed) = earlier::given(chosen, definition)?;
    let place = typed.iter().skip(1).position(|typed| typed == name).map_or(typed.len(), |place| place + 2);
    typed.splice(place..place, flags.into_iter().map(OsString::from));
    Ok((typed, renamed))
}

/// The settings of `run`, as far as the environment is readable: a variable with a wrong value counts as
/// unset, and flags are ignored. `None` unless `run` was called.
pub fn readable_run() -> Option<RunArgs> {
    let name = "run";
    if std::env::args_os().nth(1)? != name {
        return None;
    }
    let mut command = command();
    loop {
        let typed = ["pod-rebalancer", name];
        let error = match command.clone().try_get_matches_from(typed) {
            Ok(matches) => {
                let now = in_names_of_now(&command, &matches, typed.map(OsString::from).to_vec()).ok();
                let now = now.and_then(|(typed, _)| command.clone().try_get_matches_from(typed).ok());
                return match Cli::from_arg_matches(&now.unwrap_or(matches)).ok()?.command {
                    args::Command::Run(args) => Some(args),
                    _ => None,
                };
            }
            Err(error) => error,
        };
        let mut built = command.clone();
        built.build();
        // Each round leaves out one more variable, so it ends.
        let wrong = wrong_argument(&error, built.find_subcommand(name)?)?;
        wrong.get_env()?;
        let id = wrong.get_id().clone();
        command = command.mut_subcommand(name, |run| run.mut_arg(id, |arg| arg.env(None)));
    }
}

/// Whether `run` was asked to act on all workloads, also where the arguments are wrong.
pub fn is_for_all() -> bool {
    std::env::args_os().skip(1).take_while(|typed| typed != "--").any(|typed| typed == "--all")
}

/// Refuses an output format that only another command supports.
fn refuse_format(command: &args::Command) -> Option<Failure> {
    let (form, only) = match (command.output()?.output, command) {
        (OutputFormat::Csv, args::Command::Backtest(_) | args::Command::Scan(_))
        | (OutputFormat::Short, args::Command::Check(_)) => {
            return None;
        }
        (OutputFormat::Csv, args::Command::Run(run)) if run.all.all => return None,
        (OutputFormat::Csv, _) => ("csv", "backtest, scan and run --all"),
        (OutputFormat::Short, _) => ("short", "check"),
        _ => return None,
    };
    Some(Failure::usage(format!("--output {form} (variable OUTPUT) is for {only} only")))
}

/// The names of all variables that the program reads.
fn variables() -> Vec<String> {
    let command = defined();
    let names = arguments(&command).filter_map(Arg::get_env).map(|name| name.to_string_lossy().into_owned());
    names.chain(secrets::ALL.map(|secret| secret.variable.to_owned())).collect()
}

/// The clap definition without empty variables (empty means unset), and without the values of variables in
/// the help: an address or a parameter may contain a credential.
pub fn command() -> Command {
    defined().mut_subcommands(|command| command.mut_args(with_quiet_variable))
}

/// The clap definition as written.
pub fn defined() -> Command {
    let command = Cli::command().mut_subcommands(earlier::with_earlier_names);
    let command = command.mut_subcommands(|command| command.mut_args(in_any_case));
    match plugin_name() {
        Some(name) => command.bin_name(name),
        None => command,
    }
}

/// The words that a flag takes are understood in capitals too.
fn in_any_case(arg: Arg) -> Arg {
    let takes_words = arg.get_long().is_some() && arg.get_action().takes_values();
    if takes_words { arg.ignore_case(true) } else { arg }
}

/// The name as a kubectl plugin: `kubectl rebalance-pods` for `kubectl-rebalance_pods`.
fn plugin_name() -> Option<String> {
    let typed = std::env::args_os().next()?;
    let name = Path::new(&typed).file_stem()?.to_str()?.strip_prefix("kubectl-")?.to_owned();
    Some(format!("kubectl {}", name.replace('-', " ").replace('_', "-")))
}

fn with_quiet_variable(arg: Arg) -> Arg {
    let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
    if empty { arg.env(None) } else { arg.hide_env_values(true) }
}

/// The source of the argument `id`, in words.
pub fn source(matches: &ArgMatches, id: &str) -> &'static str {
    match catalog::source(matches, id) {
        Some(ValueSource::CommandLine) => "flag",
        Some(ValueSource::EnvVariable) => "environment",
        Some(_) => "default",
        None => "unset",
    }
}

/// The same arguments with what these flags change. Defaults and the environment change nothing, nor does a switch that is
/// not among the flags.
///
/// # Errors
/// A flag that is not known, or a value that is not understood.
pub fn changed<T: Args + Clone>(
    args: &T,
    flags: impl Iterator<Item = String>,
) -> Result<T, Box<clap::Error>> {
    let command = T::augment_args(Command::new("pod-rebalancer").no_binary_name(true));
    let command = command.mut_args(|arg| in_any_case(arg.env(None)));
    let mut matches = command.try_get_matches_from(flags)?;
    let is_given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let ids = matches.ids().map(Id::as_str);
    let not_given: Vec<String> = ids.filter(|id| !is_given(id)).map(str::to_owned).collect();
    for id in not_given {
        // Its default would replace the value of `args`.
        drop(matches.try_clear_id(&id));
    }
    let mut changed = args.clone();
    changed.update_from_arg_matches(&matches)?;
    Ok(changed)
}

/// Prints a parse error in the program's own words, and chooses the exit code.
fn refuse(error: &clap::Error) -> Stopped {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
        let short = asked_for_short_help().then(short_help).flatten();
        let printed = short.map_or_else(|| error.print(), |text| io::stdout().write_all(text.as_bytes()));
        let printed = printed.or_else(|error| if gone(&error) { Ok(()) } else { Err(error) });
        let code = ExitCode::from(if printed.is_ok() { exit::DECIDED } else { exit::FAILED });
        return Stopped { code, wrong: None };
    }
    let mut command = command();
    // Messages can only show arguments after the command is built.
    command.build();
    if let Some(message) = explain(error, &command) {
        return Failure::usage(message).into();
    }
    // clap's other messages already name the argument and the usage.
    drop(error.print());
    Stopped { code: ExitCode::from(exit::USAGE), wrong: Some(Failure::usage(error)) }
}

/// Whether `-h` was typed, which asks for less than `--help`.
fn asked_for_short_help() -> bool {
    let mut typed = std::env::args_os().skip(1).take_while(|typed| typed != "--");
    typed.any(|typed| typed == "-h")
}

/// The help of `-h` for the command that was typed.
fn short_help() -> Option<String> {
    let mut program = command();
    let typed = std::env::args_os().nth(1).and_then(|typed| typed.into_string().ok());
    let name = typed.filter(|typed| program.find_subcommand(typed).is_some());
    help::short(&mut program, name.as_deref())
}

/// The message for a bad value, naming its variable or flag.
fn explain(error: &clap::Error, command: &Command) -> Option<String> {
    let arg = wrong_argument(error, command)?;
    let flag = arg.get_long().map_or_else(|| arg.to_string(), |long| format!("--{long}"));
    let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned());
    if error.kind() == ErrorKind::InvalidUtf8 {
        return Some(format!("{} is not UTF-8", variable.unwrap_or(flag)));
    }
    let ContextValue::String(value) = error.get(ContextKind::InvalidValue)? else { return None };
    let assigned = format!("{flag}=");
    let short = arg.get_short().map(|short| format!("-{short}"));
    let typed = std::env::args_os().any(|typed| {
        let typed = typed.to_string_lossy();
        let is_short = short.as_ref().is_some_and(|short| typed.starts_with(short.as_str()));
        typed == flag || typed.starts_with(&assigned) || is_short
    });
    let (name, other) = match variable {
        Some(variable) if !typed => (variable, format!(" (flag {flag})")),
        Some(variable) => (flag, format!(" (variable {variable})")),
        None => (flag, String::new()),
    };
    Some(format!("{name} is {value:?}: {}{other}", expected(error, arg)))
}

/// What is expected instead of a bad value.
pub fn expected(error: &clap::Error, arg: &Arg) -> String {
    let source = std::error::Error::source(error);
    if let Some(why) = source.and_then(|why| why.downcast_ref::<UnknownStrategy>()) {
        return why.to_string();
    }
    let shown = arg.get_possible_values().into_iter().filter(|value| !value.is_hide_set());
    let names: Vec<String> = shown.map(|value| value.get_name().to_owned()).collect();
    if !names.is_empty() {
        return format!("expected one of {}", names.join(", "));
    }
    source.map_or_else(|| "the value is not understood".to_owned(), ToString::to_string)
}

/// The argument with a wrong value; `None` if something else is wrong.
pub fn wrong_argument<'a>(error: &clap::Error, command: &'a Command) -> Option<&'a Arg> {
    if error.kind() == ErrorKind::InvalidUtf8 {
        let garbled = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.to_str().is_none());
        return arguments(command).find(|arg| arg.get_env().is_some_and(garbled));
    }
    if !matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation) {
        return None;
    }
    let ContextValue::String(shown) = error.get(ContextKind::InvalidArg)? else { return None };
    arguments(command).find(|arg| arg.to_string() == *shown)
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    std::iter::once(command).chain(command.get_subcommands()).flat_map(Command::get_arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_that_is_not_given_keeps_what_it_was() {
        let parsed = |flags: &[&str]| -> RunArgs {
            let command = RunArgs::augment_args(Command::new("run").no_binary_name(true));
            let matches = command.try_get_matches_from(flags).expect("flags of a run");
            RunArgs::from_arg_matches(&matches).expect("arguments of a run")
        };
        let flag = || std::iter::once("--min-pods=7".to_owned());
        let own = changed(&parsed(&["--all", "-A", "--yes", "-vv"]), flag()).expect("a setting");
        assert!(own.all.all && own.all.all_namespaces && own.yes, "{own:?}");
        assert_eq!((own.live.output.verbose, own.live.decision.min_pods), (2, 7));
        let own = changed(&parsed(&["-q"]), flag()).expect("a setting");
        assert!(own.live.output.quiet, "{own:?}");
    }
}
