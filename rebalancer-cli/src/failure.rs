//! How a command ends when it does not end with a decision.

use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use crate::exit;
use crate::output::plain;

/// Why there is no decision, and whose fault that is.
#[derive(Debug)]
pub enum Failure {
    /// The configuration cannot be used; the same call will fail again.
    Usage(anyhow::Error),
    /// The world did not answer as it must; a later run may succeed.
    Run(anyhow::Error),
}

impl Failure {
    /// A configuration error in these words.
    pub fn usage(words: impl Display) -> Self {
        Self::Usage(anyhow::anyhow!("{words}"))
    }

    /// Prints the error with its causes, and picks the exit code.
    pub fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Self::Usage(error) => (error, exit::USAGE),
            Self::Run(error) => (error, exit::FAILED),
        };
        // Where nobody reads it, the exit code tells.
        drop(writeln!(std::io::stderr(), "error: {}", chain(error)));
        ExitCode::from(code)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

/// The error and its causes in one line, without control characters of the other side.
pub fn chain(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    plain(&parts.join(": "))
}
