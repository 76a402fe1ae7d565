//! The log: on standard error, text for people and JSON for machines.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::args::{LogFormat, OutputArgs};
use crate::failure::Failure;

/// Starts logging for the rest of the process.
///
/// # Errors
/// A level that is none.
pub fn start(args: &OutputArgs) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&args.log_level).map_err(|error| {
        let level = &args.log_level;
        Failure::usage(format!(
            "LOG_LEVEL is {level:?}: {error}; write error, warn, info, debug or trace (flag --log-level)"
        ))
    })?;
    let terminal = io::stderr().is_terminal();
    let json = match args.log_format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    if json {
        log.json().flatten_event(true).with_current_span(false).with_span_list(false).init();
    } else {
        log.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()))
            .with_target(false)
            .init();
    }
    Ok(())
}
