//! The limits of the decision, resolved from the arguments.

use std::time::Duration;

use rebalancer_core::guard::{ChurnBudget, GuardSettings, OutlierTrigger, Persistence};
use rebalancer_core::{AssignorChoice, Freshness, PerMetric, RotationOptions, Strategy, Thresholds};

use crate::cli::args::{DecisionArgs, GuardArgs, GuardMode};

/// The deadline with which a plan's rotation is judged; nothing waits for it.
pub const PLAN_DEADLINE: Duration = Duration::from_secs(90);

/// The settings of a decision, resolved from the arguments.
#[derive(Debug, Clone, Copy)]
pub struct DecisionSettings {
    /// Thresholds, floors, weights.
    pub thresholds: Thresholds,
    /// Whether guards are on.
    pub mode: GuardMode,
    /// The guards that are on; none with `GUARDS=off`.
    pub guards: GuardSettings,
    /// Which pods are rotated.
    pub strategy: Strategy,
    /// Samples older than this count as missing.
    pub max_sample_age: Duration,
    /// How the group's assignor is found.
    pub assignor: AssignorChoice,
    /// Consumers in each pod, if set.
    pub consumers_per_pod: Option<usize>,
    /// Whether replacements keep the identity of the pods they replace, if set.
    pub static_membership: Option<bool>,
}

impl From<&DecisionArgs> for DecisionSettings {
    fn from(args: &DecisionArgs) -> Self {
        let floors = args.score.floors;
        let guarded = args.guards == GuardMode::Standard;
        let thresholds = Thresholds {
            cpu: args.cpu_variance_threshold,
            lag: args.lag_variance_threshold,
            min_pods: args.min_pods,
            min_coverage: args.min_coverage,
            trigger_floors: if guarded { floors } else { PerMetric::default() },
            score_floors: floors,
            weights: args.score.score_weights,
        };
        Self {
            thresholds,
            mode: args.guards,
            guards: if guarded { guards(&args.limits) } else { GuardSettings::OFF },
            strategy: args.strategy,
            max_sample_age: args.max_sample_age,
            assignor: args.limits.assignor,
            consumers_per_pod: args.limits.consumers_per_pod,
            static_membership: args.limits.static_membership,
        }
    }
}

impl DecisionSettings {
    /// The warm-up in use; zero if it is off.
    pub fn warm_up(&self) -> Duration {
        self.guards.warm_up.unwrap_or_default()
    }

    /// Which pods and samples count.
    pub fn freshness(&self) -> Freshness {
        Freshness { warm_up: self.warm_up(), max_sample_age: self.max_sample_age }
    }

    /// How a rotation would be carried out, accepting pods of several controllers or not. Method and pacing
    /// are the defaults.
    pub fn rotation_options(&self, allow_many_controllers: bool, run_timeout: Duration) -> RotationOptions {
        RotationOptions {
            allow_many_controllers,
            ..RotationOptions::by(&self.thresholds, &self.guards, run_timeout)
        }
    }

    /// The time window whose history is fetched. The diagnosis needs one too, so the standard one is used if
    /// persistence is off.
    pub fn window(&self) -> Persistence {
        self.guards.persistence.unwrap_or(Persistence::STANDARD)
    }
}

fn guards(limits: &GuardArgs) -> GuardSettings {
    let persistence = limits.persistence;
    let seen = persistence.unwrap_or(Persistence::STANDARD);
    GuardSettings {
        warm_up: limits.warmup,
        persistence,
        cooldown: limits.cooldown,
        futility_age: limits.futility_age,
        illness_age: limits.illness_age,
        churn_budget: limits.churn_budget.map(|percent| ChurnBudget { percent }),
        outlier_trigger: limits.outlier_trigger.map(|ratio| OutlierTrigger {
            ratio,
            percent: seen.percent,
            min_history: seen.min_history,
        }),
        diagnosis: true,
    }
}

#[cfg(test)]
mod tests {
    use clap::{Args as _, Command, FromArgMatches as _};
    use rebalancer_core::DEFAULT_FLOORS;

    use super::*;

    /// Flags state their defaults as texts, which the help shows.
    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_core() {
        let command = DecisionArgs::augment_args(Command::new("plan")).mut_args(|arg| arg.env(None));
        let matches = command.get_matches_from(["plan"]);
        let args = DecisionArgs::from_arg_matches(&matches).expect("the defaults are understood");
        let settings = DecisionSettings::from(&args);
        let of_core = Thresholds { trigger_floors: DEFAULT_FLOORS, ..Thresholds::default() };
        assert_eq!(settings.thresholds, of_core);
        assert_eq!(settings.guards, GuardSettings::STANDARD);
    }
}
