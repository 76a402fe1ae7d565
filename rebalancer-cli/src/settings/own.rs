//! The settings that a workload has of its own, in its annotations. They are parsed as flags are, so that the same
//! values are understood, in the same ranges.

use std::collections::BTreeMap;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args as _, Command, FromArgMatches as _};
use rebalancer_core::PAUSED;

use crate::cli::args::{DryRun, RunArgs};
use crate::cli::{earlier, usage};

/// What all annotations of this program begin with.
const PREFIX: &str = "pod-rebalancer/";

/// The annotation by which a workload opts in.
pub const ENABLED: &str = "pod-rebalancer/enabled";

/// The settings that an annotation may change, by the ids of their arguments. None leads to another server or query. Who may
/// edit the workload may make its guards less careful, as for its own job; never a dry run an eviction.
const OF_A_WORKLOAD: [&str; 25] = [
    "cpu_variance_threshold",
    "lag_variance_threshold",
    "min_pods",
    "min_coverage",
    "floors",
    "score_weights",
    "strategy",
    "guards",
    "max_sample_age",
    "warmup",
    "cooldown",
    "persistence",
    "futility_age",
    "illness_age",
    "churn_budget",
    "outlier_trigger",
    "assignor",
    "consumers_per_pod",
    "static_membership",
    "metrics_preset",
    "kafka_group",
    "container",
    "dry_run",
    "pacing",
    "grace_period",
];

/// Whether a workload with these annotations opted in.
///
/// # Errors
/// A word that is neither yes nor no.
pub fn has_opted_in(annotations: &BTreeMap<String, String>) -> Result<bool, String> {
    let Some(text) = annotations.get(ENABLED) else { return Ok(false) };
    let parsed = BoolishValueParser::new().parse_ref(&Command::new("annotation"), None, text.as_ref());
    parsed.map_err(|_| format!("its annotation {ENABLED} is {text:?}: expected \"true\" or \"false\""))
}

/// The arguments of a run, ready to be changed by annotations.
pub struct Changeable {
    command: Command,
    given: Vec<Given>,
}

/// An argument as it was given for all workloads.
struct Given {
    id: String,
    flag: String,
    /// The variable as an annotation spells it, such as `min-pods-required`.
    spelled: String,
    /// The values that are no default.
    values: Vec<String>,
}

impl Changeable {
    /// The arguments of `run`, as they were given for all workloads.
    pub fn of(matches: &ArgMatches) -> Self {
        let command = RunArgs::augment_args(Command::new("run")).mut_args(|arg| arg.env(None));
        let given = RunArgs::augment_args(Command::new("run"))
            .get_arguments()
            .filter_map(|arg| Given::of(arg, matches))
            .collect();
        Self { command, given }
    }

    /// The arguments for a workload with these annotations; `None` where they change nothing.
    ///
    /// # Errors
    /// An annotation that is no setting of a workload, or a value that is not understood.
    pub fn with(&self, annotations: &BTreeMap<String, String>) -> Result<Option<RunArgs>, String> {
        let changes = self.changes(annotations)?;
        if changes.is_empty() {
            return Ok(None);
        }
        let flags = self.given.iter().flat_map(|given| match changes.get(given.id.as_str()) {
            Some((_, value)) => vec![format!("--{}={value}", given.flag)],
            None => given.values.iter().map(|value| format!("--{}={value}", given.flag)).collect(),
        });
        // Defaults that depend on it are those of the run.
        let typed = ["run", "--all"].map(str::to_owned).into_iter().chain(flags);
        let refused = |error: &clap::Error| self.refusal(error, &changes);
        let matches = self.command.clone().try_get_matches_from(typed).map_err(|error| refused(&error))?;
        let args = RunArgs::from_arg_matches(&matches).map_err(|error| refused(&error))?;
        Ok(Some(args))
    }

