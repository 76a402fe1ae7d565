//! What to say of samples whose age cannot be known.

use rebalancer_core::Metric;
use rebalancer_io::metrics::{UnknownAge, query_variable};
use rebalancer_io::podstate::Answers;

use crate::cli::args::GuardMode;
use crate::settings::decision::DecisionSettings;

/// Warnings about samples that may be of any age.
///
/// # Errors
/// With guards on, there being any.
pub fn of_known_age(answers: &Answers, decision: &DecisionSettings) -> anyhow::Result<Vec<String>> {
    let mut told: Vec<String> = Vec::new();
    for (metric, why) in answers.unknown_ages.iter() {
        let Some(why) = why else { continue };
        let words = unknown_age(metric, why);
        if decision.mode == GuardMode::Standard {
            anyhow::bail!("{words}; {UNKNOWN_AGE_ADVICE}");
        }
        told.push(words);
    }
    Ok(told)
}

/// The message that the age of an own query's samples is unknown.
pub fn unknown_age(metric: Metric, why: &UnknownAge) -> String {
    format!("{metric}: it cannot be known how old the samples of {} are: {why}", query_variable(metric))
}

/// What to do about an unknown age.
pub const UNKNOWN_AGE_ADVICE: &str = "MAX_SAMPLE_AGE is held against the series that a query reads: write it with \
     plain selectors that the server has samples of, or turn the guards off by GUARDS=off";
