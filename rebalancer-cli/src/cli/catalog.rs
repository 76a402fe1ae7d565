//! Every setting in one table, derived from the clap definition; used by `config` and the README.

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::report::config::Row;

/// The settings of the commands, each once, in the order of their definition, without earlier names.
pub fn settings(command: &Command) -> Vec<&Arg> {
    let mut settings: Vec<&Arg> = Vec::new();
    for arg in command.get_subcommands().flat_map(Command::get_arguments) {
        let known = settings.iter().any(|setting| setting.get_id() == arg.get_id());
        if !known && !arg.is_positional() && !arg.is_hide_set() && arg.get_id() != "help" {
            settings.push(arg);
        }
    }
    // Settings of the same heading are grouped, in the order in which headings first appear.
    let headings: Vec<Option<&str>> = settings.iter().map(|setting| setting.get_help_heading()).collect();
    settings
        .sort_by_key(|setting| headings.iter().position(|heading| *heading == setting.get_help_heading()));
    settings
}

/// Where the value of an argument comes from; `None` without one, or where the command has no such argument.
pub fn source(matches: &ArgMatches, id: &str) -> Option<ValueSource> {
    matches.try_contains_id(id).ok().and_then(|_| matches.value_source(id))
}

/// The value of an argument as text, several joined by commas; `None` without one.
pub fn text(matches: &ArgMatches, id: &str) -> Option<String> {
    let raw = matches.try_get_raw(id).ok().flatten()?;
    Some(raw.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","))
}

/// A setting in words, without a value.
pub fn described(arg: &Arg) -> Row {
    let defaults: Vec<String> =
        arg.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
    let flagless_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    Row {
        variable: arg.get_env().map(|name| name.to_string_lossy().into_owned()),
        flag: arg.get_long().map(|long| format!("--{long}")),
        value: None,
        source: "unset",
        default: Some(defaults.join(",")).filter(|default| !default.is_empty() && !flagless_switch),
        help: help.split_whitespace().collect::<Vec<&str>>().join(" "),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;
    use std::{env, fs};

    use super::*;
    use crate::cli::secrets;
    use crate::cli::usage;

    const BEGIN: &str = "<!-- configuration: begin -->\n";
    const END: &str = "<!-- configuration: end -->";

    /// To regenerate the table: `UPDATE_README=1 cargo test -p rebalancer-cli`.
    #[test]
    fn the_readme_shows_every_setting_as_it_is() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let readme = fs::read_to_string(&path).expect("the README");
        let (before, rest) = readme.split_once(BEGIN).expect("the README marks where the table begins");
        let (shown, after) = rest.split_once(END).expect("the README marks where the table ends");
        let table = markdown(&usage::command());
        if env::var_os("UPDATE_README").is_some() {
            fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}"))
                .expect("the README can be written");
            return;
        }
        assert_eq!(shown, table, "run UPDATE_README=1 cargo test -p rebalancer-cli");
    }

    #[test]
    fn every_setting_has_words_and_no_secret_has_a_flag() {
        let command = usage::command();
        for setting in settings(&command).into_iter().map(described) {
            assert!(setting.help.len() > 10, "{setting:?}");
            let secret =
                secrets::ALL.iter().any(|secret| Some(secret.variable) == setting.variable.as_deref());
            assert!(!secret, "{setting:?}");
        }
    }

    /// The README's table, in Markdown; `config -o wide` shows the same.
    fn markdown(command: &Command) -> String {
        let mut text = String::from("| Variable | Flag | Default | What it does |\n|---|---|---|---|\n");
        let cell = |text: &str| text.replace('|', "\\|");
        let code = |text: Option<&str>| text.map_or_else(String::new, |text| format!("`{}`", cell(text)));
        let mut heading = "";
        for arg in settings(command) {
            let (setting, of) = (described(arg), arg.get_help_heading().unwrap_or("Other"));
            if of != heading {
                let _ = writeln!(text, "| **{of}** | | | |");
                heading = of;
            }
            let [variable, flag, default] =
                [&setting.variable, &setting.flag, &setting.default].map(|text| code(text.as_deref()));
            let _ = writeln!(text, "| {variable} | {flag} | {default} | {} |", cell(&setting.help));
        }
        let _ = writeln!(text, "| **Secrets (variables only)** | | | |");
        for secret in secrets::ALL {
            let _ = writeln!(text, "| `{}` | | | {} |", secret.variable, cell(secret.help));
        }
        text
    }
}