    /// The annotations that are settings, with their names and values, by the ids of their arguments. An empty one counts
    /// as unset.
    fn changes<'a>(
        &'a self,
        annotations: &'a BTreeMap<String, String>,
    ) -> Result<BTreeMap<&'a str, (&'a str, &'a str)>, String> {
        let mut changes: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
        for (name, value) in annotations {
            let Some(setting) = name.strip_prefix(PREFIX) else { continue };
            if name == ENABLED || name == PAUSED {
                continue;
            }
            let is_meant = |given: &&Given| given.flag == setting || given.spelled == setting;
            let given = self.given.iter().find(is_meant).filter(|given| is_of_a_workload(&given.id));
            let Some(given) = given else {
                let spelled = |id: &str| format!("{PREFIX}{}", id.replace('_', "-"));
                let id = setting.replace('_', "-");
                let now = earlier::now(&id).filter(|now| is_of_a_workload(now));
                let told = now.and_then(|_| earlier::instead(&id, spelled));
                let told = told.unwrap_or_else(|| format!("{name} is no setting that a workload can have"));
                return Err(format!("its annotation {told}"));
            };
            if value.is_empty() {
                continue;
            }
            if let Some((other, _)) = changes.insert(&given.id, (name, value)) {
                return Err(format!("its annotations {other} and {name} are the same setting"));
            }
        }
        Ok(changes)
    }

    /// Which annotation is not understood, and what is expected.
    fn refusal(&self, error: &clap::Error, changes: &BTreeMap<&str, (&str, &str)>) -> String {
        let mut command = self.command.clone();
        // Messages can only show arguments after the command is built.
        command.build();
        let told = usage::wrong_argument(error, &command).and_then(|arg| {
            let (name, value) = changes.get(arg.get_id().as_str())?;
            Some(format!("its annotation {name} is {value:?}: {}", usage::expected(error, arg)))
        });
        told.unwrap_or_else(|| format!("its annotations cannot be used: {}", error.kind()))
    }
}

impl Given {
    fn of(arg: &Arg, matches: &ArgMatches) -> Option<Self> {
        let flag = arg.get_long()?;
        // A switch is about the whole run.
        if !arg.get_action().takes_values() {
            return None;
        }
        let id = arg.get_id().to_string();
        let is_given = !matches!(matches.value_source(&id), None | Some(ValueSource::DefaultValue));
        let raw = matches.get_raw(&id).filter(|_| is_given).into_iter().flatten();
        let variable = arg.get_env().map(|name| name.to_string_lossy().to_lowercase().replace('_', "-"));
        Some(Self {
            flag: flag.to_owned(),
            spelled: variable.unwrap_or_default(),
            values: raw.map(|value| value.to_string_lossy().into_owned()).collect(),
            id,
        })
    }
}

fn is_of_a_workload(id: &str) -> bool {
    OF_A_WORKLOAD.contains(&id)
}

/// The more careful of two dry runs: an annotation can make a dry run of a run, and not the reverse.
pub const fn stricter(one: DryRun, other: DryRun) -> DryRun {
    match (one, other) {
        (DryRun::Client, _) | (_, DryRun::Client) => DryRun::Client,
        (DryRun::Server, _) | (_, DryRun::Server) => DryRun::Server,
        (DryRun::None, DryRun::None) => DryRun::None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rebalancer_io::kafka::least_run;

    use super::*;

    #[test]
    fn every_setting_of_a_workload_is_one_of_a_run() {
        let run = RunArgs::augment_args(Command::new("run"));
        for id in OF_A_WORKLOAD {
            let arg = run.get_arguments().find(|arg| arg.get_id() == id);
            assert!(arg.is_some_and(|arg| arg.get_env().is_some() && arg.get_long().is_some()), "{id}");
        }
    }

    #[test]
    fn a_run_of_all_has_time_to_watch_kafka_twice_also_for_a_workload_with_settings_of_its_own() {
        let run_timeout = |typed: &[&str]| {
            let matches = RunArgs::augment_args(Command::new("run")).mut_args(|arg| arg.env(None));
            let matches = matches.try_get_matches_from(typed).expect("arguments of run");
            let of_all =
                RunArgs::from_arg_matches(&matches).expect("arguments of run").live.kubernetes.run_timeout;
            let own = BTreeMap::from([(format!("{PREFIX}min-pods"), "5".to_owned())]);
            let own = Changeable::of(&matches).with(&own).expect("a setting").expect("a change");
            (of_all, own.live)
        };
        let (of_one, _) = run_timeout(&["run"]);
        let (of_all, own) = run_timeout(&["run", "--all"]);
        assert_eq!((of_one, of_all), (Duration::from_secs(90), Duration::from_secs(180)));
        assert_eq!(own.kubernetes.run_timeout, of_all);
        let watch = own.kafka.kafka_watch;
        assert!(least_run(watch) <= of_one && least_run(watch * 2) <= of_all, "{watch:?}");
        let (given, own) = run_timeout(&["run", "--all", "--run-timeout=5m"]);
        assert_eq!((given, own.kubernetes.run_timeout), (Duration::from_secs(300), given));
    }

    #[test]
    fn the_more_careful_dry_run_counts() {
        let all = [DryRun::None, DryRun::Server, DryRun::Client];
        for (place, one) in all.into_iter().enumerate() {
            for (other_place, other) in all.into_iter().enumerate() {
                assert_eq!(stricter(one, other), all[place.max(other_place)]);
            }
        }
    }
}
