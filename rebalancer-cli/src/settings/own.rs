//! The settings that a workload has of its own, in its annotations. They are parsed as flags are, so that the same
//! values are understood, in the same ranges.

use std::collections::BTreeMap;

use clap::builder::{BoolishValueParser, TypedValueParser as _};
use clap::{Arg, Args as _, Command};
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

/// The arguments of a run of all, ready to be changed by annotations.
pub struct Changeable<'a> {
    args: &'a RunArgs,
    definition: Command,
}

/// A setting that an annotation changes, the name of the annotation, and its value.
type Change<'c> = (&'c Arg, &'c str, &'c str);

impl<'a> Changeable<'a> {
    /// The arguments as they were given for all workloads.
    pub fn of(args: &'a RunArgs) -> Self {
        let mut definition = RunArgs::augment_args(Command::new("run"));
        // Messages can only show arguments after the command is built.
        definition.build();
        Self { args, definition }
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
        let flag = |(arg, _, value): &Change<'_>| Some(format!("--{}={value}", arg.get_long()?));
        let own = usage::changed(self.args, changes.iter().filter_map(flag));
        own.map(Some).map_err(|error| self.refusal(&error, &changes))
    }

    /// The settings that the annotations change. An empty one counts as unset.
    fn changes<'c>(&'c self, annotations: &'c BTreeMap<String, String>) -> Result<Vec<Change<'c>>, String> {
        let mut changes: Vec<Change<'_>> = Vec::new();
        for (name, value) in annotations {
            let Some(setting) = name.strip_prefix(PREFIX) else { continue };
            if name == ENABLED || name == PAUSED {
                continue;
            }
            let is_meant = |arg: &&Arg| {
                let variable =
                    arg.get_env().map(|name| name.to_string_lossy().to_lowercase().replace('_', "-"));
                arg.get_long() == Some(setting) || variable.as_deref() == Some(setting)
            };
            let is_own = |arg: &&Arg| is_of_a_workload(arg.get_id().as_str());
            let Some(arg) = self.definition.get_arguments().find(is_meant).filter(is_own) else {
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
            if let Some((_, other, _)) = changes.iter().find(|(known, ..)| known.get_id() == arg.get_id()) {
                return Err(format!("its annotations {other} and {name} are the same setting"));
            }
            changes.push((arg, name, value));
        }
        Ok(changes)
    }

    /// Which annotation is not understood, and what is expected.
    fn refusal(&self, error: &clap::Error, changes: &[Change<'_>]) -> String {
        let told = usage::wrong_argument(error, &self.definition).and_then(|arg| {
            let (_, name, value) = changes.iter().find(|(changed, ..)| changed.get_id() == arg.get_id())?;
            Some(format!("its annotation {name} is {value:?}: {}", usage::expected(error, arg)))
        });
        told.unwrap_or_else(|| format!("its annotations cannot be used: {}", error.kind()))
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

    use clap::FromArgMatches as _;
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
            let args = RunArgs::from_arg_matches(&matches).expect("arguments of run");
            let own = BTreeMap::from([(format!("{PREFIX}min-pods"), "5".to_owned())]);
            let own = Changeable::of(&args).with(&own).expect("a setting").expect("a change");
            (args.live.kubernetes.run_timeout, own.live)
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
