//! Settings that became parts of others. Their earlier names are still read, with a warning that says what to set instead.

use clap::builder::ValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use crate::cli::catalog::{self, source};
use crate::cli::values;
use crate::failure::Failure;

/// Where VictoriaMetrics takes metrics.
const IMPORT_PATH: &str = "/api/v1/import/prometheus";

/// A setting that became a part of another: its flag, which is its id too, its variable, the id of the setting that it became
/// a part of, and which part.
type Joined = (&'static str, &'static str, &'static str, Part);

const JOINED: [Joined; 9] = [
    ("cpu-floor", "CPU_FLOOR", "floors", Part::Named("cpu")),
    ("memory-floor", "MEMORY_FLOOR", "floors", Part::Named("memory")),
    ("lag-floor", "LAG_FLOOR", "floors", Part::Named("lag")),
    ("rate-floor", "RATE_FLOOR", "floors", Part::Named("rate")),
    ("persistence-window", "PERSISTENCE_WINDOW", "persistence", Part::Named("window")),
    ("persistence-factor", "PERSISTENCE_FACTOR", "persistence", Part::Named("factor")),
    ("persistence-percent", "PERSISTENCE_PERCENT", "persistence", Part::Named("percent")),
    ("metrics-pushgateway-url", "METRICS_PUSHGATEWAY_URL", "metrics_push_url", Part::Pushgateway),
    ("metrics-import-url", "METRICS_IMPORT_URL", "metrics_push_url", Part::Import),
];

/// What an earlier setting is in the one that it became a part of.
#[derive(Debug, Clone, Copy)]
enum Part {
    /// `name=value`.
    Named(&'static str),
    /// The address as it is.
    Pushgateway,
    /// The address, with its path.
    Import,
}

impl Part {
    fn of(self, value: &str) -> String {
        match self {
            Self::Named(name) => format!("{name}={value}"),
            Self::Pushgateway => value.to_owned(),
            Self::Import => {
                let base = value.trim_end_matches('/');
                format!("{}{IMPORT_PATH}", base.strip_suffix(IMPORT_PATH).unwrap_or(base))
            }
        }
    }
}

/// The same command that also reads the earlier names of its settings; no help shows them.
pub fn with_earlier_names(command: Command) -> Command {
    let has = |id: &str| command.get_arguments().any(|arg| arg.get_id() == id);
    let joined = JOINED.into_iter().filter(|(_, _, now, _)| has(now));
    let earlier = joined.map(|(flag, variable, ..)| {
        Arg::new(flag).long(flag).env(variable).hide(true).value_parser(parser(flag))
    });
    let earlier: Vec<Arg> = earlier.collect();
    command.args(earlier)
}

/// What an earlier setting takes. An error then names what was set.
fn parser(id: &str) -> ValueParser {
    match id {
        "persistence-window" => ValueParser::new(values::window_or_off),
        "persistence-factor" => ValueParser::new(values::factor_or_off),
        "persistence-percent" => ValueParser::new(values::percent_or_off),
        floor if floor.ends_with("-floor") => ValueParser::new(values::quantity),
        _ => ValueParser::string(),
    }
}

/// The value of the setting of this id, made of earlier ones; `value_of` gives the value of an earlier id. `None` where
/// there is none.
pub fn joined(id: &str, value_of: impl Fn(&str) -> Option<String>) -> Option<String> {
    let parts = JOINED.iter().filter(|(_, _, now, _)| *now == id);
    let parts: Vec<String> =
        parts.filter_map(|(earlier, _, _, part)| Some(part.of(&value_of(earlier)?))).collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

/// The id of the setting that the one of this earlier id became a part of.
pub fn now(id: &str) -> Option<&'static str> {
    JOINED.into_iter().find(|(earlier, ..)| *earlier == id).map(|(_, _, now, _)| now)
}

/// What to set instead of the setting of this earlier id; `name_of` gives the name of an id. No value is repeated: it may
/// hold a credential.
pub fn instead(id: &str, name_of: impl Fn(&str) -> String) -> Option<String> {
    let (_, _, now, part) = JOINED.into_iter().find(|(earlier, ..)| *earlier == id)?;
    let (earlier, now) = (name_of(id), name_of(now));
    Some(format!("{earlier} is an earlier name: set {now}={} instead", part.of("VALUE")))
}

/// The settings that were given by earlier names, as arguments of now, and a warning about each.
///
/// # Errors
/// A setting that was given by its name of now too.
pub fn given(matches: &ArgMatches, command: &Command) -> Result<(Vec<String>, Vec<String>), Failure> {
    let is_given =
        |id: &str| matches!(source(matches, id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
    let arg = |id: &str| command.get_arguments().find(|arg| arg.get_id() == id);
    let name = |id: &str| arg(id).map_or_else(|| id.to_owned(), |arg| name(arg, source(matches, id)));
    let (mut flags, mut told) = (Vec::new(), Vec::new());
    for (id, _, now, _) in JOINED.into_iter().filter(|(id, ..)| is_given(id)) {
        if is_given(now) {
            let (earlier, now) = (name(id), name(now));
            return Err(Failure::usage(format!(
                "{earlier} is now a part of {now}, which is set too: leave {earlier} out"
            )));
        }
        told.extend(instead(id, name));
    }
    let value_of = |id: &str| catalog::text(matches, id).filter(|_| is_given(id));
    for now in ["floors", "persistence", "metrics_push_url"] {
        let flag = arg(now).and_then(Arg::get_long);
        let value = flag.and_then(|_| joined(now, value_of));
        flags.extend(flag.zip(value).map(|(flag, value)| format!("--{flag}={value}")));
    }
    Ok((flags, told))
}

/// The variable of an argument, or its flag if it was typed.
fn name(arg: &Arg, source: Option<ValueSource>) -> String {
    let flag = arg.get_long().map(|flag| format!("--{flag}")).unwrap_or_default();
    let variable = arg.get_env().filter(|_| source != Some(ValueSource::CommandLine));
    variable.map_or(flag, |variable| variable.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::usage;

    #[test]
    fn every_part_is_written_as_the_setting_of_now_reads_it() {
        let value = |id: &str| Some(if id.ends_with("url") { "http://host:1/" } else { "off" }.to_owned());
        let joined = |id: &str| joined(id, value).expect("it has parts");
        assert_eq!(joined("floors"), "cpu=off,memory=off,lag=off,rate=off");
        assert_eq!(joined("persistence"), "window=off,factor=off,percent=off");
        assert_eq!(joined("metrics_push_url"), "http://host:1/,http://host:1/api/v1/import/prometheus");
        let command = usage::command();
        for id in ["floors", "persistence", "metrics_push_url"] {
            let flag = format!("--{}={}", id.replace('_', "-"), joined(id));
            assert!(command.clone().try_get_matches_from(["pod-rebalancer", "run", &flag]).is_ok(), "{flag}");
        }
        let run = command.find_subcommand("run").expect("there is a run");
        for (id, _, now, _) in JOINED {
            let is_hidden =
                |id: &str| run.get_arguments().find(|arg| arg.get_id() == id).expect(id).is_hide_set();
            assert!(is_hidden(id) && !is_hidden(now), "{id} is hidden, {now} is not");
        }
    }
}
