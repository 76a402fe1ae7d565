//! Exit codes. Every decision is a success; a failure to decide or to act is not.

use std::process::ExitCode;

use crate::report::Outcome;

/// Finished: balanced, insufficient data, withheld, planned, rotated, or blocked.
pub const DECIDED: u8 = 0;
/// Could not decide or could not act.
pub const FAILED: u8 = 1;
/// With `--detailed-exitcode`: over threshold, would act or acted.
pub const OVER_THRESHOLD: u8 = 2;
/// With `--detailed-exitcode`: over threshold, but held back.
pub const WITHHELD: u8 = 3;
/// With `--detailed-exitcode`: too little data to decide.
pub const INSUFFICIENT_DATA: u8 = 4;
/// Usage or configuration error. Not clap's 2, so that a typo never reads as "would act".
pub const USAGE: u8 = 64;

/// The outcome that the exit code of several workloads is about: the first of those that people want to hear of.
pub fn weightiest(outcomes: &[Outcome]) -> Outcome {
    let by_weight =
        [Outcome::Rotated, Outcome::Planned, Outcome::Blocked, Outcome::Withheld, Outcome::Balanced];
    let few = if outcomes.is_empty() { Outcome::Balanced } else { Outcome::InsufficientData };
    by_weight.into_iter().find(|outcome| outcomes.contains(outcome)).unwrap_or(few)
}

/// The exit code of a run with this `outcome`.
pub fn code(outcome: Outcome, detailed: bool) -> ExitCode {
    ExitCode::from(match outcome {
        Outcome::Partial | Outcome::Failed => FAILED,
        Outcome::Planned | Outcome::Rotated if detailed => OVER_THRESHOLD,
        Outcome::Withheld | Outcome::Blocked if detailed => WITHHELD,
        Outcome::InsufficientData if detailed => INSUFFICIENT_DATA,
        Outcome::Balanced
        | Outcome::InsufficientData
        | Outcome::Withheld
        | Outcome::Planned
        | Outcome::Rotated
        | Outcome::Blocked => DECIDED,
    })
}
