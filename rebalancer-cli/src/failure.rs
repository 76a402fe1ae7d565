//! Failures: how a command ends without a decision.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::Display;
use std::io::Write as _;
use std::process::ExitCode;

use rebalancer_io::kubernetes::ClusterError;
use rebalancer_io::prometheus::QueryError;

use crate::exit;
use crate::format::text::plain;

/// Why there is no decision.
#[derive(Debug)]
pub enum Failure {
    /// A setting is wrong; the same call will fail again.
    Usage(anyhow::Error),
    /// A server failed or gave an unusable answer; a later run may succeed.
    Run(anyhow::Error),
}

impl Failure {
    /// A configuration error with this message.
    pub fn usage(words: impl Display) -> Self {
        Self::Usage(anyhow::anyhow!("{words}"))
    }

    /// The kind of failure for programs: a stable word or an HTTP status.
    pub fn code(&self) -> Cow<'static, str> {
        let Self::Run(error) = self else { return Cow::Borrowed("configuration") };
        let found = |cause: &(dyn Error + 'static)| {
            if let Some(error) = cause.downcast_ref::<QueryError>() {
                return Some(error.code());
            }
            let failure = &cause.downcast_ref::<ClusterError>()?.failure;
            Some(Cow::Borrowed(failure.kind.code()))
        };
        error.chain().find_map(found).unwrap_or(Cow::Borrowed("_OTHER"))
    }

    /// The error and its causes in one line.
    pub fn words(&self) -> String {
        let (Self::Usage(error) | Self::Run(error)) = self;
        chain(error)
    }

    /// The exit code of the program.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => exit::USAGE,
            Self::Run(_) => exit::FAILED,
        }
    }

    /// Prints the error with its causes, and chooses the exit code.
    pub fn report(&self) -> ExitCode {
        // If nobody can read it, the exit code still shows the failure.
        drop(writeln!(std::io::stderr(), "error: {}", self.words()));
        ExitCode::from(self.exit_code())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Run(error)
    }
}

/// The error and its causes in one line, with hidden characters masked.
pub fn chain(error: &anyhow::Error) -> String {
    let parts: Vec<String> = error.chain().map(ToString::to_string).collect();
    plain(&parts.join(": "))
}
