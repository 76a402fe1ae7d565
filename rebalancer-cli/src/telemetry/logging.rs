//! The log on standard error: text for people, JSON for machines.

use std::io::{self, IsTerminal};
use std::str::FromStr as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::cli::args::{LogFormat, OutputArgs};
use crate::failure::Failure;
use crate::render::terminal::Terminal;

/// Starts logging for the rest of the process.
///
/// # Errors
/// A log level that does not exist.
pub fn start(args: &OutputArgs) -> Result<(), Failure> {
    let level = args.level();
    let filter = filter(level).map_err(|reason| {
        Failure::usage(format!(
            "LOG_LEVEL is {level:?}: {reason}; write error, warn, info, debug or trace (flag --log-level)"
        ))
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if is_json(args) {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        log.with_ansi(Terminal::stderr(args.color).color).with_target(false).init();
    }
    Ok(())
}

/// Whether the log is for machines.
pub fn is_json(args: &OutputArgs) -> bool {
    match args.log_format {
        LogFormat::Auto => !io::stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    }
}

/// Crates that a bare level applies to. Lines of libraries repeat what is logged here and may quote addresses
/// with credentials; a filter that names a library shows them.
const OWN: [&str; 3] = ["pod_rebalancer", "rebalancer_io", "rebalancer_core"];

/// What is logged.
fn filter(level: &str) -> Result<EnvFilter, String> {
    // A word that is no level would be read as a module name and silence everything else.
    let is_odd = |part: &&str| !part.contains(['=', '[']) && LevelFilter::from_str(part).is_err();
    if let Some(odd) = level.split(',').map(str::trim).find(is_odd) {
        return Err(format!("{odd:?} is no level"));
    }
    let directives = level.split(',').map(str::trim).map(|part| match LevelFilter::from_str(part) {
        Ok(level) => OWN.map(|module| format!("{module}={level}")).join(","),
        Err(_) => part.to_owned(),
    });
    EnvFilter::try_new(directives.collect::<Vec<String>>().join(",")).map_err(|error| error.to_string())
}
