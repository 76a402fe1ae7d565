//! Settings of the decision: thresholds, floors, guards.

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};
use rebalancer_core::Strategy;
use strum::IntoStaticStr;

use super::guards::GuardArgs;
use super::metrics::ScoreArgs;
use crate::cli::values;

/// Thresholds, floors, and what decides beside them.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Decision")]
pub struct DecisionArgs {
    /// Act when the spread of CPU (standard deviation over mean) is above this ratio
    #[arg(long, value_name = "RATIO", env = "CPU_VARIANCE_THRESHOLD", default_value = "0.3", value_parser = values::ratio)]
    pub cpu_variance_threshold: f64,
    /// Act when the spread of lag (standard deviation over mean) is above this ratio
    #[arg(long, value_name = "RATIO", env = "LAG_VARIANCE_THRESHOLD", default_value = "0.5", value_parser = values::ratio)]
    pub lag_variance_threshold: f64,
    /// Do nothing if fewer pods than this are Ready, or have all used metrics
    #[arg(long, value_name = "COUNT", env = "MIN_PODS_REQUIRED", default_value = "3", value_parser = min_pods)]
    pub min_pods: usize,
    /// Ignore a metric that fewer than this share of the pods have; 0 turns this off
    #[arg(long, value_name = "SHARE", env = "MIN_COVERAGE", default_value = "0.8", value_parser = values::share)]
    pub min_coverage: f64,
    #[command(flatten)]
    pub score: ScoreArgs,
    /// Which pods to evict. `rotate_outliers`: the busiest and the least busy one. `by_cause`: an ill pod
    /// alone; without one, the two pods whose replacement is predicted to gain most, or if nothing can be
    /// predicted, the busiest and the least busy one
    #[arg(long, value_name = "STRATEGY", env = "STRATEGY", default_value = "rotate_outliers", value_parser = strategy())]
    pub strategy: Strategy,
    /// `standard` asks every guard before acting; `off` decides by the thresholds alone, without vetoes and
    /// without the floors of CPU and lag. Budgets, opt-outs and pauses count all the same
    #[arg(long, value_name = "MODE", env = "GUARDS", default_value = "standard", value_enum)]
    pub guards: GuardMode,
    /// Ignore samples older than this
    #[arg(long, value_name = "DURATION", env = "MAX_SAMPLE_AGE", default_value = "180s", value_parser = values::positive_duration)]
    pub max_sample_age: Duration,
    #[command(flatten)]
    pub limits: GuardArgs,
}

fn min_pods(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count >= 2 => Ok(count),
        _ => Err("expected a whole number, 2 or more: a rotation takes two different pods".to_owned()),
    }
}

fn strategy() -> impl TypedValueParser<Value = Strategy> {
    // Strategies of earlier versions are read, to say what to set.
    let known = [("rotate_outliers", "rotate-outliers"), ("by_cause", "by-cause")]
        .map(|(name, alias)| PossibleValue::new(name).alias(alias));
    let replaced = [("planned_pair", "planned-pair"), ("replace_outlier", "replace-outlier")]
        .map(|(name, alias)| PossibleValue::new(name).alias(alias).hide(true));
    PossibleValuesParser::new(known.into_iter().chain(replaced)).try_map(|name| {
        let name = name.to_ascii_lowercase().replace('-', "_");
        name.parse::<Strategy>()
    })
}

/// Whether guards are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum GuardMode {
    /// Asks every guard that its own setting does not turn off.
    #[value(alias = "on")]
    Standard,
    /// Asks none: the thresholds alone decide.
    #[value(aliases = ["none", "false"])]
    Off,
}
